#!/usr/bin/python3
"""Faults. After each: nothing lost, no address twice, no stale route, no stale backend, and what need not be interrupted
was not."""
import base64
import json

from lab import *

from .world import (NETWORK, attach, cluster_of, etcd, found, host, in_step, join, networks, one_line, remote, status,
                    synced, token, try_join)

FAST = "--lease 2s"


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
