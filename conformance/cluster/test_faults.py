#!/usr/bin/python3
"""Faults. After each: nothing lost, no address twice, no stale route, no stale backend (World.settled), and what need not be interrupted was
not (World.flowing)."""
import base64
import json
import random
import time

from lab import *
from mesh.kernel_state import kernels_agree

from .busy import FAST, World
from .world import (NETWORK, attach, etcd, join, networks, not_a_member, one_line, remote, status, synced, token,
                    try_join)


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
    world.flowing()
    n1.power_off()
    world.gone(n1)
    world.task(n2)
    world.flowing(without=[n1])
    eventually(lambda: synced(n2) is None and synced(n3) is None, 30, "two of three go on")
    eventually(lambda: not remote(n2, n1) and not remote(n3, n1), 15, "its endpoints are hidden")
    world.settled()
    world.flowing(without=[n1])
    n2.ctl_ok("cluster evict n1", timeout=30)
    eventually(lambda: not remote(n3, n1) and not n3.exists("/var/lib/fairlead/nodes/n1.json"), 10, "nothing of it is left")
    world.remove(n2)
    world.settled()
    world.flowing(without=[n1])


@limit(240)
def test_CLU_42_a_node_is_cut_off_for_a_minute_and_both_sides_attach_and_detach(lab):
    world = World(lab, "n1", "n2", "n3")
    n1, n2, n3 = world.nodes
    wire = lab.segments["wire"]
    world.flowing()
    cut = time.monotonic()
    wire.cut(n3)
    eventually(lambda: not remote(n1, n3) and not remote(n2, n3), 15, "its endpoints are hidden")
    world.answers([n1, n2])
    world.flowing(without=[n3])
    here = world.clients[n3]
    held = here.tcp_connect(here.ip, 7000)
    said_so = False
    while time.monotonic() < cut + 60:
        for node in world.nodes:
            new = world.task(node)
            equal(world.clients[node].tcp_request(new.ip, 8080).name, new.name, f"on {node.name} itself all goes on")
            world.remove(node)
        said_so = said_so or status(n3)["state"] == "away"
        world.answers([n1, n2])
        equal(held.ask("still").name, here.name, "its own flows go on")
        time.sleep(6)
    true(said_so, "it knows that it is alone")
    # Between its own containers, too, nothing was lost.
    world.pulse.unharmed([n1, n2])
    wire.heal(n3)
    synced(n3, 30)
    world.settled()
    world.pulse.again()
    world.flowing()


@limit(120)
def test_CLU_43_the_store_is_compacted_while_a_node_is_away(lab):
    world = World(lab, "n1", "n2")
    n1, n2 = world.nodes
    n1.ctl_ok("network create before --subnet 10.33.0.0/16", timeout=20)
    eventually(lambda: len(networks(n2)) == 2, 5, "n2 has both")
    attach(n2, "in-before", "before").detach()
    lab.segments["wire"].cut(n2)
    world.task(n2)
    world.remove(n2)
    n1.ctl_ok("network rm before", timeout=20)
    n1.ctl_ok("network create after --subnet 10.34.0.0/16", timeout=20)
    revision = int(etcd(n1, "/v3/kv/range", {"key": _b64("/")})["header"]["revision"])
    etcd(n1, "/v3/kv/compaction", {"revision": str(revision), "physical": True})
    n1.agent.kill9()     # who had the changes in memory has them no more
    n1.agent.start()
    synced(n1, 20)
    world.pulse.unharmed([n2])
    lab.segments["wire"].heal(n2)
    synced(n2, 30)
    eventually(lambda: networks(n2) == ["after.json", f"{NETWORK}.json"], 15, "n2 has what is, and not what was")
    world.settled()
    world.pulse.again()
    world.flowing()


@limit(120)
def test_CLU_44_a_nodes_disk_is_full(lab):
    def small_disk(node):
        if node.name == "n2":
            node.must("mkdir -p /var/lib/fairlead")
            node.must("mount -t tmpfs -o size=400k tmpfs /var/lib/fairlead")

    world = World(lab, "n1", "n2", prepare=small_disk)
    n1, n2 = world.nodes
    n2.run("dd if=/dev/zero of=/var/lib/fairlead/.full bs=4k")
    n1.ctl_ok("network create more --subnet 10.33.0.0/16", timeout=20)
    eventually(lambda: "No space" in json.dumps(status(n2)), 15, "n2 says what is wrong")
    equal(networks(n2), [f"{NETWORK}.json"], "and nothing is half there")
    world.task(n2)
    world.remove(n2)
    world.task(n1)
    world.answers()     # containers come and go, and both know
    world.flowing()
    n2.must("rm /var/lib/fairlead/.full")
    eventually(lambda: "more.json" in networks(n2), 30, "with space again it catches up")
    world.settled()
    world.flowing()


@limit(120)
def test_CLU_45_a_machine_is_gone_and_a_new_one_has_its_name(lab):
    world = World(lab, "n1", "n2", "n3")
    n1, n2, n3 = world.nodes
    n3.power_off()
    world.gone(n3)
    eventually(lambda: not remote(n1, n3) and not remote(n2, n3), 15, "hidden with its lease")
    world.settled()
    del lab.hosts["n3"]
    again = lab.host("n3", lab.segments["wire"], address=3)
    again.agent = again.start_agent()
    one_line(try_join(again, n1, token(n1)), "a member named n3 already")
    not_a_member(again)
    n1.ctl_ok("cluster evict n3", timeout=30)
    join(again, n1)
    equal(status(again)["number"], 4, "it is somebody else")
    eventually(lambda: networks(again), 10, "it has the network")
    world.serve(again)
    world.nodes.append(again)
    world.client(again)
    world.task(again)
    for node in (n1, n2):
        eventually(lambda node=node: len(remote(node, again)) == 2, 10, f"{node.name} knows what is, not what was")
    world.settled()
    world.flowing(without=[n3])
    world.flow(n1, again)
    world.flow(again, n2)
    time.sleep(0.5)
    world.flowing(without=[n3])


@limit(90)
def test_CLU_46_a_document_in_the_store_is_broken(lab):
    world = World(lab, "n1", "n2")
    n1, n2 = world.nodes
    good = n2.read(f"/var/lib/fairlead/networks/{NETWORK}.json")
    stored = {key: etcd_get(n1, key) for key in (f"networks/{NETWORK}", "nodes/n2", f"blocks/{NETWORK}/n2")}
    broken = {f"networks/{NETWORK}": "{\"name\":", "networks/bad": "\x00\xff", f"services/{NETWORK}/bad": "[]", "nodes/n2": "7",
              "nodes/bad": "{}", f"endpoints/{NETWORK}/n2/bad-eth0": "{\"addresses\":7}", "live/bad": "no", f"blocks/{NETWORK}/n2": "[]",
              f"health/{NETWORK}/n2/web": "{}", "networks/../../../etc/passwd": "{}", "networks//x": "{}", "members/bad": "[" * 5000}
    for key, value in broken.items():
        etcd_put(n1, key, value)
    n1.ctl_ok("network create good --subnet 10.33.0.0/16", timeout=20)
    for node in (n1, n2):
        eventually(lambda node=node: "good.json" in networks(node), 10, f"{node.name} takes what is good")
        equal(networks(node), [f"{NETWORK}.json", "good.json"], "and nothing else")
        contains(json.dumps(status(node)["problems"]), f"networks/{NETWORK}", f"{node.name} says what is wrong")
    equal(n2.read(f"/var/lib/fairlead/networks/{NETWORK}.json"), good, "what was there before stays")
    kernels_agree(world.nodes)
    world.flowing()
    found_by = n2.ctl("cluster check", timeout=30)
    equal(found_by.rc, 1, "the check finds it")
    contains(found_by.out, "networks/bad: in the store", "by name")
    world.task(n2)
    world.answers()     # containers come and go
    for node in (n1, n2):
        node.agent.restart()
        synced(node, 20)
        equal(networks(node), [f"{NETWORK}.json", "good.json"], "also after a restart")
    kernels_agree(world.nodes)
    for key, value in broken.items():
        etcd_put(n1, key, stored.get(key))
    world.settled()
    world.flowing()
    eventually(lambda: not status(n1)["problems"] and not status(n2)["problems"], 10, "put right, all is well")


@limit(90)
def test_CLU_47_a_machine_boots_while_no_manager_is_there(lab):
    world = World(lab, "n1", "n2")
    n1, n2 = world.nodes
    there = remote(n2, n1)
    n2.agent.restart()
    synced(n2, 20)
    n1.agent.stop()
    n2.agent.stop()
    n2.must("find /run/fairlead/remote -type f -delete")    # as after a boot
    n2.agent.start()
    eventually(lambda: remote(n2, n1) == there, 10, "it knows what the other had")
    world.settled_without_managers()
    n2.agent.stop()
    n2.must("find /run/fairlead/remote -type f -delete")
    n2.write("/var/lib/fairlead/cluster-remote.json", '{"cluster":')
    n2.agent.start()
    eventually(lambda: status(n2)["state"] == "away", 20, "what is broken is nothing")
    world.task(n1)
    world.remove(n1)
    n1.agent.start()
    synced(n2, 20)
    world.settled()    # with a manager it is as the store says
    world.flowing()


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
