"""What every test of the suite starts from: one node with Fairlead's daemons, a machine outside, networks as documents.

The image is made here from Debian's busybox; every runtime keeps its data on a tmpfs of the lab host, its cgroups below a
parent of the test's own (cgroups.py).
"""
import os

from demo import image
from lab import eventually
from . import cgroups
from .template import cni_list

IMAGE = "docker.io/fairlead/demo:1"
# A web server in a container of the image: answers with $DEMO_NAME and the address it was asked from.
WEB = ("httpd", "-f", "-p", "8080", "-h", "/www")


class World:
    """w.node, w.outside; w.client(network) is a container of no runtime that asks questions."""

    def __init__(self, lab, networks=("appnet",), lb=False, agent=()):
        self.lab = lab
        wire = lab.segment("wire")
        self.node = lab.host("n1", wire)
        self.outside = lab.outside(wire)
        # Everything is shared on a machine with systemd. Otherwise the first runtime that makes this folder a mount hides those of the others.
        self.node.must("mount --bind /run/netns /run/netns")
        self.node.must("mount --make-shared /run/netns")
        self.subnets = {}
        for number, name in enumerate(networks):
            four, six = f"10.{40 + number}.0.0/16", f"fd{40 + number}::/64"
            self.subnets[name] = (four, six)
            self.node.ctl_ok(f"network create {name} --subnet {four} --subnet {six}")
        self.node.start_agent(agent)
        if lb:
            self.node.start_lb()
        self.node.start_dns()
        self.cgroup = cgroups.make_parent()
        self._clients = {}

    def gateway(self, network="appnet"):
        return self.subnets[network][0].replace(".0.0/16", ".0.1")

    def client(self, network="appnet"):
        if network not in self._clients:
            client = self.node.container(f"client-{network}")
            client.attach(cni_list(network), args={"FAIRLEAD_NAME": client.name})
            self._clients[network] = client
        return self._clients[network]

    def endpoint(self, name, network="appnet"):
        """The document of the endpoint that has this name or alias, or whose container id ends with it; None."""
        for document in self.node.endpoints(network).values():
            if name in document.get("names", []) + document.get("aliases", []) or document["container"].endswith(name):
                return document
        return None

    def nothing_left(self, network="appnet", within=3.0):
        """All endpoints and leases are gone, but those of our own clients."""
        own = [] if network not in self._clients else self._clients[network]
        addresses = {own.ip, own.ip6} if own else set()
        ids = {own.id} if own else set()
        eventually(lambda: {d["container"] for d in self.node.endpoints(network).values()} == ids, within,
                   f"no endpoint is left on {network}")
        eventually(lambda: set(self.node.leases(network)) == addresses, within, f"no lease is left on {network}")

    def resolves(self, name, address, network="appnet", within=2.0):
        """Another container finds the address by this name."""
        client = self.client(network)
        eventually(lambda: client.dns(name, timeout=0.5).addresses == [address], within,
                   f"{name} is {address} for another container of {network}")


def seen_from(place, address, port):
    """(who answered, the address it saw) by HTTP."""
    words = place.http_get(address, port, "/cgi-bin/who").body.split()
    return words[0], words[-1].strip("[]").removeprefix("::ffff:")


def tmpfs(host, *folders):
    """Containers' roots are overlays, and an overlay on the lab's overlay is refused by the kernel."""
    for folder in folders:
        host.must("mkdir", "-p", folder)
        host.must("mount", "-t", "tmpfs", "tmpfs", folder)


def put_image(host, path="/tmp/image.tar", archive=None):
    os.makedirs(os.path.dirname(host.path(path)), exist_ok=True)
    with open(host.path(path), "wb") as file:
        file.write(archive or image.archive(IMAGE))
    return path
