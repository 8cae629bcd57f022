#!/usr/bin/python3
"""Several managers, and a store that is put back from a copy."""
from lab import *

from .world import (NETWORK, cluster_of, found, host, join, networks, one_line, status, synced)


@limit(120)
def test_CLU_20_of_three_managers_one_is_lost_and_nothing_else(lab):
    wire = lab.segment("wire")
    n1, n2, n3, n4 = (host(lab, wire, name) for name in ("n1", "n2", "n3", "n4"))
    found(n1)
    for manager in (n2, n3):
        join(manager, n1, "manager")
    join(n4, n1)
    eventually(lambda: sum(f"manager {n} has its vote" in m.agent.log() for n in ("n2", "n3") for m in (n1, n2)) >= 2,
               20, "both have their votes")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n4), 5, "the node has it")
    wire.cut(n1)
    n1.agent.kill9()
    eventually(lambda: n2.ctl("network create second --subnet 10.33.0.0/16", timeout=20).rc == 0, 30,
               "two of three go on")
    eventually(lambda: "second.json" in networks(n4) and "second.json" in networks(n3), 15, "and all hear of it")
    synced(n4)
    n2.ctl_ok("cluster evict n1", timeout=20)
    equal([m["name"] for m in status(n4)["members"]], ["n2", "n3", "n4"], "the lost one can be removed")


@limit(60)
def test_CLU_21_a_store_that_went_back_in_time_is_not_followed_before_somebody_says_so(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    n1.ctl_ok("network create first --subnet 10.40.0.0/16", timeout=20)
    eventually(lambda: "first.json" in networks(n2), 5, "n2 has the network")
    n1.agent.stop()
    n1.must("cp -a /var/lib/fairlead/etcd /root/copy")
    n1.agent.start()
    synced(n1, 20)
    for i in range(5):
        n1.ctl_ok(f"network create later{i} --subnet 10.5{i}.0.0/16", timeout=20)
    eventually(lambda: len(networks(n2)) == 6, 15, "n2 has all")
    n1.agent.stop()
    n1.must("rm -rf /var/lib/fairlead/etcd")
    n1.must("mv /root/copy /var/lib/fairlead/etcd")
    n1.agent.start()
    eventually(lambda: status(n2)["state"] == "held" and status(n1)["state"] == "held", 20, "both notice")
    contains(status(n2)["problem"], "has gone back", "and says why")
    equal(len(networks(n2)), 6, "and keeps what it has")
    one_line(n2.ctl("network create no --subnet 10.60.0.0/16", timeout=20), "has gone back")
    for node in (n1, n2):
        node.ctl_ok("cluster accept", timeout=20)
        synced(node, 20)
    equal(networks(n2), ["first.json"], "what was accepted is what the store says")
