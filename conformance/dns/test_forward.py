#!/usr/bin/python3
"""What is forwarded and how (DNS-080 to DNS-090, DNS-103)."""
import struct

from lab import *
from lab import dnsmessage
from .upstream import ADDRESS, FORGED, Upstream
from .world import World, exchange
from .test_edns import ask, opt, option


def two_resolvers(w, first="servfail", second="normal"):
    """A second resolver behind the first; both behave as told."""
    other = w.lab.outside(w.wire, name="resolver2", address=54)
    w.upstream.mode, w.second = first, Upstream(other)
    w.second.mode = second
    w.node.set_resolv_conf("192.0.2.53", "192.0.2.54")
    eventually(lambda: "192.0.2.54" in w.dns.status(), 2, "both resolvers are known")


def test_DNS_080_external_names_are_forwarded(lab):
    w = World(lab)
    answer = w.client.dns("www.example.com", id=4711)
    equal((answer.id, answer.qr, answer.ra, answer.rcode), (4711, 1, True, "NOERROR"), "header")
    equal([(r.name, r.ttl, r.data) for r in answer.answers], [("www.example.com", 300, ADDRESS)], "the record as it came")
    equal(len(w.upstream.queries("www.example.com")), 1, "one question")
    equal(w.upstream.queries("www.example.com")[0].peer, w.node.address(), "asked by the node itself")


def test_DNS_081_negative_answers_pass_with_their_SOA(lab):
    w = World(lab)
    for name, kind, rcode in (("nx.example", "A", "NXDOMAIN"), ("www.example", "AAAA", "NOERROR")):
        answer = w.client.dns(name, kind)
        equal((answer.rcode, answer.answers), (rcode, []), name)
        equal([(r.type, r.name) for r in answer.authority], [("SOA", "upstream")], "the upstream's SOA")


def test_DNS_082_unknown_types_pass_byte_for_byte(lab):
    w = World(lab)
    equal([r.data for r in w.client.dns("type65280.example", 65280).answers], [bytes(range(250, 256)) + b"\0\xc0\x0c\1"], "RDATA")


def test_DNS_083_DNSSEC_passes(lab):
    w = World(lab)
    answer = ask(w.client, "signed.example", opt(flags=0x8000))
    equal([r.type for r in answer.answers], ["A", 46], "RRSIG with DO")
    true(answer.ad, "AD")
    true(answer.edns[2] & 0x8000, "DO in the answer's OPT")
    true(w.upstream.queries("signed.example")[0].edns[1], "DO reached the resolver")
    equal([r.type for r in w.client.dns("signed.example").answers], ["A"], "none without DO")
    w.client.dns("cd.example", cd=True)
    true(w.upstream.queries("cd.example")[0].flags & 0x10, "CD reached it, too")


def test_DNS_084_EDNS_is_hop_by_hop(lab):
    w = World(lab)
    ask(w.client, "hop.example", opt(option(10, b"12345678") + option(8, b"\0\1\x18\0\xc0\0\2")))
    equal(w.upstream.queries("hop.example")[0].edns[2], b"", "neither COOKIE nor ECS is passed on")
    equal(w.client.dns("cookie.example").edns, None, "no OPT for who sent none")
    answer = ask(w.client, "cookie.example", opt())
    true(bytes(range(16)) not in answer.wire, "the resolver's COOKIE stays away")
    equal((answer.addresses, answer.edns[1]), ([ADDRESS], 0), "an OPT of our own")


def test_DNS_085_truncated_answers(lab):
    w = World(lab)
    answer = w.client.dns("trunc8.example")
    true(answer.tc or len(answer.addresses) == 8, "by UDP: TC, or all of it")
    answer = w.client.dns("trunc8.example", tcp=True)
    equal((answer.tc, len(answer.addresses)), (False, 8), "by TCP: all of it")


def test_DNS_086_large_answers(lab):
    w = World(lab)
    answer = w.client.dns("big60.example", edns=1232)
    true(answer.tc or len(answer.addresses) == 60, "EDNS 1232: 60 records or TC")
    true(len(answer.wire) <= 1232, "within the size")
    for name in ("big60.example", "over100.example"):
        answer = w.client.dns(name)
        true(answer.tc and len(answer.wire) <= 512 and answer.rcode == "NOERROR", f"{name}: {answer}, {len(answer.wire)} bytes")
    answer = w.client.dns("over100.example", edns=1232)
    true(answer.tc and len(answer.wire) <= 1232, "more than was asked for")


def test_DNS_087_TCP_clients_are_forwarded_by_TCP(lab):
    w = World(lab)
    answer = w.client.dns("over100.example", tcp=True)
    equal((len(answer.addresses), answer.tc), (100, False), "complete")
    equal({q.transport for q in w.upstream.queries("over100.example")}, {"tcp"}, "asked by TCP")


def test_DNS_088_ports_and_ids_cannot_be_guessed(lab):
    w = World(lab)
    for i in range(300):
        w.client.dns(f"random{i}.example", id=i)
    seen = [q for q in w.upstream.queries() if q.name.startswith("random")]
    equal(len(seen), 300, "all arrived")
    ports, ids = [q.port for q in seen], [q.id for q in seen]
    true(len(set(ports)) >= 250, f"{len(set(ports))} ports")
    true(max(ports) - min(ports) > 16384, f"ports from {min(ports)} to {max(ports)}")
    true(len(set(ids)) >= 290, f"{len(set(ids))} ids")
    true(len({(b - a) & 0xffff for a, b in zip(ids, ids[1:])}) > 250, "no progression")
    true(sum(q.id == int(q.name[6:].split(".")[0]) for q in seen) <= 1, "not the client's ids")


def test_DNS_088_2_the_same_when_all_are_in_flight_at_once(lab):
    w = World(lab)
    with w.client._connected(socket_dgram(), w.client.nameserver(), 53, None, None, 5) as sock:
        for i in range(300):
            sock.send(dnsmessage.query(f"slow300-{i}.example", id=i))
        got = {dnsmessage.decode(sock.recv(2048)).id for _ in range(300)}
    equal(len(got), 300, "all answered")
    seen = [q for q in w.upstream.queries() if q.name.startswith("slow300")]
    true(len({q.port for q in seen}) >= 250, f"{len({q.port for q in seen})} ports")
    true(len({q.id for q in seen}) >= 290, "ids")


def socket_dgram():
    import socket
    return socket.SOCK_DGRAM


def test_DNS_089_forged_answers_are_ignored(lab):
    w = World(lab)
    answer = w.client.dns("bogus.example")
    equal(answer.addresses, [ADDRESS], "the right one, though the forged ones came first")
    answer = w.client.dns("onlybogus.example", timeout=5)
    equal((answer.rcode, answer.addresses), ("SERVFAIL", []), "only forged ones: SERVFAIL")
    true(FORGED not in str(answer), "and nothing of theirs")
    true(w.dns.metric("fairlead_dns_upstream_bogus_total") >= 4, "they are counted")


def test_DNS_090_which_answers_go_on_to_the_next_resolver(lab):
    w = World(lab)
    for first in ("servfail", "refused"):
        two_resolvers(w, first) if first == "servfail" else setattr(w.upstream, "mode", first)
        equal(w.client.dns(f"{first}-then.example").addresses, [ADDRESS], f"{first} first: the second answers")
        equal(len(w.second.queries(f"{first}-then.example")), 1, "it was asked")
    w.upstream.mode = "nx"
    equal(w.client.dns("final.example").rcode, "NXDOMAIN", "NXDOMAIN is final")
    equal(w.second.queries("final.example"), [], "nobody else is asked")
    w.upstream.mode = w.second.mode = "servfail"
    equal(w.client.dns("none.example").rcode, "SERVFAIL", "all SERVFAIL")


def test_DNS_100_nothing_is_cached_but_failures(lab):
    w = World(lab)
    for name, ttl in (("www.example.com", 300), ("zero.example.com", 0)):
        for _ in range(2):
            equal([r.ttl for r in w.client.dns(name).answers], [ttl], f"{name}: the TTL as the resolver gave it")
        equal(len(w.upstream.queries(name)), 2, f"{name}: asked each time")
    equal(w.client.dns("later.example").addresses, [ADDRESS], "control: the name exists")
    w.upstream.mode = "nx"
    equal(w.client.dns("later.example").rcode, "NXDOMAIN", "gone at once")
    w.upstream.mode = "normal"
    equal(w.client.dns("later.example").addresses, [ADDRESS], "and back at once")


def test_DNS_103_nonsense_from_a_resolver(lab):
    w = World(lab)
    two_resolvers(w, "normal", "normal")
    equal(w.client.dns("garbage.example").rcode, "SERVFAIL", "nonsense from both")
    equal((len(w.upstream.queries("garbage.example")), len(w.second.queries("garbage.example"))), (1, 1), "each was asked once")
    equal(w.client.dns("garbage.example", tcp=True).rcode, "SERVFAIL", "by TCP, too")
    equal(w.client.dns("www.example.com").addresses, [ADDRESS], "and it goes on")
