"""Containers of a demo host: containerd with `ctr run --cni` where it runs, else plain network namespaces with the same
busybox in them. Both are attached by the same plugin with the same configuration."""
import time

import image
from lab.container import conflist

SOCKET = "/run/containerd-demo/containerd.sock"
IMAGE = "docker.io/fairlead/demo:1"
CONFIG = f"""version = 2
root = "/var/lib/containerd-demo"
state = "/run/containerd-demo"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{SOCKET}"
"""


class Containerd:
    """ctr passes no names, no labels and no CNI_ARGS: what a container is comes from the configuration it is run with."""
    kind = "containers by containerd (ctr run --cni)"

    def __init__(self, host):
        self.host = host
        host.must("mkdir", "-p", "/etc/cni/net.d", "/opt/cni/bin", "/run/containerd-demo", "/var/lib/containerd-demo")
        # containerd mounts the containers' roots by itself; an overlay on an overlay is refused, hence tmpfs.
        host.must("mount", "-t", "tmpfs", "tmpfs", "/var/lib/containerd-demo")
        for plugin in ("fairlead", "fairlead-ipam", "fairlead-agent"):
            host.must("ln", "-s", host.lab.binary(plugin), f"/opt/cni/bin/{plugin}")
        host.write("/etc/containerd-demo.toml", CONFIG)
        self.daemon = host.popen("containerd", "--config", "/etc/containerd-demo.toml")
        self._wait()
        host.must("mkdir", "-p", "/tmp/demo")
        with open(host.path("/tmp/demo/image.tar"), "wb") as file:
            file.write(image.archive(IMAGE))
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
        self.host.write("/etc/cni/net.d/10-demo.conflist", conflist(network, services=list(services)))
        self.host.write(f"/tmp/demo/{network}.resolv.conf",
                        f"nameserver {gateway}\nsearch {network}.fairlead.internal fairlead.internal\n")
        self._ctr("run", "-d", "--cni", "--env", f"DEMO_NAME={name}",
                  "--mount", f"type=bind,src=/tmp/demo/{network}.resolv.conf,dst=/etc/resolv.conf,options=rbind:ro",
                  IMAGE, name, "/bin/sh", "-c", command)

    def exec(self, name, command, timeout=20):
        return self.host.run("ctr", "--address", SOCKET, "task", "exec", "--exec-id", f"x{time.monotonic_ns()}", name,
                             "/bin/sh", "-c", command, timeout=timeout)

    def kill(self, name):
        self._ctr("task", "kill", "--signal", "SIGKILL", name)

    def shown(self, name, command):
        return f"ctr task exec {name} sh -c '{command}'"


class Namespaces:
    kind = "plain network namespaces (containerd cannot run here)"

    def __init__(self, host):
        self.host, self.members = host, {}
        host.must("mkdir", "-p", "/www/cgi-bin")
        host.write("/www/cgi-bin/who", image.PAGE, 0o755)

    def run(self, name, network, gateway, services=(), command="sleep 3600"):
        place = self.host.container(name)
        place.attach(conflist(network, services=list(services)))
        resolv = f"nameserver {gateway}\nsearch {network}.fairlead.internal fairlead.internal\n"
        self.host.write(f"/etc/netns/{name}/resolv.conf", resolv)
        self.members[name] = (place, place.popen("busybox", "sh", "-c", command, env={"DEMO_NAME": name}))

    def exec(self, name, command, timeout=20):
        return self.host.run("ip", "netns", "exec", name, "busybox", "sh", "-c", command, timeout=timeout)

    def kill(self, name):
        self.members[name][1].kill()

    def shown(self, name, command):
        return f"ip netns exec {name} sh -c '{command}'"


def start(host):
    try:
        return Containerd(host)
    except (AssertionError, RuntimeError, OSError) as error:
        print(f"  (containerd cannot run here: {str(error).splitlines()[0][:160]})")
        return Namespaces(host)

