#!/usr/bin/python3
"""PRE-01 to PRE-04: what nodes send one another is tried when a node joins, with real packets; what is missing is named."""
from lab import *

from .world import cluster_of, found, host, not_a_member, one_line, other_clock, synced, token, try_join

SUBJECTS = ["clock", "VXLAN", "IPsec", "IPsec in UDP", "WireGuard", "MTU"]


def lines(text, of, and_):
    """What `text` says between two nodes: {subject: [line, …]}, and the subjects marked as missing."""
    found_lines, missing, wanted = {}, [], False
    for line in text.splitlines():
        if line.startswith("between "):
            wanted = line.startswith(f"between {of.name} and {and_.name} (")
        elif wanted:
            subject = line[2:16].strip()
            found_lines.setdefault(subject, []).append(line[16:])
            if line[0] == "!":
                missing.append(subject)
    return found_lines, missing


def preflight(node, manager):
    result = node.ctl("cluster preflight", timeout=40)
    said, missing = lines(result.out, node, manager)
    equal(result.rc, 1 if missing else 0, f"the exit status tells whether something is missing: {result.out}{result.err}")
    return said, missing


def all_pass(said, missing):
    equal((list(said), missing), (SUBJECTS, []), f"everything is tried and passes: {said}")


def drop(node, *rules, hook="input"):
    """A firewall of the administrator's."""
    node.must("nft -f -", input=f"table inet admin {{ chain c {{ type filter hook {hook} priority 10; " +
              "; ".join(f"{rule} drop" for rule in rules) + "; }; }")


def allow(node):
    node.must("nft delete table inet admin")


@limit(90)
def test_PRE_01_joining_names_what_does_not_pass_in_which_direction_and_nothing_else(lab):
    wire = lab.segment("wire")
    n1, n2, n3 = (host(lab, wire, name) for name in ("n1", "n2", "n3"))
    found(n1)
    joined = try_join(n2, n1, token(n1))
    said, missing = lines(joined.out, n2, n1)
    all_pass(said, missing)
    equal([said[s] for s in SUBJECTS[1:]], [["UDP 4789 passes"], ["protocol 50 passes"], ["UDP 4793 passes"],
                                            ["UDP 4792 passes"], ["1500 passes"]], "in these words")

    lab.say("protocol 50 does not come in on the manager: the node joins, and is told")
    drop(n1, "meta l4proto esp")
    joined = try_join(n3, n1, token(n1))
    equal(joined.rc, 0, f"joined all the same: {joined.err}")
    synced(n3)
    said, missing = lines(joined.out, n3, n1)
    equal(missing, ["IPsec"], "only that is missing")
    contains(said["IPsec"][0], "protocol 50 does not pass from n3 to n1: networks with encryption ipsec use UDP 4793", "in one direction")
    allow(n1)

    lab.say("three things at once, in different directions; and a port of a network")
    n1.ctl_ok("network create other --subnet 10.60.0.0/24 --vxlan-port 8472", timeout=20)
    n1.ctl_ok("network create secret --subnet 10.61.0.0/24 --encryption ipsec", timeout=20)
    eventually(lambda: len([n for n in n3.listdir("/var/lib/fairlead/networks") if n.endswith(".json")]) == 2, 5, "n3 has both networks")
    drop(n3, "udp dport { 4789, 4793, 8472 }")
    drop(n1, "udp dport { 4792, 4793 }")
    said, missing = preflight(n3, n1)
    equal(missing, ["VXLAN", "VXLAN", "IPsec in UDP", "WireGuard"], f"these and no others: {said}")
    for subject, number, text in (("VXLAN", 0, "UDP 4789 does not pass from n1 to n3"), ("VXLAN", 1, "UDP 8472 does not pass from n1 to n3"),
                                  ("IPsec in UDP", 0, "UDP 4793 does not pass in either direction"),
                                  ("WireGuard", 0, "UDP 4792 does not pass from n3 to n1")):
        contains(said[subject][number], text, "named exactly")
    lacks(str(said), "4790", "an encrypted network's port is not tried: nothing passes on it in the clear")
    allow(n1)
    allow(n3)
    all_pass(*preflight(n3, n1))
    status = n3.ctl_json("cluster preflight", timeout=40)
    equal((status["good"], status["peers"][0]["name"], [f["state"] for f in status["peers"][0]["findings"]]),
          (True, "n1", ["passes"] * 7), "for programs")
    contains(n1.ctl_ok("cluster preflight", timeout=40), "no other manager", "on the only manager there is nothing to try")


@limit(90)
def test_PRE_02_a_narrow_way_is_measured_in_both_directions_and_told_from_one_that_says_so(lab):
    left, right = lab.segment("left"), lab.segment("right")
    n1, n2 = host(lab, left, "n1"), host(lab, right, "n2")
    router = lab.host("router", left, right, address=254)
    router.sysctl("net.ipv4.ip_forward", 1)
    for node in (n1, n2):
        node.must(f"ip route add default via {router.address(4, 0 if node is n1 else 1)}")
    found(n1)
    joined = try_join(n2, n1, token(n1))
    all_pass(*lines(joined.out, n2, n1))

    lab.say("the router's link towards n2 carries 1400: it says so to n1; what comes from n2 is lost without a word")
    router.must("ip link set eth1 mtu 1400")
    said, missing = preflight(n2, n1)
    equal(missing, ["MTU"], f"only that: {said}")
    # A veth takes a VLAN tag's four bytes more than it sends (include/linux/netdevice.h, __is_skb_forwardable).
    equal([s.replace("1404", "1400") for s in said["MTU"]], ["only 1400 of 1500 pass from n2 to n1: lower the link's MTU or let ICMP through",
                        "only 1400 of 1500 pass from n1 to n2, and the way says so"], "each direction for itself")
    lab.say("an administrator who drops all ICMP")
    drop(router, "meta l4proto icmp", hook="output")
    n1.must("ip route flush cache")
    said, missing = preflight(n2, n1)
    equal(missing, ["MTU", "MTU"], f"only that: {said}")
    equal(said["MTU"][1], "only 1400 of 1500 pass from n1 to n2: lower the link's MTU or let ICMP through", "now it is missing")
    allow(router)
    router.must("ip link set eth1 mtu 1500")
    all_pass(*preflight(n2, n1))


@limit(60)
def test_PRE_03_an_ipv6_underlay_and_two_managers(lab):
    wire = lab.segment("wire")
    n1, n2, n3 = (host(lab, wire, name) for name in ("n1", "n2", "n3"))
    n1.ctl_ok(f"cluster init --advertise {n1.address(6)} --name n1", timeout=30)
    for node, role in ((n2, "manager"), (n3, "node")):
        joined = node.ctl(f"cluster join {n1.address(6)} --name {node.name}", input=token(n1, role), timeout=40)
        all_pass(*lines(joined.out, node, n1))
    drop(n3, "meta l4proto esp")
    drop(n2, "udp dport 4792")
    result = n3.ctl("cluster preflight", timeout=40)
    equal(lines(result.out, n3, n1)[1], ["IPsec"], "with one manager")
    said, missing = lines(result.out, n3, n2)
    equal(missing, ["IPsec", "WireGuard"], "with the other one more is missing")
    contains(said["IPsec"][0], "from n2 to n3", "in that direction")
    equal(lines(n2.ctl("cluster preflight", timeout=40).out, n2, n1)[1], ["WireGuard"], "between managers, too")


@needs("program:faketime")
@limit(60)
def test_PRE_04_a_clock_that_is_off_is_named_with_amount_and_sign(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    late = host(lab, lab.segments["wire"], "late")
    one_line(late.ctl(f"cluster join {n1.address(4)} --name late", input=token(n1), timeout=40, env=other_clock(FAKETIME="+7260")),
             "this machine's clock is 121 minutes ahead of the manager's; set it right and join again")
    not_a_member(late)
    all_pass(*preflight(n2, n1))
    for offset, text in (("+30", "this node's is 30.0 s ahead of n1's"), ("-600", "this node's is 600.0 s behind n1's")):
        n2.agent.stop()
        n2.agent = n2.start_agent(env=other_clock(FAKETIME=offset))
        synced(n2)
        said, missing = preflight(n2, n1)
        equal(missing, ["clock"], f"only that: {said}")
        contains(said["clock"][0].replace("29.9", "30.0").replace("599.9", "600.0"), text, "named")
