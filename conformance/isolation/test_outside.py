#!/usr/bin/python3
"""Containers and the world outside, both ways: ISO-09, ISO-10, ISO-11, ISO-14, ISO-27."""
import json

from lab import *
from .packets import ethernet, ethertype_of, icmp4, icmp6, ip, packed, send_ip, send_udp, tcp, udp, wire
from .world import BLUE, RED, World, reaches, sees_none, serve, shut_out


def test_ISO_09_containers_reach_outside_with_the_nodes_address(lab):
    world = World(lab)
    a, _ = world.pair()
    outside = world.outside
    serve(outside)
    for family in (4, 6):
        target = outside.address(family)
        for answer in (a.tcp_request(target, 7000), a.udp_request(target, 7000)):
            equal((answer.name, answer.peer), ("outside", world.node.address(family)), "who is seen outside")
        with outside.capture("eth0") as seen:
            true(a.ping(target), "echo")
            seen.wait(lambda p: p.icmp_type and p.icmp_type[0] in (8, 128) and p.src == world.node.address(family), 1)
        refused(lambda t=target: a.udp_request(t, 9, timeout=1), "an ICMP error of a closed UDP port comes back")
        refused(lambda t=target: a.tcp_request(t, 9, timeout=1), "a closed TCP port")


def test_ISO_09_a_large_transfer_and_a_path_with_a_smaller_mtu(lab):
    world = World(lab)
    a, _ = world.pair()
    outside = world.outside
    outside.serve_tcp(7000)
    payload = "x" * 200_000
    for family in (4, 6):
        equal(len(a.tcp_request(outside.address(family), 7000, payload, timeout=5).payload), len(payload), "200 kB and back")
    world.node.must("ip link set eth0 mtu 1300")
    for family in (4, 6):
        equal(len(a.tcp_request(outside.address(family), 7000, payload, timeout=5).payload), len(payload), "path MTU 1300")


def test_ISO_10_nothing_leaves_an_internal_network(lab):
    world = World(lab)
    world.node.start_dns()
    inner, peer = world.pair("red", RED, "--internal")
    outer, _ = world.pair("blue", BLUE)
    serve(peer, outer, world.outside)
    reaches(inner, peer)
    targets = (world.outside.address(4), world.outside.address(6))
    for target in targets:
        equal(outer.tcp_request(target, 7000).name, "outside", "a network that is not internal")
    for place in (inner, peer):
        lacks(place.must("ip route") + place.must("ip -6 route"), "default", "a default route in the container")
    router = world.node.router("red")
    lacks(router.must("ip route") + router.must("ip -6 route"), "default", "a default route in the router")
    uplink = world.node.read_json("/run/fairlead/routers/red.json")["uplink"]

    def attack():
        shut_out(inner, targets, timeout=0.25)
        inner.must("ip route add default via 10.32.0.1 dev eth0 onlink")
        inner.must("ip -6 route add default via fd32::1 dev eth0 onlink")
        shut_out(inner, (*targets, outer.ip, outer.ip6, world.node.address(4), world.node.address(6)), timeout=0.25)
        for source in (peer.ip, "8.8.8.8"):
            send_udp(inner, source, targets[0])
        inner.must(f"ip route replace default via {peer.ip} dev eth0 onlink")
        peer.sysctl("net.ipv4.ip_forward", 1)
        shut_out(inner, targets[:1], timeout=0.25)
        router.must("nft delete table inet fairlead")      # the agent puts it back; meanwhile nothing leaves either
        shut_out(inner, targets[:1], timeout=0.25)
    with world.node.capture(uplink) as wire_seen, world.outside.capture("eth0") as far:
        attack()
        equal(wire_seen.packets(lambda p: p.proto in ("tcp", "udp", "icmp")), [], "a packet on the internal network's uplink")
        equal(far.packets(lambda p: p.src == inner.ip or p.dport == 53), [], "anything outside")
        equal(outer.tcp_request(targets[0], 7000).name, "outside", "the control")
        true(far.packets(lambda p: p.dport == 7000), "is seen outside")
    reaches(inner, peer)


def test_ISO_11_nobody_outside_reaches_a_container_that_published_nothing(lab):
    world = World(lab)
    a, b = world.pair()
    serve(a, b)
    outside, node = world.outside, world.node
    record = node.read_json("/run/fairlead/routers/red.json")
    for prefix in ("10.32.0.0/16", "169.254.64.0/18"):
        outside.must("ip route add", prefix, "via", node.address(4))
    for prefix in ("fd32::/64", "fd57:64::/32"):
        outside.must("ip -6 route add", prefix, "via", node.address(6))
    targets = (a.ip, a.ip6, a.gateway, a.gateway6, record["router4"], record["router6"])
    reaches(b, a)
    mac = node.links()["eth0"]["address"]

    def attack():
        shut_out(outside, targets, timeout=0.25)
        for target in targets:
            family = 4 if "." in target else 6
            source = outside.address(family)
            for flags in (16, 4, 17, 18):
                send_ip(outside, source, target, 6, tcp(source, target, 4000, 7000, flags), dst_mac=mac)
            send_ip(outside, source, target, 132, b"\x17\x70\x1b\x58" + bytes(24), dst_mac=mac)
            error = icmp4(3, bytes(4) + ip(target, source, 17, udp(target, source, 7000, 4000)), 3) if family == 4 else \
                icmp6(source, target, 1, bytes(4) + ip(target, source, 17, udp(target, source, 7000, 4000)), 4)
            send_ip(outside, source, target, 1 if family == 4 else 58, error, dst_mac=mac)
            # As if it were a container's: the source of the same subnet.
            inner = b.ip if family == 4 else b.ip6
            send_udp(outside, inner, target, dst_mac=mac)
    sees_none(a, "eth0", attack, lambda: send_udp(b, b.ip, a.ip),
              lambda p: not p.outgoing and p.proto in ("tcp", "udp", "icmp", "sctp"), "a packet from outside")


def test_ISO_14_only_answers_come_back_through_a_containers_port(lab):
    world = World(lab)
    a, _ = world.pair()
    outside = world.outside
    stranger = lab.host("stranger", world.wire)
    outside.serve_udp(7000)
    outside.serve_tcp(7000)
    mac = world.node.links()["eth0"]["address"]
    for family in (4, 6):
        target, node = outside.address(family), world.node.address(family)
        with outside.capture("eth0") as seen, a.capture("eth0") as back, a.udp_socket(target, 7000) as flow:
            equal(flow.ask("one").name, "outside", "an answer")
            used = seen.wait(lambda p: p.proto == "udp" and p.dport == 7000 and p.src == node, 1)[0].sport
            send_udp(stranger, stranger.address(family), node, used, 7000, payload=b"uninvited", dst_mac=mac, count=3)
            send_udp(outside, target, node, used, 7001, payload=b"uninvited", dst_mac=mac, count=3)
            equal(flow.ask("two").name, "outside", "the flow goes on")
            equal(back.packets(b"uninvited"), [], "packets of others to the same port")
        with outside.capture("eth0") as seen, a.capture("eth0") as back, a.tcp_connect(target, 7000) as flow:
            equal(flow.ask("one").name, "outside", "an answer")
            used = seen.wait(lambda p: p.proto == "tcp" and p.dport == 7000 and p.src == node, 1)[0].sport
            for flags in (4, 16, 20, 2):
                send_ip(stranger, stranger.address(family), node, 6,
                        tcp(stranger.address(family), node, 7000, used, flags, seq=1234567), dst_mac=mac, count=5)
                send_ip(outside, target, node, 6, tcp(target, node, 7000, used, 4, seq=2 ** 31 - 1), dst_mac=mac)
            equal(flow.ask("two").name, "outside", "the connection survives resets that are not in its window")
            equal([p for p in back.packets(lambda p: p.proto == "tcp" and not p.outgoing) if p.src != target], [],
                  "packets of others")


def two_lans(lab):
    """A node between two LANs, each with a machine that uses it as router."""
    near, far = lab.segment("near"), lab.segment("far")
    node = lab.host("n1", near, far)
    left, right = lab.host("left", near), lab.host("right", far)
    left.must("ip route add 192.0.3.0/24 via", node.address(4))
    left.must("ip -6 route add 2001:db8:1::/64 via", node.address(6))
    right.must("ip route add 192.0.2.0/24 via", node.address(4, 1))
    right.must("ip -6 route add 2001:db8::/64 via", node.address(6, 1))
    right.serve_tcp(7000)
    return node, left, right


def attached(node, subnets=RED):
    node.ctl_ok("network create red " + " ".join(f"--subnet {s}" for s in subnets))
    container = node.container("a")
    container.attach(conflist("red"))
    return container


def test_ISO_27_a_node_that_did_not_forward_still_does_not(lab):
    node, left, right = two_lans(lab)
    equal((node.sysctl("net.ipv4.ip_forward"), node.sysctl("net.ipv6.conf.all.forwarding")), ("0", "0"), "before")
    bridge_and_guest(lab, node)
    agent = node.start_agent()
    container = attached(node)
    eventually(lambda: json.loads(agent.status())["forwarding"] == {"openedIpv4": True, "openedIpv6": True}, 2, "it says so")
    equal((node.sysctl("net.ipv4.ip_forward"), node.sysctl("net.ipv6.conf.all.forwarding")), ("1", "1"), "it is needed now")
    for family in (4, 6):
        equal(container.tcp_request(right.address(family), 7000).name, "right", "a container gets out")
        unreachable(lambda f=family: left.tcp_request(right.address(f), 7000, timeout=0.4), "one LAN to the other")
        equal(left.ping(right.address(family), timeout=0.3), None, "one LAN to the other")
    guest = lab.hosts["guest"]
    equal(guest.tcp_request(right.address(4), 7000).name, "right", "a guest on a bridge of the node, as Docker has them")


def bridge_and_guest(lab, node):
    """What Docker or libvirt make: a bridge on the node, a machine behind it, masquerade."""
    segment = lab.segment("guests")
    guest = lab.host("guest", segment)
    segment.cable(node, "port0")
    node.must("ip link add br0 type bridge")
    node.must("ip link set port0 master br0 up")
    node.must("ip address add 192.0.4.200/24 dev br0")
    node.must("ip link set br0 up")
    node.run("nft -f -", input="table ip guests { chain post { type nat hook postrouting priority 100\n"
                               " oifname != \"br0\" ip saddr 192.0.4.0/24 masquerade\n }\n }\n")
    guest.must("ip route add default via 192.0.4.200")


def test_ISO_27_a_restarted_agent_does_not_take_its_own_change_for_the_owners(lab):
    node, left, right = two_lans(lab)
    agent = node.start_agent()
    container = attached(node)
    for how in (agent.stop, agent.kill9):
        how()
        agent.start()
        equal(container.tcp_request(right.address(4), 7000).name, "right", "a container gets out")
        unreachable(lambda: left.tcp_request(right.address(4), 7000, timeout=0.4), "one LAN to the other")
    node.must("nft delete table inet fairlead_host")
    eventually(lambda: node.run("nft list table inet fairlead_host").rc == 0, 2, "the rules are back")
    unreachable(lambda: left.tcp_request(right.address(4), 7000, timeout=0.4), "one LAN to the other")


def test_ISO_27_a_node_that_did_forward_still_does(lab):
    node, left, right = two_lans(lab)
    node.sysctl("net.ipv4.ip_forward", 1)
    node.sysctl("net.ipv6.conf.all.forwarding", 1)
    for family in (4, 6):
        equal(left.tcp_request(right.address(family), 7000).name, "right", "before")
    agent = node.start_agent()
    container = attached(node)
    equal(json.loads(agent.status())["forwarding"], {"openedIpv4": False, "openedIpv6": False}, "it says so")
    for family in (4, 6):
        equal(left.tcp_request(right.address(family), 7000).name, "right", "after")
        equal(container.tcp_request(right.address(family), 7000).name, "right", "a container gets out")


def test_ISO_27_forwarding_does_not_cost_the_node_its_advertised_routes(lab):
    near = lab.segment("near")
    node, router = lab.host("n1", near), lab.host("advertiser", near)
    equal(node.sysctl("net/ipv6/conf/eth0/accept_ra"), "1", "a host that listens to advertisements")
    link_local = eventually(lambda: next((x["local"] for entry in router.ip_json("address show dev eth0")
                                          for x in entry["addr_info"] if x["scope"] == "link" and not x.get("tentative")), None),
                            5, "the advertiser's address")
    body = b"\x40\x00\x07\x08" + bytes(8) + bytes([3, 4, 64, 0xC0]) + b"\0\0\x0e\x10" * 2 + bytes(4) + packed("2001:db8:77::")

    def advertise():
        send_ip(router, link_local, "ff02::1", 58, icmp6(link_local, "ff02::1", 134, body), dst_mac="33:33:00:00:00:01", ttl=255)

    def has_route():
        return "default via" in node.must("ip -6 route")
    advertise()
    eventually(has_route, 3, "a default route by advertisement")
    node.start_agent()
    attached(node)
    equal(node.sysctl("net/ipv6/conf/all/forwarding"), "1", "forwarding is on")
    true(has_route(), "the route survived")
    equal(node.sysctl("net/ipv6/conf/eth0/accept_ra"), "2", "and will be renewed")
    node.must("ip -6 route del default")
    advertise()
    eventually(has_route, 3, "it is")
