"""Capture on an interface of a place: a packet socket made inside its namespace, read from the test process."""
import ipaddress
import socket
import struct
import time

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 58: "icmp6", 132: "sctp"}
VXLAN_HEADER = 8


class Packet:
    """src, dst: addresses as text (None if not IP); proto: "tcp", "udp", … or a number, "arp"; sport, dport; payload: above L4."""

    def __init__(self, raw, outgoing=False, ifname=None):
        self.raw, self.outgoing, self.ifname = raw, outgoing, ifname
        self.src = self.dst = self.proto = self.sport = self.dport = None
        self.payload = b""
        self.smac, self.dmac = raw[6:12].hex(":"), raw[:6].hex(":")
        self.ethertype = struct.unpack_from(">H", raw, 12)[0] if len(raw) >= 14 else None
        try:
            self._parse()
        except (struct.error, IndexError):
            pass                       # a runt stays what is known of it

    def _parse(self):
        at = 14
        if self.ethertype == 0x0806:
            self.proto = "arp"
            self.src = str(ipaddress.ip_address(self.raw[28:32]))
            self.dst = str(ipaddress.ip_address(self.raw[38:42]))
            return
        if self.ethertype == 0x0800:
            number = self.raw[at + 9]
            self.src = str(ipaddress.ip_address(self.raw[at + 12:at + 16]))
            self.dst = str(ipaddress.ip_address(self.raw[at + 16:at + 20]))
            first = struct.unpack_from(">H", self.raw, at + 6)[0] & 0x1FFF == 0
            at += (self.raw[at] & 15) * 4
        elif self.ethertype == 0x86DD:
            number, first = self.raw[at + 6], True
            self.src = str(ipaddress.ip_address(self.raw[at + 8:at + 24]))
            self.dst = str(ipaddress.ip_address(self.raw[at + 24:at + 40]))
            at += 40
        else:
            return
        self.proto = PROTOCOLS.get(number, number)
        if first and self.proto in ("tcp", "udp", "sctp"):
            self.sport, self.dport = struct.unpack_from(">HH", self.raw, at)
            at += (self.raw[at + 12] >> 4) * 4 if self.proto == "tcp" else 8
        self.payload = self.raw[at:]

    @property
    def icmp_type(self):
        """(type, code) of an ICMP or ICMPv6 packet."""
        return (self.payload[0], self.payload[1]) if self.proto in ("icmp", "icmp6") and len(self.payload) > 1 else None

    def vxlan(self, port=4789):
        """(vni, inner Packet) of a VXLAN packet to that port, else None."""
        if self.proto != "udp" or self.dport != port or len(self.payload) < VXLAN_HEADER + 14:
            return None
        return int.from_bytes(self.payload[4:7], "big"), Packet(self.payload[VXLAN_HEADER:])

    def __repr__(self):
        ports = f" {self.sport}→{self.dport}" if self.sport is not None else ""
        kind = self.proto or (f"ethertype {self.ethertype:#06x}" if self.ethertype is not None else "runt")
        return f"<{kind} {self.src or self.smac} → {self.dst or self.dmac}{ports}, {len(self.raw)} bytes>"


class Capture:
    """Starts when made, on one interface or (ifname None) on all, then packet.ifname tells; reads what the kernel queued. `packets()` is everything so far; overflow is an error, never silence."""

    def __init__(self, place, ifname):
        self.place, self.ifname = place, ifname
        self._packets = []
        # A protocol of 0 until bound: a socket opened with ETH_P_ALL would begin with other interfaces' packets.
        protocol = socket.htons(ETH_P_ALL) if ifname is None else 0
        self._sock = place.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        if ifname is not None:
            with place.inside():
                self._sock.bind((ifname, ETH_P_ALL))

    def packets(self, match=None):
        while self._sock.fileno() >= 0:
            try:
                raw, address = self._sock.recvfrom(262144)
            except BlockingIOError:
                break
            self._packets.append(Packet(raw, address[2] == socket.PACKET_OUTGOING, address[0]))
        test = _predicate(match)
        if self._sock.fileno() < 0:
            return [packet for packet in self._packets if test(packet)]
        _, dropped = struct.unpack("=II", self._sock.getsockopt(263, 6, 8))   # SOL_PACKET, PACKET_STATISTICS
        if dropped:
            raise AssertionError(f"capture on {self.place.name} {self.ifname}: the kernel dropped {dropped} packets")
        return [packet for packet in self._packets if test(packet)]

    def count(self, match=None):
        return len(self.packets(match))

    def wait(self, match=None, timeout=1.0, at_least=1):
        """The matching packets once there are at_least as many; AssertionError after timeout."""
        deadline = time.monotonic() + timeout * self.place.lab.slow
        while len(found := self.packets(match)) < at_least:
            if time.monotonic() > deadline:
                raise AssertionError(f"on {self.place.name} {self.ifname} {len(found)} of {at_least} packets came; "
                                     f"all seen: {self.packets()[-20:]}")
            time.sleep(0.01)
        return found

    def clear(self):
        self.packets()
        self._packets = []

    def stop(self):
        """Ends the capture; returns all packets, which stay readable."""
        if self._sock.fileno() >= 0:
            self.packets()
            self._sock.close()
        return self._packets

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.place.lab.transcript.say(f"capture on {self.place.name} {self.ifname}: {len(self.stop())} packets")


def _predicate(match):
    if match is None:
        return lambda packet: True
    if isinstance(match, (bytes, str)):
        needle = match.encode() if isinstance(match, str) else match
        return lambda packet: needle in packet.raw
    return match
