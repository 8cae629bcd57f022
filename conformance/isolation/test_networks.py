#!/usr/bin/python3
"""Who reaches whom by name of network: ISO-01, ISO-02, ISO-04, ISO-05, ISO-24 on one node."""
from lab import *
from .packets import BROADCAST, GATEWAY_MAC, arp, ethernet, send_ip, send_udp, sctp_init, wire
from .world import BLUE, RED, World, reaches, sees_none, serve, shut_out


def test_ISO_01_containers_of_one_network_reach_each_other_with_every_protocol(lab):
    world = World(lab)
    a, b = world.pair()
    serve(a, b)
    reaches(a, b)
    reaches(b, a)
    for src, dst in ((a.ip, b.ip), (a.ip6, b.ip6)):
        with b.capture("eth0") as seen:
            send_ip(a, src, dst, 132, sctp_init(1000, 2000))
            seen.wait(lambda p: p.proto == "sctp" and p.src == src and not p.outgoing, 1)


def test_ISO_01_packets_of_the_full_mtu_pass_and_larger_ones_are_refused(lab):
    world = World(lab)
    a, b = world.pair()
    mtu = a.links()["eth0"]["mtu"]
    equal(mtu, 1450, "1500 of the underlay less the overlay's 50")
    true(a.ping(b.ip, size=mtu - 28, df=True), "an IPv4 packet of exactly the MTU")
    true(a.ping(b.ip6, size=mtu - 48, df=True), "an IPv6 packet of exactly the MTU")
    for address, headers in ((b.ip, 28), (b.ip6, 48)):
        try:
            equal(a.ping(address, size=mtu - headers + 1, df=True, timeout=0.4), None, "one byte more")
        except OSError as error:
            contains(str(error), "too long", "one byte more")


def test_ISO_02_another_networks_containers_and_services_are_out_of_reach(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    a, red = world.pair("red", RED)
    victim, blue = world.pair("blue", BLUE)
    world.node.ctl_ok("service create web --network blue --port 7000 --vip 10.33.255.1 --vip fd33::ffff:1")
    task = world.container("task", "blue", services=["web"])
    serve(victim, red, blue, task)
    vips = ("10.33.255.1", "fd33::ffff:1")
    reaches(blue, victim)
    reaches(a, red)
    for vip in vips:
        eventually(lambda v=vip: blue.tcp_request(v, 7000).name == "task", 3, "the service answers inside")

    def attack():
        shut_out(a, (victim.ip, victim.ip6, *vips), timeout=0.25)
        with wire(a) as send:
            own = a.links()["eth0"]["address"]
            send(ethernet(arp(1, own, a.ip, "00:00:00:00:00:00", victim.ip), 0x0806, own, BROADCAST))
    sees_none(victim, "eth0", attack, lambda: blue.ping(victim.ip),
              lambda p: not p.outgoing and p.proto in ("tcp", "udp", "icmp", "arp"), "a packet from the other network")


def test_ISO_04_two_networks_with_the_same_subnet_each_see_their_own(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    pairs = {}
    for name in ("red", "blue"):
        world.network(name, RED)
        world.node.ctl_ok(f"service create web --network {name} --port 80:7000 --vip 10.32.255.1 --vip fd32::ffff:1")
        a, b = (world.container(f"{name}-{which}", name, services=["web"] * (which == "b")) for which in "ab")
        pairs[name] = (a, b)
        serve(a, b)
    (red_a, red_b), (blue_a, blue_b) = pairs["red"], pairs["blue"]
    equal((red_a.ip, red_b.ip, red_a.ip6, red_b.ip6), (blue_a.ip, blue_b.ip, blue_a.ip6, blue_b.ip6), "the same addresses")
    for a, b in pairs.values():
        reaches(a, b)
        reaches(b, a)
        for vip in ("10.32.255.1", "fd32::ffff:1"):
            eventually(lambda a=a, b=b, v=vip: a.tcp_request(v, 80).name == b.name, 3, f"{b.name} behind its own VIP")
    world.outside.serve_tcp(81)
    for a in (red_a, blue_a):
        equal(a.tcp_request(world.outside.address(4), 81).name, "outside", "both get out")
    with red_a.tcp_connect(red_b.ip, 7000, src_port=4000) as one, blue_a.tcp_connect(blue_b.ip, 7000, src_port=4000) as two:
        equal((one.ask().name, two.ask().name), ("red-b", "blue-b"), "equal connections in both at once")
    blue_b.detach()
    unreachable(lambda: blue_a.tcp_request(red_b.ip, 7000, timeout=0.4), "red-b does not stand in for blue-b")
    reaches(red_a, red_b)


def test_ISO_05_a_container_in_two_networks_is_no_way_between_them(lab):
    world = World(lab)
    a, _ = world.pair("red", RED)
    victim, _ = world.pair("blue", BLUE)
    both = world.container("both", "red")
    both.attach(conflist("blue"), "eth1")
    both.sysctl("net.ipv4.ip_forward", 1)
    both.sysctl("net.ipv6.conf.all.forwarding", 1)
    serve(victim, both)
    for family, address in ((4, victim.ip), (6, victim.ip6)):
        via = both.addresses("eth0")[0 if family == 4 else 1].split("/")[0]
        a.must(f"ip -{family} route add {address} via {via} dev eth0 onlink")
        a.must(f"ip neigh replace {via} lladdr {GATEWAY_MAC} dev eth0 nud permanent")
    own4, own6 = (x.split("/")[0] for x in both.addresses("eth1"))
    true(both.ping(victim.ip), "the container itself may")
    before = world.spoofed("blue")

    def attack():
        shut_out(a, (victim.ip, victim.ip6), timeout=0.25)
        # Even if its peer found a way to hand it packets: what it forwards has a foreign source.
        send_udp(both, a.ip, victim.ip, ifname="eth1", count=5)
        send_udp(both, a.ip6, victim.ip6, ifname="eth1", count=5)

    def control():
        send_udp(both, own4, victim.ip, ifname="eth1")
        send_udp(both, own6, victim.ip6, ifname="eth1")
    sees_none(victim, "eth0", attack, control, lambda p: p.proto == "udp" and p.dport == 7000 and not p.outgoing,
              "a packet that came over the other network")
    equal(world.spoofed("blue") - before, 10, "each was counted as spoofed")


def test_ISO_24_a_vip_answers_on_its_service_ports_only_and_only_inside(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    a, _ = world.pair("red", RED)
    stranger, _ = world.pair("blue", BLUE)
    vips = ("10.32.255.1", "fd32::ffff:1")
    world.node.ctl_ok("service create web --network red --port 80:7000 --vip " + " --vip ".join(vips))
    task = world.container("task", "red", services=["web"])
    serve(task)
    task.serve_tcp(22)
    for vip in vips:
        eventually(lambda v=vip: a.tcp_request(v, 80).name == "task", 3, "the service port")
        for port in (1, 22, 53, 79, 81, 443, 7000, 8080):
            refused(lambda v=vip, p=port: a.tcp_request(v, p, timeout=1), f"port {port} of the VIP")
        unreachable(lambda v=vip: a.udp_request(v, 80, timeout=0.4), "UDP on a TCP port")
        unreachable(lambda v=vip: stranger.tcp_request(v, 80, timeout=0.4), "from another network")
    world.outside.must("ip route add 10.32.0.0/16 via", world.node.address(4))
    world.outside.must("ip -6 route add fd32::/64 via", world.node.address(6))
    for vip in vips:
        unreachable(lambda v=vip: world.outside.tcp_request(v, 80, timeout=0.4), "from outside")
        unreachable(lambda v=vip: world.node.tcp_request(v, 80, timeout=0.4), "from the node itself")
