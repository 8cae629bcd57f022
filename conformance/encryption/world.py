"""Encrypted networks on several nodes: security associations by hand (what makes them has tests of its own), and what may never
be seen on the wire between the nodes."""
import contextlib
import os
import socket
import struct

from lab import *
from mesh.cluster import Cluster

PORTS = {"ipsec": 4790, "wireguard": 4791, "none": 4789}
REQID = 5700


class Association:
    """One direction between two nodes, with a fresh SPI and key."""

    def __init__(self, sender, receiver, family=4):
        self.sender, self.receiver = sender, receiver
        self.src, self.dst = sender.address(family), receiver.address(family)
        self.spi = 0x57000000 + int.from_bytes(os.urandom(3), "big")
        self.key = os.urandom(36)

    def _state(self, node, action):
        node.must(f"ip xfrm state {action} src {self.src} dst {self.dst} proto esp spi {self.spi:#x}" + (
            "" if action == "delete" else f" reqid {REQID} mode transport aead rfc4106(gcm(aes)) 0x{self.key.hex()} 128 "
            f"replay-window 1024 flag esn sel src {self.src} dst {self.dst} proto udp"))

    def receive(self):
        self._state(self.receiver, "add")

    def send(self, port):
        self._state(self.sender, "add")
        self.policy(port)

    def policy(self, port, action="update"):
        selector = f"src {self.src} dst {self.dst} proto udp dport {port} dir out"
        if action == "delete":
            self.sender.must(f"ip xfrm policy delete {selector}")
        else:
            self.sender.must(f"ip xfrm policy update {selector} priority 100 tmpl src {self.src} dst {self.dst} proto esp "
                             f"spi {self.spi:#x} reqid {REQID} mode transport")

    def forget(self, node):
        self._state(node, "delete")


class Encrypted(Cluster):
    def __init__(self, lab, encryption="ipsec", **keys):
        super().__init__(lab, encryption=encryption, **keys)
        self.associations = []

    def associate(self, *ports):
        """Associations between all nodes, receivers first, for these ports (4790)."""
        pairs = [Association(a, b, self.family) for a in self.nodes for b in self.nodes if a is not b]
        for pair in pairs:
            pair.receive()
        for pair in pairs:
            for port in ports or (PORTS["ipsec"],):
                pair.send(port) if port == (ports or (PORTS["ipsec"],))[0] else pair.policy(port)
        self.associations = pairs
        return pairs

    @contextlib.contextmanager
    def wires(self, *secrets, port=PORTS["ipsec"]):
        """Captures on all nodes' underlay; afterwards nothing of the encrypted port and no secret has been there, but what was sent by
        hand as a control was (control())."""
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(node.capture("eth0")) for node in self.nodes]
            watch = Wires(self, wires, secrets, port)
            yield watch
            watch.check()


class Wires:
    def __init__(self, cluster, wires, secrets, port):
        self.cluster, self.wires, self.secrets, self.port = cluster, wires, secrets, port

    def check(self, why="at the end"):
        self.control()
        for node, wire in zip(self.cluster.nodes, self.wires):
            equal(wire.packets(lambda p: p.proto == "udp" and p.dport == self.port), [], f"{why}: packets of the encrypted port at {node.name}")
            for secret in self.secrets:
                equal(wire.packets(lambda p, s=secret: s in p.raw), [], f"{why}: a secret in the clear at {node.name}")

    def control(self):
        """A packet that must be seen, with each secret's beginning turned round, shows that the captures work."""
        one, two = self.cluster.nodes[:2]
        for secret in self.secrets or (b"control",):
            with one.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(secret[::-1], (two.address(4), 9999))
            for wire in self.wires[:2]:
                wire.wait(secret[::-1])

    def esp(self):
        return sum(wire.count(lambda p: p.proto == "esp") for wire in self.wires)


def marker():
    return os.urandom(32).hex().encode()


def xfrm_stat(node):
    return {line.split()[0]: int(line.split()[1]) for line in node.must("cat /proc/net/xfrm_stat").splitlines()}


def policies(node):
    return node.must("ip xfrm policy")


def vxlan(vni, inner):
    return struct.pack(">II", 0x08000000, vni << 8) + inner
