"""What the isolation tests start from: one node, an outside machine, networks, and a few words for looking at both ends
of a wire. A negative check is `sees_none`, which takes its positive control along."""
import json
import time

from lab import *

RED = ("10.32.0.0/16", "fd32::/64")
BLUE = ("10.33.0.0/16", "fd33::/64")


class World:
    def __init__(self, lab, agent=True, node=None):
        self.lab = lab
        self.wire = lab.segment("wire")
        self.node = node or lab.host("n1", self.wire)
        self.outside = lab.outside(self.wire)
        self.node.must("ip route add default via", self.outside.address(4))
        self.node.must("ip -6 route add default via", self.outside.address(6))
        self.agent = self.node.start_agent() if agent else None

    def network(self, name, subnets=RED, *options):
        self.node.ctl_ok(f"network create {name} " + " ".join(f"--subnet {s}" for s in subnets) + " " + " ".join(options))
        return name

    def container(self, name, network, ifname="eth0", **keys):
        container = self.node.container(name)
        container.attach(conflist(network, **keys), ifname)
        return container

    def pair(self, network="red", subnets=RED, *options):
        """A network with two containers."""
        self.network(network, subnets, *options)
        return self.container(f"{network}-a", network), self.container(f"{network}-b", network)

    def counter(self, network, comment):
        """Packets counted by the rules of the router that carry this comment (or counted drops without one: "")."""
        rules = json.loads(self.node.router(network).must("nft -j list table inet fairlead"))["nftables"]
        return sum(expression["counter"]["packets"] for entry in rules if "rule" in entry
                   and entry["rule"].get("comment", "") == comment
                   for expression in entry["rule"]["expr"] if "counter" in expression)

    def spoofed(self, network="red"):
        return self.counter(network, "source address is not this container's")


def reaches(client, server, port=7000, addresses=None):
    """TCP, UDP and echo from client to server, both families; true when all of it works."""
    name = server.name
    for address in addresses or (server.ip, server.ip6):
        equal(client.tcp_request(address, port).name, name, f"TCP to {address}")
        equal(client.udp_request(address, port).name, name, f"UDP to {address}")
        true(client.ping(address), f"echo to {address}")
    return True


def serve(*places, port=7000):
    for place in places:
        place.serve_tcp(port)
        place.serve_udp(port)


def shut_out(client, addresses, port=7000, timeout=0.4):
    """Nothing of the client gets an answer: TCP, UDP, echo."""
    for address in addresses:
        unreachable(lambda a=address: client.tcp_request(a, port, timeout=timeout), f"{client.name}: TCP to {address}")
        unreachable(lambda a=address: client.udp_request(a, port, timeout=timeout), f"{client.name}: UDP to {address}")
        try:
            equal(client.ping(address, timeout=timeout), None, f"{client.name}: echo to {address}")
        except OSError:
            pass


def sees_none(place, ifname, send, control, match, why, settle=0.25):
    """send() puts packets on the way that must not come by; control() puts one that must, and that match finds, too.
    The control goes last: when it has arrived, what was sent before it would have arrived."""
    with place.capture(ifname) as wire:
        send()
        time.sleep(settle * place.lab.slow)
        found = wire.packets(match)
        equal(found, [], why)
        control()
        wire.wait(match, 2)
