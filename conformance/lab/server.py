"""Servers of a place. Sockets are bound in the test process, inside the place, so a server listens when its constructor returns;
a forked child serves them and dies with the test.

TCP and UDP: every line (datagram) is answered with "NAME PEER PEERPORT LINE". HTTP: status and body can be changed while it runs.
"""
import errno
import gc
import mmap
import os
import selectors
import signal
import socket
import tempfile

from . import dnsmessage, kernel

IPV6_V6ONLY_OK = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _text(address):
    return address.removeprefix("::ffff:")


class Server:
    """log() is what was asked so far, one line each: "tcp PEER PORT PAYLOAD"."""
    kinds = (socket.SOCK_STREAM,)

    def __init__(self, place, port, name, address):
        self.place, self.port, self.name = place, port, name
        self._log = tempfile.TemporaryFile(buffering=0)
        sockets = self._bind(address)
        self.pid = os.fork()
        if self.pid == 0:
            self._child(sockets)
        for sock in sockets:
            sock.close()
        place.lab.transcript.say(f"{place.name}: {type(self).__name__} {name} on port {port}, pid {self.pid}")

    def _bind(self, address):
        sockets = []
        hosts = [address] if address else ["0.0.0.0", "::"]
        for kind in self.kinds:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                try:
                    sockets.append(self._listener(family, kind, host))
                except OSError as error:
                    if address or family == socket.AF_INET or error.errno not in IPV6_V6ONLY_OK:
                        raise OSError(error.errno, f"{self.place.name}: {host} port {self.port}: {error.strerror}") from None
        return sockets

    def _listener(self, family, kind, host):
        sock = self.place.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with self.place.inside():
            sock.bind((host, self.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(1024)
        elif family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, 8, 1)                       # IP_PKTINFO: answer from the address asked
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return sock

    # -- in the test process ---------------------------------------------------------------------------
    def log(self):
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace").splitlines()

    def kill(self):
        """SIGKILL: connections are reset or closed, the port refuses."""
        self._signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def pause(self):
        """The kernel still accepts connections, nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        self.place.lab.transcript.say(f"{self.place.name}: {signal.Signals(number).name} to server {self.name}:{self.port}")
        os.kill(self.pid, number)

    # -- in the child ----------------------------------------------------------------------------------
    def _child(self, sockets):
        try:
            kernel.die_with_parent()
            gc.disable()               # an object of the test must not close a descriptor number used anew here
            keep = {sock.fileno() for sock in sockets} | {self._log.fileno(), 0, 1, 2}
            for number in map(int, os.listdir("/proc/self/fd")):
                if number not in keep:
                    try:
                        os.close(number)
                    except OSError:
                        pass
            self._serve(sockets)
        finally:
            os._exit(1)

    def _serve(self, sockets):
        selector = selectors.DefaultSelector()
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                try:
                    self._event(selector, key.fileobj, key.data)
                except BlockingIOError:
                    pass
                except OSError:
                    if key.data is not None:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()

    def _event(self, selector, sock, connection):
        if connection is not None:
            self._readable(selector, sock, connection)
        elif sock.type == socket.SOCK_STREAM:
            accepted, peer = sock.accept()
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(accepted, selectors.EVENT_READ, {"peer": peer, "data": b""})
        else:
            data, control, _, peer = sock.recvmsg(65536, 256)
            reply = self.datagram(data, peer)
            if reply is not None:
                sock.sendmsg([reply], _same_source(control), 0, peer)

    def _readable(self, selector, sock, connection):
        chunk = sock.recv(65536)
        connection["data"] += chunk
        replies, close = self.stream(connection, not chunk)
        if replies:
            sock.setblocking(True)
            sock.settimeout(5)
            sock.sendall(replies)
            sock.setblocking(False)
        if close or not chunk:
            selector.unregister(sock)
            sock.close()

    def note(self, text):
        os.write(self._log.fileno(), text.encode(errors="replace") + b"\n")

    def stream(self, connection, ended):
        """→ (bytes to send, whether to close); takes what it understood out of connection["data"]."""
        raise NotImplementedError

    def datagram(self, data, peer):
        """→ the reply, or None."""
        raise NotImplementedError


def _same_source(control):
    """Control data that makes the reply leave from the address the request was sent to."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP:
            return [(level, kind, b"\0\0\0\0" + data[4:8] + b"\0\0\0\0")]
        if level == socket.IPPROTO_IPV6:
            return [(level, kind, data[:16] + b"\0\0\0\0" if data[:2] != b"\xfe\x80" else data)]
    return []


class TcpServer(Server):
    def stream(self, connection, ended):
        peer = connection["peer"]
        *lines, connection["data"] = connection["data"].split(b"\n")
        out = b""
        for line in lines:
            text = line.decode(errors="replace")
            self.note(f"tcp {_text(peer[0])} {peer[1]} {text}")
            out += f"{self.name} {_text(peer[0])} {peer[1]} {text}\n".encode()
        return out, False


class UdpServer(Server):
    kinds = (socket.SOCK_DGRAM,)

    def datagram(self, data, peer):
        text = data.decode(errors="replace").rstrip("\n")
        self.note(f"udp {_text(peer[0])} {peer[1]} {text}")
        return f"{self.name} {_text(peer[0])} {peer[1]} {text}\n".encode()


class HttpServer(Server):
    """body None: "NAME PEER PEERPORT PATH". Log lines: "http PEER METHOD PATH HOST"."""

    def __init__(self, place, port, name, address, status, body):
        self._status = mmap.mmap(-1, 4)
        self.status = status
        self._body = body
        super().__init__(place, port, name, address)

    @property
    def status(self):
        return int.from_bytes(self._status[:4], "little")

    @status.setter
    def status(self, value):
        self._status[:4] = value.to_bytes(4, "little")

    def stream(self, connection, ended):
        head, found, rest = connection["data"].partition(b"\r\n\r\n")
        if not found:
            return b"", len(head) > 65536
        lines = head.decode("latin-1").split("\r\n")
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        if len(rest) < int(headers.get("content-length", 0)):
            return b"", False
        method, path = (lines[0].split(" ") + ["", ""])[:2]
        peer = connection["peer"]
        self.note(f"http {_text(peer[0])} {method} {path} {headers.get('host', '-')}")
        body = self._body if self._body is not None else f"{self.name} {_text(peer[0])} {peer[1]} {path}\n"
        body = body.encode() if isinstance(body, str) else body
        reply = f"HTTP/1.1 {self.status} Lab\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        return reply + (b"" if method == "HEAD" else body), True


class DnsServer(Server):
    """A small upstream resolver by UDP and TCP; what is not in records is NXDOMAIN. Log lines: "udp PEER PORT NAME TYPE"."""
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

    def __init__(self, place, port, name, address, records):
        self._records = {(key[0].lower(), key[1]): value for key, value in records.items()}
        super().__init__(place, port, name, address)

    def _answer(self, wire, peer, transport, limit):
        asked = dnsmessage.decode(wire)
        self.note(f"{transport} {_text(peer[0])} {peer[1]} {asked.questions[0][0]} {asked.questions[0][1]}")
        return dnsmessage.answer(wire, self._records, limit=limit)

    def datagram(self, data, peer):
        try:
            return self._answer(data, peer, "udp", 512)
        except ValueError:
            return None

    def stream(self, connection, ended):
        data = connection["data"]
        if len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            return b"", False
        length = int.from_bytes(data[:2], "big")
        connection["data"] = data[2 + length:]
        reply = self._answer(data[2:2 + length], connection["peer"], "tcp", 65535)
        return (b"" if reply is None else len(reply).to_bytes(2, "big") + reply), False
