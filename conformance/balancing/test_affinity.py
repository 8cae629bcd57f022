#!/usr/bin/python3
"""Affinity: a client stays with its task for a time (LB-09, LB-12)."""
import socket
import struct
import time

from lab import *
from .world import VIP, VIP6, World, both


def _ask_and_reset(w, vip):
    """A connection that leaves nothing behind (IPVS keeps a client's template as long as one of its connections lingers)."""
    with w.client.tcp_connect(vip, 80) as flow:
        flow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return flow.ask().name


@both
@limit(150)
def test_LB_09_a_client_stays_with_its_task_until_its_time_is_over(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(3)
    w.ready(3)
    seconds = int(3 * lab.slow)
    w.service(affinitySeconds=seconds)
    other = w.container("other")
    for vip in (VIP, VIP6):
        eventually(lambda: len({_ask_and_reset(w, vip) for _ in range(6)}) == 1, 2, "six connections, one task")
        mine = _ask_and_reset(w, vip)
        names = set()
        for _ in range(6):
            equal(_ask_and_reset(w, vip), mine, "still the same task")
            names.add(other.tcp_request(vip, 80).name)
            time.sleep(0.2)
        equal(len(names), 1, "another client has a task of its own")
    mine = _ask_and_reset(w, VIP)
    true(_remembered(w), "positive control: the kernel remembers the client")
    # IPVS looks at a template whose time is over while one of its connections lingers again only after 60 s
    # (ip_vs_conn_expire); one that was reset lingers for 10 s.
    eventually(lambda: not _remembered(w), (seconds + 3 if balancer == "nft" else 90) / lab.slow, "forgotten", every=0.2)
    names = set()
    for _ in range(3):
        names.add(_ask_and_reset(w, VIP))
        if balancer == "ipvs":
            break
        time.sleep(seconds + 0.3)
    true(names > {mine} or balancer == "ipvs", f"balanced anew after its time, got {names}")


def _remembered(w):
    if w.balancer == "ipvs":
        return any(f"{w.client.ip}:0 " in line for line in w.in_router("ipvsadm", "-Lnc").splitlines())
    return w.client.ip in w.in_router("nft list map inet fairlead_lb a_0a20ff01_tcp_80")


@both
def test_LB_12_affinity_does_not_hold_a_client_on_a_stopping_task(lab, balancer):
    w = World(lab, balancer)
    w.service(affinitySeconds=600)
    w.add_tasks(3)
    eventually(lambda: w.ask(1), 2, "the service answers")
    for vip in (VIP, VIP6):
        eventually(lambda: len(w.ask(4, vip)) == 1, 2, "settled")
        (mine,) = w.ask(4, vip)
        task = next(t for t in w.tasks if t.name == mine)
        w.set_endpoint(task, state="stopping")
        eventually(lambda: mine not in w.ask(3, vip), 1.5, "the next connection moves")
        equal(len(w.ask(6, vip)), 1, "and stays where it has moved to")
        w.set_endpoint(task, state="ready")


@both
def test_LB_09_1_affinity_survives_a_restart_of_the_daemon_and_changes_of_other_tasks(lab, balancer):
    w = World(lab, balancer)
    w.service(affinitySeconds=600)
    w.add_tasks(3)
    eventually(lambda: w.ask(1), 2, "the service answers")
    clients = [w.client] + [w.container(f"c{i}") for i in range(4)]
    eventually(lambda: all(len(w.ask(2, client=c)) == 1 for c in clients), 2, "settled")
    before = {c.name: w.ask(1, client=c) for c in clients}
    true(len({tuple(b) for b in before.values()}) > 1, "the clients are on different tasks")
    w.lb.kill9()
    equal({c.name: w.ask(1, client=c) for c in clients}, before, "while the daemon is dead")
    w.lb.start()
    equal({c.name: w.ask(1, client=c) for c in clients}, before, "after its restart")
    w.add_tasks(1, first=4)
    time.sleep(0.5)
    equal({c.name: w.ask(1, client=c) for c in clients}, before, "after a task more")
