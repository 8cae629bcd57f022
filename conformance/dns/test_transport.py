#!/usr/bin/python3
"""UDP sizes and TCP behaviour (DNS-035 to DNS-044)."""
import socket
import struct
import time

from lab import *
from lab import dnsmessage
from .world import World, exchange, read_message


class Big(World):
    """60 containers' worth of addresses behind one alias, written as documents."""

    def __init__(self, lab):
        super().__init__(lab)
        for i in range(60):
            self.node.write(f"/run/fairlead/endpoints/net1/big{i}-eth0.json", {
                "apiVersion": 1, "network": "net1", "container": f"big{i}", "ifname": "eth0",
                "addresses": [f"10.5.9.{i + 1}"], "names": [f"big-{i}"], "aliases": ["big"], "services": ["bigsvc"], "state": "ready"})
        self.settle()


def connect(place, server=None):
    return place._connected(socket.SOCK_STREAM, server or place.nameserver(), 53, None, None, 2)


def framed(wire):
    return struct.pack(">H", len(wire)) + wire


def test_DNS_035_without_EDNS_512_bytes_and_whole_records(lab):
    w = Big(lab)
    answer = w.client.dns("big")
    true(len(answer.wire) <= 512, f"{len(answer.wire)} bytes")
    true(answer.tc, "TC")
    true(0 < len(answer.answers) < 60, "some whole records")
    equal(answer.trailing, b"", "and nothing behind them")


def test_DNS_036_the_size_of_EDNS_is_honoured(lab):
    w = Big(lab)
    whole = w.client.dns("big", edns=1232)
    equal((len(whole.addresses), whole.tc), (60, False), "1232 bytes hold 60 addresses")
    for size in (600, 900):
        answer = w.client.dns("big", edns=size)
        true(len(answer.wire) <= size and answer.tc, f"size {size}: {len(answer.wire)} bytes, tc {answer.tc}")
    small = w.client.dns("big", edns=100)
    true(400 < len(small.wire) <= 512 and small.tc, f"100 counts as 512: {len(small.wire)} bytes")


def test_DNS_037_never_more_than_fits_every_path(lab):
    w = Big(lab)
    for i in range(60, 140):
        w.node.write(f"/run/fairlead/endpoints/net1/big{i}-eth0.json", {
            "apiVersion": 1, "network": "net1", "container": f"big{i}", "ifname": "eth0", "addresses": [f"10.5.9.{i + 1}"],
            "aliases": ["big"], "state": "ready"})
    w.settle()
    with w.client.capture("eth0") as wire:
        answer = w.client.dns("big", edns=65535)
        equal(len(w.client.dns("big", tcp=True).addresses), 140, "control: there is more")
        true(len(answer.wire) <= 1400 and answer.tc, f"{len(answer.wire)} bytes, tc {answer.tc}")
        fragments = [p for p in wire.packets() if p.raw[12:14] == b"\x08\0" and struct.unpack(">H", p.raw[20:22])[0] & 0x3fff]
        equal(fragments, [], "no fragments")


def test_DNS_038_TCP_gives_the_whole_answer(lab):
    w = Big(lab)
    answer = w.client.dns("big", tcp=True)
    equal((len(set(answer.addresses)), answer.tc), (60, False), "all of it")


def test_DNS_039_pipelining_and_slow_ones_hold_back_nobody(lab):
    w = World(lab)
    with connect(w.client) as sock:
        queries = {i: ("slow500-%d.example" % i if i % 4 == 0 else "client") for i in range(20)}
        start = time.monotonic()
        sock.sendall(b"".join(framed(dnsmessage.query(name, id=i)) for i, name in queries.items()))
        buffer, arrived = b"", {}
        while len(arrived) < 20:
            buffer += sock.recv(65535)
            while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack_from(">H", buffer)[0]:
                size = struct.unpack_from(">H", buffer)[0]
                answer, buffer = dnsmessage.decode(buffer[2:2 + size]), buffer[2 + size:]
                arrived[answer.id] = (time.monotonic() - start, answer)
        for i, (after, answer) in arrived.items():
            slow = i % 4 == 0
            equal(answer.questions[0][0], queries[i], "the id's own question")
            equal(answer.addresses, ["198.51.100.2"] if slow else [w.client.ip], f"answer {i}")
            true(after > 0.4 if slow else after < 0.3, f"answer {i} after {after:.3f} s")


def test_DNS_040_byte_by_byte_and_in_one_segment(lab):
    w = World(lab)
    query = dnsmessage.query("client")
    with connect(w.client) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(query):
            sock.sendall(bytes([byte]))
            time.sleep(0.005)
        equal(dnsmessage.decode(read_message(sock)).addresses, [w.client.ip], "byte by byte")
        sock.sendall(framed(query))
        equal(dnsmessage.decode(read_message(sock)).addresses, [w.client.ip], "length and message together")
        sock.sendall(framed(query) + framed(query)[:7])
        equal(dnsmessage.decode(read_message(sock)).addresses, [w.client.ip], "one and a part")
        sock.sendall(framed(query)[7:])
        equal(dnsmessage.decode(read_message(sock)).addresses, [w.client.ip], "the rest")


def test_DNS_041_bad_lengths_end_their_connection_only(lab):
    w = World(lab)
    with connect(w.client) as good:
        for bad in (b"\0\0", b"\0\5hello", b"\xff\xff" + b"x" * 100):
            with connect(w.client) as sock:
                sock.sendall(bad)
                answer = read_message(sock)
                true(answer is None or answer[3] & 15 == 1, f"{bad[:7]!r}: closed or FORMERR, got {answer!r}")
        with connect(w.client) as short:
            short.sendall(struct.pack(">H", 40) + b"abc")
            good.sendall(framed(dnsmessage.query("client")))
            equal(dnsmessage.decode(read_message(good)).addresses, [w.client.ip], "others are not affected")
            short.shutdown(socket.SHUT_WR)
            equal(short.recv(10), b"", "what never comes whole is closed")


@limit(40)
def test_DNS_042_connections_stay_and_idle_ones_go(lab):
    w = World(lab)
    with connect(w.client) as sock, connect(w.client) as silent_one:
        for _ in range(2):
            sock.sendall(framed(dnsmessage.query("client")))
            equal(dnsmessage.decode(read_message(sock)).addresses, [w.client.ip], "on the same connection")
            time.sleep(1)
        start = time.monotonic()
        sock.settimeout(30)
        equal(sock.recv(1), b"", "an idle connection is closed")
        true(2 <= time.monotonic() - start <= 20, f"after {time.monotonic() - start:.1f} s")
        silent_one.settimeout(5)
        equal(silent_one.recv(1), b"", "and one that never asked")
        equal(w.dns.metric("fairlead_dns_tcp_open"), 0, "none left")


def test_DNS_043_silent_connections_block_nobody(lab):
    w = World(lab)
    other = w.container("other")
    held = [connect(w.client) for _ in range(200)]
    for sock in held[::2]:
        sock.sendall(b"\0\x28par")
    for place in (w.client, other):
        true(measure(lambda: equal(place.dns("client").addresses, [w.client.ip], "UDP")) < 1, "UDP at once")
        true(measure(lambda: equal(place.dns("client", tcp=True).addresses, [w.client.ip], "TCP")) < 1, "TCP at once")
    lab.say("1,200 connections of one container: its own oldest make room")
    held += [connect(w.client) for _ in range(1000)]
    eventually(lambda: w.dns.metric("fairlead_dns_tcp_open") <= 2048, 2, "bounded")
    true(w.dns.metric("fairlead_dns_tcp_evicted_total") > 0, "the oldest were closed")
    true(measure(lambda: equal(other.dns("client", tcp=True).addresses, [w.client.ip], "TCP")) < 1, "another container, at once")


def test_DNS_044_answers_come_from_the_address_asked(lab):
    w = World(lab)
    for server in ("10.5.0.1", "fd05::1"):
        equal(w.client.dns("client", server=server).addresses, [w.client.ip], f"connected UDP socket to {server}")
        equal(w.client.dns("client", server=server, tcp=True).addresses, [w.client.ip], f"TCP to {server}")
        equal(w.client.dns("www.example.com", server=server).addresses, ["198.51.100.1"], f"forwarded by {server}")
