"""A cluster at work, for tests of faults: a service with a task on each node, and flows that go all the time."""
from lab import *
from mesh.kernel_state import kernels_agree
from mesh.pulse import Pulse

from .world import NETWORK, attach, found, host, in_step, join, networks

FAST = "--lease 2s"


class World:
    """Service `web` has a task on each node; from each node's client a TCP connection and a stream of datagrams go to the next node's, and a
    stream to the next one on the same node. prepare(node): before its agent starts. env(node): of its daemons."""

    def __init__(self, lab, *names, managers=1, options=FAST, prepare=None, env=None):
        self.lab, self.env = lab, env or (lambda node: {})
        wire = lab.segment("wire")
        self.nodes = [host(lab, wire, name, prepare, self.env) for name in names]
        self.manager = self.nodes[0]
        found(self.manager, options)
        for i, node in enumerate(self.nodes[1:], 2):
            join(node, self.manager, "manager" if i <= managers else "node")
        for node in self.nodes:
            self.serve(node)
        self.manager.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
        self.manager.ctl_ok(f"service create web --network {NETWORK} --port 80:8080", timeout=20)
        self.vip = self.manager.ctl_json(f"service inspect web --network {NETWORK}")["vips"][0]
        for node in self.nodes:
            eventually(lambda node=node: networks(node), 10, f"{node.name} has the network")
        self.blocks()
        self.count = 0
        self.tasks, self.clients, self.flows, self.pulse = [], {}, [], Pulse()
        for node in self.nodes:
            self.client(node)
            self.task(node)
        self.settled()
        for node, other in zip(self.nodes, self.nodes[1:] + self.nodes[:1]):
            self.flow(node, other)
        for node in self.nodes:
            second = attach(node, f"second-{node.name}")
            self.pulse.add(f"within {node.name}", second, self.clients[node].ip, 7001, {node})
        self.pulse.again()

    def serve(self, node):
        """Balancer and DNS."""
        node.lb, node.dns_server = node.start_lb(env=self.env(node)), node.start_dns(env=self.env(node))

    def client(self, node):
        self.clients[node] = attach(node, f"client-{node.name}")
        self.clients[node].serve_tcp(7000)
        self.clients[node].serve_udp(7001)

    def flow(self, node, other):
        client, server = self.clients[node], self.clients[other]
        self.flows.append((node, other, client.tcp_connect(server.ip, 7000)))
        self.pulse.add(f"{node.name} to {other.name}", client, server.ip, 7001, {node, other})

    def blocks(self):
        """Every node knows whose addresses are whose."""
        folder = f"/var/lib/fairlead/blocks/{NETWORK}"
        for node in self.nodes:
            eventually(lambda node=node: len([n for n in node.listdir(folder) if n.endswith(".json")]) >= len(self.nodes), 10,
                       f"{node.name} knows every node's block")

    def task(self, node):
        self.count += 1
        task = node.container(f"web-{node.name}-{self.count}")
        task.attach(conflist(NETWORK, services=["web"]))
        task.serve_tcp(8080)
        self.tasks.append((node, task))
        return task

    def remove(self, node):
        """The oldest task of a node."""
        mine = next(pair for pair in self.tasks if pair[0] is node)
        self.tasks.remove(mine)
        mine[1].detach()

    def gone(self, node):
        """The machine is no more."""
        self.nodes = [n for n in self.nodes if n is not node]
        self.tasks = [pair for pair in self.tasks if pair[0] is not node]
        self.flows = [flow for flow in self.flows if node not in flow[:2]]
        self.clients.pop(node)

    def flowing(self, without=()):
        """The connections that were there before still go, and of the datagrams none was lost since the last time."""
        for node, other, flow in self.flows:
            if node not in without and other not in without:
                equal(flow.ask("still").name, self.clients[other].name, f"the flow from {node.name} to {other.name}")
        self.pulse.unharmed(without)

    def answers(self, nodes=None):
        """Every node's VIP and DNS name exactly the tasks there are, the directories are as the store says."""
        nodes = nodes or self.nodes
        wanted = {task.name for node, task in self.tasks if node in nodes}
        addresses = sorted(task.ip for node, task in self.tasks if node in nodes)
        for node in nodes:
            client = self.clients[node]
            eventually(lambda: sorted(client.dns("tasks.web").addresses) == addresses, 15, f"the tasks' names on {node.name}")
            eventually(lambda: {client.tcp_request(self.vip, 80, timeout=0.5).name for _ in range(2 * len(wanted))} == wanted,
                       15, f"the VIP on {node.name}")

    def settled(self, nodes=None):
        """Nothing lost, no address twice, nothing stale: directories, names, VIPs, kernels."""
        in_step((nodes or self.nodes)[0], 30)
        self.settled_without_managers(nodes)

    def settled_without_managers(self, nodes=None):
        nodes = nodes or self.nodes
        self.answers(nodes)
        self.no_address_twice(nodes)
        kernels_agree(nodes)

    def no_address_twice(self, nodes):
        for node in nodes:
            given = {}
            for folder in [f"/run/fairlead/endpoints/{NETWORK}"] + \
                    [f"/run/fairlead/remote/endpoints/{NETWORK}/{other.name}" for other in self.nodes if other is not node]:
                for name in node.listdir(folder):
                    if name.endswith(".json"):
                        for address in node.read_json(f"{folder}/{name}")["addresses"]:
                            given.setdefault(address, []).append(f"{folder}/{name}")
            twice = {address: who for address, who in given.items() if len(who) > 1}
            equal(twice, {}, f"addresses that {node.name} knows twice")
