#!/usr/bin/python3
"""Health checks of this node's tasks (LB-28, LB-29, LB-31, LB-33)."""
import threading
import time

from lab import *
from .world import Pulse, VIP, VIP6, World, both

INTERVAL = 0.4


def _health(kind, port, **keys):
    return {"type": kind, "port": port, "interval": f"{int(INTERVAL * 1000)}ms", "timeout": "200ms", "unhealthyAfter": 2, **keys}


class Asker:
    """Asks the VIP all the time, as a client would; remembers when it met a closed port."""

    def __init__(self, w, vip=VIP):
        self.w, self.vip = w, vip
        self.failures, self.end = [], False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.end:
            try:
                self.w.client.tcp_request(self.vip, 80, timeout=2 * self.w.lab.slow)
            except (ConnectionRefusedError, ConnectionResetError):
                self.failures.append(time.monotonic())
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end = True
        self.thread.join()


@both
@alone
def test_LB_28_a_task_that_stops_listening_is_out_in_time_and_comes_back(lab, balancer):
    w = World(lab, balancer)
    w.service(health=_health("tcp", 8080))
    w.add_tasks(2)
    w.ready(2)
    with Asker(w) as asker, Pulse() as pulse:
        time.sleep(1)
        equal(asker.failures, [], "positive control: nothing fails while both are well")
        start = time.monotonic()
        w.tasks[0].server.kill()
        bound = INTERVAL * 2 + 0.2
        time.sleep(bound * lab.slow + 1.5)
        true(asker.failures, "some connections met the closed port")
        last = max(asker.failures) - start
        allowed = (bound + 0.05) * lab.slow + 4 * pulse.late
        true(last <= allowed, f"the last one {last:.2f} s after the server died, allowed {allowed:.2f} s")
    path = "/run/fairlead/health/appnet/web.json"
    unhealthy = w.node.read_json(path)["unhealthy"]
    equal([name.startswith(w.tasks[0].id) for name in unhealthy], [True], "the health document names it")
    equal(w.metric("fairlead_lb_backends", service="web", state="unhealthy"), 1, "so do the metrics")
    w.tasks[0].serve_tcp(8080)
    w.ready(2, within=INTERVAL + 1)
    eventually(lambda: w.node.read_json(path)["unhealthy"] == [], 1, "forgiven")


@both
@alone
def test_LB_28_1_a_task_that_drops_packets_silently_is_out_in_time(lab, balancer):
    w = World(lab, balancer)
    w.service(health=_health("tcp", 8080))
    w.add_tasks(2)
    for vip in (VIP, VIP6):
        w.ready(2, vip=vip)
    task = w.tasks[0]
    task.must("nft add table inet hole")
    task.must("nft add chain inet hole in { type filter hook input priority 0; }")
    path = "/run/fairlead/health/appnet/web.json"
    with Pulse() as pulse:
        task.must("nft add rule inet hole in tcp dport 8080 drop")
        start = time.monotonic()
        eventually(lambda: w.node.read_json(path)["unhealthy"], INTERVAL * 2 + 4, "a time-out counts as a failure")
        took = time.monotonic() - start
    bound = (INTERVAL * 2 + 0.2 + 0.05) * lab.slow + 4 * pulse.late
    true(took <= bound, f"out after {took:.2f} s, allowed {bound:.2f} s")
    eventually(lambda: set(w.ask(4, timeout=0.3)) == {"t2"}, 1, "nothing goes there any more")
    task.must("nft flush table inet hole")
    w.ready(2, within=2)


@both
def test_LB_28_2_a_new_task_gets_no_connection_before_its_first_good_check(lab, balancer):
    w = World(lab, balancer)
    w.service(health=_health("tcp", 8080))
    w.add_tasks(1)
    w.ready(1)
    late = w.container("t2", ["web"])
    for _ in range(60):
        equal(w.client.tcp_request(VIP, 80).name, "t1", "a task that does not listen yet")
        time.sleep(0.01)
    late.serve_tcp(8080)
    w.ready(2, within=INTERVAL + 1)


@both
def test_LB_28_3_an_unhealthy_task_keeps_its_connections_while_it_drains_and_loses_its_udp_flows(lab, balancer):
    w = World(lab, balancer)
    ports = [{"protocol": "tcp", "port": 80, "targetPort": 8080}, {"protocol": "udp", "port": 53, "targetPort": 5353}]
    w.service(ports=ports, health=_health("http", 9000), drain="30s")
    w.add_tasks(2, udp=5353)
    checks = {task.name: task.serve_http(9000) for task in w.tasks}
    w.ready(2)
    tcp = [w.client.tcp_connect(VIP, 80) for _ in range(2)]
    at = {flow.ask().name: flow for flow in tcp}
    udp = w.client.udp_socket(VIP, 53)
    victim = udp.ask().name
    checks[victim].status = 503
    eventually(lambda: victim not in w.ask(4), INTERVAL * 2 + 1, "no new connections")
    eventually(lambda: udp.ask(timeout=0.5).name != victim, 1, "the UDP flow has moved")
    equal(at[victim].ask().name, victim, "its TCP connection goes on")


@both
def test_LB_29_the_http_status_decides(lab, balancer):
    w = World(lab, balancer)
    w.service(health=_health("http", 9000, path="/healthz", host="web.example.com"))
    (task,) = w.add_tasks(1)
    check = task.serve_http(9000)
    w.ready(1)
    contains(check.log()[-1], f"http {task.gateway} GET /healthz web.example.com", "who asks, and for what")
    for status, good in ((500, False), (204, True), (404, False), (302, True), (199, False), (399, True), (400, False), (200, True)):
        check.status = status
        eventually(lambda: (w.metric("fairlead_lb_backends", service="web", state="unhealthy") == 0) == good,
                   INTERVAL * 2 + 0.6, f"{status} is {'good' if good else 'bad'}")
    check.pause()
    eventually(lambda: w.metric("fairlead_lb_backends", service="web", state="unhealthy") == 1, INTERVAL * 2 + 0.6, "no answer in time")
    refused(lambda: w.client.tcp_request(VIP, 80), "nobody is left")
    check.resume()
    w.ready(1)


@both
def test_LB_33_when_all_are_unhealthy_the_service_refuses_and_recovers(lab, balancer):
    w = World(lab, balancer)
    w.service(health=_health("tcp", 8080), drain="0s")
    w.add_tasks(2)
    w.ready(2)
    for task in w.tasks:
        task.server.kill()
    eventually(lambda: w.metric("fairlead_lb_backends", service="web", state="serving") == 0, INTERVAL * 2 + 0.6, "both are out")
    took = measure(lambda: refused(lambda: w.client.tcp_request(VIP, 80), "refused"))
    true(took < 0.5 * lab.slow, "at once")
    for task in w.tasks:
        task.serve_tcp(8080)
    w.ready(2, within=INTERVAL + 1)


@limit(120)
@alone
def test_LB_31_black_holes_cost_the_others_nothing(lab):
    w = World(lab, "nft")
    count = 10
    tasks = w.add_tasks(count, service="s0")
    names = [f"s{i}" for i in range(20)]
    for task in tasks:
        task.must("nft add table inet hole")
        task.must("nft add chain inet hole in { type filter hook input priority 0; }")
        task.must("nft add rule inet hole in tcp dport 9999 drop")
        w.set_endpoint(task, services=names)
    for i, name in enumerate(names):                    # 100 checks that are answered and 100 that are not
        w.service(name, vips=[f"10.32.255.{i + 1}"], health=_health("tcp", 8080 if i % 2 else 9999))
    eventually(lambda: w.metric("fairlead_lb_backends", state="serving") == 10 * count, 3, "the answered half is in service")
    before, cpu, files = w.metric("fairlead_lb_health_checks_total"), w.lb.cpu_seconds(), w.lb.open_files()
    start = time.monotonic()
    time.sleep(4)
    span = time.monotonic() - start
    made = w.metric("fairlead_lb_health_checks_total") - before
    wanted = 200 * span / INTERVAL
    true(abs(made - wanted) < 0.2 * wanted, f"{made} checks in {span:.1f} s, wanted {wanted:.0f} ± 20 %")
    equal(w.metric("fairlead_lb_backends", state="serving"), 10 * count, "nobody suffers")
    used = (w.lb.cpu_seconds() - cpu) / span
    true(used < 0.2 * lab.slow, f"{used * 100:.0f} % of a core")
    true(w.lb.open_files() < files + 110, f"{w.lb.open_files()} descriptors")
