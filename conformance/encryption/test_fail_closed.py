#!/usr/bin/python3
"""ENC-01 to ENC-06, ENC-16 to ENC-18: an encrypted network never puts a byte in the clear on the wire, whatever happens to the
agent, the firewall, the policies and the associations. ESP itself is in the VM's kernel only."""
import concurrent.futures
import errno
import socket
import struct

from lab import *
from lab.traffic import checksum
from mesh.cluster import reaches
from .world import *

PORT = PORTS["ipsec"]


def say_it(secret, a, b):
    """The secret by every way a container has, whether anybody answers or not."""
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(3):
            sock.sendto(secret, (b.ip, 7000))
    with a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(secret, (b.ip6, 7000))
        sock.sendto(secret, (b.ip6, 53))
    echo = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + secret
    with a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:], (b.ip, 0))
    try:
        a.tcp_request(b.ip, 7000, payload=secret.decode(), timeout=0.5)
    except OSError:
        pass


def walls(node, port=PORT):
    text = policies(node)
    return text.count("action block priority 2000") == 6 and f"dport {port}" in text


def flushed_while_the_agents_are_dead(cluster, wires, secret, a, b):
    cluster.lab.say("the agents are killed, then everybody flushes everything")
    for agent in cluster.agents:
        agent.kill9()
    reaches(a, b)
    for node in cluster.nodes:
        node.must("nft flush ruleset")
    say_it(secret, a, b)
    reaches(a, b)
    wires.check("rules flushed, agents dead")
    for agent in cluster.agents:
        agent.start()
    eventually(lambda: all("not encrypted" in n.must("nft list table inet fairlead_host") for n in cluster.nodes), 3, "the rules are back")

    for agent in cluster.agents:
        agent.kill9()
    for node in cluster.nodes:
        node.must("ip xfrm policy flush")
    say_it(secret, a, b)
    equal(a.ping(b.ip), None, "the rules hold what the policies no longer do")
    wires.check("policies flushed, agents dead")
    for agent in cluster.agents:
        agent.start()
    for node in cluster.nodes:
        eventually(lambda n=node: walls(n), 3, "the walls are back")
    say_it(secret, a, b)
    wires.check("the walls are back, no way out is")
    for pair in cluster.associations:
        pair.policy(PORT)
    eventually(lambda: reaches(a, b), 5, "with the way out back it works again")


@needs("esp")
@limit(120)
def test_ENC_01_nothing_in_the_clear_from_before_the_network_is_there_until_it_is_gone(lab):
    secret = marker()
    cluster = Encrypted(lab, documents=False)
    one, two = cluster.nodes
    with cluster.wires(secret) as wires:
        cluster.create("appnet")
        a, b = cluster.pair()
        for node in cluster.nodes:
            eventually(lambda n=node: walls(n), 2, "the walls are up")
            eventually(lambda n=node: "dstport 4790" in n.router("appnet").must("ip -d link show vx"), 2, "and the device behind them")
        lab.say("no association yet")
        before = xfrm_stat(one)["XfrmOutPolBlock"]
        say_it(secret, a, b)
        true(xfrm_stat(one)["XfrmOutPolBlock"] > before, "the packets ran into the wall")
        equal(a.ping(b.ip), None, "and did not arrive")
        wires.check("without associations")
        status = a.cni("STATUS", dict(conflist("appnet")["plugins"][0], name="appnet", cniVersion="1.1.0"))
        equal((status.rc, status.json["code"]), (1, 51), f"CNI STATUS says that containers are cut off: {status.out}")
        contains(one.ctl_ok("network inspect appnet"), "n2: no association, nothing passes", "and so does fairleadctl")

        pairs = cluster.associate()
        eventually(lambda: reaches(a, b), 5, "encrypted, both families")
        true(wires.esp() > 0, "by ESP")
        eventually(lambda: f"n2: sends {pairs[0].spi:#010x}" in one.ctl_ok("network inspect appnet"), 4, "fairleadctl shows the SPI")
        eventually(lambda: cluster.agents[0].metric("fairlead_ipsec_errors_total", reason="OutPolBlock") > 0, 4, "the counters are metrics")
        say_it(secret, a, b)
        wires.check("with associations")

        flushed_while_the_agents_are_dead(cluster, wires, secret, a, b)

        lab.say("an association vanishes")
        pairs[0].forget(one)
        say_it(secret, a, b)
        equal(a.ping(b.ip), None, "nothing passes")
        wires.check("without the sender's association")

        lab.say("the network goes")
        a.detach()
        b.detach()
        cluster.everywhere("/var/lib/fairlead/networks/appnet.json", None)
        eventually(lambda: "fl-1001" not in two.netns_list(), 3, "the router is gone")
        true(walls(two), "the walls stay as long as something can be decrypted")
        for node in cluster.nodes:
            node.must("ip xfrm state flush")
            eventually(lambda n=node: "dport 4790" not in policies(n), 3, "its policies are gone, and all exceptions with them")
            lacks(" ".join(node.netns_list()), "fl-1001", "the device went first")


@needs("esp")
@limit(120)
def test_ENC_02_many_containers_that_send_as_soon_as_they_are_there(lab):
    """Attached all at once to a network that was not there a moment ago, while its associations are being made; in the VM fewer."""
    count = 50
    secret = marker()
    cluster = Encrypted(lab, documents=False)
    with cluster.wires(secret) as wires, concurrent.futures.ThreadPoolExecutor(8) as pool:
        cluster.create("appnet")

        def attach(i):
            node = cluster.nodes[i % 2]
            container = cluster.container(node, f"c{i}", last=20 + i)
            with container.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for other in range(count):
                    sock.sendto(secret, (f"10.32.{2 - i % 2}.{20 + other}", 7000))
            return container
        attaching = [pool.submit(attach, i) for i in range(count)]
        cluster.associate()
        containers = [a.result() for a in attaching]
        containers[1].serve_udp(7000)
        eventually(lambda: containers[0].udp_request(containers[1].ip, 7000, timeout=1).name == "c1", 5, "they reach one another")
        true(wires.esp() > 0, "encrypted")


@needs("esp")
@limit(60)
def test_ENC_06_what_is_flushed_is_back_at_once(lab):
    """Policies and rules flushed together, the agent alive: the one case where two guards are gone at the same time."""
    cluster = Encrypted(lab)
    a, b = cluster.pair()
    one = cluster.nodes[0]
    eventually(lambda: walls(one), 3, "the walls are up")
    repaired = cluster.agents[0].metric("fairlead_repairs_total", kind="policy")
    for command in ("ip xfrm policy flush", "nft flush ruleset", "both", "one policy"):
        if command == "both":
            one.must("nft flush ruleset")
        one.must("ip xfrm policy delete src ::/0 dst ::/0 proto udp dport 4790 dir in" if command == "one policy" else
                 "ip xfrm policy flush" if command == "both" else command)
        eventually(lambda: walls(one) and "not encrypted" in one.must("nft list table inet fairlead_host"), 2, f"{command}: repaired")
    true(cluster.agents[0].metric("fairlead_repairs_total", kind="policy") >= repaired + 8, "and counted")
    one.must("ip xfrm policy update src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4790 dir out action allow priority 2000")
    eventually(lambda: walls(one), 2, "a wall that was made a door is a wall again")


def last_wall(node):
    return "bpf" in node.must("tc filter show dev eth0 egress pref 57")


@needs("esp", "program:tc")
@limit(90)
@variants(family=[4, 6])
def test_ENC_06_1_policies_and_rules_flushed_at_once_without_an_agent_open_nothing(lab, family):
    secret, open_now = marker(), marker()
    cluster = Encrypted(lab, family=family, documents=False)
    one, two = cluster.nodes
    one.must("tc qdisc add dev eth0 clsact")
    one.must("tc filter add dev eth0 egress pref 60 protocol ip u32 match ip dport 9 0xffff")        # an administrator's
    cluster.create("appnet")
    a, b = cluster.pair()
    pairs = cluster.associate()
    eventually(lambda: reaches(a, b), 5, "encrypted, both families")
    with cluster.wires(secret) as wires:
        cluster.agents[0].kill9()
        cluster.agents[1].signal(19)
        for node in cluster.nodes:
            node.must("nft flush ruleset")
            node.must("ip xfrm policy flush")
        say_it(secret, a, b)
        say_it(secret, b, a)
        equal(a.ping(b.ip), None, "nothing arrives")
        wires.check("both flushed, one agent dead, the other one stopped")
    lab.say("the control: without the third wall it would have left")
    one.must("tc filter del dev eth0 egress pref 57")
    with one.capture("eth0") as wire:
        say_it(open_now, a, b)
        wire.wait(lambda p: p.vxlan(PORT) and open_now in p.raw)
    cluster.agents[0].start()
    cluster.agents[1].signal(18)
    for node in cluster.nodes:
        eventually(lambda n=node: walls(n) and last_wall(n), 3, "all walls are back")
    for pair in pairs:
        pair.policy(PORT)
    eventually(lambda: reaches(a, b), 5, "and it works again")

    two.must("tc qdisc del dev eth0 clsact")
    eventually(lambda: last_wall(two), 2, "who takes away the third wall alone gets it back")
    eventually(lambda: cluster.agents[1].metric("fairlead_repairs_total", kind="egress") >= 1, 2, "and it is counted")
    a.detach()
    b.detach()
    cluster.everywhere("/var/lib/fairlead/networks/appnet.json", None)
    eventually(lambda: "clsact" not in two.must("tc qdisc show dev eth0"), 3, "with the network the wall goes")
    eventually(lambda: not last_wall(one), 3, "also where somebody else has a filter")
    contains(one.must("tc filter show dev eth0 egress"), "pref 60", "which stays")


@needs("esp")
@limit(60)
def test_ENC_24_a_node_without_a_router_quotes_nothing_of_what_it_decrypts(lab):
    secret = marker()
    cluster = Encrypted(lab)
    one, two = cluster.nodes
    two.sysctl("net.ipv4.icmp_ratelimit", 0)
    a = cluster.container(one, "a")

    def quotes():
        return two.run("nft list table inet fairlead_ipsec").out.count("quotes what was encrypted")

    def say(wire):
        """To an address of a network that has no router there: nobody listens on VXLAN's port. Returns how often it was quoted."""
        before, come = wire.count(lambda p: secret in p.raw), two.must("cat /proc/net/snmp").split("Udp: ")[2].split()[1]
        for _ in range(3):
            with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(secret, ("10.32.2.99", 7000))
        eventually(lambda: int(two.must("cat /proc/net/snmp").split("Udp: ")[2].split()[1]) >= int(come) + 3, 5, "decrypted, and for nobody")
        return wire.count(lambda p: secret in p.raw) - before

    eventually(lambda: walls(two) and quotes() == 2, 5, "the walls are there before the router")
    true("appnet" not in str(two.netns_list()) and two.run("nft list table inet fairlead_host").rc != 0, "it has no router")
    cluster.associate()
    eventually(lambda: one.router("appnet").links().get("vx"), 5, "the way is there")
    with two.capture("eth0") as wire:
        equal(say(wire), 0, "nothing in the clear")
        lab.say("somebody removes the rules")
        two.must("nft delete table inet fairlead_ipsec")
        eventually(lambda: quotes() == 2, 3, "they are back")
        equal(say(wire), 0, "nothing in the clear")
        lab.say("a control: without the rules it would be quoted")
        cluster.agents[1].kill9()
        two.must("nft delete table inet fairlead_ipsec")
        say(wire)
        wire.wait(secret)
        cluster.agents[1].start()
        eventually(lambda: quotes() == 2, 3, "they are back")
    cluster.everywhere("/var/lib/fairlead/networks/appnet.json", None)
    for pair in cluster.associations:
        pair.forget(two)
    eventually(lambda: not policies(two) and quotes() == 0, 8, "policies and rules go with the network")


@needs("esp")
@limit(90)
def test_ENC_16_an_encrypted_and_a_plain_network_on_the_same_nodes(lab):
    secret, public = marker(), marker()
    cluster = Encrypted(lab, encryption={"appnet": "ipsec", "other": "none"}, networks=("appnet", "other"))
    a, b = cluster.pair()
    x, y = cluster.pair("other")
    eventually(lambda: reaches(x, y), 5, "the plain one works while the other waits for associations")
    with cluster.wires(secret) as wires:
        say_it(secret, a, b)
        say_it(public, x, y)
        for wire in wires.wires:
            wire.wait(lambda p: p.vxlan() and public in p.raw)
        equal([p for p in wires.wires[0].packets(lambda p: p.vxlan()) if p.vxlan()[0] == 4097], [], "frames of the encrypted one on the plain port")
        cluster.associate()
        eventually(lambda: reaches(a, b), 5, "both families")
        say_it(secret, a, b)
        reaches(x, y)
        equal(a.ip_json("link", "show", "eth0")[0]["mtu"], 1408, "the encrypted one leaves room for ESP")
        equal(x.ip_json("link", "show", "eth0")[0]["mtu"], 1450, "the plain one does not")

        lab.say("a peer whose document says that the network is not encrypted")
        two = cluster.nodes[1]
        document = two.read_json("/var/lib/fairlead/networks/appnet.json")
        two.write("/var/lib/fairlead/networks/appnet.json", dict(document, encryption="none"))
        eventually(lambda: "dstport 4789" in two.router("appnet").must("ip -d link show vx"), 3, "it speaks in the clear")
        with a.capture("eth0") as seen:
            with b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(public, (a.ip, 7000))
            wires.wires[0].wait(lambda p: p.vxlan() and p.vxlan()[0] == 4097 and public in p.raw)
            say_it(secret, a, b)
            equal(a.ping(b.ip), None, "and has no part in it")
            equal(seen.count(public), 0, "what it says in the clear is not heard")


@needs("esp")
@limit(60)
@variants(family=[4, 6])
def test_ENC_18_full_packets_fill_the_underlay_and_are_not_cut(lab, family):
    mtu = 1408 if family == 4 else 1388
    cluster = Encrypted(lab, family=family)
    cluster.associate()
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families")
    equal(a.ip_json("link", "show", "eth0")[0]["mtu"], mtu, "of the container")
    equal(cluster.nodes[0].router("appnet").links()["vx"]["mtu"], mtu, "of the overlay's device")
    with cluster.nodes[1].capture("eth0") as wire:
        true(a.ping(b.ip, size=mtu - 28, df=True) is not None, f"{mtu} bytes pass")
        equal(a.tcp_request(b.ip, 7000, payload="x" * 50000, timeout=3).name, b.name, "50 kB by TCP")
        true(wire.count(lambda p: p.raw[12:14] == b"\x08\x00" and p.raw[23] == 50 or p.raw[12:14] == b"\x86\xdd" and p.raw[20] == 50) > 0, "by ESP")
        equal(max(len(p.raw) for p in wire.packets()), 1506, "they fill the underlay but for the eight bytes of UDP")
        equal(wire.packets(lambda p: p.ethertype == 0x0800 and int.from_bytes(p.raw[20:22], "big") & 0x3FFF), [], "without fragments")
        equal(wire.packets(lambda p: p.ethertype == 0x86DD and p.raw[20] == 44), [], "of either family")
    try:
        a.ping(b.ip, size=mtu - 27, df=True)
    except OSError as error:
        equal(error.errno, errno.EMSGSIZE, "one byte more does not leave the container")
    else:
        raise AssertionError("one byte more left the container")
