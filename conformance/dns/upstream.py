"""An upstream resolver that misbehaves on request. What it does is in the first label of the name asked:

    www, anything else   A 198.51.100.1 (TTL 300), other types NODATA with an SOA
    nx                   NXDOMAIN with an SOA          servfail, refused   that
    silent               never answers                 slow400…            answers after 400 ms
    bogus                forged answers first, the right one 100 ms later  onlybogus  forged ones only
    garbage              the right id and question, then nonsense
    big60                60 A records                  over100             100 A records, whatever the client can take
    trunc8               TC by UDP, 8 records by TCP   type65280           10 opaque bytes
    signed               an RRSIG when DO is set, AD   cookie              an OPT with a COOKIE, asked or not
    aa                   with AA                       zero                TTL 0

mode ("normal", "silent", "servfail", "refused", "nx", "closed" for TCP) overrides all of it. queries() is everything that arrived.
"""
import heapq
import json
import mmap
import selectors
import socket
import struct
import time

from lab import dnsmessage
from lab.server import Server, _same_source, _text

MODES = ["normal", "silent", "servfail", "refused", "nx"]
ADDRESS, FORGED = "198.51.100.1", "10.6.6.6"


def record(kind, rdata, ttl=300, owner=b"\xc0\x0c"):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(rdata)) + rdata


def a(address, ttl=300):
    return record(1, socket.inet_aton(address), ttl)


def soa():
    return record(6, dnsmessage.write_name("ns.upstream") + dnsmessage.write_name("root.upstream")
                  + struct.pack(">5I", 7, 1, 1, 1, 77), owner=dnsmessage.write_name("upstream"))


class Query:
    def __init__(self, wire):
        self.wire = wire
        self.id, self.flags, count, _, _, more = struct.unpack_from(">6H", wire)
        self.name, at = dnsmessage.read_name(wire, 12)
        self.kind, self.klass = struct.unpack_from(">HH", wire, at)
        self.question = wire[12:at + 4]
        self.edns = None                       # (size, DO, option bytes)
        if more:
            _, at = dnsmessage.read_name(wire, at + 4)
            kind, size, ttl, length = struct.unpack_from(">HHIH", wire, at)
            if kind == 41:
                self.edns = (size, bool(ttl & 0x8000), wire[at + 10:at + 10 + length])

    def reply(self, answers=(), authority=(), rcode=0, flags=0, additional=(), id=None, question=None):
        additional = list(additional)
        if self.edns and not any(b"\0\0\x29" == extra[:3] for extra in additional):
            additional.append(b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000 if self.edns[1] else 0, 0))
        head = struct.pack(">6H", self.id if id is None else id, 0x8080 | self.flags & 0x110 | flags | rcode, 1,
                           len(answers), len(authority), len(additional))
        return head + (question or self.question) + b"".join([*answers, *authority, *additional])


def behave(q, transport):
    """→ [(delay in seconds, bytes or None)]"""
    word = q.name.split(".")[0].lower()
    limit = 65535 if transport == "tcp" else q.edns[0] if q.edns else 512
    if word.startswith("silent"):
        return []
    if word.startswith("slow"):
        return [(int(word[4:].split("-")[0]) / 1000, q.reply([a("198.51.100.2")]))]
    if word == "nx":
        return [(0, q.reply(authority=[soa()], rcode=3))]
    if word in ("servfail", "refused"):
        return [(0, q.reply(rcode={"servfail": 2, "refused": 5}[word]))]
    if word in ("bogus", "onlybogus"):
        other = dnsmessage.write_name("other.example") + q.question[-4:]
        forged = [(0, q.reply([a(FORGED)], id=q.id ^ 1)), (0, q.reply([a(FORGED)], question=other)),
                  (0, b"\x01"), (0, q.wire[:12]), (0, b"")]
        return forged + ([(0.1, q.reply([a(ADDRESS)]))] if word == "bogus" else [])
    if word == "garbage":
        return [(0, q.reply([b"\xc0\x0c\0\x01\0\x01\0\0\0\0\xff\xff\1"]))]
    if word in ("big60", "over100"):
        count = int(word.lstrip("bigover"))
        whole = q.reply([a(f"203.0.113.{i}") for i in range(count)])
        return [(0, whole if word == "over100" or len(whole) <= limit else q.reply(flags=0x200))]
    if word == "trunc8":
        return [(0, q.reply([a(f"203.0.113.{i}") for i in range(8)]) if transport == "tcp" else q.reply(flags=0x200))]
    if word == "type65280":
        return [(0, q.reply([record(65280, bytes(range(250, 256)) + b"\0\xc0\x0c\1")]))]
    if word == "signed":
        answers = [a(ADDRESS)]
        if q.edns and q.edns[1]:
            answers.append(record(46, b"\0\1" + bytes(16) + b"\0" + b"signature"))
        return [(0, q.reply(answers, flags=0x20))]
    if word == "cookie":
        opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 20) + struct.pack(">HH", 10, 16) + bytes(range(16))
        return [(0, q.reply([a(ADDRESS)], additional=[opt]))]
    if q.kind == 12:
        return [(0, q.reply([record(12, dnsmessage.write_name("host.upstream"))]))]
    if q.kind != 1:
        return [(0, q.reply(authority=[soa()]))]
    return [(0, q.reply([a(ADDRESS, 0 if word == "zero" else 300)], flags=0x400 if word == "aa" else 0))]


class Upstream(Server):
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

    def __init__(self, place, port=53, address=None):
        self._mode = mmap.mmap(-1, 1)
        self._waiting, self._count = [], 0
        super().__init__(place, port, f"upstream-{place.name}", address)

    @property
    def mode(self):
        return MODES[self._mode[0]]

    @mode.setter
    def mode(self, value):
        self._mode[0] = MODES.index(value)
        self.place.lab.say(f"{self.name} is now {value}")

    def queries(self, name=None):
        """What arrived: .transport .peer .port .id .name .kind .edns .flags .at, of that name (any case) or all."""
        found = [_Seen(json.loads(line)) for line in self.log()]
        return [seen for seen in found if name is None or seen.name.lower() == name.lower()]

    def _serve(self, sockets):
        selector = selectors.DefaultSelector()
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, None)
        while True:
            timeout = max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            for key, _ in selector.select(timeout):
                try:
                    self._event(selector, key.fileobj, key.data)
                except BlockingIOError:
                    pass
                except (OSError, ValueError, struct.error, IndexError):
                    if key.data is not None:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, send, data = heapq.heappop(self._waiting)
                try:
                    send(data)
                except (OSError, ValueError):
                    pass

    def _plan(self, wire, peer, transport, send):
        q = Query(wire)
        self.note(json.dumps({"transport": transport, "peer": _text(peer[0]), "port": peer[1], "wire": wire.hex(), "at": time.monotonic()}))
        if self.mode == "silent":
            plan = []
        elif self.mode == "normal":
            plan = behave(q, transport)
        else:
            plan = [(0, q.reply(rcode={"servfail": 2, "refused": 5, "nx": 3}[self.mode]))]
        for delay, data in plan:
            if delay == 0:
                send(data)
            else:
                self._count += 1
                heapq.heappush(self._waiting, (time.monotonic() + delay, self._count, send, data))

    def _event(self, selector, sock, connection):
        if connection is not None or sock.type == socket.SOCK_STREAM:
            return super()._event(selector, sock, connection)
        data, control, _, peer = sock.recvmsg(65536, 256)
        source = _same_source(control)
        return self._plan(data, peer, "udp", lambda reply: sock.sendmsg([reply], source, 0, peer))

    def _readable(self, selector, sock, connection):
        chunk = sock.recv(65536)
        connection["data"] += chunk
        while len(connection["data"]) >= 2 and len(connection["data"]) >= 2 + int.from_bytes(connection["data"][:2], "big"):
            length = int.from_bytes(connection["data"][:2], "big")
            wire, connection["data"] = connection["data"][2:2 + length], connection["data"][2 + length:]
            self._plan(wire, connection["peer"], "tcp", lambda reply: sock.sendall(len(reply).to_bytes(2, "big") + reply))
        if not chunk:
            selector.unregister(sock)
            sock.close()


class _Seen:
    def __init__(self, line):
        self.transport, self.peer, self.port, self.at = line["transport"], line["peer"], line["port"], line["at"]
        query = Query(bytes.fromhex(line["wire"]))
        self.id, self.name, self.kind, self.edns, self.flags = query.id, query.name, query.kind, query.edns, query.flags

    def __repr__(self):
        return f"<{self.transport} {self.peer}:{self.port} id {self.id} {self.name} {self.kind}>"
