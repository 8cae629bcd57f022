#!/usr/bin/python3
"""What somebody else changes in the kernel comes back; what the daemon does not do to the kernel when it ends or starts
(LB-44, LB-45, LB-46)."""
import os
import threading
import time

from lab import *
from .world import VIP, VIP6, World, both

PORTS = [{"protocol": "tcp", "port": 80, "targetPort": 8080, "published": 8000}]


def _world(lab, balancer):
    w = World(lab, balancer, outside=True)
    w.service(ports=PORTS)
    w.add_tasks(2)
    w.ready(2)
    eventually(lambda: _answers(w.outside, w.node.address(4), 8000), 2, "published")
    return w


def _answers(client, address, port):
    try:
        return client.tcp_request(address, port, timeout=0.3)
    except OSError:
        return None


def _comes_back(w, harm, works, what):
    """harm() is undone within 2 s, counted, and the connections that were there before go on."""
    held = [w.client.tcp_connect(VIP, 80) for _ in range(2)]
    names = [flow.ask().name for flow in held]
    before = w.metric("fairlead_lb_repairs_total")
    harm()
    eventually(works, 2, what)
    eventually(lambda: w.metric("fairlead_lb_repairs_total") > before, 1, f"{what}: counted")
    equal(set(w.ask(8).values()), {4}, f"{what}: all is as before")
    equal([flow.ask().name for flow in held], names, f"{what}: connections from before")
    for flow in held:
        flow.close()


@both
def test_LB_44_nftables_somebody_removes_are_restored(lab, balancer):
    w = _world(lab, balancer)
    router = w.node.router("appnet")

    def has_table():
        return router.run("nft list table inet fairlead_lb").rc == 0 and "snat" in router.must("nft list table inet fairlead_lb")

    _comes_back(w, lambda: router.must("nft delete table inet fairlead_lb"), has_table, "the router's table")
    _comes_back(w, lambda: router.must("nft flush chain inet fairlead_lb postrouting"), has_table, "a flushed chain")
    _comes_back(w, lambda: router.must("nft add rule inet fairlead_lb postrouting counter drop"),
                lambda: "drop" not in router.must("nft list table inet fairlead_lb"), "a foreign rule in our table")
    _comes_back(w, lambda: router.must("nft flush set inet fairlead_lb hairpin4"),
                lambda: w.tasks[0].ip in router.must("nft list set inet fairlead_lb hairpin4"), "a flushed set")
    _comes_back(w, lambda: w.node.must("nft delete table inet fairlead_lb"),
                lambda: _answers(w.outside, w.node.address(4), 8000), "the host's table")
    router.must("nft add table inet foreign")
    time.sleep(1.5)
    contains(router.must("nft list tables"), "inet foreign", "somebody else's table is left alone")


def test_LB_44_1_nft_services_somebody_changes_are_restored(lab):
    w = _world(lab, "nft")
    router = w.node.router("appnet")
    works = lambda: _answers(w.client, VIP, 80)
    chain = "f_0a20ff01_tcp_80"
    _comes_back(w, lambda: router.must("nft flush map inet fairlead_lb service4"), works, "the service map")
    _comes_back(w, lambda: router.must(f"nft flush chain inet fairlead_lb {chain}"), works, "the service's chain")
    _comes_back(w, lambda: router.must("nft", "add", "rule", "inet", "fairlead_lb", chain, "meta l4proto tcp dnat ip to 10.32.0.99:1"),
                lambda: "10.32.0.99" not in router.must("nft list table inet fairlead_lb"), "a foreign backend")
    router.must("nft flush ruleset")
    w.node.must("nft flush ruleset")
    eventually(works, 2, "after a flush of everything")
    eventually(lambda: _answers(w.outside, w.node.address(4), 8000), 2, "published again")


@needs("ipvs")
def test_LB_44_2_ipvs_entries_somebody_changes_are_restored(lab):
    w = _world(lab, "ipvs")
    router = w.node.router("appnet")
    task = w.tasks[0].ip

    def listing():
        return router.must("ipvsadm", "-Ln")

    router.must("ipvsadm", "-A", "-t", "172.16.9.9:99", "-s", "rr")
    _comes_back(w, lambda: router.must("ipvsadm", "-e", "-t", f"{VIP}:80", "-r", f"{task}:8080", "-m", "-w", "7"),
                lambda: f"{task}:8080" in listing() and " 7 " not in listing(), "a changed weight")
    _comes_back(w, lambda: router.must("ipvsadm", "-E", "-t", f"{VIP}:80", "-s", "sh"),
                lambda: f"{VIP}:80 rr" in listing(), "a changed scheduler")
    _comes_back(w, lambda: router.must("ipvsadm", "-a", "-t", f"{VIP}:80", "-r", "10.32.0.99:1", "-m"),
                lambda: "10.32.0.99" not in listing(), "a foreign backend")
    _comes_back(w, lambda: router.sysctl("net.ipv4.vs.expire_nodest_conn", 0),
                lambda: router.sysctl("net.ipv4.vs.expire_nodest_conn") == "1", "a changed setting")
    contains(listing(), "172.16.9.9:99", "a service elsewhere is somebody else's and stays")
    for harm, what in ((("-d", "-t", f"{VIP}:80", "-r", f"{task}:8080"), "a deleted destination"),
                       (("-D", "-t", f"{VIP}:80"), "a deleted service"), (("-C",), "everything")):
        before = w.metric("fairlead_lb_repairs_total")
        router.must("ipvsadm", *harm)
        eventually(lambda: listing().count(":8080") == 8, 2, f"{what} is back")
        equal(set(w.ask(8).values()), {4}, f"{what}: all is as before")
        true(w.metric("fairlead_lb_repairs_total") > before, f"{what}: counted")


@both
def test_LB_44_3_a_vip_address_somebody_deletes_is_restored(lab, balancer):
    w = _world(lab, balancer)
    router = w.node.router("appnet")
    _comes_back(w, lambda: router.must(f"ip route del local {VIP} dev lo table local"), lambda: w.client.ping(VIP, timeout=0.1), "the IPv4 VIP")
    _comes_back(w, lambda: router.must(f"ip -6 route del local {VIP6} dev lo table local"),
                lambda: w.client.ping(VIP6, timeout=0.1), "the IPv6 VIP")
    _comes_back(w, lambda: w.node.must("ip -6 route flush table local proto 58"),
                lambda: _answers(w.node, "::1", 8000), "the way back of connections to ::1")


@both
def test_LB_45_the_daemon_dies_and_nobody_notices(lab, balancer):
    w = _world(lab, balancer)
    held = {(client, address): client.tcp_connect(address, port)
            for client, address, port in ((w.client, VIP, 80), (w.client, VIP6, 80), (w.outside, w.node.address(4), 8000))}
    names = {key: flow.ask().name for key, flow in held.items()}
    failures, end = [], threading.Event()

    def ask_all_the_time():
        while not end.is_set():
            try:
                w.client.tcp_request(VIP, 80)
            except OSError as error:
                failures.append(repr(error))

    thread = threading.Thread(target=ask_all_the_time)
    thread.start()
    try:
        for ending in (w.lb.kill9, w.lb.stop):
            ending()
            # How the turns fall to two clients at once is chance.
            equal(sum(w.ask(8).values()), 8, "the kernel goes on without it")
            equal({key: flow.ask().name for key, flow in held.items()}, names, "connections go on")
            w.lb.start()
            equal({key: flow.ask().name for key, flow in held.items()}, names, "and after it is back")
    finally:
        end.set()
        thread.join()
    equal(failures, [], "no connection failed meanwhile")
    equal(set(w.ask(8).values()), {4}, "round robin")
    equal(w.metric("fairlead_lb_repairs_total"), 0, "taking over is not a repair")


@both
def test_LB_45_1_what_changed_while_the_daemon_was_dead_is_made_up_for(lab, balancer):
    w = _world(lab, balancer)
    w.service("old", vips=["10.32.255.7"])
    eventually(lambda: w.client.ping("10.32.255.7"), 2, "a second VIP")
    w.lb.kill9()
    w.node.remove("/var/lib/fairlead/services/appnet/old.json")
    w.set_endpoint(w.tasks[0], services=[])
    w.add_tasks(1, first=3)
    w.lb.start()
    equal(set(w.ask(8)), {"t2", "t3"}, "who is behind the VIP")
    equal(w.client.ping("10.32.255.7", timeout=0.5), None, "the removed service's VIP")
    if balancer == "ipvs":
        lacks(w.in_router("ipvsadm", "-Ln"), "10.32.255.7", "its IPVS service")


@needs("ipvs")
def test_LB_45_2_the_other_balancer_takes_over(lab):
    w = _world(lab, "nft")
    for balancer in ("ipvs", "nft", "ipvs"):
        w.lb.stop()
        w.balancer, w.lb = balancer, w.node.start_lb(["--balancer", balancer])
        equal(set(w.ask(8).values()), {4}, f"by {balancer}")
        equal({w.outside.tcp_request(w.node.address(4), 8000).name for _ in range(4)}, {"t1", "t2"}, "published")
        listing = w.in_router("ipvsadm", "-Ln")
        equal(VIP in listing, balancer == "ipvs", "IPVS services are there for ipvs only")
        chains = w.in_router("nft list table inet fairlead_lb")
        equal("f_0a20ff01" in chains, balancer == "nft", "chains of services are there for nft only")


@both
@limit(180)
@alone
def test_LB_46_many_services(lab, balancer):
    services, groups, per_group = 200, 4, 5
    w = World(lab, balancer)
    for g in range(groups):
        names = [f"s{i}" for i in range(services) if i % groups == g]
        for t in range(per_group):
            task = w.container(f"g{g}t{t}", names)
            task.serve_tcp(8080)
    for i in range(services):
        w.service(f"s{i}", vips=[f"10.32.255.{i + 1}"])
    w.lb.stop()
    w.in_router("nft delete table inet fairlead_lb")
    if balancer == "ipvs":
        w.in_router("ipvsadm", "-C")
    took = measure(w.lb.start)
    lab.say(f"{services} services × {per_group} tasks in {took:.2f} s")
    true(took < 5 * lab.slow, f"made in {took:.1f} s")
    for i in (0, 57, services - 1):
        equal(len(w.ask(10, f"10.32.255.{i + 1}")), per_group, f"service s{i}")
    took = measure(w.lb.restart)
    true(took < 5 * lab.slow, f"taken over in {took:.1f} s")
    one = w.container("one", ["s7"])
    one.serve_tcp(8080)
    start = time.monotonic()
    eventually(lambda: "one" in w.ask(6, "10.32.255.8"), 1, "one task more in one service")
    lab.say(f"one more task after {time.monotonic() - start:.2f} s")
    time.sleep(1)
    cpu = w.lb.cpu_seconds()
    time.sleep(3)
    used = (w.lb.cpu_seconds() - cpu) / 3
    true(used < 0.1 * lab.slow, f"idle, it takes {used * 100:.1f} % of a core")


def test_LB_44_4_which_balancer_is_used(lab):
    """The option before node.json before what the kernel has; never something else than what was asked for by name."""
    has_ipvs = os.path.exists("/proc/net/ip_vs")
    w = World(lab, "auto")
    equal(w.status()["balancer"], "ipvs" if has_ipvs else "nft", "auto")
    w.lb.stop()
    w.node.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": "n1", "balancer": "nft"})
    w.lb = w.node.start_lb()
    equal(w.status()["balancer"], "nft", "node.json says so")
    w.lb.stop()
    if has_ipvs:
        w.lb = w.node.start_lb(["--balancer", "ipvs"])
        equal(w.status()["balancer"], "ipvs", "the option wins")
        w.lb.stop()
    else:
        result = w.node.run([lab.binary("fairlead-lb"), "--balancer", "ipvs"])
        equal(result.rc, 1, "refused")
        contains(result.err, "this kernel has no IPVS", "and says why")
    w.node.write("/var/lib/fairlead/node.json", {"balancer": "best"})
    result = w.node.run([lab.binary("fairlead-lb")])
    equal(result.rc, 1, "refused")
    contains(result.err, "node.json", "which file")
    contains(result.err, "balancer", "which field")
    contains(result.err, "expected ipvs, nft or auto", "what was expected")
    result = w.node.run([lab.binary("fairlead-lb"), "--balancer=best"])
    equal(result.rc, 2, "wrong usage")


@both
def test_LB_44_5_a_second_daemon_is_refused(lab, balancer):
    w = _world(lab, balancer)
    result = w.node.run([lab.binary("fairlead-lb"), "--balancer", balancer])
    equal(result.rc, 1, "refused")
    contains(result.err, "another instance", "why")
    equal(set(w.ask(8).values()), {4}, "the first one is not disturbed")
