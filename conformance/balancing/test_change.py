#!/usr/bin/python3
"""Changes while connections run: weights, draining, removal, UDP (LB-08, LB-13 to LB-18)."""
import re
import time

from lab import *
from .world import VIP, VIP6, World, both

TCP_UDP = [{"protocol": "tcp", "port": 80, "targetPort": 8080}, {"protocol": "udp", "port": 53, "targetPort": 5353}]


def _held(w, name, vip=VIP):
    """A connection that is known to be on that task."""
    for _ in range(20):
        flow = w.client.tcp_connect(vip, 80)
        if flow.ask().name == name:
            return flow
        flow.close()
    raise AssertionError(f"no connection came to {name}")


@both
def test_LB_08_weights_change_under_load_and_nothing_is_lost(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="wrr", weights={"t1": 1, "t2": 1})
    w.add_tasks(2)
    w.ready(2)
    held = [_held(w, "t1"), _held(w, "t2")]
    for weights in ({"t1": 3, "t2": 1}, {"t1": 1, "t2": 5}, {"t1": 0, "t2": 1}, {"t1": 1, "t2": 0}):
        w.service(scheduler="wrr", weights=weights)
        equal(sum(w.ask(50).values()), 50, "every connection is answered meanwhile")
        wanted = {t for t, weight in weights.items() if weight}
        eventually(lambda: set(w.ask(12)) == wanted, 1, f"the new split {weights}")
    for flow, name in zip(held, ("t1", "t2")):
        equal(flow.ask().name, name, "a connection from before all the edits")
    if balancer == "ipvs":
        lines = [line.split() for line in w.in_router("ipvsadm", "-Ln").splitlines() if ":8080" in line and "10.32" in line]
        true(all(int(line[5]) > 0 for line in lines), f"closed connections are still counted (no delete and add): {lines}")


@both
def test_LB_13_established_connections_of_a_stopping_task_go_on(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(2)
    w.ready(2)
    flow = _held(w, "t1")
    w.set_endpoint(w.tasks[0], state="stopping")
    eventually(lambda: set(w.ask(4)) == {"t2"}, 1, "new connections go elsewhere")
    equal(flow.ask().name, "t1", "the old one goes on")


@both
def test_LB_14_a_stopping_task_goes_when_its_time_is_over_and_not_earlier(lab, balancer):
    w = World(lab, balancer)
    w.service(drain="3s")
    w.add_tasks(2)
    w.ready(2)
    flow = _held(w, "t1")
    start = time.monotonic()
    w.set_endpoint(w.tasks[0], state="stopping")
    eventually(lambda: set(w.ask(4)) == {"t2"}, 1, "no new connections")
    while time.monotonic() < start + 2.5:
        equal(flow.ask().name, "t1", f"{time.monotonic() - start:.1f} s after the stop began")
        time.sleep(0.25)
    eventually(lambda: w.metric("fairlead_lb_backends", state="draining") == 0, 3, "it is out after 3 s")
    _reset(flow, 1 * lab.slow, "its connection is reset, not left hanging")
    w.set_endpoint(w.tasks[0], state="ready")
    w.ready(2)


@both
def test_LB_14_1_a_stopping_task_without_connections_goes_at_once(lab, balancer):
    w = World(lab, balancer)
    w.service(drain="60s", weights={"t2": 0})
    w.add_tasks(2)                                  # t2 never had a connection
    w.ready(1)
    w.set_endpoint(w.tasks[1], state="stopping")
    eventually(lambda: _backends(w) == [w.tasks[0].ip], 2, "only t1 is left")


def _backends(w):
    """IPv4 backends behind the VIP in the kernel, drained ones included for IPVS."""
    if w.balancer == "ipvs":
        lines = w.in_router("ipvsadm", "-Ln").splitlines()
        return sorted(line.split()[1].split(":")[0] for line in lines if line.strip().startswith("-> 10.32."))
    return sorted(set(re.findall(r"10\.32\.\d+\.\d+", w.in_router("nft list set inet fairlead_lb hairpin4"))))


def _reset(flow, within, why):
    """The flow's packets are answered by a reset; how long that took. Rules come first, then the flows, so there are some
    milliseconds in which a new connection goes elsewhere and an old one still works."""
    start = time.monotonic()
    while time.monotonic() < start + within:
        try:
            flow.ask()
        except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError):
            return time.monotonic() - start
        time.sleep(0.02)
    raise AssertionError(f"{why}: still answered after {within} s")


@both
def test_LB_16_a_connection_to_a_removed_task_is_reset(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(2)
    w.ready(2)
    for vip in (VIP, VIP6):
        flow = _held(w, "t1", vip)
        equal(flow.ask().name, "t1", "positive control")
        w.set_endpoint(w.tasks[0], services=[])
        eventually(lambda: set(w.ask(4, vip)) == {"t2"}, 1, "removed")
        _reset(flow, 1 * lab.slow, "the client is told")
        w.set_endpoint(w.tasks[0], services=["web"])
        w.ready(2)


@both
def test_LB_17_a_udp_flow_does_not_stay_on_a_removed_task(lab, balancer):
    w = World(lab, balancer)
    w.service(ports=TCP_UDP)
    w.add_tasks(2, udp=5353)
    w.ready(2)
    for vip in (VIP, VIP6):
        flow = w.client.udp_socket(vip, 53)
        first = flow.ask().name
        equal({flow.ask().name for _ in range(5)}, {first}, "a flow stays while its task does")
        task = next(t for t in w.tasks if t.name == first)
        w.set_endpoint(task, services=[])
        eventually(lambda: first not in w.ask(4, vip), 1, "removed")
        eventually(lambda: flow.ask(timeout=0.5).name != first, 1, "the next datagrams go elsewhere")
        equal({flow.ask(timeout=1).name for _ in range(5)}, {"t1", "t2"} - {first}, "and stay there")
        w.set_endpoint(task, services=["web"])
        w.ready(2)


@both
def test_LB_17_1_a_udp_flow_of_a_container_that_is_gone_moves(lab, balancer):
    w = World(lab, balancer)
    w.service(ports=TCP_UDP)
    w.add_tasks(2, udp=5353)
    w.ready(2)
    flow = w.client.udp_socket(VIP, 53)
    first = flow.ask().name
    next(t for t in w.tasks if t.name == first).detach()
    eventually(lambda: flow.ask(timeout=0.3).name != first, 1, "moved after DEL")


@both
def test_LB_17_2_a_udp_client_that_came_before_the_service_is_balanced_once_it_is_there(lab, balancer):
    w = World(lab, balancer)
    w.service(ports=[{"protocol": "tcp", "port": 80, "targetPort": 8080}])
    (task,) = w.add_tasks(1, udp=5353)
    w.ready(1)
    flow = w.client.udp_socket(VIP, 53)
    refused(lambda: flow.ask(), "no such port yet")
    w.service(ports=TCP_UDP)
    equal(eventually(lambda: flow.ask(timeout=0.3), 2, "the same socket, without a pause").name, "t1", "answered")


@both
def test_LB_18_udp_sticks_to_a_flow(lab, balancer):
    w = World(lab, balancer)
    w.service(ports=TCP_UDP)
    w.add_tasks(2, udp=5353)
    w.ready(2)
    flow = w.client.udp_socket(VIP, 53)
    equal(len({flow.ask().name for _ in range(8)}), 1, "8 datagrams from one socket")
    equal(sorted(w.ask_udp(8, port=53).values()), [4, 4], "8 sockets over two tasks")
