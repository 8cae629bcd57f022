#!/usr/bin/python3
"""fairleadctl network: what is created can be read back, what cannot work is refused with the reason."""
import json

from lab import *

NETWORKS = "/var/lib/fairlead/networks"


def node_of(lab):
    return lab.host("n1", lab.segment("wire"))


def refuses(node, command, *needles, status=1):
    """Exit status, one line on stderr that names everything, nothing on stdout."""
    result = node.ctl(command)
    equal(result.rc, status, f"exit status of: {command}")
    equal(result.out, "", f"stdout of: {command}")
    lines = result.err.strip().splitlines()
    equal(len(lines), 1, f"lines on stderr of: {command}")
    for needle in needles:
        contains(lines[0], needle, f"stderr of: {command}")


def test_CTL_001_a_created_network_is_a_document_that_reads_back(lab):
    node = node_of(lab)
    made = node.ctl_json("network create appnet --subnet 10.32.0.0/16 --subnet fd32::/64 --mtu 1400 --internal --vxlan-port 8472")
    equal({key: made[key] for key in ("apiVersion", "name", "subnets", "encryption", "internal", "mtu", "vxlanPort")},
          {"apiVersion": 1, "name": "appnet", "subnets": ["10.32.0.0/16", "fd32::/64"], "encryption": "none",
           "internal": True, "mtu": 1400, "vxlanPort": 8472}, "what was asked for")
    true(1 <= made["vni"] <= 0xffffff, "a VNI was given")
    equal(node.read_json(f"{NETWORKS}/appnet.json"), made, "the document")
    equal(node.ctl_json("network ls"), [made], "ls --json")
    shown = node.ctl_json("network inspect appnet")
    equal(shown["gateways"], ["10.32.0.1", "fd32::1"], "gateways")
    equal(shown["vipPools"], ["10.32.255.0/24", "fd32::ffff:0/112"], "VIP pools")
    contains(node.ctl_ok("network ls"), "appnet", "for people")
    equal(node.run(["stat", "-c", "%a", f"{NETWORKS}/appnet.json"]).out.strip(), "640", "mode")


def test_CTL_002_a_network_without_subnets_gets_free_ones(lab):
    node = node_of(lab)
    one, two = node.ctl_json("network create one"), node.ctl_json("network create two")
    equal([one["subnets"][0], two["subnets"][0]], ["10.64.0.0/20", "10.64.16.0/20"], "one after the other")
    vni = two["vni"]
    equal(two["subnets"][1], f"fdfa:1ead:{vni >> 16:x}:{vni & 0xffff:x}::/64", "the IPv6 subnet carries the VNI")
    node.must("ip link add lan type veth peer name lan2")
    node.must("ip link set lan up")
    node.must("ip route add 10.64.32.0/21 dev lan")
    equal(node.ctl_json("network create three")["subnets"][0], "10.64.48.0/20", "around a route of the node")
    equal(node.ctl_json("network create six --subnet fd66::/64")["subnets"], ["fd66::/64"], "what is named is all there is")


def test_CTL_003_names_and_subnets_that_cannot_work_are_refused_with_the_reason(lab):
    node = node_of(lab)
    node.ctl_ok("network create good --subnet 10.32.0.0/16")
    refuses(node, "network create good", "good", "exists already", "fairleadctl network inspect good")
    for name in ("Up", "a/b", "..", "a-", "a" * 64, "ä", "a;touch x", ""):
        refuses(node, f"network create '{name}'", "expected 1 to 63 of a-z 0-9 _ . -")
    refuses(node, "network create x --subnet 10.32.0.9/16", "10.32.0.9/16", "did you mean 10.32.0.0/16?", status=2)
    refuses(node, "network create x --subnet 10.1.0.0/16 --subnet 10.2.0.0/16", "one subnet per address family", status=2)
    refuses(node, "network create x --subnet 10.1.0.0", "10.1.0.0", "expected a subnet like", status=2)
    refuses(node, "network create x --subnet 10.1.0.0/31", "10.1.0.0/31", "too small")
    refuses(node, "network create x --subnet 127.0.0.0/16", "127.0.0.0/16")
    refuses(node, "network create x --subnet 192.0.2.0/25", "192.0.2.0/25", "route 192.0.2.0/24 dev eth0")
    refuses(node, "network create x --subnet 2001:db8::/80", "route 2001:db8::/64 dev eth0")
    refuses(node, "network create x --mtu 1000", "--mtu", status=2)
    refuses(node, "network create x --encryption rot13", "rot13", "ipsec", status=2)
    equal(node.listdir(NETWORKS), [".lock", "good.json"], "nothing was left behind")


def test_CTL_004_networks_may_overlap_each_other(lab):
    node = node_of(lab)
    for name in ("red", "blue"):
        node.ctl_ok(f"network create {name} --subnet 10.32.0.0/16")
    equal(len({n["vni"] for n in node.ctl_json("network ls")}), 2, "each has a VNI of its own")


def test_CTL_005_a_network_in_use_stays(lab):
    node = node_of(lab)
    node.ctl_ok("network create appnet --subnet 10.32.0.0/16")
    node.ctl_ok("service create web --network appnet --port 80")
    refuses(node, "network rm appnet", "appnet", "services (web)", "fairleadctl service rm --network appnet")
    node.ctl_ok("service rm web --network appnet")
    attachment = {"apiVersion": 1, "network": "appnet", "container": "3f9c", "ifname": "eth0", "netns": "/run/netns/x",
                  "node": "n1", "addresses": ["10.32.0.5"], "mac": "02:00:00:00:00:01", "names": ["web-1"], "state": "ready"}
    path = "/run/fairlead/endpoints/appnet/3f9c-eth0.json"
    node.write(path, attachment)
    refuses(node, "network rm appnet", "appnet", "endpoints (web-1)")
    node.write(path, "{")
    result = node.ctl("network rm appnet")
    equal(result.rc, 1, "a document nobody can read may be an endpoint")
    contains(result.err, "3f9c-eth0.json", "and is named")
    node.remove(path)
    node.ctl_ok("network rm appnet")
    equal(node.ctl_json("network ls"), [], "gone")
    refuses(node, "network rm appnet", "does not exist", "fairleadctl network create appnet")


def test_CTL_006_fields_of_a_newer_version_survive(lab):
    node = node_of(lab)
    node.write(f"{NETWORKS}/appnet.json", {"apiVersion": 1, "name": "appnet", "vni": 7, "subnets": ["10.32.0.0/16"],
                                           "colour": {"is": ["blue"]}})
    equal(node.ctl_json("network inspect appnet")["colour"], {"is": ["blue"]}, "shown")
    service = {"apiVersion": 1, "network": "appnet", "name": "web", "vips": ["10.32.255.1"], "ports": [{"port": 80}],
               "colour": "red"}
    node.write("/var/lib/fairlead/services/appnet/web.json", service)
    node.ctl_ok("service update web --network appnet --scheduler lc")
    written = node.read_json("/var/lib/fairlead/services/appnet/web.json")
    equal((written["colour"], written["scheduler"]), ("red", "lc"), "kept when the document is written again")


def test_CTL_007_of_fifty_created_at_once_none_shares_a_number_or_a_subnet(lab):
    node = node_of(lab)
    ctl = lab.binary("fairleadctl")
    running = [node.popen([ctl, "network", "create", f"net{i % 25}", "--json"]) for i in range(50)]
    statuses = [process.wait(30) for process in running]
    equal(statuses.count(0), 25, "each name once")
    networks = node.ctl_json("network ls")
    equal(len(networks), 25, "all are there")
    equal(len({n["vni"] for n in networks}), 25, "VNIs")
    equal(len({subnet for n in networks for subnet in n["subnets"]}), 50, "subnets")


def test_CTL_008_a_state_directory_that_cannot_be_written_is_named(lab):
    node = node_of(lab)
    node.ctl_ok("network create appnet")                       # positive control
    before = node.read(f"{NETWORKS}/appnet.json")
    node.must("mount -t tmpfs -o size=4k,nr_inodes=3 tmpfs /mnt")
    node.must("mkdir /mnt/networks")
    node.must(["dd", "if=/dev/zero", "of=/mnt/full", "bs=4096", "count=1"])
    result = node.ctl("--state-dir /mnt network create second")
    equal(result.rc, 1, "a full disk")
    contains(result.err, "No space left on device", "is told")
    contains(result.err, "/mnt/networks", "with the place")
    equal([name for name in node.listdir("/mnt/networks") if name.startswith("second")], [], "and nothing is left of it")
    node.must("mount --bind /var/lib/fairlead /var/lib/fairlead")
    node.must("mount -o remount,bind,ro /var/lib/fairlead")
    refuses(node, "network create second", "/var/lib/fairlead/networks", "Read-only file system")
    refuses(node, "network rm appnet", "Read-only file system")
    equal(node.read(f"{NETWORKS}/appnet.json"), before, "what was there is there")


def test_CTL_009_bad_documents_do_not_hide_the_good_ones(lab):
    node = node_of(lab)
    node.ctl_ok("network create good")
    bad = {"empty": "", "half": '{"apiVersion":1,"name":"half"', "wrong": '{"apiVersion":1,"name":"wrong","vni":"x"}',
           "other": '{"apiVersion":1,"name":"another","vni":5}', "twice": '{"name":"twice","vni":1,"vni":2}',
           "deep": "[" * 100000, "large": " " * (8 << 20), "newer": '{"apiVersion":99,"name":"newer","vni":5}'}
    for name, text in bad.items():
        node.write(f"{NETWORKS}/{name}.json", text)
    result = node.ctl("network ls --json")
    equal(result.rc, 0, "the listing succeeds")
    equal([n["name"] for n in json.loads(result.out)], ["good"], "with the good one")
    for name in bad:
        contains(result.err, f"{NETWORKS}/{name}.json", "every bad one is named")
    contains(result.err, "/vni", "and the field")
    status = node.ctl_json("status")
    equal((status["networks"], len(status["problems"])), (1, len(bad)), "status counts them")
    contains(node.ctl_ok("status"), "problems:", "and people see them")


def test_CTL_010_wrong_usage_exits_2_and_says_what_there_is(lab):
    node = node_of(lab)
    refuses(node, "netwrok ls", '"netwrok"', "network service endpoint node status", status=2)
    refuses(node, "network lss", '"lss"', "create ls inspect rm", status=2)
    refuses(node, "network create", "NAME", "required", status=2)
    refuses(node, "network create a b", '"b"', status=2)
    refuses(node, "network ls --frobnicate", "--frobnicate", status=2)
    result = node.ctl("network")
    equal((result.rc, result.out), (2, ""), "a group alone")
    contains(result.err, "inspect", "lists its commands")
    contains(node.ctl_ok("--help"), "status", "help is an answer")
    contains(node.ctl_ok("service create --help"), "--publish-mode", "of every command")
    contains(node.ctl_ok("--version"), "fairleadctl ", "version")
