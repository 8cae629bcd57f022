#!/usr/bin/python3
"""Debian's host-local and fairlead-ipam are given the same configurations: the same answers, but for what is listed here."""
import json

from lab import *
from .world import OURS, call, environment

HOST_LOCAL = "/usr/lib/cni/host-local"
S4, S6 = "10.9.0.0/24", "fd09::/64"
ONE = [[{"subnet": S4}]]
RESOLV = "/run/resolv"
RESOLV_TEXT = """# comment
nameserver 192.0.2.1
  nameserver\t192.0.2.2 # behind
nameserver fe80::1%eth0
nameserver
domain ex.org
search a.example b.example
search c.example
options ndots:2 timeout:1
options rotate
; another
sortlist 130.155.160.0
"""


def ranges(*sets):
    return {"ranges": [list(s) for s in sets]}


def one(**keys):
    return ranges([{"subnet": S4, **keys}])


# Each: the ipam section, and what else the call has. Both must answer alike: the same result, or both an error.
ALIKE = {
    "one range": (one(), {}),
    "keys without ranges": ({"subnet": S4, "rangeStart": "10.9.0.20", "rangeEnd": "10.9.0.30", "gateway": "10.9.0.254"}, {}),
    "both": ({"subnet": S4, **ranges([{"subnet": "10.8.0.0/24"}])}, {}),
    "IPv6": (ranges([{"subnet": "FD09:0::/64"}]), {}),
    "dual stack": (ranges([{"subnet": S4}], [{"subnet": S6}]), {}),
    "two of a family": (ranges([{"subnet": S4}], [{"subnet": "10.8.0.0/24"}]), {}),
    "parts of one subnet": (ranges([{"subnet": S4, "rangeEnd": "10.9.0.9"}], [{"subnet": S4, "rangeStart": "10.9.0.10"}]), {}),
    "a range at the gateway": (one(rangeStart="10.9.0.1", rangeEnd="10.9.0.2"), {}),
    "a gateway in the range": (one(rangeStart="10.9.0.4", gateway="10.9.0.4"), {}),
    "a gateway elsewhere": (one(gateway="10.1.1.1"), {}),
    "an empty gateway": (one(gateway=""), {}),
    "a /30": (ranges([{"subnet": "10.9.0.0/30"}]), {}),
    "a /31": (ranges([{"subnet": "10.9.0.0/31"}]), {}),
    "a /32": (ranges([{"subnet": "10.9.0.0/32"}]), {}),
    "no prefix length": (ranges([{"subnet": "10.9.0.0"}]), {}),
    "no subnet": (ranges([{"rangeStart": "10.9.0.4"}]), {}),
    "host bits": (ranges([{"subnet": "10.9.0.3/24"}]), {}),
    "a start outside": (one(rangeStart="10.9.1.1"), {}),
    "a start of the other family": (one(rangeStart="fd00::1"), {}),
    "a start behind the end": (one(rangeStart="10.9.0.9", rangeEnd="10.9.0.3"), {}),
    "no ranges": ({"ranges": []}, {}),
    "an empty list": ({"ranges": [[]]}, {}),
    "nothing at all": ({}, {}),
    "not a list of lists": ({"ranges": [{"subnet": S4}]}, {}),
    "two families in a list": (ranges([{"subnet": S4}, {"subnet": S6}]), {}),
    "overlap in a list": (ranges([{"subnet": S4}, {"subnet": "10.9.0.0/25"}]), {}),
    "overlap of lists": (ranges([{"subnet": S4}], [{"subnet": "10.9.0.0/25"}]), {}),
    "IP=": (one(), {"args": "IP=10.9.0.7"}),
    "IP= with a length": (one(), {"args": "IP=10.9.0.7/24"}),
    "IP= and more": (one(), {"args": "IgnoreUnknown=1;K8S_POD_NAME=x;IP=10.9.0.7"}),
    "IP= two": (one(), {"args": "IP=10.9.0.7,10.9.0.8"}),
    "IP= nonsense": (one(), {"args": "IP=zz"}),
    "IP= the gateway": (one(), {"args": "IP=10.9.0.1"}),
    "IP= the network": (one(), {"args": "IP=10.9.0.0"}),
    "IP= the broadcast": (one(), {"args": "IP=10.9.0.255"}),
    "IP= outside": (one(), {"args": "IP=10.10.0.1"}),
    "IP= beside the range": (one(rangeEnd="10.9.0.9"), {"args": "IP=10.9.0.10"}),
    "args.cni.ips": (one(), {"conf": {"args": {"cni": {"ips": ["10.9.0.8"]}}}}),
    "args.cni.ips with a length": (one(), {"conf": {"args": {"cni": {"ips": ["10.9.0.8/24"]}}}}),
    "ips": (one(), {"conf": {"runtimeConfig": {"ips": ["10.9.0.11/24"]}}}),
    "ips of both families": (ranges([{"subnet": S4}], [{"subnet": S6}]), {"conf": {"runtimeConfig": {"ips": ["fd09::7", "10.9.0.7"]}}}),
    "ips, Podman's twice": (one(), {"conf": {"runtimeConfig": {"ips": ["10.9.0.11", "10.9.0.11"]}}}),
    "ips, two of one range": (one(), {"conf": {"runtimeConfig": {"ips": ["10.9.0.11", "10.9.0.12"]}}}),
    "ips and args": (one(), {"conf": {"runtimeConfig": {"ips": ["10.9.0.11"]}, "args": {"cni": {"ips": ["10.9.0.12"]}}}}),
    "ips, empty": (one(), {"conf": {"runtimeConfig": {"ips": []}}}),
    "ipRanges": ({}, {"conf": {"runtimeConfig": {"ipRanges": [[{"subnet": S4, "rangeStart": "10.9.0.50"}]]}}}),
    "ipRanges before ranges": (ranges([{"subnet": "10.8.0.0/24"}]), {"conf": {"runtimeConfig": {"ipRanges": ONE}}}),
    "routes": ({**one(), "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.1.0.0/16", "gw": "10.9.0.5"}, {"dst": "10.1.0.3/16"}]}, {}),
    "a bad route": ({**one(), "routes": [{"dst": "x"}]}, {}),
    "dataDir": ({**one(), "dataDir": "/run/elsewhere"}, {}),
    "resolvConf": ({**one(), "resolvConf": RESOLV}, {}),
    "resolvConf, empty": ({**one(), "resolvConf": ""}, {}),
    "resolvConf, missing": ({**one(), "resolvConf": "/run/none"}, {}),
    "0.1.0": ({**one(), "routes": [{"dst": "0.0.0.0/0"}]}, {"conf": {"cniVersion": "0.1.0"}}),
    "0.2.0, dual stack": ({**ranges([{"subnet": S4}], [{"subnet": S6}]), "routes": [{"dst": "::/0"}]}, {"conf": {"cniVersion": "0.2.0"}}),
    "0.2.0, two of a family": (ranges([{"subnet": S4}], [{"subnet": "10.8.0.0/24"}]), {"conf": {"cniVersion": "0.2.0"}}),
    "0.3.1": (one(), {"conf": {"cniVersion": "0.3.1"}}),
    "0.4.0, dual stack": (ranges([{"subnet": S4}], [{"subnet": S6}]), {"conf": {"cniVersion": "0.4.0"}}),
    "CHECK of nothing": (one(), {"command": "CHECK"}),
    "DEL of nothing": (one(), {"command": "DEL"}),
}

# Where ours is better on purpose: what each of the two does (the addresses, "error", or "ok").
DIFFERENT = {
    "args beats CNI_ARGS (CONVENTIONS)": (one(), {"args": "IP=10.9.0.9", "conf": {"args": {"cni": {"ips": ["10.9.0.8"]}}}}, "error", ["10.9.0.8"]),
    "ips beats CNI_ARGS (CONVENTIONS)": (one(), {"args": "IP=10.9.0.9", "conf": {"runtimeConfig": {"ips": ["10.9.0.8"]}}}, "error", ["10.9.0.8"]),
    "an empty text asks for nothing": (one(), {"conf": {"runtimeConfig": {"ips": [""]}}}, "error", ["10.9.0.2"]),
    "the network address is given to nobody": (one(rangeStart="10.9.0.0"), {}, ["10.9.0.0"], "error"),
    "the broadcast address is no end of a range": (ranges([{"subnet": "10.9.0.0/29", "rangeEnd": "10.9.0.7"}]), {}, ["10.9.0.2"], "error"),
    "a gateway is of the subnet's family": (one(gateway="fd00::1"), {}, ["10.9.0.1"], "error"),
    "an IPv4 address is written as one": (one(rangeStart="::ffff:10.9.0.9"), {}, ["10.9.0.9"], "error"),
    "a route has a destination": ({**one(), "routes": [{"gw": "10.9.0.1"}]}, {}, ["10.9.0.2"], "error"),
    "null is absent": ({"subnet": None, **one()}, {}, "error", ["10.9.0.2"]),
    "DEL works whatever is wrong with the configuration": ({"ranges": []}, {"command": "DEL"}, "error", "ok"),
}


def ask(host, plugin, ipam, options, number):
    """One call on a network of its own."""
    conf = {"cniVersion": "1.0.0", "name": f"net{number}", "type": "x", **options.get("conf", {}),
            "ipam": {"type": "host-local", "dataDir": "/run/host-local", **ipam}}
    return call(host, options.get("command", "ADD"), conf=conf, args=options.get("args", ""), plugin=plugin)


def outcome(answer):
    if answer.rc != 0:
        return "error"
    if answer.json is None:
        return "ok"
    result = json.loads(json.dumps(answer.json))
    if not result.get("dns"):
        result.pop("dns", None)
    return result


@needs(f"program:{HOST_LOCAL}")
def test_IPM_001_host_locals_configurations_get_host_locals_answers(lab):
    host = lab.host("n1")
    host.write(RESOLV, RESOLV_TEXT)
    results = 0
    for number, (title, (ipam, options)) in enumerate(ALIKE.items()):
        theirs, ours = (outcome(ask(host, plugin, ipam, options, number)) for plugin in (HOST_LOCAL, OURS))
        equal(ours, theirs, title)
        results += isinstance(theirs, dict)
    true(results > 30, f"most of them are no errors: {results} of {len(ALIKE)}")
    dns = ask(host, OURS, {**one(), "resolvConf": RESOLV}, {}, 999).json["dns"]
    equal((dns["nameservers"], dns["search"], dns["domain"]), (["192.0.2.1", "192.0.2.2", "fe80::1%eth0"], ["a.example", "b.example", "c.example"],
                                                               "ex.org"), "resolvConf is in the result")


@needs(f"program:{HOST_LOCAL}")
def test_IPM_002_where_ours_differs_it_is_listed(lab):
    host = lab.host("n1")
    for number, (title, (ipam, options, theirs, ours)) in enumerate(DIFFERENT.items()):
        for plugin, wanted in ((HOST_LOCAL, theirs), (OURS, ours)):
            answer = ask(host, plugin, ipam, options, number)
            seen = outcome(answer)
            equal(answer.addresses if isinstance(seen, dict) else seen, wanted, f"{title}: {plugin}")


@needs(f"program:{HOST_LOCAL}")
def test_IPM_003_a_life_of_adds_and_dels_goes_as_host_locals(lab):
    """Round robin over two ranges of a list, releases, requests, second interfaces, exhaustion, refill."""
    host = lab.host("n1")
    conf = {"cniVersion": "1.0.0", "name": "life", "type": "x", "ipam": {"type": "host-local", "dataDir": "/run/host-local", "ranges": [
        [{"subnet": "10.9.0.0/29"}, {"subnet": "10.8.0.0/24", "rangeStart": "10.8.0.9", "rangeEnd": "10.8.0.11"}], [{"subnet": S6}]]}}
    steps = [("ADD", f"c{n}", "eth0", "") for n in range(4)]
    steps += [("DEL", "c1", "eth0", ""), ("ADD", "c2", "eth0", ""), ("ADD", "c2", "eth1", ""), ("ADD", "x", "eth0", "IP=10.9.0.3"),
              ("ADD", "y", "eth0", "IP=10.9.0.3"), ("CHECK", "c2", "eth0", ""), ("CHECK", "c1", "eth0", "")]
    steps += [("ADD", f"d{n}", "eth0", "") for n in range(4)] + [("DEL", "c2", "eth1", ""), ("DEL", "c0", "eth0", "")]
    steps += [("ADD", f"e{n}", "eth0", "") for n in range(3)] + [("DEL", "nobody", "eth0", "")]
    seen = []
    for step in steps:
        command, container, ifname, args = step
        both = []
        for plugin in (HOST_LOCAL, OURS):
            result = host.run([plugin], input=json.dumps(conf), env=environment(command, container, args, ifname))
            both.append([ip["address"] for ip in json.loads(result.out)["ips"]] if result.rc == 0 and result.out else result.rc)
        seen.append((step, *both))
    equal([(step, ours) for step, _, ours in seen], [(step, theirs) for step, theirs, _ in seen], "step by step")
    true(any(theirs == 1 for (step, theirs, _) in seen if step[0] == "ADD" and step[1][0] == "e"), "the range was used up")


def test_IPM_004_attributes_of_routes_are_repeated_where_the_version_has_them(lab):
    host = lab.host("n1")
    routes = [{"dst": "10.1.0.0/16", "gw": "10.9.0.5", "mtu": 1400, "advmss": 1360, "priority": 5, "table": 0, "scope": 0}, {"dst": "::/0"}]
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "x", "ipam": {"type": "fairlead-ipam", "subnet": S4, "routes": routes}}
    equal(call(host, "ADD", "c1", conf=conf).json["routes"], routes, "1.1.0 has them, set to 0 apart from not set")
    bad = {**conf, "ipam": {**conf["ipam"], "routes": [{"dst": "10.1.0.0/16", "mtu": -1}]}}
    contains(call(host, "ADD", "c2", conf=bad).error, "routes/0/mtu", "a bad one is named")
