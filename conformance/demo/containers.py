"""Containers of the demo's hosts: of containerd (`ctr run --cni`) and of Podman where they run, else plain network namespaces with
the same busybox in them. All are attached by the same plugin with the same configuration."""
import time

import image
from lab.container import conflist
from runtimes import cgroups
from runtimes.podman import CONTAINERS_CONF, STORAGE_CONF

SOCKET = "/run/containerd-demo/containerd.sock"
IMAGE = "docker.io/fairlead/demo:1"
PLUGINS = ("fairlead", "fairlead-ipam", "fairlead-agent")
CONFIG = f"""version = 2
root = "/var/lib/containerd-demo"
state = "/run/containerd-demo"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{SOCKET}"
"""


def _prepare(host, folder):
    """Containers' roots are overlays, and an overlay on the lab's overlay is refused by the kernel: hence a tmpfs."""
    host.must("mkdir", "-p", "/etc/cni/net.d", "/opt/cni/bin", "/tmp/demo", folder)
    host.must("mount", "-t", "tmpfs", "tmpfs", folder)
    for plugin in PLUGINS:
        host.must("ln", "-sf", host.lab.binary(plugin), f"/opt/cni/bin/{plugin}")
    with open(host.path("/tmp/demo/image.tar"), "wb") as file:
        file.write(image.archive(IMAGE))


def _configure(host, network, gateway, services):
    host.write("/etc/cni/net.d/10-demo.conflist", conflist(network, services=list(services)))
    host.write(f"/tmp/demo/{network}.resolv.conf",
               f"nameserver {gateway}\nsearch {network}.fairlead.internal fairlead.internal\n")


class Containerd:
    """ctr passes no names, no labels and no CNI_ARGS: what a container is comes from the configuration it is run with."""
    kind = "containerd"

    def __init__(self, host):
        self.host, self.parent = host, cgroups.make_parent()
        _prepare(host, "/var/lib/containerd-demo")
        host.must("mkdir", "-p", "/run/containerd-demo")
        host.write("/etc/containerd-demo.toml", CONFIG)
        self.daemon = host.popen("containerd", "--config", "/etc/containerd-demo.toml")
        self._wait()
        self._ctr("image", "import", "/tmp/demo/image.tar", timeout=60)

    def _wait(self):
        for _ in range(100):
            if self.host.run("ctr", "--address", SOCKET, "version").rc == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("containerd did not start: " + self.daemon.output()[-600:])

    def _ctr(self, *argv, timeout=30):
        return self.host.must("ctr", "--address", SOCKET, *argv, timeout=timeout)

    def run(self, name, network, gateway, services=(), command="sleep 3600"):
        _configure(self.host, network, gateway, services)
        self._ctr("run", "-d", "--cni", "--cgroup", f"{self.parent}/{name}", "--env", f"DEMO_NAME={name}",
                  "--mount", f"type=bind,src=/tmp/demo/{network}.resolv.conf,dst=/etc/resolv.conf,options=rbind:ro",
                  IMAGE, name, "/bin/sh", "-c", command)

    def exec(self, name, command, timeout=20):
        return self.host.run("ctr", "--address", SOCKET, "task", "exec", "--exec-id", f"x{time.monotonic_ns()}", name,
                             "/bin/sh", "-c", command, timeout=timeout)

    def kill(self, name):
        self._ctr("task", "kill", "--signal", "SIGKILL", name)
        return f"ctr task kill --signal SIGKILL {name}"

    def shown(self, name, command):
        return f"ctr task exec {name} sh -c '{command}'"


class Podman:
    kind = "Podman"

    def __init__(self, host):
        self.host, self.parent = host, cgroups.make_parent()
        _prepare(host, "/var/lib/containers")
        host.write("/etc/containers/containers.conf", CONTAINERS_CONF.format(folders='"/opt/cni/bin"'))
        host.write("/etc/containers/storage.conf", STORAGE_CONF)
        host.must("podman", "load", "-q", "-i", "/tmp/demo/image.tar", timeout=60)

    def run(self, name, network, gateway, services=(), command="sleep 3600"):
        _configure(self.host, network, gateway, services)
        self.host.must("podman", "run", "-d", "--cgroup-parent", self.parent, "--name", name, "--network", network,
                       "--env", f"DEMO_NAME={name}", IMAGE, "/bin/sh", "-c", command, timeout=30)

    def exec(self, name, command, timeout=20):
        return self.host.run("podman", "exec", name, "/bin/sh", "-c", command, timeout=timeout)

    def kill(self, name):
        self.host.must("podman", "kill", name)
        return f"podman kill {name}"

    def shown(self, name, command):
        return f"podman exec {name} sh -c '{command}'"


class Namespaces:
    kind = "plain network namespaces"

    def __init__(self, host):
        self.host, self.members = host, {}
        host.must("mkdir", "-p", "/www/cgi-bin")
        host.write("/www/cgi-bin/who", image.PAGE, 0o755)

    def run(self, name, network, gateway, services=(), command="sleep 3600"):
        place = self.host.container(name)
        place.attach(conflist(network, services=list(services)), args={"FAIRLEAD_NAME": name})
        resolv = f"nameserver {gateway}\nsearch {network}.fairlead.internal fairlead.internal\n"
        self.host.write(f"/etc/netns/{name}/resolv.conf", resolv)
        self.members[name] = (place, place.popen("busybox", "sh", "-c", command, env={"DEMO_NAME": name}))

    def exec(self, name, command, timeout=20):
        return self.host.run("ip", "netns", "exec", name, "busybox", "sh", "-c", command, timeout=timeout)

    def kill(self, name):
        self.members[name][1].kill()
        return f"kill -9 {name}"

    def shown(self, name, command):
        return f"ip netns exec {name} sh -c '{command}'"


def start(host, runtime):
    try:
        return runtime(host)
    except (AssertionError, RuntimeError, OSError) as error:
        print(f"   ({runtime.kind} cannot run here: {str(error).splitlines()[0][:160]})")
        return Namespaces(host)
