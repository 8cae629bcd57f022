"""Several nodes by documents alone: what managers would tell every node is written into each one's state directory."""
from lab import *

NAMES = ("n1", "n2", "n3")
SUBNETS = ("10.32.0.0/16", "fd32::/64")
WITHIN = 2.0


def vni_of(network):
    return {"appnet": 4097, "other": 4098}[network]


class Cluster:
    """Nodes on one wire. family: of the underlay. agents: whether the daemons run. narrow: the last node is on a
    wire of its own, and this is the MTU between the two wires. encryption: of every network, or a map by name.
    documents: whether the networks are there from the beginning; create() makes them."""

    def __init__(self, lab, count=2, family=4, networks=("appnet",), agents=True, mtu=1500, balancer="nft", internal=False, port=0,
                 narrow=0, encryption="none", documents=True):
        self.lab, self.family = lab, family
        self.wire = lab.segment("wire", mtu=mtu)
        wires = [self.wire] * count
        if narrow:
            wires[-1] = lab.segment("far", mtu=mtu)
        self.nodes = [lab.host(name, wire) for name, wire in zip(NAMES, wires)]
        self.outside = lab.outside(self.wire)
        if narrow:
            between = lab.segment("between", mtu=narrow)
            gateways = [lab.host(f"gateway-{wire.name}", wire, between, address=200 + i) for i, wire in enumerate((self.wire, wires[-1]))]
            for gateway, other in zip(gateways, reversed(gateways)):
                for version, key in ((4, "net.ipv4.ip_forward"), (6, "net.ipv6.conf.all.forwarding")):
                    gateway.sysctl(key, 1)
                    gateway.must(f"ip -{version} route add default via", other.address(version, 1))
        self.networks, self.internal, self.port, self.encryption = networks, internal, port, encryption
        for node, wire in zip(self.nodes, wires):
            default = gateways[wire is not self.wire] if narrow else self.outside
            for version in (4, 6):
                node.must(f"ip -{version} route add default via", default.address(version))
            node.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": node.name, "balancer": balancer})
        for number, node in enumerate(self.nodes, 1):
            self.tell(node, number)
            for network in networks:
                self.give(network, node.name, [f"10.32.{number}.0/24", f"fd32::{number}:0/112"])
        for network in networks if documents else ():
            self.create(network)
        self.agents = [node.start_agent() for node in self.nodes] if agents else []

    def everywhere(self, path, document):
        for node in self.nodes:
            if document is None:
                node.remove(path)
            else:
                node.write(path, document)

    def create(self, network, **keys):
        encryption = self.encryption if isinstance(self.encryption, str) else self.encryption[network]
        self.everywhere(f"/var/lib/fairlead/networks/{network}.json",
                        {"apiVersion": 1, "name": network, "vni": vni_of(network), "subnets": list(SUBNETS), "internal": self.internal,
                         "vxlanPort": self.port, "encryption": encryption, **keys})

    def tell(self, node, number, address=None):
        """The document of a node, on every node."""
        self.everywhere(f"/var/lib/fairlead/nodes/{node.name}.json",
                        {"apiVersion": 1, "name": node.name, "number": number, "address": address or node.address(self.family)})

    def forget(self, node):
        self.everywhere(f"/var/lib/fairlead/nodes/{node.name}.json", None)

    def give(self, network, name, blocks):
        self.everywhere(f"/var/lib/fairlead/blocks/{network}/{name}.json",
                        {"apiVersion": 1, "network": network, "node": name, "blocks": blocks})

    def start_services(self):
        """Balancer and DNS on every node."""
        for node in self.nodes:
            node.start_lb()
            node.start_dns()

    def service(self, name, **keys):
        self.everywhere(f"/var/lib/fairlead/services/appnet/{name}.json", {"apiVersion": 1, "network": "appnet", "name": name, **keys})

    def publish(self):
        """Tells every node what endpoints and what health the others have; takes away what is no longer."""
        for kind in ("endpoints", "health"):
            for network in self.networks:
                for owner in self.nodes:
                    there = self._documents(owner, f"/run/fairlead/{kind}/{network}")
                    for other in self.nodes:
                        if other is not owner:
                            self._mirror(other, f"/run/fairlead/remote/{kind}/{network}/{owner.name}", there, owner.name)

    @staticmethod
    def _documents(node, folder):
        if not node.exists(folder):
            return {}
        return {name: node.read_json(f"{folder}/{name}") for name in node.listdir(folder) if name.endswith(".json")}

    @staticmethod
    def _mirror(node, folder, documents, owner):
        for name in node.listdir(folder) if node.exists(folder) else []:
            if name not in documents:
                node.remove(f"{folder}/{name}")
        for name, document in documents.items():
            node.write(f"{folder}/{name}", dict(document, node=owner))

    def container(self, node, name, network="appnet", last=None, **keys):
        """Attached with addresses of the node's block: 10.32.NODE.last and its IPv6 twin."""
        number = NAMES.index(node.name) + 1
        last = last or 10 + len(node.containers)
        container = node.container(name)
        container.attach(conflist(network, **keys), capabilities={"ips": [f"10.32.{number}.{last}", f"fd32::{number}:{last:x}"]})
        return container

    def pair(self, network="appnet"):
        """A container on each of the first two nodes; the second serves."""
        a, b = self.container(self.nodes[0], f"{network}-a", network, last=10), \
            self.container(self.nodes[1], f"{network}-b", network, last=10)
        b.serve_tcp(7000)
        b.serve_udp(7000)
        return a, b


def reaches(client, server, families=(4, 6)):
    for address in [a for family, a in ((4, server.ip), (6, server.ip6)) if family in families]:
        equal(client.tcp_request(address, 7000, timeout=1).name, server.name, f"TCP to {address}")
        equal(client.udp_request(address, 7000, timeout=1).name, server.name, f"UDP to {address}")
        true(client.ping(address) is not None, f"echo to {address}")
    return True
