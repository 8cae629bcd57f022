"""containerd on a lab host: `ctr run --cni`, and its CRI plugin for a caller like kubelet."""
import time

from demo import image
from lab import eventually
from .cri import Cri
from .template import cni_list
from .world import IMAGE, put_image, tmpfs

SOCKET = "/run/containerd/containerd.sock"
PAUSE = "localhost/pause:1"
# restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE cannot lower it.
CONFIG = f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
{{disabled}}
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
  max_conf_num = {{max_conf_num}}
"""


class Containerd:
    """cri: with the CRI plugin (self.cri is its caller). networks: a file each in /etc/cni/net.d; ctr uses the first."""

    def __init__(self, world, *networks, cri=False, max_conf_num=1):
        self.world, self.host = world, world.node
        tmpfs(self.host, "/var/lib/containerd")
        self.host.must("mkdir", "-p", "/opt/cni/bin", "/etc/cni/net.d", "/run/containerd", "/tmp/logs")
        for plugin in ("fairlead", "fairlead-ipam", "fairlead-agent"):
            self.host.must("ln", "-s", self.host.lab.binary(plugin), f"/opt/cni/bin/{plugin}")
        self.host.must("ln", "-s", "/usr/lib/cni/loopback", "/opt/cni/bin/loopback")
        for number, network in enumerate(networks):
            self.configure(network, number=number)
        disabled = "" if cri else 'disabled_plugins = ["io.containerd.grpc.v1.cri"]'
        self.host.write("/etc/containerd/config.toml", CONFIG.format(disabled=disabled, max_conf_num=max_conf_num))
        self.space = "k8s.io" if cri else "default"
        self.start()
        self.load()
        if cri:
            self.must("image", "import", put_image(self.host, "/tmp/pause.tar", image.archive(PAUSE, ("/bin/sleep", "86400"))), timeout=60)
            self.cri = Cri(world, SOCKET)
            self.network_ready()

    def configure(self, network, number=0, **keys):
        self.host.write(f"/etc/cni/net.d/{10 + number}-{network}.conflist", cni_list(network, **keys))

    def load(self, space=None):
        """The image; every namespace of containerd has its own."""
        self.must("image", "import", put_image(self.host), timeout=60, space=space)

    # -- the daemon --------------------------------------------------------------------------------------
    def start(self):
        self.daemon = self.host.popen("containerd", "--log-level", "warn")
        deadline = time.monotonic() + 20 * self.host.lab.slow
        while self.host.run("ctr", "version").rc != 0:
            if time.monotonic() > deadline or not self.daemon.alive():
                raise AssertionError("containerd does not start: " + self.daemon.output()[-2000:])
            time.sleep(0.1)

    def kill9(self):
        self.daemon.kill()

    def network_ready(self):
        eventually(lambda: self.cri.ready()["NetworkReady"][0], 10, "containerd has read the network configuration")

    # -- ctr ---------------------------------------------------------------------------------------------
    def __call__(self, *argv, timeout=30, space=None):
        return self.host.run("ctr", "-n", space or self.space, *argv, timeout=timeout)

    def must(self, *argv, timeout=30, space=None):
        return self.host.must("ctr", "-n", space or self.space, *argv, timeout=timeout)

    def run(self, name, *command, options=(), detach=True, space=None):
        how = ("--detach",) if detach else ("--rm",)
        return self.must("run", *how, "--cni", "--cgroup", f"{self.world.cgroup}/{space or self.space}-{name}", *options,
                         IMAGE, name, *(command or ("sleep", "3600")), space=space)

    def exec(self, name, *command, space=None):
        return self("task", "exec", "--exec-id", f"x{time.monotonic_ns()}", name, *command, space=space)

    def kill(self, name, space=None):
        self.must("task", "kill", "--signal", "SIGKILL", name, space=space)
