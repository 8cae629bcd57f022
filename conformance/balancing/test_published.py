#!/usr/bin/python3
"""Published ports on one node (LB-39): from outside and from the node itself, both families, the client's address kept."""
import time

from lab import *
from .world import VIP, World, both

PORTS = [{"protocol": "tcp", "port": 80, "targetPort": 8080, "published": 8000},
         {"protocol": "udp", "port": 53, "targetPort": 5353, "published": 5300}]


def _answers(fn):
    try:
        return fn()
    except OSError:
        return None


def _world(lab, balancer, **keys):
    w = World(lab, balancer, outside=True)
    w.service(ports=PORTS, **keys)
    w.add_tasks(2, udp=5353)
    w.ready(2)
    eventually(lambda: _answers(lambda: w.outside.tcp_request(w.node.address(4), 8000)), 2, "the port is published")
    return w


@both
def test_LB_39_an_outside_clients_address_arrives(lab, balancer):
    w = _world(lab, balancer)
    for family in (4, 6):
        node, outside = w.node.address(family), w.outside.address(family)
        for ask in (lambda: w.outside.tcp_request(node, 8000), lambda: w.outside.udp_request(node, 5300)):
            answers = [ask() for _ in range(4)]
            equal({a.peer for a in answers}, {outside}, f"what the task sees, IPv{family}")
            equal({a.name for a in answers}, {"t1", "t2"}, "both tasks in turn")
    refused(lambda: w.outside.tcp_request(w.node.address(4), 8001), "a port that is not published")


@both
def test_LB_39_1_the_node_itself_reaches_the_port_on_every_address_of_its_own(lab, balancer):
    w = _world(lab, balancer)
    for address in (w.node.address(4), w.node.address(6), "127.0.0.1", "127.5.5.5", "::1"):
        names = {w.node.tcp_request(address, 8000).name for _ in range(4)}
        equal(names, {"t1", "t2"}, f"TCP to {address}")
        names = {w.node.udp_request(address, 5300).name for _ in range(4)}
        equal(names, {"t1", "t2"}, f"UDP to {address}")
        refused(lambda: w.node.tcp_request(address, 8001), f"{address}: a port that is not published")
    local = w.node.serve_tcp(7000, name="local")
    for address in ("127.0.0.1", "::1"):
        equal(w.node.tcp_request(address, 7000).name, "local", f"what the node itself serves on {address} is untouched")
    local.kill()


@both
def test_LB_39_2_containers_reach_the_published_port(lab, balancer):
    w = _world(lab, balancer)
    for family in (4, 6):
        equal({w.client.tcp_request(w.node.address(family), 8000).name for _ in range(4)}, {"t1", "t2"}, "from the same network")
    w.node.ctl_ok("network create other --subnet 10.40.0.0/24 --subnet fd40::/64")
    stranger = w.container("stranger", network="other")
    equal({stranger.tcp_request(w.node.address(4), 8000).name for _ in range(4)}, {"t1", "t2"}, "from another network")
    equal(w.tasks[0].tcp_request(w.node.address(4), 8000).name in ("t1", "t2"), True, "from a task of the service")


@both
def test_LB_39_3_without_a_task_the_published_port_refuses_at_once(lab, balancer):
    w = _world(lab, balancer)
    for task in w.tasks:
        w.set_endpoint(task, services=[])
    # One after the other: a request that fails while the first one goes says nothing about the second.
    eventually(lambda: all(_answers(lambda: w.outside.tcp_request(w.node.address(4), 8000)) is None for _ in range(4)), 2, "all are gone")
    for client, address in ((w.outside, w.node.address(4)), (w.outside, w.node.address(6)), (w.node, "127.0.0.1"), (w.node, "::1")):
        took = measure(lambda: refused(lambda: client.tcp_request(address, 8000), f"TCP to {address}"))
        true(took < 0.5 * lab.slow, "at once")
        refused(lambda: client.udp_request(address, 5300), f"UDP to {address}")


@both
def test_LB_39_4_unpublishing_ends_it_and_flows_move_with_the_port(lab, balancer):
    w = _world(lab, balancer)
    flow = w.outside.udp_socket(w.node.address(4), 5300)
    true(flow.ask().name in ("t1", "t2"), "positive control")
    w.service(ports=[{"protocol": "tcp", "port": 80, "targetPort": 8080}])
    eventually(lambda: _answers(lambda: w.outside.tcp_request(w.node.address(4), 8000)) is None, 2, "gone")
    refused(lambda: w.outside.tcp_request(w.node.address(4), 8000), "refused, not silent")
    eventually(lambda: "fairlead_lb" not in w.node.must("nft list tables"), 1, "a host that publishes nothing has no table of ours")
    eventually(lambda: "proto 58" not in w.node.must("ip -6 route show table local"), 1, "nor a route")
    w.node.ctl_ok("network create other --subnet 10.40.0.0/24 --subnet fd40::/64")
    other = w.container("o1", ["api"], network="other")
    other.serve_udp(5353)
    w.service("api", network="other", vips=[], ports=[PORTS[1]])
    equal(eventually(lambda: flow.ask(timeout=0.3), 2, "the same client socket").name, "o1", "the port's new owner answers")


@both
def test_LB_39_5_a_port_published_twice_stays_with_its_first_owner_and_both_are_named(lab, balancer):
    w = _world(lab, balancer)
    w.node.ctl_ok("network create a-first --subnet 10.40.0.0/24")          # first by name, second in time
    other = w.container("o1", ["aaa"], network="a-first")
    other.serve_tcp(8080)
    w.service("aaa", network="a-first", vips=[], ports=[PORTS[0]])
    problem = eventually(lambda: [p for p in w.status()["problems"] if "8000" in p["problem"]], 2, "a complaint")[0]
    contains(problem["problem"], "service a-first/aaa", "who wants it")
    contains(problem["problem"], "service appnet/web", "who has it")
    equal({w.outside.tcp_request(w.node.address(4), 8000).name for _ in range(4)}, {"t1", "t2"}, "it goes on as it was")
    w.lb.restart()
    equal({w.outside.tcp_request(w.node.address(4), 8000).name for _ in range(4)}, {"t1", "t2"}, "also after a restart")
    w.node.remove("/var/lib/fairlead/services/appnet/web.json")
    eventually(lambda: w.outside.tcp_request(w.node.address(4), 8000).name == "o1", 2, "the next in line gets it")


@both
def test_LB_39_6_port_mappings_of_a_container(lab, balancer):
    w = World(lab, balancer, outside=True)
    one = w.container("one", capabilities={"portMappings": [{"hostPort": 8000, "containerPort": 8080, "protocol": "tcp"},
                                                            {"hostPort": 5300, "containerPort": 5353, "protocol": "udp"}]})
    one.serve_tcp(8080), one.serve_udp(5353)
    bound = w.container("bound", capabilities={"portMappings": [{"hostPort": 8001, "containerPort": 8080, "protocol": "tcp",
                                                                 "hostIP": "127.0.0.1"}]})
    bound.serve_tcp(8080)
    for family in (4, 6):
        answer = eventually(lambda: w.outside.tcp_request(w.node.address(family), 8000), 2, "TCP from outside")
        equal((answer.name, answer.peer), ("one", w.outside.address(family)), "with the client's address")
        equal(w.outside.udp_request(w.node.address(family), 5300).name, "one", "UDP from outside")
    eventually(lambda: w.node.tcp_request("127.0.0.1", 8001).name == "bound", 2, "a mapping of 127.0.0.1 answers there")
    refused(lambda: w.node.tcp_request(w.node.address(4), 8001), "and on no other address")
    refused(lambda: w.outside.tcp_request(w.node.address(4), 8001), "nor from outside")
    one.detach()
    eventually(lambda: _answers(lambda: w.outside.tcp_request(w.node.address(4), 8000)) is None, 2, "it goes with its container")


@both
def test_LB_39_7_traffic_that_is_only_forwarded_is_left_alone(lab, balancer):
    wire, back = lab.segment("wire"), lab.segment("back")
    w = World(lab, balancer, outside=True, segments=(wire, back), forwarding=True)
    behind = lab.outside(back, name="behind", address=50)
    behind.serve_tcp(8000)
    w.outside.must("ip", "route", "add", "192.0.3.0/24", "via", w.node.address(4))
    behind.must("ip", "route", "add", "192.0.2.0/24", "via", w.node.address(4, 1))
    equal(w.outside.tcp_request(behind.address(4), 8000).name, "behind", "positive control: the node forwards")
    w.service(ports=PORTS)
    w.add_tasks(2, udp=5353)
    eventually(lambda: w.outside.tcp_request(w.node.address(4), 8000).name in ("t1", "t2"), 2, "the port is published")
    equal(w.outside.tcp_request(w.node.address(4, 1), 8000).name in ("t1", "t2"), True, "on the node's other address, too")
    equal(w.outside.tcp_request(behind.address(4), 8000).name, "behind", "the same port of another machine is not ours")


@both
def test_LB_39_8_neighbours_and_containers_cannot_use_the_loopback_addresses(lab, balancer):
    w = _world(lab, balancer)
    secret = w.node.serve_tcp(7000, name="secret", address="127.0.0.1")
    equal(w.node.tcp_request("127.0.0.1", 7000).name, "secret", "positive control")
    for client, gateway, link in ((w.outside, w.node.address(4), "eth0"), (w.client, w.client.gateway, "eth0")):
        client.must("ip", "route", "del", "local", "127.0.0.0/8", "table", "local")
        client.must("ip", "link", "set", "lo", "down")
        client.sysctl(f"net.ipv4.conf.{link}.route_localnet", 1)
        client.must("ip", "route", "add", "127.0.0.0/8", "via", gateway, "dev", link, "onlink")
        source = client.address(4) if client is w.outside else client.ip
        silent(lambda: client.tcp_request("127.0.0.1", 7000, src=source, timeout=1), "another machine's loopback")
        silent(lambda: client.tcp_request("127.0.0.1", 8000, src=source, timeout=1), "also for a published port")
    equal(w.node.tcp_request("127.0.0.1", 7000).name, "secret", "positive control at the end")
