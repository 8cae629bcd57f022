#!/usr/bin/python3
"""Containers and the node they run on, both ways: ISO-06, ISO-07, ISO-12, ISO-13, ISO-22."""
import socket

from lab import *
from .packets import GATEWAY_MAC, ethernet, ip, send_ip, send_udp, tcp, udp, wire
from .world import BLUE, RED, World, reaches, sees_none, serve

PORT = 9999


def host_addresses(world):
    router = world.node.read_json("/run/fairlead/routers/red.json")
    return [world.node.address(4), world.node.address(6), router["host4"], router["host6"]]


def test_ISO_06_the_nodes_services_refuse_containers(lab):
    world = World(lab)
    world.node.start_dns()
    a, _ = world.pair()
    world.node.serve_tcp(PORT)
    world.node.serve_udp(PORT)
    world.outside.serve_tcp(PORT)
    for family in (4, 6):
        equal(world.outside.tcp_request(world.node.address(family), PORT).name, "n1", "the service is there for others")
        equal(a.tcp_request(world.outside.address(family), PORT).name, "outside", "the container reaches others")
    for address in host_addresses(world) + [a.gateway, a.gateway6]:
        refused(lambda x=address: a.tcp_request(x, PORT, timeout=1), f"TCP to {address}")
        unreachable(lambda x=address: a.udp_request(x, PORT, timeout=0.4), f"UDP to {address}")
    for server in (a.gateway, a.gateway6):
        true(a.ping(server), "the gateway answers pings")
        for tcp_too in (False, True):
            eventually(lambda s=server, t=tcp_too: a.dns("red-a.red.fairlead.internal", server=s, tcp=t).wire, 2,
                       "and the name service")


def test_ISO_06_not_even_by_the_nodes_link_local_addresses_or_its_other_networks(lab):
    world = World(lab)
    a, _ = world.pair("red", RED)
    world.pair("blue", BLUE)
    world.node.serve_tcp(PORT)
    world.node.serve_udp(PORT)
    other = world.node.read_json("/run/fairlead/routers/blue.json")
    link_local = next(x["local"] for entry in world.node.ip_json("address show dev eth0") for x in entry["addr_info"]
                      if x["scope"] == "link")
    uplink = world.node.read_json("/run/fairlead/routers/red.json")["uplink"]
    equal(world.node.must(f"ip -6 address show dev {uplink} scope link").strip(), "", "no link-local address on the uplink")
    for address in (other["host4"], other["host6"], other["router4"], other["router6"], "10.33.0.1"):
        unreachable(lambda x=address: a.tcp_request(x, PORT, timeout=0.4), f"TCP to {address}")
        unreachable(lambda x=address: a.udp_request(x, PORT, timeout=0.4), f"UDP to {address}")
    sees_none(world.node, uplink, lambda: send_udp(a, a.ip6, link_local, PORT, count=3),
              lambda: send_udp(a, a.ip6, world.node.address(6), PORT), lambda p: p.dport == PORT, "a link-local destination")


def test_ISO_07_the_nodes_loopback_is_for_the_node_only(lab):
    world = World(lab)
    a, _ = world.pair()
    node = world.node
    node.serve_tcp(PORT, address="127.0.0.1")
    node.serve_udp(PORT, address="127.0.0.1")
    equal(node.tcp_request("127.0.0.1", PORT).name, "n1", "the service is there")
    equal(node.sysctl("net/ipv4/conf/eth0/route_localnet"), "0", "route_localnet of the underlay")
    equal(node.sysctl("net/ipv4/conf/all/route_localnet"), "0", "route_localnet of all interfaces")
    mac = node.links()["eth0"]["address"]

    def attack(place, source, to, ifname="eth0"):
        own = place.links()[ifname]["address"]
        with wire(place, ifname) as send, place.capture(ifname) as back:
            for payload, proto in ((tcp(source, "127.0.0.1", 4000, PORT), 6), (udp(source, "127.0.0.1", 4000, PORT), 17)):
                send(ethernet(ip(source, "127.0.0.1", proto, payload), 0x0800, own, to))
            equal(place.ping(node.address(4)) is not None, place is world.outside, "a ping to the node as the control")
            equal(back.packets(lambda p: p.sport == PORT), [], f"an answer to {place.name}")
    attack(world.outside, world.outside.address(4), mac)
    attack(world.outside, "127.0.0.1", mac)
    attack(a, a.ip, GATEWAY_MAC)
    # A neighbour on the uplink itself, where route_localnet is on: what a router that went wrong could send.
    router = node.router("red")
    record = node.read_json("/run/fairlead/routers/red.json")
    outer = node.links()[record["uplink"]]["address"]
    with router.capture("ul") as back, wire(router, "ul") as send:
        own = router.links()["ul"]["address"]
        for payload, proto in ((tcp(record["router4"], "127.0.0.1", 4000, PORT), 6),
                               (udp(record["router4"], "127.0.0.1", 4000, PORT), 17)):
            send(ethernet(ip(record["router4"], "127.0.0.1", proto, payload), 0x0800, own, outer))
        send(ethernet(ip(record["router4"], record["host4"], 6, tcp(record["router4"], record["host4"], 4001, PORT)), 0x0800,
                      own, outer))
        back.wait(lambda p: p.sport == PORT and p.src == record["host4"], 1)     # the refusal of the control
        equal(back.packets(lambda p: p.src == "127.0.0.1"), [], "an answer from 127.0.0.1")


def published(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    world.network("red", RED)
    world.node.ctl_ok("service create web --network red --publish 8000:7000 --vip 10.32.255.1 --vip fd32::ffff:1")
    task = world.container("task", "red", services=["web"])
    serve(task)
    for family in (4, 6):
        eventually(lambda f=family: world.outside.tcp_request(world.node.address(f), 8000).name == "task", 3, "published")
    return world, task


def test_ISO_12_of_a_published_service_only_the_published_port_is_open(lab):
    world, task = published(lab)
    for family in (4, 6):
        address, own = world.node.address(family), world.outside.address(family)
        equal(world.outside.tcp_request(address, 8000).peer, own, "the client's own address arrives")
        unreachable(lambda a=address: world.outside.udp_request(a, 8000, timeout=0.4), "UDP")
        for port in (7000, 80, 7999, 8001):
            unreachable(lambda a=address, p=port: world.outside.tcp_request(a, p, timeout=0.4), f"port {port}")
    world.outside.must("ip route add 10.32.0.0/16 via", world.node.address(4))
    world.outside.must("ip -6 route add fd32::/64 via", world.node.address(6))
    for address in (task.ip, task.ip6):
        for port in (7000, 8000):
            unreachable(lambda a=address, p=port: world.outside.tcp_request(a, p, timeout=0.4), f"directly, port {port}")


def test_ISO_12_published_ports_are_open_to_the_node_and_to_other_networks(lab):
    world, task = published(lab)
    stranger = world.pair("blue", BLUE)[0]
    neighbour = world.container("neighbour", "red")
    for address in (world.node.address(4), world.node.address(6), "127.0.0.1", "::1"):
        equal(world.node.tcp_request(address, 8000).name, "task", f"from the node at {address}")
    for client in (stranger, neighbour, task):
        for family in (4, 6):
            equal(client.tcp_request(world.node.address(family), 8000).name, "task", f"from {client.name}")


def test_ISO_12_an_internal_networks_published_port_works_and_nothing_else_leaves(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    world.network("red", RED, "--internal")
    world.node.ctl_ok("service create web --network red --publish 8000:7000 --vip 10.32.255.1 --vip fd32::ffff:1")
    task = world.container("task", "red", services=["web"])
    serve(task)
    world.outside.serve_tcp(81)
    for family in (4, 6):
        eventually(lambda f=family: world.outside.tcp_request(world.node.address(f), 8000).name == "task", 3, "published")
        peer = world.outside.tcp_request(world.node.address(family), 8000).peer
        equal(peer, task.gateway if family == 4 else task.gateway6, "the container can only answer its own subnet")
    task.must("ip route add default via 10.32.0.1 dev eth0 onlink")
    task.must("ip -6 route add default via fd32::1 dev eth0 onlink")
    with world.outside.tcp_connect(world.node.address(4), 8000) as flow:
        equal(flow.ask().name, "task", "a connection from outside")
        for family in (4, 6):
            unreachable(lambda f=family: task.tcp_request(world.outside.address(f), 81, timeout=0.5), "back to the same client")
        equal(flow.ask().name, "task", "goes on")


def test_ISO_13_a_port_published_on_one_address_is_open_on_that_one_only(lab):
    world = World(lab)
    world.node.start_lb(["--balancer", "nft"])
    world.network("red", RED)
    world.node.must("ip address add 192.0.2.11/24 dev eth0")
    mappings = [{"hostPort": 8001, "containerPort": 7000, "protocol": "tcp", "hostIP": "127.0.0.1"},
                {"hostPort": 8002, "containerPort": 7000, "protocol": "tcp", "hostIP": "192.0.2.11"},
                {"hostPort": 8003, "containerPort": 7000, "protocol": "tcp"}]
    task = world.node.container("task")
    task.attach(conflist("red"), capabilities={"portMappings": mappings})
    serve(task)
    node, outside = world.node, world.outside
    eventually(lambda: outside.tcp_request(node.address(4), 8003).name == "task", 3, "published on every address")
    equal(node.tcp_request("127.0.0.1", 8001).name, "task", "on 127.0.0.1, from the node")
    equal(outside.tcp_request("192.0.2.11", 8002).name, "task", "on the second address")
    unreachable(lambda: outside.tcp_request(node.address(4), 8001, timeout=0.4), "127.0.0.1's port on the first address")
    unreachable(lambda: outside.tcp_request(node.address(4), 8002, timeout=0.4), "the second address' port on the first")
    with wire(outside) as send, outside.capture("eth0") as back:
        own, mac = outside.links()["eth0"]["address"], node.links()["eth0"]["address"]
        for port in (8001, 8003):
            for source in (outside.address(4), "127.0.0.1"):
                send(ethernet(ip(source, "127.0.0.1", 6, tcp(source, "127.0.0.1", 4000, port)), 0x0800, own, mac))
        send(ethernet(ip(outside.address(4), node.address(4), 6, tcp(outside.address(4), node.address(4), 4000, 8003)), 0x0800,
                      own, mac))
        back.wait(lambda p: p.proto == "tcp" and p.src == node.address(4) and p.sport == 8003, 1)
        equal(back.packets(lambda p: not p.outgoing and (p.src == "127.0.0.1" or p.sport == 8001)), [], "an answer from 127.0.0.1")


def test_ISO_22_a_container_cannot_speak_to_the_tunnel_ports_of_any_node(lab):
    world = World(lab)
    a, _ = world.pair()
    other = lab.host("n2", world.wire)
    vxlan = b"\x08\0\0\0\0\x10\x01\0" + bytes(14) + b"inner"
    for family, own in ((4, a.ip), (6, a.ip6)):
        for target in (world.node.address(family), other.address(family)):
            seen_at = "ul" + world.node.router_name("red")[3:] if target == world.node.address(family) else "eth0"
            place = other if seen_at == "eth0" else world.node

            def attack(t=target, o=own):
                for port in (4789, 4790, 4791, 4793):
                    send_udp(a, o, t, port, payload=vxlan, count=2)
                send_ip(a, o, t, 50, b"\0\0\x57\x57\0\0\0\1" + bytes(32), count=2)
            if place is other:
                sees_none(other, "eth0", attack, lambda t=target, o=own: send_udp(a, o, t, 4788, payload=vxlan),
                          lambda p: b"inner" in p.raw or p.proto == "esp", "a tunnel packet at the other node")
        attack(world.node.address(family), own)
        counted = world.node.must("nft list chain inet fairlead_host from_router")
        contains(counted, "counter packets", "the rules that did it")
    with world.node.socket(kind=socket.SOCK_DGRAM) as tunnel:
        tunnel.bind(("0.0.0.0", 4789))
        tunnel.settimeout(0.5)
        send_udp(world.outside, world.outside.address(4), world.node.address(4), 4789, payload=b"control",
                 dst_mac=world.node.links()["eth0"]["address"])
        equal(tunnel.recv(100), b"control", "what comes from outside is not this rule's business")
        send_udp(a, a.ip, world.node.address(4), 4789, payload=vxlan)
        silent(lambda: tunnel.recv(100), "a tunnel packet of a container at its own node")
    for port in (500, 4500):
        with world.node.socket(kind=socket.SOCK_DGRAM) as keys:
            keys.bind(("0.0.0.0", port))
            keys.settimeout(0.4)
            send_udp(a, a.ip, world.node.address(4), port)
            silent(lambda: keys.recv(100), f"UDP {port} of a container at its own node")
