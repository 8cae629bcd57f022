#!/usr/bin/python3
"""Resolvers that fail, floods, loops, changing resolvers (DNS-091 to DNS-096, DNS-101)."""
import os
import socket
import time

from lab import *
from lab import dnsmessage
from .test_forward import two_resolvers
from .upstream import ADDRESS, Upstream
from .world import World


def seconds(place, name, rcode, **options):
    answers = []
    took = measure(lambda: answers.append(place.dns(name, timeout=6, **options)))
    equal(answers[0].rcode, rcode, f"{name} after {took:.2f} s")
    return took


@limit(60)
def test_DNS_091_a_dead_first_resolver(lab):
    w = World(lab)
    two_resolvers(w, "silent", "normal")
    first = seconds(w.client, "one.example", "NOERROR")
    true(first < 3, f"the first time {first:.2f} s")
    later = [seconds(w.client, f"two{i}.example", "NOERROR") for i in range(5)]
    true(max(later) < 0.05 * lab.slow + 0.05, f"then at once: {later}")
    true('"silent": true' in w.dns.status(), "the status says so")
    w.upstream.mode = "normal"
    asked = len(w.upstream.queries())

    def probed():
        w.client.dns(f"probe{time.monotonic_ns()}.example")
        return len(w.upstream.queries()) > asked
    eventually(probed, 30, "it is asked again within 30 s", every=0.5)
    eventually(lambda: '"silent": true' not in w.dns.status(), 2, "and is good again")


def test_DNS_092_all_resolvers_dead(lab):
    w = World(lab)
    two_resolvers(w, "silent", "silent")
    took = seconds(w.client, "dead.example", "SERVFAIL")
    true(1 < took < 5, f"SERVFAIL after {took:.2f} s, before glibc's 5 s")
    sent = [len(u.queries("dead.example")) for u in (w.upstream, w.second)]
    true(all(1 <= n <= 3 for n in sent), f"packets: {sent}")
    true(seconds(w.client, "dead.example", "SERVFAIL") < 0.2, "the failure is remembered")
    equal([len(u.queries("dead.example")) for u in (w.upstream, w.second)], sent, "nobody is asked again at once")
    w.upstream.mode = "normal"
    eventually(lambda: w.client.dns("dead.example").addresses == [ADDRESS], 5, "and forgotten", every=0.2)


def flood(place, names):
    sock = place._connected(socket.SOCK_DGRAM, place.nameserver(), 53, None, None, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    for number, name in enumerate(names):
        sock.send(dnsmessage.query(name, id=number & 0xffff))
    return sock


@variants(names=["one name", "many names"])
def test_DNS_093_slow_names_do_not_hold_back_others(lab, names):
    w = World(lab)
    w.client.dns("warm.example")
    before = w.dns.rss_kib()
    count = 1500
    with flood(w.client, [f"silent{i if names == 'many names' else ''}.example" for i in range(count)]):
        for place_answer in ("client", "www.example.com", "other.example"):
            took = seconds(w.client, place_answer, "NOERROR")
            true(took < 0.05 * lab.slow + 0.05, f"{place_answer} in {took * 1000:.0f} ms")
        true(w.dns.metric("fairlead_dns_upstream_in_flight") <= 1024, "bounded")
        true(w.dns.metric("fairlead_dns_upstream_in_flight") >= 1, "control: they are in flight")
    grown = w.dns.rss_kib() - before
    true(grown < 20 * 1024, f"memory grew by {grown} KiB")
    if names == "many names":
        true(w.dns.metric("fairlead_dns_upstream_evicted_total") >= count - 1024, "who was displaced got SERVFAIL at once")


@limit(60)
def test_DNS_094_a_flooding_container_starves_nobody(lab):
    w = World(lab)
    other = w.container("other")
    sock = w.client._connected(socket.SOCK_DGRAM, w.client.nameserver(), 53, None, None, 1)
    with sock:
        sock.setblocking(False)
        start, sent, worst = time.monotonic(), 0, 0
        while time.monotonic() - start < 5:
            while sent < (time.monotonic() - start) * 1000:
                try:
                    sock.send(dnsmessage.query(f"silent{sent}.example"))
                except OSError:
                    pass
                sent += 1
            worst = max(worst, seconds(other, f"good{sent}.example", "NOERROR"))
    true(w.dns.metric("fairlead_dns_upstream_evicted_total") > 0, "control: the flood was over the limit")
    true(worst < 0.3 * lab.slow, f"the other container's slowest answer: {worst * 1000:.0f} ms")


def test_DNS_095_equal_questions_in_flight_are_one(lab):
    w = World(lab)
    with flood(w.client, ["slow500.example"] * 100) as sock:
        sock.settimeout(3)
        answers = [dnsmessage.decode(sock.recv(2048)) for _ in range(100)]
    equal(sorted(a.id for a in answers), list(range(100)), "everybody is answered, with his id")
    equal({a.addresses[0] for a in answers}, {"198.51.100.2"}, "with the address")
    true(len(w.upstream.queries("slow500.example")) <= 3, f"{len(w.upstream.queries('slow500.example'))} questions upstream")


def test_DNS_096_loops_end(lab):
    w = World(lab)
    w.node.set_resolv_conf("10.5.0.1", "192.0.2.53", "fd05::1")
    eventually(lambda: "10.5.0.1" not in upstreams(w) and "192.0.2.53" in upstreams(w), 2, "own addresses are left out")
    equal(w.client.dns("www.example.com").addresses, [ADDRESS], "the others serve")
    w.node.set_resolv_conf("10.5.0.1")
    eventually(lambda: upstreams(w) == [], 2, "nothing is left")
    true(seconds(w.client, "loop.example", "SERVFAIL") < 0.2, "SERVFAIL at once")
    lab.say("a resolver that sends everything back to us")
    before = w.dns.metric("fairlead_dns_upstream_sent_total")
    with w.resolver.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        w.upstream.kill()
        sock.bind(("192.0.2.53", 53))
        w.node.set_resolv_conf("192.0.2.53")
        eventually(lambda: upstreams(w) == ["192.0.2.53"], 2, "known")
        w.resolver.must("ip", "route", "add", "10.5.0.0/16", "via", w.node.address())
        sock.setblocking(False)
        client = flood(w.client, ["echo.example"])
        end, returned = time.monotonic() + 4.5, 0
        while time.monotonic() < end:
            try:
                query, peer = sock.recvfrom(2048)
                sock.sendto(query, ("10.5.0.1", 53))
                sock.sendto(query, peer)
                returned += 1
            except BlockingIOError:
                time.sleep(0.01)
        equal(dnsmessage.decode(client.recv(2048)).rcode, "SERVFAIL", "in the end")
    true(0 < returned and w.dns.metric("fairlead_dns_upstream_sent_total") - before < 50, f"{returned} packets in total")


def upstreams(w):
    import json
    return [u["address"] for u in json.loads(w.dns.status())["upstreams"]]


def test_DNS_101_resolvers_follow_resolv_conf(lab):
    w = World(lab)
    other = w.lab.outside(w.wire, name="resolver2", address=54)
    second = Upstream(other)

    def asks(upstream, label):
        name = f"{label}{time.monotonic_ns()}.example"
        w.client.dns(name, timeout=5)
        return len(upstream.queries(name)) > 0
    w.node.set_resolv_conf("192.0.2.54")
    eventually(lambda: asks(second, "renamed"), 2, "a renamed file is used")
    with open(w.node.path("/etc/resolv.conf"), "w") as file:
        file.write("# comment\n; comment\nsearch x\noptions ndots:3\nnameserver   192.0.2.53   # first\nnameserver nonsense\n")
    eventually(lambda: asks(w.upstream, "rewritten"), 2, "a file written in place")
    w.node.write("/etc/real-a", "nameserver 192.0.2.54\n")
    w.node.write("/etc/real-b", "nameserver 192.0.2.53\n")
    w.node.must("ln", "-sfn", "real-a", "/etc/resolv.conf")
    eventually(lambda: asks(second, "linked"), 2, "a symbolic link")
    w.node.must("sh", "-c", "ln -s real-b /etc/new && mv -T /etc/new /etc/resolv.conf")
    eventually(lambda: asks(w.upstream, "swapped"), 2, "a swapped link")
    w.node.write("/etc/real-b", "nameserver 2001:db8::54\n")
    eventually(lambda: asks(second, "six"), 2, "the link's target replaced; an IPv6 resolver")
    link_local = next(a["local"] for a in other.ip_json("address", "show", "dev", "eth0")[0]["addr_info"] if a["scope"] == "link")
    w.node.write("/etc/real-b", f"nameserver {link_local}%eth0\n")
    eventually(lambda: asks(second, "scope"), 2, "a link-local resolver with its interface")
    w.node.write("/etc/real-b", "".join(f"nameserver 192.0.2.{n}\n" for n in (200, 201, 202, 203, 54)))
    eventually(lambda: len(upstreams(w)) == 5, 2, "more than three")
    w.node.write("/etc/real-b", "")
    eventually(lambda: upstreams(w) == [], 2, "an empty file")
    true(seconds(w.client, "empty.example", "SERVFAIL") < 0.2, "SERVFAIL at once")
    w.network("net1", dnsServers=["192.0.2.54"])
    eventually(lambda: asks(second, "own"), 2, "a network's own resolvers")
    os.unlink(w.node.path("/etc/resolv.conf"))
    equal(w.client.dns("client").addresses, [w.client.ip], "without the file local names resolve")
