"""Clients: one request by TCP, UDP, HTTP, ICMP or DNS from a place. Servers answer "NAME PEER PEERPORT PAYLOAD"."""
import collections
import contextlib
import http.client
import ipaddress
import os
import select
import socket
import struct
import time

from . import dnsmessage

Answer = collections.namedtuple("Answer", "name peer peer_port payload")
HttpAnswer = collections.namedtuple("HttpAnswer", "status headers body")


def _parse(line):
    fields = line.decode(errors="replace").rstrip("\n").split(" ", 3)
    if len(fields) < 4:
        raise ConnectionError(f"an answer that is none of the lab's servers': {line[:200]!r}")
    return Answer(fields[0], fields[1], int(fields[2]), fields[3])


def family_of(address):
    return socket.AF_INET if ipaddress.ip_address(address.split("%")[0]).version == 4 else socket.AF_INET6


class Flow:
    """A connection (or connected UDP socket) held open: ask() as often as needed. Usable in `with`."""

    def __init__(self, sock, place, label):
        self.sock, self._place, self._label = sock, place, label

    def ask(self, payload="hi", timeout=2):
        self.sock.settimeout(timeout)
        self.sock.sendall(payload.encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            chunk = self.sock.recv(65536)
            if not chunk:
                raise ConnectionResetError(f"{self._label}: closed by the other side")
            line += chunk
        answer = _parse(line)
        self._place.lab.transcript.say(f"{self._label} → {' '.join(map(str, answer))[:200]}")
        return answer

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Traffic:
    """Mixed into Place, which provides lab, name, socket(), inside() and attachment."""

    def _connected(self, kind, dst, port, src_port, src, timeout):
        """Never blocks longer than timeout; OSError (ConnectionRefusedError, TimeoutError, …) as Python gives it."""
        family = family_of(dst)
        sock = self.socket(family, kind)
        try:
            if src_port or src:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((src or ("0.0.0.0" if family == socket.AF_INET else "::"), src_port or 0))
            sock.settimeout(timeout)
            with self.inside():  # a %scope in the address is an interface of the place
                target = socket.getaddrinfo(dst, port, family, kind, 0, socket.AI_NUMERICHOST)[0][4]
            sock.connect(target)
        except OSError as error:
            sock.close()
            self.lab.transcript.say(f"{self.name}: {kind.name} to {dst} port {port}: {error!r}")
            raise
        return sock

    def tcp_connect(self, dst, port, src_port=None, src=None, timeout=2):
        sock = self._connected(socket.SOCK_STREAM, dst, port, src_port, src, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Flow(sock, self, f"{self.name}: tcp {dst} {port} from port {sock.getsockname()[1]}")

    def udp_socket(self, dst, port, src_port=None, src=None, timeout=2):
        sock = self._connected(socket.SOCK_DGRAM, dst, port, src_port, src, timeout)
        return Flow(sock, self, f"{self.name}: udp {dst} {port} from port {sock.getsockname()[1]}")

    def tcp_request(self, dst, port, payload="hi", src_port=None, src=None, timeout=2):
        return self._one(self.tcp_connect, dst, port, payload, src_port, src, timeout)

    def udp_request(self, dst, port, payload="hi", src_port=None, src=None, timeout=2):
        return self._one(self.udp_socket, dst, port, payload, src_port, src, timeout)

    def _one(self, connect, dst, port, payload, src_port, src, timeout):
        with connect(dst, port, src_port, src, timeout) as flow:
            try:
                return flow.ask(payload, timeout)
            except OSError as error:
                self.lab.transcript.say(f"{flow._label}: {error!r}")
                raise

    def http_get(self, dst, port, path="/", headers=None, timeout=2, method="GET", body=None):
        sock = self._connected(socket.SOCK_STREAM, dst, port, None, None, timeout)
        connection = http.client.HTTPConnection(dst, port, timeout=timeout)
        connection.sock = sock
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            answer = HttpAnswer(response.status, dict(response.getheaders()), response.read().decode(errors="replace"))
        self.lab.transcript.say(f"{self.name}: {method} http://{dst}:{port}{path} → {answer.status} {answer.body[:200]}")
        return answer

    def ping(self, dst, timeout=1, size=56, df=False):
        """Round trip in seconds; None when no echo reply came. OSError when the kernel refuses to send."""
        four = family_of(dst) == socket.AF_INET
        family, proto = (socket.AF_INET, socket.IPPROTO_ICMP) if four else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        ident = int.from_bytes(os.urandom(2), "big")
        body = os.urandom(8) + b"\0" * max(0, size - 8)
        message = struct.pack(">BBHHH", 8 if four else 128, 0, 0, ident, 1) + body
        if four:
            message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        with self.socket(family, socket.SOCK_RAW, proto) as sock:
            if df and four:
                sock.setsockopt(socket.IPPROTO_IP, 10, 2)      # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            elif df:
                sock.setsockopt(socket.IPPROTO_IPV6, 23, 2)    # IPV6_MTU_DISCOVER
            with self.inside():
                target = socket.getaddrinfo(dst, 0, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]
            start = time.monotonic()
            sock.sendto(message, target)
            took = _await_echo(sock, 0 if four else 129, struct.pack(">HH", ident, 1) + body, four, start, timeout)
        self.lab.transcript.say(f"{self.name}: ping {dst} ({size} bytes) → "
                                + ("no answer" if took is None else f"{took * 1000:.2f} ms"))
        return took

    def dns(self, name, type="A", server=None, tcp=False, timeout=2, raw=None, port=53, **header):
        """One query, no retry. raw: the query's bytes, sent as they are. header: see dnsmessage.query."""
        server = server or self.nameserver()
        query = raw if raw is not None else dnsmessage.query(name, type, **header)
        sock = self._connected(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM, server, port, None, None, timeout)
        with sock:
            if tcp:
                sock.sendall(struct.pack(">H", len(query)) + query)
                wire = _read_exactly(sock, struct.unpack(">H", _read_exactly(sock, 2))[0])
            else:
                sock.send(query)
                wire = sock.recv(65535)
        answer = dnsmessage.decode(wire)
        self.lab.transcript.say(f"{self.name}: dns {name} {type} @{server}{' tcp' if tcp else ''} → {answer}")
        return answer

    def nameserver(self):
        """The name server its attachment was given."""
        if not self.attachment:
            raise AssertionError(f"{self.name} has no attachment: say which DNS server")
        servers = self.attachment.get("dns", {}).get("nameservers")
        return servers[0] if servers else self.gateway


def _await_echo(sock, wanted_type, wanted, four, start, timeout):
    while (left := start + timeout - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return None
        packet = sock.recv(65535)
        if four:
            packet = packet[(packet[0] & 15) * 4:]
        if packet[0] == wanted_type and packet[4:4 + len(wanted)] == wanted:
            return max(time.monotonic() - start, 1e-9)      # a coarse clock must not turn an answer into nothing
    return None


def _read_exactly(sock, count):
    data = b""
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise ConnectionResetError(f"closed after {len(data)} of {count} bytes")
        data += chunk
    return data


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
