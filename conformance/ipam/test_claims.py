#!/usr/bin/python3
"""Blocks, reservations and sticky addresses: who is given what, and who never."""
import json
import threading

from lab import *
from .world import NET, add, call, configuration, delete, node_of, refused

STATE = "/var/lib/fairlead"


def set_blocks(node, owner, *blocks):
    node.write(f"{STATE}/blocks/{NET}/{owner}.json", {"apiVersion": 1, "network": NET, "node": owner, "blocks": list(blocks)})


def test_IPM_010_a_node_gives_addresses_of_its_own_blocks_only(lab):
    node = node_of(lab)
    equal(add(node, "before"), "10.32.0.2", "without blocks the whole subnet is this node's")
    delete(node, "before")
    set_blocks(node, "n2", "10.32.0.0/26")
    contains(refused(node, "none"), "node n1 has no block", "blocks of others alone")
    set_blocks(node, "n1", "10.32.0.68/30", "10.32.0.128/30")
    equal([add(node, f"c{n}") for n in range(6)], ["10.32.0.68", "10.32.0.69", "10.32.0.70", "10.32.0.71", "10.32.0.128", "10.32.0.129"],
          "one block, then the next")
    error = refused(node, "x", args="IP=10.32.0.9")
    for needle in ("10.32.0.9", "block 10.32.0.0/26", "node n2"):
        contains(error, needle, "an address of another's block is refused, naming the owner")
    contains(refused(node, "x", args="IP=10.32.0.200"), "no block", "one of nobody's block, too")
    equal(add(node, "x", args="IP=10.32.0.131"), "10.32.0.131", "one of our own is given")
    contains(refused(node, "y", conf=configuration({"ranges": [[{"subnet": "10.32.0.0/26"}]]})), "has no block", "ranges of a configuration are no way round")
    shown = node.ctl_json(f"network inspect {NET}")
    equal(shown["blocks"], {"n1": ["10.32.0.68/30", "10.32.0.128/30"], "n2": ["10.32.0.0/26"]}, "network inspect shows them")
    contains(node.ctl_ok(f"network inspect {NET}"), "n2: 10.32.0.0/26", "for people")
    equal(shown["pools"][0]["size"], 8, "what this node has to give")
    equal(node.ctl_json("endpoint who-has 10.32.0.9")[0]["node"], "n2", "who-has names the block's owner")
    add(node, "last")
    contains(refused(node, "late"), "blocks of node n1", "its blocks are used up")
    node.write(f"{STATE}/node.json", {"apiVersion": 1, "name": "n2"})
    equal(add(node, "other"), "10.32.0.2", "the node's name decides")


def test_IPM_011_a_reserved_address_is_one_names_alone(lab):
    node = node_of(lab, "10.32.0.0/24", "fd32::/64")
    made = node.ctl_json(f"reservation create db --network {NET} --address 10.32.0.3 --address fd32::50")
    equal(made, {"apiVersion": 1, "network": NET, "name": "db", "addresses": ["10.32.0.3", "fd32::50"]}, "the document")
    equal(node.read_json(f"{STATE}/reservations/{NET}/db.json"), made, "as written")
    equal([add(node, c) for c in ("a", "b")], ["10.32.0.2", "10.32.0.4"], "others are given what is beside it")
    contains(refused(node, "c", args="IP=10.32.0.3"), "reserved for db", "and cannot ask for it")
    both = call(node, "ADD", "d", args="IgnoreUnknown=1;K8S_POD_NAME=db").addresses
    equal(both, ["10.32.0.3", "fd32::50"], "the endpoint of that name gets both families")
    contains(refused(node, "e", "db"), "is in use by container d eth0", "a second one of that name is told who has it")
    delete(node, "d")
    equal(add(node, "db"), "10.32.0.3", "an id a person chose is a name")
    equal([(r["name"], r["addresses"]) for r in node.ctl_json("reservation ls")], [("db", ["10.32.0.3", "fd32::50"])], "ls")
    contains(node.ctl_ok(f"reservation ls --network {NET}"), "db", "for people, with the container")
    node.ctl_ok(f"reservation rm db --network {NET}")
    delete(node, "db")
    equal(add(node, "f", args="IP=10.32.0.3"), "10.32.0.3", "once removed it is like any other")
    equal(node.ctl(f"reservation rm db --network {NET}").rc, 1, "it is gone")


def test_IPM_012_what_cannot_be_reserved_is_refused_and_leaves_nothing(lab):
    node = node_of(lab)
    add(node, "c1", "web")
    node.ctl_ok(f"reservation create db --network {NET} --address 10.32.0.50")
    for address, why in (("10.32.0.2", "in use by container c1"), ("10.32.0.50", "reserved for db"), ("10.32.0.1", "gateway"), ("10.32.0.0", "network"),
                         ("10.32.0.255", "10.32.0.255"), ("10.32.0.242", "VIPs"), ("10.33.0.1", "outside"), ("fd32::1", "family")):
        result = node.ctl(f"reservation create x --network {NET} --address {address}")
        equal((result.rc, result.out), (1, ""), f"{address} is refused")
        contains(result.err, why, address)
    contains(node.ctl(f"reservation create db --network {NET} --address 10.32.0.51").err, "there is one already", "a name has one reservation")
    equal(node.ctl(f"reservation create x --network {NET} --address 10.32.0.7 --address 10.32.0.8").rc, 2, "two of a family are wrong usage")
    equal(node.ctl(f"reservation create ../x --network {NET}").rc, 1, "a name is a name")
    equal(node.listdir(f"{STATE}/reservations/{NET}"), ["db.json"], "nothing was left behind")
    chosen = node.ctl_json(f"reservation create new --network {NET}")["addresses"]
    equal(len(chosen), 1, "without --address a free one")
    equal(add(node, "n", "new"), chosen[0], "which the name gets")
    contains(node.ctl(f"network rm {NET}").err, "reservations (db", "a network with reservations stays")


def test_IPM_013_documents_written_by_hand_count_at_once(lab):
    node = node_of(lab)
    for number in range(2, 8):
        node.write(f"{STATE}/reservations/{NET}/name{number}.json",
                   {"apiVersion": 1, "network": NET, "name": f"name{number}", "addresses": [f"10.32.0.{number}"]})
        contains(refused(node, "x", args=f"IP=10.32.0.{number}"), f"reserved for name{number}", "the next ADD knows it")
    node.write(f"{STATE}/reservations/{NET}/bad.json", "{")
    equal(add(node, "c1"), "10.32.0.8", "a bad one stops nobody else")
    contains(refused(node, "c2", "bad"), "bad.json", "its own name is told the file")
    contains(node.ctl("reservation ls").err, "bad.json", "ls warns")
    for number in range(2, 8):
        node.remove(f"{STATE}/reservations/{NET}/name{number}.json")
    equal(add(node, "c3", args="IP=10.32.0.2"), "10.32.0.2", "a document that is gone is gone")


def test_IPM_014_reservations_and_adds_at_once_never_give_an_address_twice(lab):
    node = node_of(lab)
    results = {}

    def reserve(number):
        results[number] = node.ctl(f"reservation create r{number} --network {NET} --address 10.32.0.{number}")
    for start in range(2, 26, 6):
        threads = [threading.Thread(target=reserve, args=(n,)) for n in range(start, start + 6)]
        for thread in threads:
            thread.start()
        given = [add(node, f"c{n}") for n in range(start, start + 4)]
        for thread in threads:
            thread.join()
        kept = {f"10.32.0.{n}" for n in range(start, start + 6) if results[n].rc == 0}
        true(kept or given, "something happened")
        equal(sorted(kept & set(given)), [], "no address is both")
    documents = node.listdir(f"{STATE}/reservations/{NET}") if node.exists(f"{STATE}/reservations/{NET}") else []
    equal(sorted(documents), sorted(f"r{n}.json" for n, r in results.items() if r.rc == 0), "a refused one left nothing")


def test_IPM_015_a_sticky_address_outlives_the_container_and_a_reboot(lab):
    node = node_of(lab, "10.32.0.0/28")     # 12 addresses: .2 to .13
    sticky = configuration({"sticky": True, "stickyFor": "1h"})
    equal(add(node, "a", "web", conf=sticky), "10.32.0.2", "the first")
    delete(node, "a")
    equal(add(node, "b"), "10.32.0.3", "others pass it over")
    node.must("rm -rf /run/fairlead")
    equal(add(node, "c", "web", args=";FAIRLEAD_STICKY=1"), "10.32.0.2", "the name has it again, by CNI_ARGS, too")
    equal(add(node, "d", "web", conf=sticky), "10.32.0.3", "a second one of that name gets another")
    delete(node, "d")
    delete(node, "c")
    kept = node.ctl_json("endpoint who-has 10.32.0.2")[0]
    equal((kept["state"], kept["keptFor"]), ("kept", "web"), "who-has says so")
    contains(refused(node, "e", args="IP=10.32.0.2"), "kept for web", "nobody can ask for it")
    size = node.ctl_json(f"network inspect {NET}")["pools"][0]["size"]
    given = [add(node, f"f{n}") for n in range(size)]
    equal(given[-1], "10.32.0.2", "it is used when nothing else is free")
    delete(node, "f0")
    equal(add(node, "g", "web", args=";FAIRLEAD_STICKY=1"), given[0], "then the name gets another")
    label = configuration(args={"cni": {"labels": [{"key": "fairlead.sticky", "value": "true"}, {"key": "fairlead.name", "value": "lab"}]}})
    delete(node, "f1")
    equal(add(node, "h", conf=label), given[1], "a label asks for it")
    equal(json.loads(node.read(f"{STATE}/sticky/{NET}/names/lab.json"))["addresses"], [given[1]], "the document")


def test_IPM_016_the_agent_collects_what_is_over(lab):
    node = node_of(lab)
    add(node, "a", "web", conf=configuration({"sticky": True, "stickyFor": "0s"}))
    delete(node, "a")
    true(node.exists(f"{STATE}/sticky/{NET}/names/web.json"), "it is kept until somebody looks")
    node.start_agent()
    eventually(lambda: not node.exists(f"{STATE}/sticky/{NET}/names/web.json") and not node.listdir(f"{STATE}/sticky/{NET}/addresses"), 10, "it is gone")


def test_IPM_017_the_plugin_gives_a_reserved_address_to_the_name_the_runtime_passes(lab):
    node = node_of(lab)
    node.start_agent()
    conf = conflist(NET)
    web = node.container("web")
    web.attach(conf, args={"K8S_POD_NAME": "web"})
    first = web.ip
    made = node.ctl_json(f"reservation create web --network {NET}")
    equal(made["addresses"], [first], "without --address: what the endpoint of that name has")
    web.detach()
    other = node.container("other")
    other.attach(conf)
    true(other.ip != first, "nobody else gets it")
    again = node.container("again")
    again.attach(conf, args={"K8S_POD_NAME": "web"})
    equal(again.ip, first, "the name gets it in another container")
    shown = node.ctl_json(f"endpoint who-has {first}")[0]
    equal((shown["state"], shown["names"], shown["reservedFor"], shown["network"]), ("in-use", ["web"], "web", NET), "who-has")
    true(again.ping(other.ip) is not None, "it works")
