"""DNS messages (RFC 1035, 6891): just enough to ask, to read an answer, and to be a small upstream resolver."""
import collections
import ipaddress
import os
import struct

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41,
         "HTTPS": 65, "AXFR": 252, "ANY": 255}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS"}

Record = collections.namedtuple("Record", "name type ttl data")


class Message:
    """A decoded message. rcode is a name ("NXDOMAIN"); sections are lists of Record; data is text (raw bytes if unknown)."""

    def __init__(self, wire):
        self.wire = wire
        self.id, flags, questions, answers, authority, additional = struct.unpack_from(">6H", wire)
        self.qr, self.opcode = flags >> 15, flags >> 11 & 15
        self.aa, self.tc, self.rd, self.ra = (bool(flags & bit) for bit in (0x400, 0x200, 0x100, 0x80))
        self.ad, self.cd = bool(flags & 0x20), bool(flags & 0x10)
        self._rcode = flags & 15
        self.edns = None           # (payload size, version, flags) of an OPT record
        self._at = 12
        self.questions = [self._question() for _ in range(questions)]
        self.answers = [r for r in (self._record() for _ in range(answers)) if r]
        self.authority = [r for r in (self._record() for _ in range(authority)) if r]
        self.additional = [r for r in (self._record() for _ in range(additional)) if r]
        self.trailing = wire[self._at:]

    @property
    def rcode(self):
        return RCODES.get(self._rcode, str(self._rcode))

    @property
    def addresses(self):
        """The data of all A and AAAA records of the answer, in order."""
        return [record.data for record in self.answers if record.type in ("A", "AAAA")]

    def __repr__(self):
        flags = "".join(f" {flag}" for flag in ("aa", "tc", "ra") if getattr(self, flag))
        return f"{self.rcode}{flags} " + "; ".join(f"{r.name} {r.ttl} {r.type} {r.data}" for r in self.answers)

    def _question(self):
        name, self._at = read_name(self.wire, self._at)
        kind, klass = struct.unpack_from(">HH", self.wire, self._at)
        self._at += 4
        return name, TYPE_NAMES.get(kind, kind), klass

    def _record(self):
        name, at = read_name(self.wire, self._at)
        kind, klass, ttl, length = struct.unpack_from(">HHIH", self.wire, at)
        at += 10
        self._at = at + length
        if len(self.wire) < self._at:
            raise ValueError(f"record {name} runs beyond the message")
        if kind == 41:
            self.edns = (klass, ttl >> 16 & 255, ttl & 0xFFFF)
            self._rcode |= ttl >> 24 << 4
            return None
        return Record(name, TYPE_NAMES.get(kind, kind), ttl, self._data(kind, at, length))

    def _data(self, kind, at, length):
        raw = self.wire[at:at + length]
        if kind in (1, 28):
            return str(ipaddress.ip_address(raw))
        if kind in (2, 5, 12):
            return read_name(self.wire, at)[0]
        if kind == 6:
            mname, at = read_name(self.wire, at)
            rname, at = read_name(self.wire, at)
            return " ".join([mname, rname, *map(str, struct.unpack_from(">5I", self.wire, at))])
        if kind == 15:
            return f"{struct.unpack_from('>H', raw)[0]} {read_name(self.wire, at + 2)[0]}"
        if kind == 16:
            return raw[1:1 + raw[0]].decode(errors="replace") if raw else ""
        if kind == 33:
            return " ".join(map(str, struct.unpack_from(">3H", raw))) + " " + read_name(self.wire, at + 6)[0]
        return raw


def decode(wire):
    try:
        return Message(wire)
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a DNS message: {error}: {wire[:80].hex()}") from None


def read_name(wire, at):
    """→ (name without the final dot, offset behind it). Pointers may only point backwards."""
    labels, behind, limit = [], None, at
    while True:
        length = wire[at]
        if length & 0xC0 == 0xC0:
            target = struct.unpack_from(">H", wire, at)[0] & 0x3FFF
            behind = at + 2 if behind is None else behind
            if target >= limit:
                raise ValueError("compression pointer that does not point backwards")
            at = limit = target
            continue
        if length & 0xC0:
            raise ValueError(f"label type {length:#x}")
        at += 1
        if length == 0:
            return ".".join(labels), at if behind is None else behind
        labels.append(wire[at:at + length].decode("latin-1"))
        at += length


def write_name(name):
    encoded = b""
    for label in filter(None, name.split(".")):
        data = label.encode("latin-1")
        if len(data) > 63:
            raise ValueError(f"label of {len(data)} bytes")
        encoded += bytes([len(data)]) + data
    return encoded + b"\0"


def query(name, type="A", id=None, rd=True, edns=None, klass=1, opcode=0, cd=False):
    """edns: the UDP payload size to advertise, or None for a query without OPT."""
    id = int.from_bytes(os.urandom(2), "big") if id is None else id
    kind = TYPES[type] if isinstance(type, str) else type
    flags = opcode << 11 | (0x100 if rd else 0) | (0x10 if cd else 0)
    message = struct.pack(">6H", id, flags, 1, 0, 0, 1 if edns else 0)
    message += write_name(name) + struct.pack(">HH", kind, klass)
    if edns:
        message += b"\0" + struct.pack(">HHIH", 41, edns, 0, 0)
    return message


def _rdata(kind, data):
    if isinstance(data, bytes):
        return data
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(data).packed
    if kind in ("NS", "CNAME", "PTR"):
        return write_name(data)
    if kind == "MX":
        return struct.pack(">H", int(data.split()[0])) + write_name(data.split()[1])
    if kind == "TXT":
        return bytes([len(data)]) + data.encode()
    raise ValueError(f"no encoding for {kind}")


def answer(wire, records, ttl=60, limit=512):
    """The reply of the small upstream: records maps (name, type) → list of data, or → "SERVFAIL"/"REFUSED"/"DROP"."""
    asked = decode(wire)
    name, kind, _ = asked.questions[0]
    wanted = records.get((name.lower(), kind))
    if wanted == "DROP":
        return None
    rcode = 0
    if isinstance(wanted, str):
        rcode, wanted = {text: number for number, text in RCODES.items()}[wanted], []
    elif wanted is None:
        known = any(known_name == name.lower() for known_name, _ in records)
        rcode, wanted = (0 if known else 3), []
    question = write_name(name) + struct.pack(">HH", TYPES.get(kind, kind), 1)
    body = b""
    for data in wanted:
        rdata = _rdata(kind, data)
        body += b"\xc0\x0c" + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(rdata)) + rdata
    if asked.edns:
        limit = max(limit, asked.edns[0])
    truncated = 12 + len(question) + len(body) > limit
    flags = 0x8180 | rcode | (0x200 if truncated else 0)
    count = 0 if truncated else len(wanted)
    return struct.pack(">6H", asked.id, flags, 1, count, 0, 0) + question + (b"" if truncated else body)
