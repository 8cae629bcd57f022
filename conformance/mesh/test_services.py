#!/usr/bin/python3
"""OVL-20 to OVL-29: one service whose tasks are on several nodes, for containers on any of them and for clients outside."""
from lab import *
from .cluster import WITHIN, Cluster

both = variants(balancer=["nft", ("ipvs", "ipvs")])
VIPS = ["10.32.255.1", "fd32::ffff:1"]


class World(Cluster):
    """web on the first nodes (a task each, port 8080, behind VIPs and published as 8000), a client on the last node."""

    def __init__(self, lab, balancer, count=3, tasks=2, **keys):
        super().__init__(lab, count, balancer=balancer, **keys)
        self.start_services()
        self.service("web", vips=VIPS, ports=[{"protocol": p, "port": 80, "targetPort": 8080, "published": 8000} for p in ("tcp", "udp")])
        self.tasks = [self.task(node) for node in self.nodes[:tasks]]
        self.client = self.container(self.nodes[-1], "client")
        for node in self.nodes:     # a node without a container has no router, and publishes nothing yet
            if not node.containers:
                self.container(node, f"idle-{node.name}")
        self.publish()

    def task(self, node):
        task = self.container(node, f"web-{node.name}", services=["web"])
        task.serve_tcp(8080)
        task.serve_udp(8080)
        return task

    def names(self, client, address, port=80, count=6, udp=False):
        ask = client.udp_request if udp else client.tcp_request
        return sorted(ask(address, port, timeout=1).name for _ in range(count))

    def served_by_all(self, client, address, port=80, **how):
        wanted = sorted(task.name for task in self.tasks)
        return lambda: sorted(set(self.names(client, address, port, **how))) == wanted


@both
def test_OVL_20_a_vip_leads_to_tasks_of_every_node(lab, balancer):
    world = World(lab, balancer)
    for client in (world.client, world.tasks[0]):
        for vip in VIPS:
            eventually(world.served_by_all(client, vip), 5, f"{client.name} by {vip}")
    equal(world.names(world.client, VIPS[0], count=8).count("web-n1"), 4, "in turn")
    for vip, own in ((VIPS[0], world.client.ip), (VIPS[1], world.client.ip6)):
        equal(world.client.tcp_request(vip, 80).peer, own, "the task sees the client's own address")
        equal(world.client.udp_request(vip, 80).peer, own, "by UDP, too")


@both
def test_OVL_21_names_lead_to_containers_of_every_node(lab, balancer):
    world = World(lab, balancer)
    eventually(lambda: len(world.client.dns("tasks.web").addresses) == 2, WITHIN, "both tasks")
    equal(sorted(world.client.dns("tasks.web").addresses), sorted(task.ip for task in world.tasks), "tasks.web")
    equal(world.client.dns("web").addresses, [VIPS[0]], "web")
    equal(world.client.dns("web", "AAAA").addresses, [VIPS[1]], "web, IPv6")
    name = world.tasks[0].id[:12]
    equal(world.client.dns(name).addresses, [world.tasks[0].ip], "a container of another node by its id")


@both
def test_OVL_22_a_task_that_goes_is_left_out_on_other_nodes(lab, balancer):
    world = World(lab, balancer)
    eventually(world.served_by_all(world.client, VIPS[0]), 5, "both")
    gone = world.tasks.pop()
    gone.detach()
    world.publish()
    eventually(lambda: set(world.names(world.client, VIPS[0], count=4)) == {"web-n1"}, WITHIN, "only the other one")
    eventually(lambda: world.client.dns("tasks.web").addresses == [world.tasks[0].ip], WITHIN, "in the names, too")
    # A node that died: its documents are taken away.
    world.nodes[0].remove("/run/fairlead/endpoints/appnet/" + world.nodes[0].listdir("/run/fairlead/endpoints/appnet")[0])
    for name in list(world.nodes[0].listdir("/run/fairlead/endpoints/appnet")):
        world.nodes[0].remove(f"/run/fairlead/endpoints/appnet/{name}")
    world.publish()

    def nobody():
        try:
            world.client.tcp_request(VIPS[0], 80, timeout=0.5)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
    eventually(nobody, WITHIN, "refused at once: no task is left")


@both
def test_OVL_23_what_a_node_says_about_its_tasks_health_counts_everywhere(lab, balancer):
    world = World(lab, balancer)
    world.service("web", vips=VIPS, ports=[{"protocol": "tcp", "port": 80, "targetPort": 8080}],
                  health={"type": "tcp", "interval": "200ms", "timeout": "200ms", "unhealthyAfter": 1})
    eventually(world.served_by_all(world.client, VIPS[0]), 5, "both")
    health = f"/run/fairlead/remote/health/appnet/n2/web.json"
    world.nodes[2].write(health, {"apiVersion": 1, "network": "appnet", "service": "web", "unhealthy": [world.tasks[1].id + "-eth0"]})
    eventually(lambda: set(world.names(world.client, VIPS[0], count=4)) == {"web-n1"}, WITHIN, "n2's task is out")
    eventually(lambda: world.client.dns("tasks.web").addresses == [world.tasks[0].ip], WITHIN, "in the names, too")
    world.nodes[2].remove(health)
    eventually(world.served_by_all(world.client, VIPS[0]), WITHIN, "and in again")


@both
def test_OVL_24_a_published_port_answers_on_every_node_with_the_clients_address(lab, balancer):
    world = World(lab, balancer)
    for node in world.nodes:    # the third has no task
        for family in (4, 6):
            eventually(world.served_by_all(world.outside, node.address(family), 8000), 5, f"{node.name} IPv{family}")
            eventually(world.served_by_all(world.outside, node.address(family), 8000, udp=True), 5, f"{node.name} IPv{family} by UDP")
            for _ in range(4):
                equal(world.outside.tcp_request(node.address(family), 8000).peer, world.outside.address(family),
                      f"the client's address through {node.name}")
                equal(world.outside.udp_request(node.address(family), 8000).peer, world.outside.address(family),
                      f"by UDP through {node.name}")


@both
def test_OVL_25_replies_leave_through_the_node_that_was_asked(lab, balancer):
    world = World(lab, balancer, count=2, tasks=1)
    one, two = world.nodes
    eventually(world.served_by_all(world.outside, two.address(4), 8000), 5, "through the node without a task")
    with world.outside.capture("eth0") as wire:
        with world.outside.tcp_connect(two.address(4), 8000) as flow:
            for _ in range(5):
                equal(flow.ask("x").name, "web-n1", "held")
        wire.wait(lambda p: p.src == two.address(4) and p.sport == 8000, at_least=5)
        equal(wire.count(lambda p: p.src == one.address(4) and p.proto == "tcp"), 0, "nothing from the task's node itself")


@variants(balancer=["nft"])
def test_OVL_26_one_client_port_through_several_nodes_at_once(lab, balancer):
    """IPVS cannot: docs/decisions/0005-published-ports.md, "one client port to two front ends"."""
    world = World(lab, balancer, count=3, tasks=1)
    flows = []
    for node in world.nodes:
        eventually(world.served_by_all(world.outside, node.address(4), 8000), 5, node.name)
    port = 40000
    for node in world.nodes:
        flows.append(world.outside.tcp_connect(node.address(4), 8000, src_port=port))
    for flow in flows * 2:
        equal(flow.ask("x").name, "web-n1", "each of them works")
    for flow in flows:
        flow.close()


@both
def test_OVL_27_the_node_itself_uses_a_port_whose_task_is_elsewhere(lab, balancer):
    world = World(lab, balancer, count=2, tasks=1)
    two = world.nodes[1]
    for address in ("127.0.0.1", two.address(4), two.address(6)):
        eventually(world.served_by_all(two, address, 8000), 5, f"{address} from the node itself")


@both
def test_OVL_28_an_internal_network_is_published_from_every_node(lab, balancer):
    world = World(lab, balancer, count=2, tasks=1, internal=True)
    for node in world.nodes:
        for family in (4, 6):
            eventually(world.served_by_all(world.outside, node.address(family), 8000), 5, f"through {node.name} IPv{family}")


@both
def test_OVL_29_marks_do_not_leave_the_router(lab, balancer):
    """The host's routing and IPsec would take part in what only concerns the network (a mark survives encapsulation)."""
    world = World(lab, balancer, count=2, tasks=1)
    one, two = world.nodes
    one.must("nft add table inet look")
    one.must("nft add chain inet look out { type filter hook output priority 0 ; }")
    one.must("nft add rule inet look out udp dport 4789 meta mark != 0 counter")
    one.must("nft add rule inet look out udp dport 4789 meta mark 0 counter")
    eventually(world.served_by_all(world.outside, two.address(4), 8000), 5, "through the other node")
    counts = [rule["rule"]["expr"][-1]["counter"]["packets"] for rule in one.nft_list("inet", "look") if "rule" in rule]
    equal(counts[0], 0, "replies with a mark")
    true(counts[1] > 0, "replies without")
