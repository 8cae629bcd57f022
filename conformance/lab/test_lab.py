"""The lab itself: what a test may rely on."""
import os
import socket
import subprocess
import time

from lab import *
from lab import dnsmessage


def test_LAB_001_hosts_reach_each_other_by_both_families(lab):
    wire = lab.segment("wire")
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    outside = lab.outside(wire)
    equal((one.address(4), two.address(4), outside.address(4)), ("192.0.2.1", "192.0.2.2", "192.0.2.100"), "addresses")
    for version in (4, 6):
        true(one.ping(two.address(version)), f"IPv{version} echo")
        two.serve_tcp(7000 + version, name="b")
        answer = outside.tcp_request(two.address(version), 7000 + version, "hello")
        equal((answer.name, answer.peer, answer.payload), ("b", outside.address(version), "hello"), "TCP with the peer's address")
        two.serve_udp(7000 + version, name="u")
        answer = one.udp_request(two.address(version), 7000 + version, "hello", src_port=5555)
        equal((answer.name, answer.peer, answer.peer_port), ("u", one.address(version), 5555), "UDP with the peer's port")
    refused(lambda: one.tcp_request(two.address(4), 9), "a closed port")
    equal(one.ping("192.0.2.77", timeout=0.2), None, "nobody there")


def test_LAB_002_segments_are_separate(lab):
    near, far = lab.segment("near"), lab.segment("far")
    both = lab.host("both", near, far)
    left, right = lab.host("left", near), lab.host("right", far)
    equal((left.address(4), right.address(4), both.address(4, 1)), ("192.0.2.2", "192.0.3.3", "192.0.3.1"), "addresses")
    true(left.ping(both.address(4)), "left to both")
    true(right.ping(both.address(6, 1)), "right to both by IPv6")
    left.must("ip route add 192.0.3.0/24 via 192.0.2.1")
    right.must("ip route add 192.0.2.0/24 via 192.0.3.1")
    equal(left.ping(right.address(4), timeout=0.3), None, "a fresh machine does not forward")
    both.sysctl("net.ipv4.ip_forward", 1)
    true(left.ping(right.address(4)), "until it is told to")


def test_LAB_003_a_cable_can_be_cut_and_healed(lab):
    wire = lab.segment("wire")
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    true(one.ping(two.address(4)), "before")
    wire.cut(two)
    equal(one.ping(two.address(4), timeout=0.3), None, "while cut")
    wire.heal(two)
    eventually(lambda: one.ping(two.address(4), timeout=0.2), 2, "after")


def test_LAB_004_a_host_has_files_of_its_own(lab):
    one, two = lab.host("h1"), lab.host("h2")
    name = f"lab-004-{time.time_ns()}"
    for folder in ("/run/fairlead", "/var/lib/fairlead", "/etc/fairlead", "/tmp", "/usr/local"):
        path = f"{folder}/{name}"
        one.write(path, {"from": "h1"})
        equal(one.read_json(path), {"from": "h1"}, "written")
        equal(one.must("cat", path), '{"from": "h1"}', "seen by its programs")
        true(not two.exists(path), f"{path} is not on the other host")
        true(not os.path.exists(path), f"{path} is not on the machine")
    equal(one.must("stat -f -c %T /run /var/lib/fairlead").split(), ["tmpfs", "tmpfs"], "as on a real host")
    equal(one.must("hostname").strip(), "h1", "its name")
    equal(one.must("cat /etc/resolv.conf").strip(), "# none", "no resolver of the machine")
    one.set_resolv_conf("192.0.2.53")
    equal(one.must("cat /etc/resolv.conf").strip(), "nameserver 192.0.2.53", "its own resolver")


def test_LAB_005_a_host_sees_only_itself(lab):
    host = lab.host("h1")
    other = lab.host("h2").popen("sleep 100")
    own = host.popen("sleep 200")
    processes = host.must("ps -e -o args=")
    contains(processes, "sleep 200", "its own process")
    lacks(processes, "sleep 100", "another host's process")
    true(other.alive() and own.alive(), "both run")
    equal(sorted(host.links()), ["lo"], "its links")
    equal(sorted(host.must("ls /sys/class/net").split()), ["lo"], "its /sys")
    equal(host.sysctl("net.ipv4.ip_forward"), "0", "fresh")


def test_LAB_006_containers_are_namespaces_of_their_host(lab):
    host, other = lab.host("h1"), lab.host("h2")
    pinned, held = host.container("c1"), host.container("c2", pid_holding=True)
    equal(pinned.netns, "/run/netns/c1", "where it is pinned")
    equal(host.netns_list(), ["c1"], "in the host's /run/netns")
    equal(other.netns_list(), [], "not in another host's")
    true(held.netns.startswith("/proc/"), f"{held.netns} is a process's")
    for container in (pinned, held):
        identity = container.must("readlink /proc/self/ns/net").strip()
        equal(host.must("stat -L -c net:[%i]", container.netns).strip(), identity, "the path leads to the namespace")
        true(identity != host.must("readlink /proc/self/ns/net").strip(), "which is not the host's")
        equal(list(container.links()), ["lo"], "empty but for lo")
        container.serve_tcp(80)
        equal(container.tcp_request("127.0.0.1", 80).name, container.name, "its lo is up")
    refused(lambda: host.tcp_request("127.0.0.1", 80), "the host has another 127.0.0.1")
    pinned.kill()
    equal(host.netns_list(), [], "removed without DEL")


def test_LAB_007_debians_bridge_attaches_and_detaches(lab):
    host = lab.host("h1", lab.segment())
    conf = {"cniVersion": "0.4.0", "name": "br", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": True,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd09::/64"}]]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}]}
    one, two = host.container("c1"), host.container("c2")
    one.attach(conf)
    two.attach(conf, args={"K8S_POD_NAME": "x"})
    equal((one.ip, two.ip, one.gateway), ("10.9.0.2", "10.9.0.3", "10.9.0.1"), "addresses of the result")
    equal(one.addresses("eth0"), ["10.9.0.2/24", "fd09::2/64"], "addresses in the kernel")
    equal(one.links()["eth0"]["address"], one.mac, "the MAC of the result")
    two.serve_http(80)
    equal(one.http_get(two.ip, 80, "/x").body.split()[::3], ["c2", "/x"], "HTTP between them")
    true(one.ping(two.ip6), "IPv6 between them")
    one.check()
    one.detach()
    lacks(one.links(), "eth0", "after DEL")
    outcome = one.cni("ADD", {"name": "br", "cniVersion": "9.9.9", "type": "bridge"})
    true(outcome.rc != 0 and outcome.json["code"] == 1, f"a refused ADD is an outcome: {outcome}")
    try:
        one.attach({"cniVersion": "1.0.0", "name": "x", "type": "bridge", "ipam": {"type": "nosuch"}})
    except CniError as error:
        contains(str(error), "nosuch", "why")
    else:
        raise AssertionError("an ADD that fails must raise")


def test_LAB_008_capture_sees_what_is_on_the_wire(lab):
    wire = lab.segment()
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    two.serve_udp(7000)
    with two.capture("eth0") as seen, one.capture("lo") as elsewhere:
        one.udp_request(two.address(4), 7000, "MARKER-4711", src_port=4000)
        one.udp_request(two.address(6), 7000, "MARKER-4711")
        packets = seen.wait(b"MARKER-4711", at_least=4)
        request = packets[0]
        equal((request.src, request.dst, request.proto, request.sport, request.dport, request.payload),
              ("192.0.2.1", "192.0.2.2", "udp", 4000, 7000, b"MARKER-4711\n"), "the request, dissected")
        true(packets[1].outgoing and not request.outgoing, "direction")
        equal(seen.count(lambda p: p.proto == "udp" and p.src == "2001:db8::1"), 1, "the IPv6 request")
        equal(elsewhere.count(b"MARKER-4711"), 0, "nothing on an interface it did not take")
        equal(seen.count(b"MARKER-4712"), 0, "no packet with another marker")


def test_LAB_009_servers_can_be_paused_and_killed(lab):
    wire = lab.segment()
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    server, web = two.serve_tcp(80), two.serve_http(8080)
    with one.tcp_connect(two.address(4), 80) as flow:
        equal([flow.ask("a").payload, flow.ask("b").payload], ["a", "b"], "one connection, two questions")
        server.pause()
        silent(lambda: flow.ask("c", timeout=0.3), "a paused server says nothing")
        server.resume()
        equal(flow.ask("d").payload[0], "c", "and goes on where it was")
        server.kill()
        refused(lambda: [flow.ask("e") for _ in range(3)], "a killed one resets")
    refused(lambda: one.tcp_request(two.address(4), 80), "and its port is closed")
    equal(server.log()[0], f"tcp {one.address(4)} {flow_port(server)} a", "its log")
    equal(one.http_get(two.address(6), 8080).status, 200, "healthy")
    web.status = 503
    equal(one.http_get(two.address(6), 8080).status, 503, "told to be unhealthy")


def flow_port(server):
    return int(server.log()[0].split()[2])


def test_LAB_010_dns_questions_and_a_small_upstream(lab):
    wire = lab.segment()
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    many = [f"10.0.{i // 250}.{i % 250}" for i in range(100)]
    upstream = two.serve_dns({("a.test", "A"): ["192.0.2.9"], ("a.test", "AAAA"): ["2001:db8::9"], ("big.test", "A"): many,
                              ("bad.test", "A"): "SERVFAIL", ("gone.test", "A"): "DROP"})
    server = two.address(4)
    equal(one.dns("A.test", server=server).addresses, ["192.0.2.9"], "A")
    equal(one.dns("a.test", "AAAA", server=two.address(6)).addresses, ["2001:db8::9"], "AAAA by IPv6")
    answer = one.dns("a.test", "MX", server=server)
    equal((answer.rcode, answer.answers), ("NOERROR", []), "no such type")
    equal(one.dns("b.test", server=server).rcode, "NXDOMAIN", "no such name")
    equal(one.dns("bad.test", server=server).rcode, "SERVFAIL", "as told")
    silent(lambda: one.dns("gone.test", server=server, timeout=0.3), "as told")
    true(one.dns("big.test", server=server).tc, "too big for 512 bytes")
    equal(one.dns("big.test", server=server, tcp=True).addresses, many, "whole by TCP")
    equal(one.dns("big.test", server=server, edns=4096).addresses, many, "or by EDNS")
    contains("\n".join(upstream.log()), "big.test A", "the upstream's log")
    equal(dnsmessage.read_name(dnsmessage.write_name("x.y."), 0), ("x.y", 5), "names")
    with one.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\0" * 5, (server, 53))
    equal(one.dns("a.test", server=server).rcode, "NOERROR", "survives junk")


def test_LAB_011_commands_report_and_are_limited(lab):
    host = lab.host("h1")
    result = host.run("sh -c 'echo out; echo err >&2; exit 3'")
    equal((result.rc, result.out, result.err), (3, "out\n", "err\n"), "a result")
    equal(host.must("cat", input="text"), "text", "input")
    equal(host.must("sh -c 'echo $X$HOME'", env={"X": "1", "HOME": None}), "1\n", "environment")
    for wrong in (lambda: host.must("false"), lambda: host.run("sleep 60", timeout=0.2)):
        try:
            wrong()
        except AssertionError:
            continue
        raise AssertionError("a failure must raise")
    background = host.popen("sh -c 'echo here; sleep 60'")
    eventually(lambda: background.output() == "here\n", 2, "its output can be read while it runs")
    equal(background.kill(), -9, "killed")
    left = host.popen("sh -c 'sleep 60 & sleep 60'")
    other = lab.host("other", lab.segment("wire"))
    lab.segments["wire"].cable(host, "eth0")
    true("eth0" in host.links(), "a cable")
    true(measure(host.power_off) < 5, "also while its processes run")
    true(not host.alive() and not left.alive(), "no power")
    equal(list(lab.segments["wire"]._cables), [other.name], "nobody at its end of the cable")
    try:
        host.run("true")
    except OSError:
        return
    raise AssertionError("nothing runs on a host without power")


def test_LAB_012_checks_fail_when_they_must(lab):
    wrong = [lambda: equal(1, 2, "x"), lambda: true(0, "x"), lambda: contains("a", "b", "x"), lambda: lacks("a", "a", "x"),
             lambda: eventually(lambda: False, 0.1, "x"), lambda: never(lambda: True, 0.1, "x"),
             lambda: refused(lambda: 1, "x"), lambda: silent(lambda: 1, "x"), lambda: unreachable(lambda: 1, "x"),
             lambda: lab.host("h").capture("lo").wait(b"x", 0.1)]
    for number, check in enumerate(wrong):
        try:
            check()
        except AssertionError:
            continue
        raise AssertionError(f"check {number} did not fail")
    never(lambda: False, 0.1, "x")
    equal(eventually(lambda: 7, 0.1, "x"), 7, "the value")


def test_LAB_013_the_test_process_has_no_way_to_the_machines_network(lab):
    equal(os.getpid(), 1, "it is pid 1 of a PID namespace")
    with open("/proc/net/dev") as file:
        equal([line.split(":")[0].strip() for line in file if ":" in line], ["lo"], "its links")
    equal(subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout, "", "its routes")
