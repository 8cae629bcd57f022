#!/usr/bin/python3
"""Headers, opcodes, classes, odd types and odd packets (DNS-060 to DNS-075)."""
import os
import random
import socket
import struct
import time

from lab import *
from lab import dnsmessage
from .world import DOMAIN, World, exchange


def header(id=0x1234, flags=0x100, qd=1, an=0, ns=0, ar=0):
    return struct.pack(">6H", id, flags, qd, an, ns, ar)


def question(name, kind=1, klass=1):
    return dnsmessage.write_name(name) + struct.pack(">HH", kind, klass)


def rcode(wire):
    return dnsmessage.RCODES.get(wire[3] & 15) if wire else None


def test_DNS_060_other_opcodes_are_not_implemented(lab):
    w = World(lab)
    for opcode in range(1, 16):
        wire = exchange(w.client, header(flags=opcode << 11 | 0x100) + question("opcode.example"))
        equal((rcode(wire), wire[2] >> 3 & 15, wire[2] >> 7), ("NOTIMP", opcode, 1), f"opcode {opcode}")
        equal(wire[:2], b"\x12\x34", "the id")
    w.not_upstream("opcode.example")


def test_DNS_061_a_bare_header_with_opcode_15(lab):
    w = World(lab)
    wire = exchange(w.client, header(flags=15 << 11, qd=0))
    equal((rcode(wire), len(wire)), ("NOTIMP", 12), "NOTIMP")


def test_DNS_062_other_classes(lab):
    w = World(lab)
    for klass in (3, 4, 254, 255, 0, 65535):
        for name in ("client", "class.example", "version.bind", "hostname.bind", "id.server"):
            for kind in (1, 16):
                wire = exchange(w.client, header() + question(name, kind, klass))
                true(rcode(wire) in ("REFUSED", "NOTIMP", "FORMERR"), f"{name} class {klass}: {rcode(wire)}")
                equal(wire[6:8], b"\0\0", "and no answer")
    w.not_upstream("class.example", "version.bind", "hostname.bind", "id.server")


def test_DNS_063_no_or_two_questions(lab):
    w = World(lab)
    equal(rcode(exchange(w.client, header(qd=2) + question("client") * 2)), "FORMERR", "two")
    equal(rcode(exchange(w.client, header(qd=0))), "FORMERR", "none")
    equal(rcode(exchange(w.client, header() + question("client"))), "NOERROR", "control: one")


def test_DNS_064_responses_are_not_answered(lab):
    w = World(lab)
    equal(rcode(exchange(w.client, header() + question("client"))), "NOERROR", "control")
    equal(exchange(w.client, header(flags=0x8100) + question("client"), timeout=0.5), None, "QR=1: silence")


def test_DNS_065_short_packets(lab):
    w = World(lab)
    for size in range(12):
        equal(exchange(w.client, b"\x12\x34\1\0\0\1\0\0\0\0\0"[:size], timeout=0.1), None, f"{size} bytes: silence")
    equal(rcode(exchange(w.client, header() + question("client"))), "NOERROR", "and the server goes on")


def test_DNS_066_cut_questions_and_lying_counts(lab):
    w = World(lab)
    good = header() + question("client")
    for size in range(12, len(good)):
        equal(rcode(exchange(w.client, good[:size])), "FORMERR", f"cut at {size}")
    for field in ("an", "ns", "ar"):
        equal(rcode(exchange(w.client, header(**{field: 1}) + question("client"))), "FORMERR", f"{field} without a record")
        equal(rcode(exchange(w.client, header(**{field: 65535}) + question("client"))), "FORMERR", f"{field} 65535")


def test_DNS_067_compression_traps_in_the_question(lab):
    w = World(lab)
    traps = {"to itself": b"\xc0\x0c", "forward": b"\xc0\x10", "a pair": b"\xc0\x0e\xc0\x0c", "into the header": b"\xc0\0",
             "beyond the end": b"\xff\xff", "a loop behind a label": b"\1a\xc0\x0c"}
    before = w.dns.cpu_seconds()
    for name, trap in traps.items():
        took = measure(lambda: true(rcode(exchange(w.client, header() + trap + b"\0\1\0\1")) in ("FORMERR", None), name))
        true(took < 0.1, f"pointer {name}: {took * 1000:.0f} ms")
    true(w.dns.cpu_seconds() - before < 0.2, "no spinning")


def test_DNS_068_label_types_and_lengths(lab):
    w = World(lab)
    for first in (0x40, 0x41, 0x7f, 0x80, 0xbf):
        equal(rcode(exchange(w.client, header() + bytes([first]) + b"x" * 80 + b"\0\0\1\0\1")), "FORMERR", f"label type {first:#x}")
    tail = b"".join(bytes([len(p)]) + p.encode() for p in DOMAIN.split("."))
    def name(total):
        room, labels = total - 1 - len(tail), b""
        while room > 0:
            size = min(63, room - 1)
            if room - 1 - size == 1:
                size -= 1
            labels, room = labels + bytes([size]) + b"a" * size, room - 1 - size
        return labels + tail + b"\0"
    equal(len(name(255)), 255, "the test's own arithmetic")
    equal(rcode(exchange(w.client, header() + name(255) + b"\0\1\0\1")), "NXDOMAIN", "255 bytes are legal")
    equal(rcode(exchange(w.client, header() + name(256) + b"\0\1\0\1")), "FORMERR", "256 are not")
    equal(rcode(exchange(w.client, header() + question("a" * 63 + "." + DOMAIN))), "NXDOMAIN", "a label of 63")


def test_DNS_069_trailing_bytes(lab):
    w = World(lab)
    wire = exchange(w.client, header() + question("client") + b"trailing" * 10)
    true(rcode(wire) in ("NOERROR", "FORMERR"), f"answered: {rcode(wire)}")
    true(b"trailing" not in wire, "and not echoed")


def test_DNS_070_header_bits(lab):
    w = World(lab)
    for sent, wanted in ((0x0100, 0x8580), (0x0000, 0x8480), (0x0110, 0x8590), (0x07f0, 0x8590), (0x0660, 0x8480)):
        wire = exchange(w.client, header(id=0xbeef, flags=sent) + question("client"))
        equal(struct.unpack_from(">2H", wire), (0xbeef, wanted), f"flags {sent:#06x}")


def test_DNS_071_RD_0_is_not_forwarded(lab):
    w = World(lab)
    equal(w.client.dns("rd.example", rd=False).rcode, "REFUSED", "REFUSED")
    equal(w.client.dns("client", rd=False).addresses, [w.client.ip], "local names are answered all the same")
    w.not_upstream("rd.example")


def test_DNS_072_meta_types(lab):
    w = World(lab)
    for kind in (41, 250, 249, 251, 252, 253, 254, 0, 65535):
        for name in ("client", DOMAIN, f"net1.{DOMAIN}", "meta.example"):
            for tcp in (False, True):
                answer = w.client.dns(name, kind, tcp=tcp)
                true(answer.rcode in ("REFUSED", "NOTIMP", "FORMERR"), f"{name} type {kind}: {answer.rcode}")
                equal(answer.answers, [], "nothing is listed")
    w.not_upstream("meta.example")


def test_DNS_073_ANY(lab):
    w = World(lab)
    for name in ("client", f"client.net1.{DOMAIN}"):
        answer = w.client.dns(name, "ANY")
        equal((answer.rcode, len({r.type for r in answer.answers})), ("NOERROR", 1), f"{name}: one set")
        true(len(answer.wire) <= 512, "small")
    w.not_upstream("client", f"client.net1.{DOMAIN}")


def test_DNS_074_the_question_comes_back_as_it_was(lab):
    w = World(lab)
    for name in ("cLiEnT", "nO.FairLead.internal", "ServFail.example", "nX.example", "WwW.Example.com", "SILENT.example"):
        wire = exchange(w.client, header() + question(name), timeout=5)
        equal((wire[4:6], wire[12:12 + len(question(name))]), (b"\0\1", question(name)), f"{name}: {rcode(wire)}")


def mutated(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 5)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[:rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)


@limit(120)
def test_DNS_075_a_hundred_thousand_broken_packets(lab):
    w = World(lab)
    for warm in range(500):
        w.client.dns(f"warm{warm}.example")
    rng, before = random.Random(75), w.dns.rss_kib()
    seeds = [dnsmessage.query(n, k, edns=e) for n in ("client", "www.example.com", f"a.{DOMAIN}", "2.0.5.10.in-addr.arpa")
             for k in ("A", "SRV", "PTR") for e in (None, 1232)]
    sock = w.client._connected(socket.SOCK_DGRAM, w.client.nameserver(), 53, None, None, 1)
    sock.setblocking(False)
    for i in range(100000):
        try:
            sock.send(os.urandom(rng.randrange(600)) if i % 10 == 0 else mutated(rng, seeds))
        except OSError:
            pass
        if i % 10000 == 0:
            # What is sent faster than it is read does not fit into the socket's buffer, and takes a good query with it.
            eventually(lambda: w.client.dns("client", timeout=0.2), 2, "the flood is read")
            took = measure(lambda: equal(w.client.dns("client").addresses, [w.client.ip], "between them"))
            true(took < 0.1 * lab.slow, f"a good query in {took * 1000:.0f} ms")
        if i % 50 == 0:
            try:
                while sock.recv(2048):
                    pass
            except OSError:
                pass
    for i in range(2000):
        with w.client._connected(socket.SOCK_STREAM, w.client.nameserver(), 53, None, None, 1) as tcp:
            data = mutated(rng, seeds)
            tcp.sendall(struct.pack(">H", len(data) if i % 3 else rng.randrange(65536)) + data)
    equal(w.client.dns("client").addresses, [w.client.ip], "afterwards")
    equal(w.client.dns("client", tcp=True).addresses, [w.client.ip], "by TCP")
    true(w.dns.alive(), "the process lives")
    grown = w.dns.rss_kib() - before
    true(grown < 10 * 1024, f"memory grew by {grown} KiB")
