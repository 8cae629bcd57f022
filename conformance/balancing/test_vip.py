#!/usr/bin/python3
"""A service's VIP: who is behind it, and in which order (LB-01 to LB-05, LB-23 to LB-26, LB-35, LB-47, LB-48)."""
import errno
import socket
import time

from lab import *
from .world import VIP, VIP6, World, both


@both
def test_LB_01_every_task_of_the_service_and_no_other_is_behind_the_vip(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(3)
    stranger = w.container("stranger", ["other"])
    stranger.serve_tcp(8080)
    w.ready(3)
    equal(set(w.ask(12)), {"t1", "t2", "t3"}, "who answers at the VIP")
    equal(set(w.ask(12, VIP6)), {"t1", "t2", "t3"}, "who answers at the IPv6 VIP")
    equal(w.client.tcp_request(VIP, 80).peer, w.client.ip, "the backend sees the caller's own address")
    equal(w.client.tcp_request(VIP6, 80).peer, w.client.ip6, "the backend sees the caller's own IPv6 address")
    true(w.client.ping(VIP), "the VIP answers pings")


@both
def test_LB_02_round_robin_is_exact(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="rr")
    w.add_tasks(3)
    w.ready(3)
    equal(sorted(w.ask(30).values()), [10, 10, 10], "30 connections over 3 tasks")
    equal(sorted(w.ask(30, VIP6).values()), [10, 10, 10], "30 IPv6 connections over 3 tasks")


@both
def test_LB_03_weighted_round_robin_is_exact(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="wrr", weights={"t1": 1, "t2": 1, "t3": 1})
    w.add_tasks(3)
    w.ready(3)
    w.service(scheduler="wrr", weights={"t1": 3, "t2": 1, "t3": 0})
    eventually(lambda: "t3" not in w.ask(8), 2, "weight 0 gets no new connections")
    w.service(scheduler="rr", weights={"t1": 3, "t2": 1, "t3": 0})       # and back, so that counting starts anew
    eventually(lambda: set(w.ask(8).values()) == {4}, 2, "rr looks at weight 0 only")
    w.service(scheduler="wrr", weights={"t1": 3, "t2": 1, "t3": 0})
    eventually(lambda: w.ask(4)["t1"] == 3, 2, "the weights are in force")
    equal(dict(w.ask(40)), {"t1": 30, "t2": 10}, "40 connections at 3:1:0")


@both
def test_LB_04_least_connections_fills_up_the_idle_task(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="lc")
    w.add_tasks(2)
    w.ready(2)
    time.sleep(0.6)                              # nothing is open; the nft balancer samples every 250 ms
    held = [w.client.tcp_connect(VIP, 80) for _ in range(10)]
    at = {flow: flow.ask().name for flow in held}
    equal(sorted(list(at.values()).count(t) for t in ("t1", "t2")), [5, 5], "10 connections that stay open")
    for flow, name in at.items():
        if name == "t1":
            flow.close()
    time.sleep(0.6)
    held2 = [w.client.tcp_connect(VIP, 80) for _ in range(5)]
    equal([flow.ask().name for flow in held2], ["t1"] * 5, "five more go to the task that has none")


@both
def test_LB_04_1_weighted_least_connections_counts_by_weight(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="wlc", weights={"t1": 3, "t2": 1})
    w.add_tasks(2)
    w.ready(2)
    time.sleep(0.6)
    held = [w.client.tcp_connect(VIP, 80) for _ in range(12)]
    names = [flow.ask().name for flow in held]
    equal([names.count("t1"), names.count("t2")], [9, 3], "12 connections that stay open, weights 3:1")


@needs("ipvs")
def test_LB_05_every_scheduler_of_the_kernel_is_taken(lab):
    w = World(lab, "ipvs")
    w.service()
    w.add_tasks(2)
    w.ready(2)
    for scheduler in "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh".split():
        w.service(scheduler=scheduler)
        eventually(lambda: any(line.split()[1:3] == [f"{VIP}:80", scheduler] for line in w.in_router("ipvsadm", "-Ln").splitlines()),
                   3, f"scheduler {scheduler}")
        true(w.client.tcp_request(VIP, 80).name in ("t1", "t2"), f"{scheduler} balances")
    equal(w.problems(), "", "no complaint")


def test_LB_05_1_a_scheduler_only_ipvs_has_is_refused_by_nft_and_nothing_changes(lab):
    w = World(lab, "nft")
    w.service()
    w.service("api", vips=["10.32.255.2"])
    w.add_tasks(2)
    api = w.container("a1", ["api"])
    api.serve_tcp(8080)
    w.ready(2)
    for scheduler in "lblc lblcr dh sed nq fo ovf".split():
        w.service(scheduler=scheduler)
        eventually(lambda: f"scheduler {scheduler} needs the ipvs balancer" in w.problems(), 2, scheduler)
        equal(sorted(w.ask(10).values()), [5, 5], "the service goes on as it was")
    equal(w.client.tcp_request("10.32.255.2", 80).name, "a1", "and so does its neighbour")
    w.service(scheduler="mh")
    eventually(lambda: w.problems() == "", 2, "the complaint goes with its cause")
    equal(len(w.ask(10)), 1, "mh keeps a client on one task")


@both
def test_LB_05_2_a_document_with_an_unknown_scheduler_is_reported_and_the_others_work(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(2)
    w.ready(2)
    w.service("bad", vips=["10.32.255.2"], scheduler="fastest")
    eventually(lambda: "bad.json" in w.problems() and "scheduler" in w.problems(), 2, "path and field")
    equal(sorted(w.ask(10).values()), [5, 5], "the good service")


@both
def test_LB_23_a_task_reaches_itself_through_its_vip(lab, balancer):
    w = World(lab, balancer)
    w.service(ports=[{"protocol": "tcp", "port": 80, "targetPort": 8080}, {"protocol": "udp", "port": 53, "targetPort": 5353}])
    (task,) = w.add_tasks(1, udp=5353)
    w.ready(1)
    for vip, gateway in ((VIP, "10.32.0.1"), (VIP6, task.gateway6 or "fd32::1")):
        answer = task.tcp_request(vip, 80)
        equal((answer.name, answer.peer), ("t1", gateway), f"TCP to itself through {vip} comes from the gateway")
        answer = task.udp_request(vip, 53)
        equal((answer.name, answer.peer), ("t1", gateway), f"UDP to itself through {vip}")
    other = w.container("other")
    equal(other.tcp_request(VIP, 80).peer, other.ip, "everybody else keeps their address")


@both
def test_LB_24_the_router_itself_reaches_the_vip(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(2)
    w.ready(2)
    router = w.node.router("appnet")
    equal(set(w.ask(4, client=router)), {"t1", "t2"}, "from inside the router")


@both
def test_LB_25_the_vip_is_an_address_of_the_router_as_long_as_the_service_is_there(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(1)
    w.ready(1)
    contains(w.in_router("ip route show table local"), f"local {VIP} dev lo proto 58", "the VIP's route")
    true(w.client.ping(VIP) and w.client.ping(VIP6), "it answers pings")
    w.node.remove("/var/lib/fairlead/services/appnet/web.json")
    eventually(lambda: VIP not in w.in_router("ip route show table local"), 2, "gone with the service")
    equal(w.client.ping(VIP, timeout=0.5), None, "no ping any more")


@both
def test_LB_26_a_service_without_a_task_refuses_at_once(lab, balancer):
    w = World(lab, balancer)
    ports = [{"protocol": "tcp", "port": 80, "targetPort": 8080}, {"protocol": "udp", "port": 53, "targetPort": 5353}]
    w.service(ports=ports)
    eventually(lambda: w.client.ping(VIP), 2, "the VIP is there")

    def all_refuse(why):
        for vip in (VIP, VIP6):
            took = measure(lambda: refused(lambda: w.client.tcp_request(vip, 80), f"TCP to {vip}: {why}"))
            true(took < 0.5 * lab.slow, f"at once, not after {took:.2f} s")
            refused(lambda: w.client.udp_request(vip, 53), f"UDP to {vip}: {why}")

    all_refuse("no task")
    w.add_tasks(1, udp=5353)
    w.ready(1)
    equal(w.client.udp_request(VIP, 53).name, "t1", "positive control")
    w.service(ports=ports, weights={"t1": 0})
    eventually(lambda: not _answers(w.client, VIP), 2, "weight 0 is in force")
    all_refuse("all weights 0")


def _answers(client, vip, port=80):
    try:
        return client.tcp_request(vip, port)
    except OSError:
        return None


@both
def test_LB_27_a_closed_port_of_a_task_is_refused(lab, balancer):
    w = World(lab, balancer)
    w.service()
    (task,) = w.add_tasks(1)
    w.ready(1)
    task.server.kill()
    refused(lambda: w.client.tcp_request(VIP, 80), "the task's own reset comes back")


@both
def test_LB_48_icmp_errors_of_a_task_come_from_the_vip(lab, balancer):
    """An error about a packet that was rewritten must speak of the packet the client sent, else the client ignores it."""
    w = World(lab, balancer)
    w.service(ports=[{"protocol": "udp", "port": 81, "targetPort": 8081}])
    (task,) = w.add_tasks(1)
    server = task.serve_udp(8081)
    eventually(lambda: w.client.udp_request(VIP, 81, timeout=0.3).name == "t1", 3, "the task answers")
    with w.client.udp_socket(VIP, 81) as flow:
        equal(flow.ask("x").name, "t1", "a flow of its own")
        server.kill()
        refused(lambda: flow.ask("x"), "port unreachable reaches the socket that is connected to the VIP")
    host_end = next(i["name"] for i in task.attachment["interfaces"] if not i.get("sandbox"))
    w.in_router(f"ip link set {host_end} mtu 1300")
    sock = w.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, 10, 2)       # IP_MTU_DISCOVER, IP_PMTUDISC_DO (linux/in.h)
    sock.connect((VIP, 81))

    def told():
        try:
            sock.send(b"x" * 1372)
        except OSError as error:
            return error.errno == errno.EMSGSIZE
        return False
    eventually(told, 3, "what is too large for the task's link is said by the VIP")
    contains(w.client.must(f"ip route get {VIP}"), "mtu 1300", "the size that would fit")
    sock.close()


@both
def test_LB_35_a_vip_from_elsewhere_is_not_served(lab, balancer):
    w = World(lab, balancer)
    w.add_tasks(1)
    w.service(vips=[VIP, "fd32::ffff:1"])
    w.ready(1)
    for bad in ("1.1.1.1", "10.32.0.1", w.client.ip, "192.0.2.1", "fd57::1"):
        w.service("evil", vips=[bad], ports=[{"protocol": "tcp", "port": 99, "targetPort": 8080}])
        eventually(lambda: f"VIP {bad} is not in the VIP pool" in w.problems(), 2, f"{bad} is refused by name")
        lacks(w.in_router("ip route show table local") + w.in_router("ip -6 route show table local"), f"local {bad} dev lo proto 58", bad)
    equal(w.client.tcp_request(VIP, 80).name, "t1", "the honest service works")


@both
def test_LB_35_1_a_backend_outside_the_network_is_not_used(lab, balancer):
    w = World(lab, balancer)
    w.service()
    good, evil = w.add_tasks(2)
    w.ready(2)
    for address in ("127.0.0.1", "169.254.169.254", "10.33.0.5", "10.32.0.1", VIP, "192.0.2.1"):
        w.set_endpoint(evil, addresses=[address])
        eventually(lambda: f"address {address} " in w.problems(), 2, f"{address} is named")
        equal(set(w.ask(6)), {"t1"}, f"nothing goes to {address}")
    w.set_endpoint(evil, addresses=[evil.ip, evil.ip6])
    w.ready(2)


@both
def test_LB_47_two_networks_with_the_same_vip_do_not_meet(lab, balancer):
    w = World(lab, balancer)
    w.node.ctl_ok("network create second --subnet 10.32.0.0/16 --subnet fd32::/64")
    w.service()
    w.add_tasks(1)
    w.service(network="second")
    stranger = w.container("s1", ["web"], network="second")
    stranger.serve_tcp(8080)
    client2 = w.container("client2", network="second")
    w.ready(1)
    w.ready(1, client=client2)
    equal(set(w.ask(6)), {"t1"}, "the first network's clients")
    equal(set(w.ask(6, client=client2)), {"s1"}, "the second network's clients")
