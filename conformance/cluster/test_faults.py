#!/usr/bin/python3
"""Faults. After each: nothing lost, no address twice, no stale route, no stale backend, and what need not be interrupted
was not."""
import base64
import json
import random
import time

from lab import *

from .world import (NETWORK, attach, cluster_of, etcd, found, host, in_step, join, networks, not_a_member, one_line, remote,
                    status, synced, token, try_join)

FAST = "--lease 2s"


class World:
    """A cluster whose service `web` has a task on each node, and a flow from each node's client to the next node's."""

    def __init__(self, lab, *names, managers=1, options=FAST):
        self.lab = lab
        wire = lab.segment("wire")
        self.nodes = [host(lab, wire, name) for name in names]
        self.manager = self.nodes[0]
        found(self.manager, options)
        for i, node in enumerate(self.nodes[1:], 2):
            join(node, self.manager, "manager" if i <= managers else "node")
        for node in self.nodes:
            node.lb, node.dns_server = node.start_lb(), node.start_dns()
        self.manager.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
        self.manager.ctl_ok(f"service create web --network {NETWORK} --port 80:8080", timeout=20)
        self.vip = self.manager.ctl_json(f"service inspect web --network {NETWORK}")["vips"][0]
        for node in self.nodes:
            eventually(lambda node=node: networks(node), 10, f"{node.name} has the network")
        self.blocks()
        self.count = 0
        self.tasks, self.clients, self.flows = [], {}, []
        for node in self.nodes:
            self.clients[node] = attach(node, f"client-{node.name}")
            self.clients[node].serve_tcp(7000)
            self.task(node)
        self.settled()
        for node, other in zip(self.nodes, self.nodes[1:] + self.nodes[:1]):
            self.flows.append((node, other, self.clients[node].tcp_connect(self.clients[other].ip, 7000)))

    def blocks(self):
        """Every node knows whose addresses are whose: claimed by themselves, or written down."""
        folder = f"/var/lib/fairlead/blocks/{NETWORK}"
        documents = {f"{n.name}.json": {"apiVersion": 1, "network": NETWORK, "node": n.name, "blocks": [f"10.32.{i}.0/24"]}
                     for i, n in enumerate(self.nodes, 1)}
        known = lambda: all(set(n.listdir(folder) if n.exists(folder) else []) >= set(documents) for n in self.nodes)
        deadline = time.monotonic() + 3
        while not known() and time.monotonic() < deadline:
            time.sleep(0.1)
        if not known():
            for n in self.nodes:
                n.must(f"mkdir -p {folder}")
                for name, document in documents.items():
                    n.write(f"{folder}/{name}", json.dumps(document))

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

    def flowing(self, without=()):
        """The flows that were there before still go."""
        for node, other, flow in self.flows:
            if node not in without and other not in without:
                equal(flow.ask("still").name, self.clients[other].name, f"the flow from {node.name} to {other.name}")

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
        nodes = nodes or self.nodes
        in_step(nodes[0], 30)
        self.answers(nodes)
        self.no_address_twice(nodes)

    def no_address_twice(self, nodes):
        for node in nodes:
            given = {}
            for folder in [f"/run/fairlead/endpoints/{NETWORK}"] + \
                    [f"/run/fairlead/remote/endpoints/{NETWORK}/{other.name}" for other in self.nodes if other is not node]:
                for name in node.listdir(folder) if node.exists(folder) else []:
                    if name.endswith(".json"):
                        for address in node.read_json(f"{folder}/{name}")["addresses"]:
                            given.setdefault(address, []).append(f"{folder}/{name}")
            twice = {address: who for address, who in given.items() if len(who) > 1}
            equal(twice, {}, f"addresses that {node.name} knows twice")


def kill_etcd(node):
    node.run("pkill -9 -x etcd")


@limit(180)
def test_CLU_40_any_daemon_is_killed_at_any_time_while_containers_come_and_go(lab):
    world = World(lab, "n1", "n2", "n3")
    luck = random.Random(40)
    for turn in range(12):
        node = luck.choice(world.nodes)
        what = luck.choice(["agent", "lb", "dns_server", "etcd"])
        lab.say(f"turn {turn}: {what} of {node.name}")
        daemon = None if what == "etcd" else getattr(node, what)
        daemon.kill9() if daemon else kill_etcd(world.manager)
        busy = luck.choice(world.nodes)
        # An ADD needs no daemon but its own node's agent where a network is new there.
        world.task(busy)
        world.flowing()
        if luck.random() < 0.7:
            world.remove(luck.choice([n for n in world.nodes if sum(o is n for o, _ in world.tasks) > 1]))
        if daemon:
            daemon.start()
        world.flowing()
    for node in world.nodes:
        synced(node, 30)
    world.settled()
    world.flowing()


@limit(150)
def test_CLU_41_of_three_managers_one_loses_power_and_the_others_go_on(lab):
    world = World(lab, "n1", "n2", "n3", managers=3)
    n1, n2, n3 = world.nodes
    eventually(lambda: sum(f"manager {m.name} has its vote" in o.agent.log() for m in (n2, n3) for o in world.nodes) >= 2,
               30, "all three vote")
    world.clients.pop(n1)
    lab.segments["wire"].cut(n1)
    for daemon in (n1.agent, n1.lb, n1.dns_server):
        daemon.kill9()
    left = [n2, n3]
    world.task(n2)
    world.flowing(without=[n1])
    world.tasks = [pair for pair in world.tasks if pair[0] is not n1]
    eventually(lambda: synced(n2) is None and synced(n3) is None, 30, "two of three go on")
    world.settled(left)
    world.flowing(without=[n1])
    n2.ctl_ok("cluster evict n1", timeout=30)
    eventually(lambda: not remote(n3, n1) and not n3.exists("/var/lib/fairlead/nodes/n1.json"), 10, "nothing of it is left")
    world.remove(n2)
    world.settled(left)


@limit(150)
def test_CLU_42_a_node_is_cut_off_for_longer_than_its_lease_and_both_sides_go_on(lab):
    world = World(lab, "n1", "n2", "n3")
    n1, n2, n3 = world.nodes
    wire = lab.segments["wire"]
    wire.cut(n3)
    eventually(lambda: not remote(n1, n3) and not remote(n2, n3), 15, "its endpoints are hidden")
    world.answers([n1, n2])
    world.flowing(without=[n3])
    own = world.task(n3)
    here = world.clients[n3]
    equal(here.tcp_request(own.ip, 8080).name, own.name, "on the node itself all goes on")
    world.remove(n3)
    world.task(n1)
    world.remove(n2)
    world.task(n2)
    eventually(lambda: status(n3)["state"] == "away", 20, "it knows that it is alone")
    wire.heal(n3)
    synced(n3, 30)
    world.settled()
    world.flowing()


@limit(120)
def test_CLU_43_the_store_is_compacted_while_a_node_is_away(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options=FAST)
    n1.ctl_ok("network create before --subnet 10.33.0.0/16", timeout=20)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: len(networks(n2)) == 2, 5, "n2 has them")
    attach(n1, "witness")
    goes = attach(n2, "goes")
    eventually(lambda: len(remote(n1, n2)) == 1, 5, "n1 knows it")
    lab.segments["wire"].cut(n2)
    goes.detach()
    comes = attach(n2, "comes")
    n1.ctl_ok("network rm before", timeout=20)
    n1.ctl_ok("network create after --subnet 10.34.0.0/16", timeout=20)
    revision = int(etcd(n1, "/v3/kv/range", {"key": _b64("/")})["header"]["revision"])
    etcd(n1, "/v3/kv/compaction", {"revision": str(revision), "physical": True})
    n1.agent.kill9()     # who had the changes in memory has them no more
    n1.agent.start()
    synced(n1, 20)
    lab.segments["wire"].heal(n2)
    synced(n2, 30)
    eventually(lambda: networks(n2) == ["after.json", f"{NETWORK}.json"], 15, "n2 has what is, and not what was")
    eventually(lambda: remote(n1, n2) == [f"{comes.id}-eth0.json"], 15, "n1 knows what n2 did")
    in_step(n1)


@limit(120)
def test_CLU_44_a_nodes_disk_is_full(lab):
    wire = lab.segment("wire")
    n1, n2 = host(lab, wire, "n1"), lab.host("n2", wire)
    n2.must("mkdir -p /var/lib/fairlead")
    n2.must("mount -t tmpfs -o size=400k tmpfs /var/lib/fairlead")
    n2.agent = n2.start_agent()
    found(n1, FAST)
    join(n2, n1)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 5, "n2 has the network")
    attach(n1, "witness")
    before = attach(n2, "before")
    n2.run("dd if=/dev/zero of=/var/lib/fairlead/.full bs=4k")
    n1.ctl_ok("network create more --subnet 10.33.0.0/16", timeout=20)
    eventually(lambda: "No space" in json.dumps(status(n2)), 15, "n2 says what is wrong")
    equal(networks(n2), [f"{NETWORK}.json"], "and nothing is half there")
    before.detach()
    during = attach(n2, "during")
    eventually(lambda: remote(n1, n2) == [f"{during.id}-eth0.json"], 15, "containers come and go, and n1 knows")
    n2.must("rm /var/lib/fairlead/.full")
    eventually(lambda: "more.json" in networks(n2), 30, "with space again it catches up")
    in_step(n1, 30)


@limit(90)
def test_CLU_45_a_machine_is_gone_and_a_new_one_has_its_name(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3", options=FAST)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    for node in (n1, n2, n3):
        eventually(lambda node=node: networks(node), 5, f"{node.name} has the network")
        node.witness = attach(node, f"on-{node.name}")
    eventually(lambda: remote(n1, n3) and remote(n2, n3), 5, "the others know what n3 has")
    n3.agent.kill9()
    n3.witness.kill()
    n3.power_off()
    eventually(lambda: not remote(n1, n3) and not remote(n2, n3), 15, "hidden with its lease")
    del lab.hosts["n3"]
    again = lab.host("n3", lab.segments["wire"], address=3)
    again.agent = again.start_agent()
    one_line(try_join(again, n1, token(n1)), "a member named n3 already")
    not_a_member(again)
    n1.ctl_ok("cluster evict n3", timeout=30)
    join(again, n1)
    equal(status(again)["number"], 4, "it is somebody else")
    eventually(lambda: networks(again), 10, "it has the network")
    here = attach(again, "here")
    for node in (n1, n2):
        eventually(lambda node=node: remote(node, again) == [f"{here.id}-eth0.json"], 10, f"{node.name} knows what is, not what was")
    eventually(lambda: len(remote(again, n1)) == 1 and len(remote(again, n2)) == 1, 10, "and it knows the others'")
    in_step(n1)


@limit(90)
def test_CLU_46_a_document_in_the_store_is_broken(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options=FAST)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    n1.ctl_ok(f"service create web --network {NETWORK} --port 80", timeout=20)
    eventually(lambda: n2.exists(f"/var/lib/fairlead/services/{NETWORK}/web.json"), 5, "n2 has the service")
    attach(n1, "witness")
    attach(n2, "here")
    good = n2.read(f"/var/lib/fairlead/networks/{NETWORK}.json")
    stored = {key: etcd_get(n1, key) for key in (f"networks/{NETWORK}", "nodes/n2")}
    broken = {f"networks/{NETWORK}": "{\"name\":", "networks/bad": "\x00\xff", f"services/{NETWORK}/bad": "[]", "nodes/n2": "7",
              "nodes/bad": "{}", f"endpoints/{NETWORK}/n2/bad-eth0": "{\"addresses\":7}", "live/bad": "no",
              f"health/{NETWORK}/n2/web": "{}", "networks/../../../etc/passwd": "{}", "networks//x": "{}", "members/bad": "[" * 5000}
    for key, value in broken.items():
        etcd_put(n1, key, value)
    n1.ctl_ok("network create good --subnet 10.33.0.0/16", timeout=20)
    for node in (n1, n2):
        eventually(lambda node=node: "good.json" in networks(node), 10, f"{node.name} takes what is good")
        equal(networks(node), [f"{NETWORK}.json", "good.json"], "and nothing else")
        contains(json.dumps(status(node)["problems"]), f"networks/{NETWORK}", f"{node.name} says what is wrong")
    equal(n2.read(f"/var/lib/fairlead/networks/{NETWORK}.json"), good, "what was there before stays")
    found_by = n2.ctl("cluster check", timeout=30)
    equal(found_by.rc, 1, "the check finds it")
    contains(found_by.out, "networks/bad: in the store", "by name")
    more = attach(n2, "more")
    eventually(lambda: f"{more.id}-eth0.json" in remote(n1, n2), 10, "containers come and go")
    for node in (n1, n2):
        node.agent.restart()
        synced(node, 20)
        equal(networks(node), [f"{NETWORK}.json", "good.json"], "also after a restart")
    for key, value in broken.items():
        etcd_put(n1, key, stored.get(key))
    in_step(n1, 30)
    eventually(lambda: not status(n1)["problems"] and not status(n2)["problems"], 10, "put right, all is well")


@limit(90)
def test_CLU_47_a_machine_boots_while_no_manager_is_there(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options=FAST)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 5, "n2 has the network")
    there = attach(n1, "there")
    attach(n2, "here")
    eventually(lambda: remote(n2, n1) == [f"{there.id}-eth0.json"], 5, "n2 knows n1's")
    n2.agent.restart()
    synced(n2, 20)
    n1.agent.stop()
    n2.agent.stop()
    n2.must("rm -rf /run/fairlead/remote")    # as after a boot
    n2.agent.start()
    eventually(lambda: remote(n2, n1) == [f"{there.id}-eth0.json"], 10, "it knows what the other had")
    true(networks(n2), "and has its network")
    n2.agent.stop()
    n2.must("rm -rf /run/fairlead/remote")
    n2.write("/var/lib/fairlead/cluster-remote.json", '{"cluster":')
    n2.agent.start()
    eventually(lambda: status(n2)["state"] == "away", 20, "what is broken is nothing")
    there.detach()
    n1.agent.start()
    synced(n2, 20)
    eventually(lambda: not remote(n2, n1), 10, "and with a manager it is as the store says")
    in_step(n1)


def _b64(text):
    return base64.b64encode(text.encode("latin-1") if isinstance(text, str) else text).decode()


def etcd_get(node, key):
    answer = etcd(node, "/v3/kv/range", {"key": _b64(f"/fairlead/v1/{key}")})
    return base64.b64decode(answer["kvs"][0]["value"]).decode()


def etcd_put(node, key, value):
    """None removes it."""
    name = _b64(f"/fairlead/v1/{key}")
    if value is None:
        etcd(node, "/v3/kv/deleterange", {"key": name})
    else:
        etcd(node, "/v3/kv/put", {"key": name, "value": _b64(value)})
