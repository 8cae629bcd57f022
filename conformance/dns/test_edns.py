#!/usr/bin/python3
"""EDNS (DNS-050 to DNS-057)."""
import os
import struct

from lab import *
from lab import dnsmessage
from .world import World, exchange


def opt(options=b"", size=1232, version=0, flags=0, owner=b"\0", length=None):
    return owner + struct.pack(">HHBBHH", 41, size, 0, version, flags, len(options) if length is None else length) + options


def option(code, data):
    return struct.pack(">HH", code, len(data)) + data


def ask(place, name, *additional, kind="A", count=None):
    """A query with these additional records → the decoded answer, or None."""
    wire = bytearray(dnsmessage.query(name, kind))
    wire[10:12] = struct.pack(">H", len(additional) if count is None else count)
    answer = exchange(place, bytes(wire) + b"".join(additional))
    return answer and dnsmessage.decode(answer)


def test_DNS_050_OPT_only_for_who_sends_one(lab):
    w = World(lab)
    for name in ("client", "no.fairlead.internal", "www.example.com"):
        equal(w.client.dns(name).edns, None, f"{name}: none without")
        size, version, _ = w.client.dns(name, edns=1232).edns
        true(size >= 512 and version == 0, f"{name}: version 0 and a size, got {size}, {version}")


def test_DNS_051_version_1_is_BADVERS(lab):
    w = World(lab)
    answer = ask(w.client, "client", opt(version=1))
    equal((answer.rcode, answer.edns[1], answer.answers), ("BADVERS", 0, []), "BADVERS, version 0, nothing else")
    equal(ask(w.client, "client", opt()).addresses, [w.client.ip], "control: version 0")


def test_DNS_052_unknown_options_and_flags_are_ignored(lab):
    w = World(lab)
    answer = ask(w.client, "client", opt(option(65001, b"what is this"), flags=0x7fff))
    equal((answer.rcode, answer.addresses), ("NOERROR", [w.client.ip]), "answered")
    equal(answer.edns[2] & 0x7fff, 0, "unknown flags are zero")
    true(b"what is this" not in answer.wire, "the option is not echoed")


def test_DNS_053_two_OPTs_or_one_with_a_name_are_errors(lab):
    w = World(lab)
    equal(ask(w.client, "client", opt(), opt()).rcode, "FORMERR", "two")
    equal(ask(w.client, "client", opt(owner=b"\1x\0")).rcode, "FORMERR", "an owner other than the root")
    equal(ask(w.client, "client", opt()).rcode, "NOERROR", "control")


def test_DNS_054_broken_OPTs_are_errors(lab):
    w = World(lab)
    equal(ask(w.client, "client", opt(struct.pack(">HH", 10, 9) + b"12345678")).rcode, "FORMERR", "an option beyond RDLENGTH")
    equal(ask(w.client, "client", opt(b"\0")).rcode, "FORMERR", "half an option")
    equal(ask(w.client, "client", opt(length=200)).rcode, "FORMERR", "RDLENGTH beyond the packet")
    equal(ask(w.client, "client", opt(option(10, b"12345678"))).rcode, "NOERROR", "control")


def test_DNS_055_the_DO_bit_comes_back_and_AD_does_not(lab):
    w = World(lab)
    answer = ask(w.client, "client", opt(flags=0x8000))
    true(answer.edns[2] & 0x8000, "DO is copied")
    equal((answer.addresses, answer.ad), ([w.client.ip], False), "local data is unsigned")
    equal(ask(w.client, "client", opt()).edns[2], 0, "no DO without")


def test_DNS_056_cookies_are_ignored(lab):
    w = World(lab)
    for length in (8, 7, 9, 15, 16, 40, 41):
        cookie = os.urandom(length)
        answer = ask(w.client, "client", opt(option(10, cookie)))
        equal((answer.rcode, answer.addresses), ("NOERROR", [w.client.ip]), f"{length} bytes")
        true(cookie not in answer.wire, "no COOKIE in the answer")


def test_DNS_057_other_options(lab):
    w = World(lab)
    plain = ask(w.client, "client", opt())
    for name, code, data in (("ECS", 8, b"\0\1\x18\0\xc0\0\2"), ("NSID", 3, b""), ("keepalive", 11, b""), ("padding", 12, b"\0" * 64)):
        answer = ask(w.client, "client", opt(option(code, data)))
        equal((answer.rcode, answer.addresses), ("NOERROR", [w.client.ip]), name)
        equal(len(answer.wire), len(plain.wire), f"{name}: nothing is revealed or echoed")
