#!/usr/bin/python3
"""ESP in UDP where IP protocol 50 does not pass: found out by the nodes, per direction, without a packet in the clear."""
import json
import os
import re
import socket
import struct

from isolation import packets
from lab import *
from mesh.cluster import reaches

from .keys import Courier
from .test_traffic import Echoes
from .world import *

UDP = 4793


def block(node, *what):
    """What arrives at a node is dropped in front of everything, as a firewall on the way would: "esp", "udp"."""
    node.run("nft delete table inet way")
    rules = "".join("meta l4proto esp drop\n" if kind == "esp" else f"udp dport {UDP} drop\n" for kind in what)
    node.must("nft -f -", input=f"table inet way {{\nchain in {{\ntype filter hook prerouting priority -400;\n{rules}}}\n}}\n")


class Way:
    """Two nodes with a container each, epochs carried by the test; before the first one the ways are blocked."""

    def __init__(self, lab, family, blocked):
        self.cluster = Encrypted(lab, "ipsec", family=family)
        self.nodes, self.agents, self.family = self.cluster.nodes, self.cluster.agents, family
        self.courier = Courier(self.nodes)
        for node in self.nodes:
            eventually(lambda node=node: node.exists("/run/fairlead/keys.json"), 5, f"{node.name} has keys")
        self.courier.introduce(family)
        self.a, self.b = self.cluster.pair()
        for node, what in zip(self.nodes, blocked):
            block(node, *what)

    def form(self, node):
        """In which form the node's agent says it sends, once the other one says that it arrives."""
        peer = json.loads(node.daemons["fairlead-agent"].status())["ipsec"][0]
        return peer["sending"]["form"] if peer["sending"] and peer["sending"].get("arrives") else None

    def forms(self):
        return [self.form(node) for node in self.nodes]

    def full_packets(self, mtu):
        equal(self.a.ip_json("link", "show", "eth0")[0]["mtu"], mtu, "of the container")
        true(self.a.ping(self.b.ip, size=mtu - 28, df=True) is not None, f"{mtu} bytes pass")
        equal(self.a.tcp_request(self.b.ip, 7000, payload="x" * 50000, timeout=3).name, self.b.name, "50 kB by TCP")


def is_esp(p):
    return p.raw[12:14] == b"\x08\x00" and p.raw[23] == 50 or p.raw[12:14] == b"\x86\xdd" and p.raw[20] == 50


def in_udp(p):
    return p.proto == "udp" and p.dport == UDP


def forged_is_not_delivered(way, wire, secret):
    one, two = way.nodes
    with way.b.capture("eth0") as seen:
        with way.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(secret, (way.b.ip, 7001))
        seen.wait(secret)
        genuine = wire.wait(lambda p: in_udp(p) and p.src == one.address(4))[-1].payload
        seen.clear()
        fresh = genuine[:4] + struct.pack(">I", struct.unpack(">I", genuine[4:8])[0] + 50)
        for kind, payload in (("XfrmInStateSeqError", genuine), ("XfrmInStateProtoError", fresh + os.urandom(len(genuine) - 8)),
                              ("XfrmInNoStates", os.urandom(4) + genuine[4:])):
            before = xfrm_stat(two)[kind]
            packets.send_ip(way.cluster.outside, one.address(4), two.address(4), 17,
                            packets.udp(one.address(4), two.address(4), UDP, UDP, payload), dst_mac=two.links()["eth0"]["address"])
            eventually(lambda k=kind, n=before: xfrm_stat(two)[k] > n, 1, f"{kind} rises")
        never(lambda: seen.count(secret), 0.3, "delivered again")


@needs("esp", "vxlan")
@limit(300)
def test_ENC_22_where_protocol_50_does_not_pass_everything_goes_in_udp(lab):
    way = Way(lab, 4, (["esp"], ["esp"]))
    (one, two), (a, b), secret = way.nodes, (way.a, way.b), marker()
    with way.courier, way.cluster.wires(secret) as wires:
        way.courier.rotate()
        eventually(lambda: way.forms() == ["UDP 4793", "UDP 4793"], 30, "both directions in UDP")
        eventually(lambda: reaches(a, b), 5, "containers reach one another")
        for wire in wires.wires:
            wire.clear()
        datagrams = a.udp_socket(b.ip, 7000)
        # Three seconds: a busy machine that emulates a CPU stops for one now and then.
        flows = [Echoes(lambda: a.ping(b.ip, timeout=3)), Echoes(lambda: datagrams.ask(secret.decode()))]
        way.full_packets(1408)
        epoch = way.courier.rotate()
        eventually(lambda: way.courier.agreed(epoch), 15, "a rotation")
        lab.say("agents die: what the kernel does goes on")
        for agent in way.agents:
            agent.kill9()
        asked = [flow.asked for flow in flows]
        eventually(lambda: all(flow.asked > before + 10 for flow, before in zip(flows, asked)), 20, "traffic without agents")
        for agent in way.agents:
            agent.start()
        eventually(lambda: way.forms() == ["UDP 4793", "UDP 4793"], 15, "they know on")
        equal([flow.finish() for flow in flows], [0, 0], "echoes and datagrams that were lost")
        for wire in wires.wires:
            equal(wire.packets(is_esp), [], "protocol 50")
            true(wire.count(in_udp) > sum(flow.asked for flow in flows), "all of it in UDP")
            equal(wire.packets(lambda p: p.ethertype == 0x0800 and int.from_bytes(p.raw[20:22], "big") & 0x3FFF), [], "fragments")
        equal(max(len(p.raw) for p in wires.wires[1].packets()), 1514, "they fill the underlay")

        lab.say("what is said about it")
        contains(one.ctl_ok("network inspect appnet", timeout=20), "in UDP 4793, because ESP (IP protocol 50) did not arrive there", "inspect")
        contains(one.ctl_ok("status", timeout=20), "in UDP", "status")
        equal(way.agents[0].metric("fairlead_agent_ipsec_peers_in_udp"), 1, "the metric")
        contains(way.agents[0].log(), "to node n2 now ESP in UDP port 4793", "the log")

        lab.say("forged ones")
        forged_is_not_delivered(way, wires.wires[1], secret)

        lab.say("UDP is blocked, too")
        for node in way.nodes:
            block(node, "esp", "udp")
        way.courier.rotate()
        eventually(lambda: "neither ESP (IP protocol 50) nor ESP in UDP arrives" in one.ctl("status", timeout=20).out, 40, "the status names it")
        contains(one.ctl("status", timeout=20).out, "UDP port 4793", "with the port")
        equal(a.ping(b.ip, timeout=0.5), None, "nothing gets through")
        for node in way.nodes:
            block(node, "udp")
        eventually(lambda: way.forms() == ["ESP", "ESP"], 60, "heals when one is opened")
        eventually(lambda: reaches(a, b), 5, "containers reach one another")


@needs("esp", "vxlan")
@limit(150)
def test_ENC_23_each_direction_by_itself_over_ipv6_and_as_operators_say(lab):
    way = Way(lab, 6, ([], ["esp"]))
    one, two = way.nodes
    with way.courier, way.cluster.wires() as wires:
        way.courier.rotate()
        eventually(lambda: way.forms() == ["UDP 4793", "ESP"], 30, "one direction in UDP")
        eventually(lambda: reaches(way.a, way.b), 5, "containers reach one another")
        for wire in wires.wires:
            wire.clear()
        way.full_packets(1388)
        own = {node: node.address(6) for node in way.nodes}
        for wire in wires.wires:
            equal(wire.packets(lambda p: is_esp(p) and p.src == own[one] or in_udp(p) and p.src == own[two]), [], "the other form")
        true(wires.wires[1].count(lambda p: in_udp(p) and p.src == own[one]) > 30 and wires.wires[1].count(is_esp) > 2, "both are used")
        equal(max(len(p.raw) for p in wires.wires[1].packets()), 1514, "they fill the underlay")
        lab.say("the operator of n2 wants UDP only")
        two.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": "n2", "balancer": "nft", "ipsecEncapsulation": "udp"})
        eventually(lambda: way.forms() == ["UDP 4793", "UDP 4793"], 20, "both in UDP")
        contains(two.ctl_ok("network inspect appnet", timeout=20), "because node.json says so", "the reason")
        lab.say("who holds the port dies, is missed, and held again")
        holder = re.search(r"pid=(\d+)", two.must("ss -ulnp sport = 4793"))
        true(holder is not None, two.must("ss -ulnp"))
        two.must(f"kill -9 {holder[1]}")
        eventually(lambda: reaches(way.a, way.b), 10, "containers reach one another")
        two.remove("/var/lib/fairlead/networks/appnet.json")
        eventually(lambda: str(UDP) not in two.must("ss -uln"), 10, "without an encrypted network nobody has the port")
