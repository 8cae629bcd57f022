#!/usr/bin/python3
"""OVL-01 to OVL-14: one network on several nodes, as the documents say it: who reaches whom, what is on the wire, what changes
where, and what is put right when somebody breaks it."""
import errno
import socket
import struct

from lab import *
from .cluster import WITHIN, Cluster, reaches


def refused(request):
    try:
        answer = request()
    except OSError as error:
        return error
    raise AssertionError(f"answered: {answer}")


def between(one, two):
    """Matches VXLAN packets from node one to node two."""
    return lambda packet: packet.src == one.address(4) and packet.dst == two.address(4) and packet.vxlan()


def test_OVL_01_containers_of_two_nodes_reach_one_another(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: reaches(a, b), 5, "both families")
    with two.capture("eth0") as wire:
        equal(a.tcp_request(b.ip, 7000).peer, a.ip, "b sees the address of a")
        equal(a.tcp_request(b.ip6, 7000).peer, a.ip6, "by IPv6, too")
        wire.wait(between(one, two), at_least=4)
        wire.wait(between(two, one), at_least=4)
        for packet in wire.packets(lambda p: p.vxlan()):
            vni, inner = packet.vxlan()
            equal(vni, 4097, "the network's number")
            true(inner.src in (a.ip, a.ip6, b.ip, b.ip6), f"only packets of the two: {inner}")
        equal(wire.count(lambda p: p.src in (a.ip, b.ip) and not p.vxlan()), 0, "nothing of them beside the overlay")


def test_OVL_02_attaching_changes_nothing_on_other_nodes(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: reaches(a, b), 5, "both families")

    def kernel_of(node):
        router = node.router("appnet")
        return [router.must(command) for command in ("ip -br link", "ip route", "ip -6 route", "ip neigh", "bridge fdb show dev vx")]

    before = kernel_of(one)
    with one.capture("eth0") as wire:
        third = cluster.container(two, "third")
        third.serve_tcp(7000)
        equal(a.tcp_request(third.ip, 7000, timeout=1).name, "third", "reachable at once")
        equal(kernel_of(one), before, "links, routes, neighbours and forwarding entries of the other node")
        equal(wire.count(lambda p: p.vxlan() and p.vxlan()[1].ethertype == 0x0806), 0, "no ARP on the overlay")


def test_OVL_03_a_node_that_goes_takes_its_way_along_and_comes_back(lab):
    cluster = Cluster(lab, count=3)
    a, b = cluster.pair()
    one, two, three = cluster.nodes
    c = cluster.container(three, "c")
    c.serve_tcp(7000)
    c.serve_udp(7000)
    eventually(lambda: reaches(a, b) and reaches(a, c), 5, "both")
    router = one.router("appnet")
    repairs = cluster.agents[0].metrics().get('fairlead_repairs_total{kind="stale"}', 0)
    cluster.forget(two)
    eventually(lambda: "10.32.2.0/24" not in router.must("ip route"), WITHIN, "its route is gone")
    eventually(lambda: two.address(4) not in router.must("bridge fdb show dev vx"), WITHIN, "and its forwarding entry")
    eventually(lambda: "169.254.128.2" not in router.must("ip neigh") and "fd57:128::2" not in router.must("ip -6 neigh"), WITHIN,
               "and its neighbours")
    eventually(lambda: "0x57000002" not in router.must("ip rule") and "0x57000002" not in router.must("ip -6 rule"), WITHIN,
               "and the rules for its marks")
    contains(router.must("ip rule"), "0x57000003", "those of the other node are there")
    equal(a.ping(b.ip), None, "nobody is asked any more")
    reaches(a, c)
    equal(cluster.agents[0].metrics().get('fairlead_repairs_total{kind="stale"}', 0), repairs, "that was no drift")
    cluster.tell(two, 2)
    eventually(lambda: reaches(a, b), 5, "it is back")


def test_OVL_04_what_somebody_breaks_is_repaired(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    one = cluster.nodes[0]
    eventually(lambda: reaches(a, b), 5, "both families")
    router = one.router("appnet")
    eventually(lambda: "appnet" in str(cluster.agents[0].status()), WITHIN, "the agent has looked at it")
    for kind, command in (
            ("overlay", "ip link del vx"), ("route", "ip route del 10.32.2.0/24"), ("route", "ip -6 route del fd32::2:0/112"),
            ("neighbour", "ip neigh del 169.254.128.2 dev vx"), ("link", "ip link set vx down"), ("link", "ip link set vx mtu 1300"),
            ("forwarding", "bridge fdb del 02:57:00:00:00:02 dev vx dst " + cluster.nodes[1].address(4)),
            ("stale", "ip route add 10.32.9.0/24 via 169.254.128.2 dev vx onlink proto 57"),
            ("stale", "bridge fdb append 02:57:00:00:00:09 dev vx dst 192.0.2.9"), ("nft", "nft flush ruleset"),
            ("link", "ip link set vx address 02:57:00:00:00:77")):
        before = cluster.agents[0].metrics().get(f'fairlead_repairs_total{{kind="{kind}"}}', 0)
        router.must(command)
        eventually(lambda k=kind, n=before: cluster.agents[0].metrics().get(f'fairlead_repairs_total{{kind="{k}"}}', 0) > n, WITHIN,
                   f"{command}: a repair of kind {kind} is counted")
        eventually(lambda: reaches(a, b), WITHIN, f"{command}: traffic works again")
    equal("10.32.9.0/24" in router.must("ip route"), False, "the route nobody wants is gone")
    equal("192.0.2.9" in router.must("bridge fdb show dev vx"), False, "and the entry")


def vxlan(vni, inner):
    return struct.pack(">II", 0x08000000, vni << 8) + inner


def frame(source_mac, target_mac, source, target):
    """An Ethernet frame with a UDP datagram from source to target, port 7001."""
    payload = b"forged"
    udp = struct.pack(">HHHH", 7001, 7001, 8 + len(payload), 0) + payload
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack(">H", 0xFFFF & ~(total + (total >> 16))) + header[12:]
    macs = bytes.fromhex((target_mac + source_mac).replace(":", ""))
    return macs + b"\x08\x00" + header + udp


def test_OVL_05_vxlan_from_who_is_no_node_is_dropped(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: reaches(a, b), 5, "both families")
    forged = frame("02:57:00:00:00:01", "02:57:00:00:00:02", a.ip, b.ip)

    def send(place, payload, vni=4097):
        with place.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(vxlan(vni, payload), (two.address(4), 4789))

    with b.capture("eth0") as seen:
        # The control: the same datagram is delivered when it comes from the other node (its guard against local processes lifted).
        one.must("nft delete chain inet fairlead_host tunnel")
        send(one, forged)
        seen.wait(b"forged")
        seen.clear()
        for what, where, payload in (
                ("from an address that is no node's", cluster.outside, forged),
                ("with the MAC of no router", one, frame("02:57:00:00:00:99", "02:57:00:00:00:02", a.ip, b.ip)),
                ("with an address of the receiving node", one, frame("02:57:00:00:00:01", "02:57:00:00:00:02", b.ip, b.ip)),
                ("with an address nobody has", one, frame("02:57:00:00:00:01", "02:57:00:00:00:02", "10.32.250.9", b.ip))):
            one.run("nft delete chain inet fairlead_host tunnel")
            with two.capture("eth0") as wire:
                send(where, payload)
                wire.wait(b"forged")
            equal(seen.count(b"forged"), 0, what)
        reaches(a, b)


def test_OVL_06_only_the_kernel_sends_vxlan(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    eventually(lambda: reaches(a, b), 5, "both families")
    with two.capture("eth0") as wire, one.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(vxlan(99, b"somebody else's network"), (two.address(4), 4789))
        wire.wait(b"somebody else's network")
        try:
            sock.sendto(vxlan(4097, b"into ours"), (two.address(4), 4789))
        except PermissionError:
            pass
        sock.sendto(vxlan(99, b"after it"), (two.address(4), 4789))
        wire.wait(b"after it")
        equal(wire.count(b"into ours"), 0, "a local process' datagram for our network")
        reaches(a, b)


def test_OVL_07_the_mtu_is_the_underlays_less_the_overlay(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families")
    equal(a.ip_json("link", "show", "eth0")[0]["mtu"], 1450, "of the container")
    true(a.ping(b.ip, size=1450 - 28, df=True) is not None, "1450 bytes pass")
    with cluster.nodes[1].capture("eth0") as wire:
        true(a.ping(b.ip6, size=1450 - 48) is not None, "by IPv6, too")
        equal(max(len(p.raw) for p in wire.packets(lambda p: p.vxlan())), 1514, "and fill the underlay exactly")
    equal(refused(lambda: a.ping(b.ip, size=1451 - 28, df=True)).errno, errno.EMSGSIZE, "one more does not leave the container")


def test_OVL_14_a_container_with_too_large_an_mtu_is_told(lab):
    """Whatever a runtime or a user set inside: TCP agrees on what fits, and who insists is told the size (RFC 1191)."""
    cluster = Cluster(lab)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families")
    router = cluster.nodes[0].router("appnet")
    host_end = next(i["name"] for i in a.attachment["interfaces"] if not i.get("sandbox"))
    router.must(f"ip link set {host_end} mtu 1500")
    a.must("ip link set eth0 mtu 1500")
    equal(a.tcp_request(b.ip, 7000, payload="x" * 20000, timeout=3).name, "appnet-b", "a large request by TCP")
    equal(a.ping(b.ip, size=1472, df=True), None, "1500 bytes do not pass")
    contains(a.must("ip route get", b.ip), "mtu 1450", "and the container was told what would")


def test_OVL_18_a_narrower_way_between_the_nodes_is_told_to_who_sends(lab):
    """RFC 1191 through the overlay: the router in the underlay tells the node, the node's router tells the container."""
    cluster = Cluster(lab, narrow=1400)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families")
    with cluster.nodes[1].capture("eth0") as wire:
        true(a.ping(b.ip, size=1300, df=True), "what fits passes")
        eventually(lambda: a.ping(b.ip, size=1400, df=True) is None and "mtu 1350" in a.must("ip route get", b.ip), 5,
                   "what does not fit is refused, and the container knows the size")
        equal(a.tcp_request(b.ip, 7000, payload="x" * 200000, timeout=5).name, "appnet-b", "a large request")
        equal(a.tcp_request(b.ip6, 7000, payload="x" * 200000, timeout=5).name, "appnet-b", "by IPv6, too")
        large = wire.count(lambda p: p.vxlan() and len(p.raw) > 1350)
        true(large > 20, f"full-size packets came over the wire: {large}")
        equal(wire.count(lambda p: p.ethertype == 0x0800 and struct.unpack_from(">H", p.raw, 20)[0] & 0x3fff), 0, "and none in pieces")


def test_OVL_08_an_ipv6_underlay(lab):
    cluster = Cluster(lab, family=6)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families over IPv6")
    equal(a.ip_json("link", "show", "eth0")[0]["mtu"], 1430, "20 bytes less")
    true(a.ping(b.ip, size=1430 - 28, df=True) is not None, "1430 bytes pass")
    with cluster.nodes[1].capture("eth0") as wire:
        reaches(a, b)
        true(wire.count(lambda p: p.src == cluster.nodes[0].address(6) and p.vxlan()) > 0, "VXLAN over IPv6")


def test_OVL_15_another_port_between_nodes(lab):
    cluster = Cluster(lab, port=8472)
    a, b = cluster.pair()
    with cluster.nodes[1].capture("eth0") as wire:
        eventually(lambda: reaches(a, b), 5, "both families")
        true(wire.count(lambda p: p.vxlan(8472)) > 0, "on the port asked for")
        equal(wire.count(lambda p: p.vxlan()), 0, "and not on the usual one")


def test_OVL_16_every_node_gives_addresses_of_its_own_blocks(lab):
    cluster = Cluster(lab)
    seen = []
    for number, node in enumerate(cluster.nodes, 1):
        for i in range(3):
            container = node.container(f"c{i}")
            container.attach(conflist("appnet"))
            true(container.ip.startswith(f"10.32.{number}.") and container.ip6.startswith(f"fd32::{number}:"), f"{node.name}: {container.ip} {container.ip6}")
            seen.append(container)
    equal(len({c.ip for c in seen}), 6, "no address twice")
    seen[-1].serve_tcp(7000)
    eventually(lambda: seen[0].tcp_request(seen[-1].ip, 7000, timeout=0.5).name == "c2", 5, "and they reach one another")


def test_OVL_09_two_networks_with_the_same_subnet_do_not_meet(lab):
    cluster = Cluster(lab, networks=("appnet", "other"))
    a, b = cluster.pair()
    x, y = cluster.pair("other")
    eventually(lambda: reaches(a, b) and reaches(x, y), 5, "inside each network")
    equal((a.ip, b.ip6), (x.ip, y.ip6), "the same addresses are in use; the names that answered tell them apart")
    only = cluster.container(cluster.nodes[1], "only-there", "other", last=99)
    only.serve_tcp(7000)
    equal(x.tcp_request(only.ip, 7000, timeout=1).name, "only-there", "its own network reaches it")
    refused(lambda: a.tcp_request(only.ip, 7000, timeout=1))


def test_OVL_10_a_block_that_moves_is_reached_where_it_is(lab):
    cluster = Cluster(lab, count=3)
    a, _ = cluster.pair()
    _, two, three = cluster.nodes
    cluster.give("appnet", "n2", ["10.32.2.0/24", "10.32.7.0/24", "fd32::2:0/112"])
    moved = two.container("moved")
    moved.attach(conflist("appnet"), capabilities={"ips": ["10.32.7.5"]})
    moved.serve_tcp(7000)
    eventually(lambda: a.tcp_request("10.32.7.5", 7000, timeout=0.5).name == "moved", 5, "the second block of n2")
    moved.detach()
    cluster.give("appnet", "n2", ["10.32.2.0/24", "fd32::2:0/112"])
    cluster.give("appnet", "n3", ["10.32.3.0/24", "10.32.7.0/24", "fd32::3:0/112"])
    other = three.container("other")
    other.attach(conflist("appnet"), capabilities={"ips": ["10.32.7.5"]})
    other.serve_tcp(7000)
    eventually(lambda: a.tcp_request("10.32.7.5", 7000, timeout=0.5).name == "other", 5, "the block is n3's now")


def test_OVL_11_a_node_whose_address_is_wrong_says_so_and_works_alone(lab):
    cluster = Cluster(lab, agents=False)
    one, two = cluster.nodes
    cluster.tell(one, 1, address="192.0.2.77")
    agent = one.start_agent()
    two.start_agent()
    a, b = cluster.container(one, "a"), cluster.container(one, "b")
    b.serve_tcp(7000)
    equal(a.tcp_request(b.ip, 7000).name, "b", "containers of one node")
    eventually(lambda: "192.0.2.77" in str(agent.status()), 3, "the status names the address")
    contains(agent.log(), "is on no interface of this host", "the log says why")
    cluster.tell(one, 1)
    c = cluster.container(two, "c")
    c.serve_tcp(7000)
    eventually(lambda: a.tcp_request(c.ip, 7000, timeout=0.5).name == "c", 5, "and works when it is corrected")


def test_OVL_17_a_network_that_is_not_divided_is_named(lab):
    cluster = Cluster(lab)
    a, _ = cluster.pair()
    agent = cluster.agents[0]
    eventually(lambda: "appnet" in str(agent.status()), WITHIN, "the agent has looked at it")
    equal("no node has a block" in str(agent.status()), False, "with blocks")
    for node in cluster.nodes:
        cluster.everywhere(f"/var/lib/fairlead/blocks/appnet/{node.name}.json", None)
    eventually(lambda: "no node has a block" in str(agent.status()), WITHIN, "without")
    contains(agent.log(), "/var/lib/fairlead/blocks/appnet/NODE.json", "the log says what to do")
    cluster.give("appnet", "n1", ["10.32.1.0/24"])
    eventually(lambda: "no node has a block" not in str(agent.status()), WITHIN, "and with one again")


def test_OVL_12_attaching_works_without_a_daemon(lab):
    cluster = Cluster(lab, agents=False)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families; the first ADD made the router and its way to the other node")


def test_OVL_13_packets_go_on_while_the_agents_are_away(lab):
    cluster = Cluster(lab)
    a, b = cluster.pair()
    eventually(lambda: reaches(a, b), 5, "both families")
    flow = a.tcp_connect(b.ip, 7000)
    for agent in cluster.agents:
        agent.kill9()
    reaches(a, b)
    for agent in cluster.agents:
        agent.start()
    equal(flow.ask("hi").name, "appnet-b", "the flow is still there")
    reaches(a, b)
    for agent in cluster.agents:
        equal({k: v for k, v in agent.metrics().items() if k.startswith("fairlead_repairs_total") and v}, {}, "nothing to repair")
    flow.close()
