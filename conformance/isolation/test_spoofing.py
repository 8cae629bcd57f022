#!/usr/bin/python3
"""What a container with CAP_NET_RAW and CAP_NET_ADMIN can put on its wire: ISO-15 to ISO-21."""
import os

from lab import *
from .packets import (BROADCAST, GATEWAY_MAC, arp, ethernet, icmp4, icmp6, ip, packed, send_ip, send_udp, tcp, udp, wire)
from .world import RED, World, reaches, sees_none, serve

ALL_NODES = "ff02::1"
ALL_NODES_MAC = "33:33:00:00:00:01"


def own_mac(place):
    return place.links()["eth0"]["address"]


def test_ISO_15_packets_with_a_source_that_is_not_the_containers_are_dropped_and_counted(lab):
    world = World(lab)
    a, b = world.pair()
    c = world.container("c", "red")
    sources = {4: (c.ip, b.ip, a.gateway, "10.32.255.1", world.node.address(4), "8.8.8.8", "127.0.0.1", "0.0.0.0"),
               6: (c.ip6, b.ip6, a.gateway6, "fd32::ffff:1", world.node.address(6), "2001:db8:9::1", "::1", "fe80::1")}
    for family, target in ((4, b.ip), (6, b.ip6)):
        before = world.spoofed()

        def attack():
            for source in sources[family]:
                send_udp(a, source, target, count=3)
        sees_none(b, "eth0", attack, lambda f=family, t=target: send_udp(a, a.ip if f == 4 else a.ip6, t),
                  lambda p: p.proto == "udp" and not p.outgoing, "a spoofed packet")
        true(world.spoofed() - before >= 3 * (len(sources[family]) - 3), "counted (the kernel itself takes the odd ones)")


def test_ISO_15_spoofed_packets_do_not_leave_the_node(lab):
    world = World(lab)
    a, b = world.pair()
    for family, target, sources in ((4, world.outside.address(4), (b.ip, "8.8.8.8", world.node.address(4))),
                                    (6, world.outside.address(6), (b.ip6, "2001:db8:9::1", world.node.address(6)))):
        sees_none(world.outside, "eth0", lambda t=target, s=sources: [send_udp(a, source, t, count=3) for source in s],
                  lambda f=family, t=target: send_udp(a, a.ip if f == 4 else a.ip6, t),
                  lambda p: p.proto == "udp" and p.dport == 7000 and not p.outgoing, "a spoofed packet outside")


def test_ISO_16_forged_arp_changes_nobodys_mind(lab):
    world = World(lab)
    a, b = world.pair()
    serve(a, b)
    reaches(a, b)
    router = world.node.router("red")

    def neighbours():
        return sorted(line for place in (router, b, world.node) for line in
                      place.must("ip neigh show nud permanent").splitlines())
    before, mac = neighbours(), own_mac(a)
    with wire(a) as send, b.capture("eth0") as at_b:
        for victim in (a.gateway, b.ip, world.node.address(4)):
            for operation in (1, 2):
                for destination, target in ((BROADCAST, victim), (GATEWAY_MAC, victim), (b.mac, b.ip)):
                    send(ethernet(arp(operation, mac, victim, mac, target), 0x0806, mac, destination))
        reaches(a, b)
        equal(at_b.packets(lambda p: p.proto == "arp"), [], "ARP of one container at another")
    equal(neighbours(), before, "neighbours of the router, of the other container and of the node")


def test_ISO_16_a_flood_of_arp_senders_does_not_fill_the_neighbour_table(lab):
    world = World(lab)
    a, b = world.pair()
    serve(a, b)
    router, mac = world.node.router("red"), own_mac(a)
    with wire(a) as send:
        for n in range(2000):
            sender = f"10.32.{1 + n // 250}.{1 + n % 250}"
            send(ethernet(arp(1, mac, sender, "00:00:00:00:00:00", a.gateway), 0x0806, mac, BROADCAST))
        with a.capture("eth0") as seen:
            send(ethernet(arp(1, mac, a.ip, "00:00:00:00:00:00", a.gateway), 0x0806, mac, BROADCAST))
            seen.wait(lambda p: p.proto == "arp" and p.src == a.gateway and not p.outgoing, 1)
    true(len(router.must("ip neigh").splitlines()) < 20, "entries in the router's table")
    reaches(b, a)


def test_ISO_17_other_source_macs_are_never_seen_by_anybody(lab):
    world = World(lab)
    a, b = world.pair()
    c = world.container("c", "red")
    serve(b, c)
    router = world.node.router("red")
    entries = len(router.must("ip neigh").splitlines())
    with b.capture("eth0") as at_b, c.capture("eth0") as at_c:
        with wire(a) as send:
            for _ in range(10000):
                forged = f"02:{os.urandom(5).hex(':')}"
                send(ethernet(ip(a.ip, b.ip, 17, udp(a.ip, b.ip, 1, 9, b"mac")), 0x0800, forged))
        reaches(c, b)
        seen = {p.smac for p in at_b.packets(lambda p: not p.outgoing)}
        equal(seen, {GATEWAY_MAC}, "whoever sends, the router hands it over")
        equal(at_c.packets(lambda p: b"mac" in p.raw), [], "nothing is flooded to others")
    equal(len(router.must("ip neigh").splitlines()), entries, "the router learnt nothing")
    equal(router.must("bridge fdb show").count("dynamic"), 0, "there is nothing that learns MACs")


def test_ISO_18_advertisements_redirects_and_dhcp_offers_reach_nobody_and_change_nothing(lab):
    world = World(lab)
    a, b = world.pair()
    serve(b)
    router, mac = world.node.router("red"), own_mac(a)

    def state():
        return [place.must(f"ip {family} route show table all") for place in (router, b, world.node) for family in ("-4", "-6")]

    def prefix_option(prefix):
        return bytes([3, 4, 64, 0xC0]) + b"\0\0\x0e\x10" * 2 + b"\0" * 4 + packed(prefix)
    advertisement = b"\x40\x00\x07\x08" + b"\0" * 8 + prefix_option("fd66::")
    redirect6 = b"\0" * 4 + packed(a.ip6) + packed("2001:db8::100")
    neighbour = b"\xa0\0\0\0" + packed(b.ip6) + b"\x02\x01" + bytes.fromhex(mac.replace(":", ""))
    offer = b"\x02\x01\x06\0" + b"\0" * 232 + b"\x63\x82\x53\x63\x35\x01\x02\xff"
    before = state()

    def attack():
        with wire(a) as send:
            for source in (a.ip6, "fe80::57ff:fe00:1"):
                for target, to in ((ALL_NODES, ALL_NODES_MAC), (b.ip6, GATEWAY_MAC), (a.gateway6, GATEWAY_MAC)):
                    for kind, body in ((134, advertisement), (136, neighbour), (137, redirect6)):
                        send(ethernet(ip(source, target, 58, icmp6(source, target, kind, body), ttl=255), 0x86DD, mac, to))
            inner = ip(b.ip, "8.8.8.8", 17, udp(b.ip, "8.8.8.8", 1, 2))[:28]
            for source in (a.ip, a.gateway):
                message = icmp4(5, packed(a.ip) + inner, 1)
                send(ethernet(ip(source, b.ip, 1, message), 0x0800, mac))
                send(ethernet(ip(source, a.gateway, 1, message), 0x0800, mac))
            for target, to in (("255.255.255.255", BROADCAST), ("10.32.255.255", BROADCAST), (b.ip, BROADCAST)):
                send(ethernet(ip(a.gateway, target, 17, udp(a.gateway, target, 67, 68, offer)), 0x0800, mac, to))
            send(ethernet(ip("fe80::1", "ff02::1", 17, udp("fe80::1", "ff02::1", 547, 546, b"\x02abc")), 0x86DD, mac,
                          ALL_NODES_MAC))

    def foreign(packet):
        if packet.outgoing:
            return False
        return packet.icmp_type and packet.icmp_type[0] in (5, 134, 136, 137) or packet.dport in (68, 546, 7000)
    sees_none(b, "eth0", attack, lambda: send_udp(a, a.ip, b.ip), foreign, "an advertisement, a redirect or an offer")
    equal(state(), before, "routes of the router, the other container and the node")
    for key in ("net/ipv6/conf/default/accept_ra", "net/ipv6/conf/all/accept_redirects", "net/ipv4/conf/all/accept_redirects"):
        equal(router.sysctl(key), "0", key)


def test_ISO_19_an_ipv4_network_has_no_ipv6_to_go_round_by(lab):
    world = World(lab)
    a, b = world.pair("red", RED[:1])
    serve(b, port=7000)
    equal(a.tcp_request(b.ip, 7000).name, "red-b", "IPv4 works")
    router, mac = world.node.router("red"), own_mac(a)
    for place, link in ((a, "eth0"), (b, "eth0"), (router, "ul"), (router, "lo")):
        equal(place.must(f"ip -6 address show dev {link}").strip(), "", f"IPv6 addresses of {place.name} {link}")
    host_ends = [name for name in router.links() if name.startswith("c")]
    equal({router.sysctl(f"net/ipv6/conf/{name}/disable_ipv6") for name in host_ends}, {"1"}, "the host ends")

    def attack():
        with wire(a) as send:
            for target, to in ((ALL_NODES, ALL_NODES_MAC), ("fe80::57:1", GATEWAY_MAC), ("fd32::9", GATEWAY_MAC)):
                send(ethernet(ip("fe80::9", target, 17, udp("fe80::9", target, 1, 7000, b"six")), 0x86DD, mac, to))
    sees_none(b, "eth0", attack, lambda: send_udp(a, a.ip, b.ip, payload=b"four"),
              lambda p: b"six" in p.raw or b"four" in p.raw, "an IPv6 packet")
    equal(router.must("ip -6 neigh").strip(), "", "no IPv6 neighbours")


def test_ISO_20_only_arp_ipv4_and_ipv6_frames_have_any_effect(lab):
    world = World(lab)
    a, b = world.pair()
    mac = own_mac(a)
    inner = ip(a.ip, b.ip, 17, udp(a.ip, b.ip, 1, 7000, b"frame"))
    frames = [(0x8100, b"\x00\x05\x08\x00" + inner), (0x88A8, b"\x00\x05\x81\x00\x00\x06\x08\x00" + inner),
              (0x88CC, b"\x02\x07\x04frame\0\0"), (0x888E, b"\x02\x00\x00\x05frame"), (0x8137, b"\xff\xff\x00\x1eframe" + b"\0" * 23),
              (0x0027, b"\x42\x42\x03frame" + b"\0" * 31), (0x8863, b"\x11\x09\x00\x00frame"), (0x86DC, b"frame" * 9)]

    def attack():
        with wire(a) as send:
            for ethertype, payload in frames:
                for to in (BROADCAST, GATEWAY_MAC, b.mac, "01:80:c2:00:00:00", "01:80:c2:00:00:03"):
                    send(ethernet(payload, ethertype, mac, to))
    sees_none(b, "eth0", attack, lambda: send_udp(a, a.ip, b.ip, payload=b"frame"), b"frame", "a frame of another type")
    sees_none(world.node, "ul" + world.node.router_name("red")[3:], attack,
              lambda: send_udp(a, a.ip, world.outside.address(4), payload=b"frame"), b"frame", "such a frame at the node")


def test_ISO_21_fragments_and_source_routes_do_not_get_round_the_rules(lab):
    world = World(lab)
    a, b = world.pair()
    serve(b)
    node, target = world.node, world.node.address(4)
    node.serve_udp(9999)
    equal(world.outside.udp_request(target, 9999).name, "n1", "the service is there")

    def fragmented(destination, dport, size=8):
        datagram = udp(a.ip, destination, 4444, dport, b"fragmented" * 4)
        for at in range(0, len(datagram), size):
            send_ip(a, a.ip, destination, 17, datagram[at:at + size], ident=77, offset=at, flags=int(at + size < len(datagram)))
    at_the_node = lambda p: p.proto == "udp" and p.dport == 9999  # noqa: E731 — read by eye beside its use
    with a.capture("eth0") as back:
        fragmented(target, 9999)
        fragmented(target, 9999, 24)
        send_ip(a, a.ip, target, 6, tcp(a.ip, target, 4445, 9999)[:8], ident=78, flags=1)
        send_ip(a, a.ip, target, 6, tcp(a.ip, target, 4445, 9999)[8:], ident=78, offset=8)
        with b.capture("eth0") as at_b:
            fragmented(b.ip, 7000)
            at_b.wait(b"fragmented", 1)
        equal(back.packets(lambda p: p.src == target and p.proto == "udp"), [], "an answer of the node's service")
    with b.capture("eth0") as at_b:
        # Loose source route (RFC 791): to the node, by way of b.
        send_udp(a, a.ip, b.ip, options=b"\x83\x07\x04" + packed(target) + b"\0", payload=b"loose")
        send_udp(a, a.ip, b.ip, payload=b"plain")
        at_b.wait(b"plain", 1)
        equal(at_b.packets(b"loose"), [], "a source-routed packet")
