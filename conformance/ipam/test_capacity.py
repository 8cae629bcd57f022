#!/usr/bin/python3
"""How full a pool is, said before it is too late; whose an address is."""
from lab import *
from .world import NET, add, configuration, delete, node_of, refused


def test_IPM_020_capacity_is_shown_and_warned_of_before_the_pool_is_used_up(lab):
    node = node_of(lab, "10.32.0.0/28", "fd32::/64")
    node.start_agent()
    pool = node.ctl_json(f"network inspect {NET}")["pools"][0]
    equal((pool["subnet"], pool["size"], pool["used"]), ("10.32.0.0/28", 13, 0), "before")
    for n in range(9):
        add(node, f"c{n}")
    contains(node.ctl_ok("network ls"), "9/13", "network ls")
    equal(node.ctl_json("status")["problems"], [], "69 % is no problem")
    node.ctl_ok(f"reservation create db --network {NET}")
    add(node, "c9")
    problems = node.ctl_json("status")["problems"]
    equal(len(problems), 1, f"84 % is one, once: {problems}")
    for needle in (NET, "10.32.0.0/28", "84 %", "10 leased", "1 reserved", "13 addresses"):
        contains(problems[0], needle, "status says what and how much")
    contains(node.ctl("network ls").err, "84 %", "network ls warns")
    used = [p["used"] for p in node.ctl_json("status")["pools"] if p["subnet"] == "10.32.0.0/28"]
    equal(used, [11], "leased and reserved")
    add(node, "c10")
    add(node, "c11")
    error = refused(node, "late")
    for needle in (NET, "10.32.0.0/28", "13 addresses", "12 are leased", "1 reserved", "fairleadctl endpoint ls"):
        contains(error, needle, "exhaustion names all that helps")
    contains(node.ctl_json("status")["problems"][0], "no free address left", "status, too")
    delete(node, "c0")
    true(add(node, "late"), "what is released can be had")


def test_IPM_021_the_agent_warns_once_and_has_the_numbers(lab):
    node = node_of(lab, "10.32.0.0/28")
    agent = node.start_agent()
    labels = {"network": NET, "subnet": "10.32.0.0/28"}
    eventually(lambda: agent.metric("fairlead_pool_size", **labels) == 13, 10, "the size")
    for n in range(11):
        add(node, f"c{n}")
    eventually(lambda: agent.metric("fairlead_pool_used", **labels) == 11, 15, "the use")
    eventually(lambda: "84 % used" in agent.log(), 5, "a line in the log")
    contains(str(agent.status()), "84 % used", "its status")
    add(node, "more")
    eventually(lambda: agent.metric("fairlead_pool_used", **labels) == 12, 15, "the next count")
    equal(agent.log().count("% used"), 1, "the log says it once")
    for n in range(8):
        delete(node, f"c{n}")
    eventually(lambda: "% used" not in str(agent.status()), 15, "the problem goes")


def test_IPM_022_who_has_knows_what_every_address_is(lab):
    node = node_of(lab, "10.32.0.0/24", "fd32::/64")
    node.ctl_ok("network create twin --subnet 10.32.0.0/24")
    node.ctl_ok(f"service create web --network {NET} --port 80 --vip 10.32.0.241")
    node.ctl_ok(f"reservation create db --network {NET} --address 10.32.0.50")
    add(node, "c1", "www")

    def who(address, network=NET):
        found = [f for f in node.ctl_json(f"endpoint who-has {address}") if f["network"] == network]
        equal(len(found), 1, f"{address} in {network}")
        return found[0]
    user = who("10.32.0.2")
    equal((user["state"], user["container"], user["ifname"], user["names"]), ("in-use", "c1", "eth0", ["www"]), "who, where, called what")
    true(user["since"].startswith("20") and user["since"].endswith("Z"), f"since when: {user}")
    equal(who("fd32::2")["container"], "c1", "IPv6")
    equal(who("10.32.0.2", "twin")["state"], "free", "another network with that subnet is another matter")
    for address, state, text in (("10.32.0.50", "reserved", "reserved for db"), ("10.32.0.241", "vip", "VIP of service web"), ("10.32.0.1", "gateway", "gateway"),
                                 ("10.32.0.242", "vip-pool", "in the VIP pool, free"), ("10.32.0.0", "unusable", "network address"), ("10.32.0.77", "free", "free")):
        answer = who(address)
        equal(answer["state"], state, address)
        contains(answer["text"], text, address)
    contains(node.ctl_ok("endpoint who-has 10.32.0.2"), "container c1 eth0 (www) since", "for people")
    equal(len(node.ctl_json(f"endpoint who-has 10.32.0.2 --network {NET}")), 1, "in one network")
    contains(node.ctl("endpoint who-has 192.0.2.77").err, "in no network", "an address of nobody's")
    equal(node.ctl("endpoint who-has x").rc, 2, "no address at all")
    add(node, "b1", conf=configuration({"subnet": "172.30.0.0/24"}, network="bridge-net"))
    equal(node.ctl_json("endpoint who-has 172.30.0.2")[0]["network"], "bridge-net", "a network of another main plugin")
