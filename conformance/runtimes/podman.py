"""Podman 4 with its CNI backend on a lab host: own storage, own configuration, containers of the local image."""
import json

from .template import cni_list
from .world import IMAGE, put_image, tmpfs

# A machine without CAP_SYS_RESOURCE cannot raise limits, and has neither systemd nor a journal.
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[network]
network_backend = "cni"
network_config_dir = "/etc/cni/net.d"
cni_plugin_dirs = [{folders}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE_CONF = """[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""


class Podman:
    def __init__(self, world, *networks):
        self.world, self.host = world, world.node
        tmpfs(self.host, "/var/lib/containers")
        folders = ", ".join(f'"{folder}"' for folder in (self.host.lab.binaries, "/usr/lib/cni"))
        self.host.write("/etc/containers/containers.conf", CONTAINERS_CONF.format(folders=folders))
        self.host.write("/etc/containers/storage.conf", STORAGE_CONF)
        for number, network in enumerate(networks):
            self.host.write(f"/etc/cni/net.d/{10 + number}-{network}.conflist", cni_list(network))
        self.must("load", "-q", "-i", put_image(self.host), timeout=60)

    def __call__(self, *argv, timeout=30):
        return self.host.run("podman", *argv, timeout=timeout)

    def must(self, *argv, timeout=30):
        return self.host.must("podman", *argv, timeout=timeout)

    def run(self, name, *options, command=("sleep", "3600")):
        """A detached container → its id."""
        return self.must("run", "-d", "--cgroup-parent", self.world.cgroup, "--name", name, *options, IMAGE, *command).strip()

    def exec(self, name, *command):
        return self("exec", name, *command)

    def inspect(self, name, network):
        return json.loads(self.must("inspect", name))[0]["NetworkSettings"]["Networks"][network]
