#!/usr/bin/python3
"""Address blocks: claimed by the nodes themselves, lent, given back, and never two containers with one address."""
import base64
import ipaddress
import json
import random
import time

from lab import *

from .world import NETWORK, cluster_of, etcd, found, host, join, networks, one_line, status, synced

BLOCKS = "/var/lib/fairlead/blocks"


def attach(node, name, network=NETWORK):
    container = node.container(name)
    container.attach(conflist(network))
    return container


def refusal(node, name, network=NETWORK):
    """The error of an ADD that must fail with "try again later"."""
    try:
        attach(node, name, network)
    except CniError as error:
        equal(error.code, 11, f"the code of {error.msg}")
        return error.msg + " " + error.details
    raise AssertionError(f"{name} got an address")


def fill(node, name, most=40, enough=99):
    """Containers until there is no address left."""
    got = []
    for i in range(min(most, enough)):
        try:
            got.append(attach(node, f"{name}{i}"))
        except CniError as error:
            equal(error.code, 11, f"the code of {error.msg}")
            return got
    if enough == 99:
        raise AssertionError(f"{most} addresses and no end")
    return got


def blocks(node, of, network=NETWORK):
    path = f"{BLOCKS}/{network}/{of.name}.json"
    return node.read_json(path)["blocks"] if node.exists(path) else []


def distinct(containers):
    addresses = [c.ip for c in containers]
    equal(len(set(addresses)), len(addresses), f"distinct addresses: {sorted(addresses)}")


def made(nodes, options, network=NETWORK):
    nodes[0].ctl_ok(f"network create {network} {options}", timeout=20)
    for node in nodes:
        eventually(lambda node=node: node.exists(f"/var/lib/fairlead/networks/{network}.json"), 5, f"{node.name} has it")


@limit(90)
def test_CLU_70_containers_of_a_new_network_reach_each_other_with_no_block_written_by_hand(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2")
    outside = lab.outside(lab.segments["wire"])
    for node in nodes:
        node.must("ip route add default via", outside.address(4))
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16 --subnet fd32::/64", timeout=20)
    eventually(lambda: networks(n2), 5, "n2 has the network")
    containers = [attach(node, f"{node.name}{i}") for i in range(2) for node in nodes]  # at once: the ADD waits
    distinct(containers)
    a, b = containers[0], containers[1]
    b.serve_tcp(7000)
    for address in (b.ip, b.ip6):
        eventually(lambda address=address: a.tcp_request(address, 7000, timeout=1).name == b.name, 5, f"{address} answers")
    for node in nodes:
        eventually(lambda node=node: blocks(node, n1) and blocks(node, n2), 5, f"{node.name} knows both nodes' blocks")
        true(not set(blocks(node, n1)) & set(blocks(node, n2)), "which are different ones")
    shown = n2.ctl_json(f"network inspect {NETWORK}", timeout=20)["blocks"]
    equal(sorted(shown), ["n1", "n2"], "and fairleadctl shows them")
    use = eventually(lambda: {node: u["used"] for node, u in n2.ctl_json(f"network inspect {NETWORK}", timeout=20)
                              ["blockUse"].items()} == {"n1": 4, "n2": 4}, 5, "and how full they are")
    true(use, "which is two containers with two addresses each")
    n1.agent.kill9()
    eventually(lambda: status(n2)["state"] == "away", 15, "the manager is gone")
    containers += [attach(n2, f"alone{i}") for i in range(10)]
    distinct(containers)
    n1.agent.start()
    synced(n2, 20)
    containers += [attach(node, f"again{node.name}{i}") for i in range(3) for node in nodes]
    distinct(containers)


@limit(120)
def test_CLU_71_a_tight_subnet_is_used_to_its_last_address_by_two_nodes(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2")
    made(nodes, "--subnet 10.32.0.0/28")
    first = [attach(n1, "first"), attach(n2, "second")]
    eventually(lambda: len(blocks(n1, n1)) + len(blocks(n1, n2)) >= 2, 5, "both have blocks")
    got = first + fill(n2, "x")
    equal(len(got), 13, "all of 16 but network, gateway and broadcast")
    distinct(got)
    contains(refusal(n1, "none"), "no free address left", "n1 says so, too")
    for container in got[4:]:
        container.detach()
    moved = got[:4] + fill(n1, "y")
    equal(len(moved), 13, "what n2 has no use for is n1's")
    distinct(moved)


@limit(90)
def test_CLU_72_an_evicted_nodes_addresses_come_back_after_the_grace_and_not_before(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2", options="--lease 2s --block-grace 4s")
    made(nodes, "--subnet 10.32.0.0/28 --block-size 29")
    theirs = fill(n2, "x")
    true(len(theirs) >= 6, "n2 has most of the subnet")
    n2.agent.kill9()
    n1.ctl_ok("cluster evict n2", timeout=20)
    begun = time.monotonic()
    before = fill(n1, "before")
    true(time.monotonic() - begun < 7, "which took less than the grace and the ADD's wait")
    distinct(theirs + before)
    true(len(before) + len(theirs) <= 13, "nothing of n2's was given")
    after = []
    eventually(lambda: after.extend(fill(n1, f"after{len(after)}-{int(time.monotonic())}-")) or after, 25, "n2's are free")
    true(time.monotonic() - begun > 4, "not before the grace was over")
    distinct(before + after)
    n2.agent.start()
    eventually(lambda: status(n2)["state"] == "evicted", 15, "n2 learns of it")
    eventually(lambda: not blocks(n2, n2), 5, "its old blocks are nothing it goes by")
    theirs[0].detach()
    contains(refusal(n2, "no"), "cluster leave", "and gives no address any more; it says what to do")


@limit(90)
def test_CLU_73_a_network_that_overlaps_a_nodes_route_is_refused_there_with_the_route_named(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2")
    for node in nodes:
        node.must("ip route add 10.40.0.0/24 dev eth0")
    one_line(n1.ctl("network create bad --subnet 10.40.0.0/16", timeout=20), "route 10.40.0.0/24 dev eth0")
    n2.must("ip route add 10.32.7.0/24 dev eth0")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: any("route 10.32.7.0/24 dev eth0" in p for p in status(n2)["problems"]), 10, "n2 names it")
    contains(refusal(n2, "no"), "route 10.32.7.0/24 dev eth0", "and attaches nothing")
    attach(n1, "fine")
    equal(blocks(n2, n2), [], "n2 has no block")
    n2.must("ip route del 10.32.7.0/24 dev eth0")
    eventually(lambda: blocks(n2, n2), 15, "without the route it has")
    attach(n2, "now")


@limit(90)
def test_CLU_74_a_network_that_only_a_cni_configuration_names_is_the_clusters_or_nobodys(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2")
    a = attach(n1, "a", "made")
    eventually(lambda: "made.json" in networks(n2), 5, "a manager made it for all")
    equal(n2.read_json("/var/lib/fairlead/networks/made.json")["subnets"],
          n1.read_json("/var/lib/fairlead/networks/made.json")["subnets"], "with the same subnets")
    distinct([a, attach(n2, "b", "made")])
    try:
        attach(n2, "c", "unknown")
        raise AssertionError("a node made a network")
    except CniError as error:
        contains(error.msg, "fairleadctl network create unknown", "a node is told what to do")
    lacks(networks(n2), "unknown.json", "and nothing is left of it")
    three = host(lab, lab.segments["wire"], "n3")
    join(three, n1, "manager")
    synced(three, 20)
    pair = [node.container("race") for node in (n1, three)]
    import threading
    threads = [threading.Thread(target=c.attach, args=(conflist("race"),)) for c in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    distinct(pair)
    equal(n1.read_json("/var/lib/fairlead/networks/race.json")["vni"],
          three.read_json("/var/lib/fairlead/networks/race.json")["vni"], "two at once end with one network")


@limit(90)
def test_CLU_75_what_the_founder_used_before_is_its_own_and_a_store_put_back_makes_no_address_twice(lab):
    wire = lab.segment("wire")
    n1 = host(lab, wire, "n1")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/24", timeout=20)
    old = [attach(n1, f"old{i}") for i in range(20)]
    found(n1)
    n2 = host(lab, wire, "n2")
    join(n2, n1)
    new = attach(n2, "new")
    distinct(old + [new, attach(n1, "later")])
    eventually(lambda: blocks(n2, n1), 5, "n2 knows n1's blocks")
    n1.agent.stop()
    n1.must("cp -a /var/lib/fairlead/etcd /root/copy")
    n1.agent.start()
    synced(n2, 20)
    old += [attach(n2, f"more{i}") for i in range(40)]
    n1.agent.stop()
    n1.must("rm -rf /var/lib/fairlead/etcd")
    n1.must("mv /root/copy /var/lib/fairlead/etcd")
    n1.agent.start()
    eventually(lambda: status(n2)["state"] == "held" and status(n1)["state"] == "held", 20, "both notice")
    n1.ctl_ok("cluster accept", timeout=20)
    synced(n1, 20)
    taken = fill(n1, "y", enough=40)
    distinct(old + [new] + taken)
    n2.ctl_ok("cluster accept", timeout=20)
    synced(n2, 20)
    taken += fill(n1, "z", enough=40)
    distinct(old + [new] + taken)


def put_back(manager, what, change):
    """A copy of a folder of the manager's, then change(), then the copy is put back; the manager is stopped at the end."""
    manager.agent.stop()
    manager.must(f"cp -a {what} /root/copy")
    manager.agent.start()
    change()
    manager.agent.stop()
    manager.must(f"find {what} -mindepth 1 -delete")
    manager.must(f"cp -a /root/copy/. {what}")
    manager.must("rm -rf /root/copy")


@limit(120)
def test_CLU_76_after_a_store_was_put_back_who_never_saw_the_newer_one_asks_first_and_gets_nobodys_address(lab):
    nodes = n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3")
    made(nodes, "--subnet 10.32.0.0/24")
    got = [attach(node, f"first{node.name}") for node in nodes]
    number = iter(range(1000))

    def newer():
        synced(n2, 20)
        eventually(lambda: "address blocks can be claimed" in n1.agent.log(), 20, "n3, too, has told what it has")
        n3.agent.kill9()
        before = blocks(n2, n2)
        while len(blocks(n2, n2)) <= len(before):
            got.append(attach(n2, f"newer{next(number)}"))
        got.extend(attach(n2, f"newer{next(number)}") for _ in range(8))
        n2.agent.kill9()

    def asks_first():
        """n3 has what it had, and no more."""
        n3.agent.start()
        synced(n3, 20)
        had = blocks(n3, n3)
        got.extend(fill(n3, f"early{next(number)}-"))
        equal(blocks(n3, n3), had, "n3 was given no block")
        text = refusal(n3, f"none{next(number)}")
        n2.agent.start()
        return text

    def then_gets():
        had = blocks(n3, n3)
        eventually(lambda: len(blocks(n3, n3)) > len(had), 20, "now n3 gets a block")
        got.extend(attach(node, f"then{next(number)}") for _ in range(10) for node in (n3, n2))
        distinct(got)

    put_back(n1, "/var/lib/fairlead/etcd", newer)
    n1.agent.start()
    contains(asks_first(), "has gone back in time", "the manager knows by its own files")
    eventually(lambda: status(n1)["state"] == "held", 20, "and says so")
    n1.ctl_ok("cluster accept", timeout=20)
    eventually(lambda: n2.ctl("cluster accept", timeout=20).rc == 0 or status(n2)["state"] == "synced", 20,
               "n2, which was killed, may not know how far the store had come")
    then_gets()

    put_back(n1, "/var/lib/fairlead", newer)
    n1.agent.start()
    synced(n1, 20)
    for i in range(40):  # so that the store's revision is higher than any that n2 has seen
        n1.ctl_ok(f"network create more{i} --subnet 10.{100 + i}.0.0/24", timeout=20)
    contains(asks_first(), "before these nodes have told theirs, or were away for half a minute: n2", "n3 waits for n2")
    synced(n2, 20)
    then_gets()


@limit(120)
def test_CLU_78_an_agent_killed_again_and_again_while_blocks_come_and_go_loses_none(lab):
    """Blocks are claimed, lent and given back; in the end every address of the subnet can be given, once."""
    wire = lab.segment("wire")
    nodes = n1, n2 = [lab.host(name, wire) for name in ("n1", "n2")]
    for node in nodes:
        node.agent = node.start_agent(["--block-spare", "1s"])
    found(n1)
    join(n2, n1)
    made(nodes, "--subnet 10.32.0.0/27")
    choose = random.Random(78)
    kept, number = [], 0
    for i in range(25):
        node = nodes[i % 2]
        for _ in range(choose.randrange(1, 6)):
            number += 1
            try:
                kept.append(attach(node, f"c{number}"))
            except CniError as error:
                equal(error.code, 11, f"the code of {error.msg}")
                break
        distinct(kept)
        n2.agent.kill9()  # in the middle of what it does about those
        time.sleep(choose.random() * 0.3)
        n2.agent.start()
        time.sleep(choose.random() * 0.6)
        for container in choose.sample(kept, len(kept) * 2 // 3):
            kept.remove(container)
            container.detach()
    synced(n2, 20)
    everything = list(kept)
    eventually(lambda: everything.extend(fill(n1, f"end{len(everything)}-{number}-")) or len(everything) == 29, 40,
               "all of 32 but network, gateway and broadcast")
    distinct(everything)


@limit(90)
def test_CLU_77_an_address_that_two_nodes_have_is_given_by_neither_and_both_say_with_whom(lab):
    nodes = n1, n2 = cluster_of(lab, "n1", "n2")
    made(nodes, "--subnet 10.32.0.0/24")
    mine, theirs = attach(n1, "mine"), attach(n2, "theirs")
    had = eventually(lambda: blocks(n1, n2), 5, "n1 knows n2's block")

    def change(node, what):
        """The node's document in the store; what it was."""
        key = base64.b64encode(f"/fairlead/v1/blocks/{NETWORK}/{node.name}".encode()).decode()
        document = json.loads(base64.b64decode(etcd(n1, "/v3/kv/range", {"key": key})["kvs"][0]["value"]))
        if what:
            text = json.dumps(document | what).encode()
            etcd(n1, "/v3/kv/put", {"key": key, "value": base64.b64encode(text).decode()})
        return document

    # As after an older store that nobody noticed, while n2 was away for long: n2's block is n1's.
    n2.agent.kill9()
    change(n2, {"blocks": []})
    change(n1, {"blocks": blocks(n1, n1) + had})
    eventually(lambda: set(had) <= set(blocks(n1, n1)), 5, "n1 goes by it")
    twin = n1.container("twin")
    twin.attach(conflist(NETWORK, args={"cni": {"ips": [theirs.ip]}}))
    equal(twin.ip, theirs.ip, "n1 has given n2's address")
    n2.agent.start()
    for node, other in ((n2, "n1"), (n1, "n2")):
        eventually(lambda node=node, other=other: any(theirs.ip in p and f"node {other}" in p
                                                      for p in status(node)["problems"]), 20, f"{node.name} names both")
    got = [mine, theirs] + [attach(node, f"more{node.name}{i}") for i in range(18) for node in nodes]
    distinct(got)
    twin.detach()
    eventually(lambda: not status(n1)["problems"] and not status(n2)["problems"], 20, "without its twin nothing is wrong")
    true(any(ipaddress.ip_address(theirs.ip) in ipaddress.ip_network(block) for block in change(n2, None)["blocks"]),
         "the address is n2's again")
    distinct(got + [attach(node, f"last{node.name}{i}") for i in range(8) for node in nodes])
