#!/usr/bin/python3
"""WG-01 to WG-07: networks with `encryption: wireguard`. What WireGuard does is the kernel's; here is what must be true around it: nothing
leaves beside it, whatever is broken, nothing is taken that did not come by it, and what is broken is put right."""
import errno
import os
import socket

from lab import *
from mesh.cluster import WITHIN, reaches
from mesh.test_overlay import frame, refused, vxlan
from .wireguard_nodes import KEY, PORT, VXLAN, WireguardNodes, device_address, peers

wireguard = needs("wireguard", "program:wg")
REPAIRS = 'fairlead_repairs_total{kind="wireguard"}'


def leaks(wire, marker):
    """Packets on a wire that must not be there: VXLAN of any kind, the marker, addresses of the network or of the devices."""
    def bad(packet):
        vxlan_port = packet.proto == "udp" and packet.dport in (4789, 4790, VXLAN)
        ours = any((address or "").startswith(("10.32.", "fd32:", "169.254.12")) for address in (packet.src, packet.dst))
        return vxlan_port or ours or marker in packet.raw
    return wire.packets(bad)


def carries(a, b, marker):
    """The marker by TCP and UDP, IPv4 and IPv6; answered."""
    text = marker.decode()
    for address in (b.ip, b.ip6):
        equal(a.tcp_request(address, 7000, payload=text, timeout=1).name, b.name, f"TCP to {address}")
        equal(a.udp_request(address, 7000, payload=text, timeout=1).name, b.name, f"UDP to {address}")
    return True


# The marker by UDP and ICMP, twenty times a second, whatever becomes of it: what applications do.
FLOOD = """
import socket, struct, sys, time
four, six, text = sys.argv[1], sys.argv[2], sys.argv[3].encode()
echo = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + text + b"x" * (len(text) % 2)
total = sum(struct.unpack(f">{len(echo) // 2}H", echo))
total = (total & 0xFFFF) + (total >> 16)
echo = echo[:2] + struct.pack(">H", 0xFFFF & ~(total + (total >> 16))) + echo[4:]
while True:
    for family, kind, proto, to, data in ((socket.AF_INET, socket.SOCK_DGRAM, 0, four, text), (socket.AF_INET6, socket.SOCK_DGRAM, 0, six, text),
                                          (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, four, echo)):
        try:
            with socket.socket(family, kind, proto) as sock:
                sock.sendto(data, (to, 7000))
        except OSError:
            pass
    time.sleep(0.05)
"""


@wireguard
@limit(90)
def test_WG_01_nothing_readable_leaves_in_any_state(lab):
    marker = os.urandom(32).hex().encode()
    cluster = WireguardNodes(lab, agents=False)
    one, two = cluster.nodes
    with one.capture("eth0") as wire, two.capture("eth0") as other:      # before the network exists
        cluster.agents = [node.start_agent() for node in cluster.nodes]
        a, b = cluster.pair()
        eventually(lambda: carries(a, b, marker), 10, "both families")
        with one.capture("fl-wg") as inside:
            carries(a, b, marker)
            true(inside.count(marker) >= 4, "the control: before encryption the marker is there to be seen")
        true(wire.count(lambda p: p.proto == "udp" and p.dport == PORT) > 8, "what is on the wire is WireGuard")
        flood = a.popen("python3 -c", FLOOD, b.ip, b.ip6, marker.decode())
        for what, break_it in (
                ("agents killed", lambda: [agent.kill9() for agent in cluster.agents]),
                ("ruleset flushed", lambda: one.must("nft flush ruleset")),
                ("device down", lambda: one.must("ip link set fl-wg down")),
                ("device deleted", lambda: one.must("ip link del fl-wg")),
                ("agents back", lambda: [agent.start() for agent in cluster.agents]),
                ("works again", lambda: eventually(lambda: carries(a, b, marker), 10, "after that")),
                ("device deleted under an agent", lambda: one.must("ip link del fl-wg")),
                ("works again", lambda: eventually(lambda: carries(a, b, marker), 10, "after that")),
                ("the device's address and routes gone", lambda: one.must("ip addr flush dev fl-wg")),
                ("works again", lambda: eventually(lambda: carries(a, b, marker), 10, "after that")),
                ("the other node's document gone", lambda: cluster.forget(two)),
                ("no peer", lambda: eventually(lambda: not peers(one), WITHIN, "the peer is gone at once")),
                ("and back", lambda: cluster.tell(two, 2)),
                ("works again", lambda: eventually(lambda: carries(a, b, marker), 10, "after that")),
                ("network removed", lambda: (a.detach(), b.detach(), cluster.everywhere("/var/lib/fairlead/networks/appnet.json", None))),
                ("device gone", lambda: eventually(lambda: one.run("ip link show fl-wg").rc and two.run("ip link show fl-wg").rc, 5,
                                                   "nobody needs it any more"))):
            lab.say(what)
            break_it()
            for place, seen in ((one, wire), (two, other)):
                equal(leaks(seen, marker), [], f"{what}: on the wire of {place.name}")
        flood.kill()
        equal([r for r in one.must("ip route show table all").splitlines() if "169.254.12" in r], [], "no route is left")


@wireguard
@limit(60)
def test_WG_01_1_without_rules_and_routes_and_agent_nothing_leaves_beside_the_device(lab):
    marker, open_now = (os.urandom(32).hex().encode() for _ in range(2))
    cluster = WireguardNodes(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: carries(a, b, marker), 10, "both families")
    with one.capture("eth0") as wire:
        cluster.agents[0].kill9()
        one.must("nft flush ruleset")
        for route in one.must("ip route show").splitlines():
            if "169.254.128" in route:
                one.must(f"ip route del {route}")
        silent_send(a, b, marker)
        with one.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"after it", (two.address(4), 9999))
        wire.wait(b"after it")
        # Its address in an ARP request for the gateway is all that can be seen.
        equal([p for p in leaks(wire, marker) if p.proto != "arp"], [], "the default route is no way out")
        one.must("tc filter del dev eth0 egress pref 57")
        silent_send(a, b, open_now)
        wire.wait(lambda p: p.vxlan(VXLAN) and open_now in p.raw)       # the control
    cluster.agents[0].start()
    eventually(lambda: carries(a, b, marker), 10, "and all as before")


def silent_send(a, b, marker):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(3):
            sock.sendto(marker, (b.ip, 7000))


@wireguard
def test_WG_02_what_did_not_come_by_wireguard_is_not_delivered(lab):
    cluster = WireguardNodes(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: reaches(a, b), 10, "both families")
    forged = frame("02:57:00:00:00:01", "02:57:00:00:00:02", a.ip, b.ip)

    def send(place, to, source=None):
        with place.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if source:
                sock.bind((source, 0))
            sock.sendto(vxlan(4097, forged), (to, VXLAN))

    cluster.outside.must(f"ip addr add {device_address(1)}/32 dev lo")
    cluster.outside.must(f"ip route add {device_address(2)}/32 via {two.address(4)}")
    ways = (("to the node", two.address(4), None), ("to the node, with the address of a peer's device", two.address(4), device_address(1)),
            ("to the device's address", device_address(2), device_address(1)))
    with b.capture("eth0") as seen, two.capture("eth0") as wire:
        # The control: without rules and a check of the way back (which strict hosts have) the same datagrams are delivered.
        cluster.agents[1].kill9()
        two.must("nft delete table inet fairlead_host")
        for key in ("all", "eth0", "fl-wg"):
            two.sysctl(f"net/ipv4/conf/{key}/rp_filter", "0")
        send(cluster.outside, two.address(4))
        seen.wait(b"forged")
        cluster.agents[1].start()
        eventually(lambda: two.run("nft list chain inet fairlead_host wireguard").rc == 0, 5, "the rules are back")
        seen.clear()
        for what, to, source in ways:
            wire.clear()
            send(cluster.outside, to, source)
            wire.wait(b"forged")
            equal(seen.count(b"forged"), 0, what)
    # A peer may use its own address only: from the other end of the tunnel, with another node's.
    cluster.agents[0].kill9()
    one.must("nft delete table inet fairlead_host")
    one.must(f"ip addr add {device_address(77)}/32 dev fl-wg")
    with two.capture("fl-wg") as tunnel, one.capture("fl-wg") as before:
        for source in (device_address(77), device_address(1)):
            with one.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                sock.sendto(b"who am I", (device_address(2), 7001))
        before.wait(b"who am I", at_least=2)
        # What passes the device has no Ethernet header: the source begins at byte 12.
        tunnel.wait(lambda p: p.raw[12:16] == socket.inet_aton(device_address(1)) and b"who am I" in p.raw)
        equal(tunnel.count(lambda p: p.raw[12:16] == socket.inet_aton(device_address(77))), 0, "an address that is not the peer's")
    cluster.agents[0].start()
    eventually(lambda: reaches(a, b), 10, "and all as before")


@wireguard
@limit(90)
def test_WG_03_what_somebody_breaks_is_repaired_and_counted(lab):
    cluster = WireguardNodes(lab)
    a, b = cluster.pair()
    one = cluster.nodes[0]
    agent = cluster.agents[0]
    eventually(lambda: reaches(a, b), 10, "both families")
    other = cluster.public(2)
    one.write("/tmp/other.key", cluster.keys[1] + "\n", mode=0o600)
    for command in ("ip link del fl-wg", "ip link set fl-wg down", "ip link set fl-wg mtu 1300", f"ip addr del {device_address(1)}/32 dev fl-wg",
                    f"ip route del {device_address(2)}/32 dev fl-wg", f"ip route del unreachable {device_address(2)}/32",
                    f"ip route add {device_address(9)}/32 dev fl-wg proto 57", f"wg set fl-wg peer {other} remove",
                    f"wg set fl-wg peer {other} endpoint 192.0.2.66:1", f"wg set fl-wg peer {other} allowed-ips 0.0.0.0/0",
                    "wg set fl-wg private-key /tmp/other.key", "wg set fl-wg listen-port 7"):
        before = agent.metrics().get(REPAIRS, 0)
        one.must(command)
        eventually(lambda n=before: agent.metrics().get(REPAIRS, 0) > n, WITHIN, f"{command}: counted")
        # Wait for both: an address that comes back before its peer does is no way yet.
        eventually(lambda: peers(one) == {other: (f"{cluster.nodes[1].address(4)}:{PORT}", f"{device_address(2)}/32")}, WITHIN,
                   f"{command}: the peer is as it was")
        eventually(lambda: reaches(a, b), 10, f"{command}: traffic")
    equal(one.must("wg show fl-wg public-key").strip(), cluster.public(1), "our key")
    equal(one.must("wg show fl-wg listen-port").strip(), str(PORT), "our port")
    contains(one.must("ip -d link show fl-wg"), "mtu 1440", "MTU")
    lacks(one.must("ip route"), device_address(9), "the stray route is gone")
    # A whole restart: nothing of the kernel's and nothing of this boot is left.
    cluster.agents[1].kill9()
    two = cluster.nodes[1]
    for command in ("ip netns del fl-1001", "ip link del fl-wg", "nft flush ruleset", "rm -rf /run/fairlead"):
        two.must(command)
    cluster.agents[1].start()
    c = cluster.container(two, "after", last=77)
    c.serve_tcp(7000)
    c.serve_udp(7000)
    eventually(lambda: reaches(a, c), 10, "after the other node's restart")


@wireguard
@variants(family=["4", "6"])
def test_WG_04_full_size_packets_are_not_fragmented(lab, family):
    mtu = {"4": 1390, "6": 1370}[family]
    cluster = WireguardNodes(lab, family=int(family))
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 10, "both families")
    equal(a.ip_json("link", "show", "eth0")[0]["mtu"], mtu, "of the container")
    with cluster.nodes[1].capture("eth0") as wire:
        true(a.ping(b.ip, size=mtu - 28, df=True) is not None, "what it says passes")
        true(a.ping(b.ip6, size=mtu - 48) is not None, "by IPv6, too")
        equal(a.tcp_request(b.ip, 7000, payload="x" * 20000, timeout=3).name, b.name, "and TCP")
        sizes = [len(p.raw) for p in wire.packets(lambda p: p.proto == "udp" and p.dport == PORT)]
        true(1500 <= max(sizes) <= 1514, f"nearly fills the underlay: {max(sizes)}")
        equal([p for p in wire.packets() if p.proto == "udp" and p.dport != PORT], [], "nothing else, no fragment")
    equal(refused(lambda: a.ping(b.ip, size=mtu + 1 - 28, df=True)).errno, errno.EMSGSIZE, "one more does not leave the container")


@wireguard
@limit(90)
def test_WG_05_services_and_published_ports_work_through_it(lab):
    cluster = WireguardNodes(lab, count=2, balancer="nft")
    cluster.start_services()
    cluster.service("web", vips=["10.32.255.1", "fd32::ffff:1"],
                    ports=[{"protocol": "tcp", "port": 80, "targetPort": 8080, "published": 8000}])
    one, two = cluster.nodes
    task = cluster.container(two, "web", services=["web"])
    task.serve_tcp(8080)
    client = cluster.container(one, "client")
    cluster.publish()
    for vip in ("10.32.255.1", "fd32::ffff:1"):
        eventually(lambda v=vip: client.tcp_request(v, 80, timeout=1).name == "web", 10, f"by {vip}")
    eventually(lambda: cluster.outside.tcp_request(one.address(4), 8000, timeout=1).name == "web", 10, "by the node without a task")
    equal(cluster.outside.tcp_request(one.address(4), 8000).peer, cluster.outside.address(4), "the client's own address")
    equal(client.dns("web").addresses, ["10.32.255.1"], "and by name")
    with one.capture("eth0") as wire:
        client.tcp_request("10.32.255.1", 80)
        equal(leaks(wire, b"no marker here"), [], "on the wire")


@wireguard
def test_WG_06_keys_that_cannot_be_trusted_are_not_used(lab):
    cluster = WireguardNodes(lab, count=3)
    a, b = cluster.pair()
    one, two, three = cluster.nodes
    c = cluster.container(three, "c")
    c.serve_tcp(7000)
    c.serve_udp(7000)
    eventually(lambda: reaches(a, b) and reaches(a, c), 10, "all three")
    agent = cluster.agents[0]
    cluster.tell(three, 3, key=cluster.public(2))
    eventually(lambda: peers(one) == {}, WITHIN, "one key for two nodes is nobody's")
    eventually(lambda: "n2 has the WireGuard key of another node" in str(agent.status()), WITHIN, "and the status says so")
    cluster.tell(three, 3, key="AAAA")
    eventually(lambda: list(peers(one)) == [cluster.public(2)], WITHIN, "the good one is back")
    eventually(lambda: "n3 has told no WireGuard key yet" in str(agent.status()), WITHIN, "and the other named")
    eventually(lambda: reaches(a, b), 10, "it works")
    cluster.tell(three, 3)
    eventually(lambda: reaches(a, c), 10, "all again")
    lacks(str(agent.status()), "WireGuard", "nothing to say")
    # A private key others may read is not read: the agent does not start, and nothing passes.
    agent.kill9()
    one.must("ip link del fl-wg")
    one.must("chmod 0640", KEY)
    try:
        agent.start()
    except AssertionError:
        contains(agent.log(), KEY, "refused by name")
        contains(agent.log(), "0640", "and mode")
    else:
        raise AssertionError("it started with a key that others may read")
    equal(a.ping(b.ip), None, "nothing passes")
    one.must("chmod 0600", KEY)
    agent.start()
    eventually(lambda: reaches(a, b), 10, "put right")
    for text in (agent.log(), str(agent.status()), str(agent.metrics())):
        lacks(text, cluster.keys[0], "no private key anywhere")


@limit(60)
def test_WG_07_a_kernel_without_wireguard_is_named_and_so_is_what_cuts_a_node_off(lab):
    cluster = WireguardNodes(lab)
    one = cluster.nodes[0]
    container = one.container("a")

    def status():
        result = container.cni("STATUS", dict(conflist("appnet")["plugins"][0], name="appnet", cniVersion="1.1.0"))
        return (0, "") if result.rc == 0 else (result.json["code"], result.json["msg"])
    if one.run("ip link add probe type wireguard").rc == 0:
        a, b = cluster.pair()      # here it must work; elsewhere the other branch runs
        eventually(lambda: reaches(a, b), 10, "this kernel has it")
        equal(status(), (0, ""), "CNI STATUS has nothing to say")
        cluster.agents[0].kill9()
        for command, why in (("ip link set fl-wg down", "the WireGuard device fl-wg is down"),
                             (f"wg set fl-wg peer {cluster.public(2)} remove", "has none of the other nodes as a peer"),
                             ("ip link del fl-wg", "the WireGuard device fl-wg is gone")):
            one.must(command)
            equal(status()[0], 51, f"{command}: containers suffer")
            contains(status()[1], why, f"{command}: and STATUS says why")
        cluster.agents[0].start()
        eventually(lambda: status() == (0, ""), 5, "and all is well again")
        return None
    equal(status()[0], 50, "CNI STATUS: no ADD can succeed")
    contains(status()[1], "encryption wireguard is not possible on this node", "and why")
    try:
        container.attach(conflist("appnet"))
    except CniError as error:
        contains(error.msg, "WireGuard", "the refusal says what is missing")
    else:
        raise AssertionError("attached without encryption")
    equal(one.endpoints("appnet"), {}, "nothing is left of it")
    return None
