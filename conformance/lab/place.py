"""A place is where packets and commands start: a network namespace of some lab host.

Sockets are made inside the namespace and then belong to it for ever, so traffic needs neither a helper
process nor a thread. Commands are forked into the host's PID, mount, UTS and IPC namespaces.
"""
import collections
import json
import os
import pickle
import shlex
import signal
import socket
import subprocess
import tempfile
import traceback

from . import kernel
from .capture import Capture
from .server import HttpServer, TcpServer, UdpServer, DnsServer
from .traffic import Traffic

Result = collections.namedtuple("Result", "rc out err argv")


def words(argv):
    """("ip link show", name), ("ip", "link") or (["ip", "link"],): a string in front is split, everything else is one word."""
    first = argv[0]
    if isinstance(first, (list, tuple)):
        return [str(word) for word in (*first, *argv[1:])]
    return shlex.split(first) + [str(word) for word in argv[1:]]


class Process:
    """A background process of a place. Its stdout and stderr are one stream, read with output()."""

    def __init__(self, place, popen, output_file):
        self.place, self.pid = place, popen.pid
        self._popen, self._output_file = popen, output_file

    def output(self):
        size = os.fstat(self._output_file.fileno()).st_size
        return os.pread(self._output_file.fileno(), size, 0).decode(errors="replace")

    def alive(self):
        return self._popen.poll() is None

    def wait(self, timeout=10):
        """The exit status (negative: the signal); subprocess.TimeoutExpired when it is still running."""
        return self._popen.wait(timeout * self.place.lab.slow)

    def signal(self, number):
        self.place.lab.transcript.say(f"{self.place.name}: signal {signal.Signals(number).name} to pid {self.pid}")
        self._popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()


class Place(Traffic):
    """Promise: everything started here ends with the lab. Errors: OSError of the failing call, AssertionError of must()."""

    def __init__(self, lab, name, net_fd, machine):
        self.lab, self.name = lab, name
        self._net_fd = net_fd
        self._machine = machine        # the Host whose processes and files are seen here
        self.attachment = None         # last CNI result, set by Container

    def __repr__(self):
        return f"<{type(self).__name__} {self.name}>"

    def inside(self):
        return kernel.net_namespace(self._net_fd)

    def alive(self):
        return self._machine.init_alive()

    # -- commands --------------------------------------------------------------------------------------
    def _enter(self):
        """Runs in the forked child, already in the machine's PID namespace."""
        kernel.setns(self._machine.pid_fd, kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
        kernel.setns(self._net_fd, kernel.CLONE_NEWNET)
        os.chdir("/")

    def _spawn(self, argv, env, preexec=None, **options):
        environment = dict(os.environ, **self._machine.environment)
        for key, value in (env or {}).items():
            environment[key] = value
        environment = {key: str(value) for key, value in environment.items() if value is not None}
        with kernel.children_in(self._machine.pid_namespace_fd):
            return subprocess.Popen(argv, env=environment, preexec_fn=lambda: (self._enter(), preexec and preexec()), **options)

    def run(self, *argv, input=None, timeout=10, env=None):
        argv = words(argv)
        if isinstance(input, str):
            input = input.encode()
        popen = self._spawn(argv, env, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = popen.communicate(input, timeout * self.lab.slow)
        except subprocess.TimeoutExpired:
            popen.kill()
            out, err = popen.communicate()
            raise AssertionError(f"{self.name}: {shlex.join(argv)} still ran after {timeout * self.lab.slow:g} s; "
                                 f"it said: {(out + err).decode(errors='replace')[-2000:]}") from None
        result = Result(popen.returncode, out.decode(errors="replace"), err.decode(errors="replace"), argv)
        self.lab.transcript.result(self.name, shlex.join(argv),
                                   result.out + result.err + (f"→ exit {result.rc}" if result.rc else ""))
        return result

    def must(self, *argv, **options):
        result = self.run(*argv, **options)
        if result.rc != 0:
            raise AssertionError(f"{self.name}: {shlex.join(result.argv)} exited {result.rc}: "
                                 f"{(result.err or result.out).strip()}")
        return result.out

    def popen(self, *argv, env=None, stdin=subprocess.DEVNULL, preexec=None):
        argv = words(argv)
        output = tempfile.TemporaryFile()
        popen = self._spawn(argv, env, preexec, stdin=stdin, stdout=output, stderr=output)
        self.lab.transcript.say(f"{self.name}$ {shlex.join(argv)} &   (pid {popen.pid})")
        self._machine.children.append(popen)
        return Process(self, popen, output)

    def call(self, function, *arguments):
        """A Python function run in a child inside all namespaces of this place; its value or exception comes back."""
        reader, writer = os.pipe()
        pid = kernel.fork_into(self._machine.pid_namespace_fd)
        if pid == 0:
            _answer_and_exit(writer, self._enter, function, arguments)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            answer = stream.read()
        os.waitpid(pid, 0)
        if not answer:
            raise RuntimeError(f"{self.name}: the child running {function} died")
        value, error = pickle.loads(answer)
        if error is not None:
            raise error
        return value

    # -- kernel state ----------------------------------------------------------------------------------
    def ip_json(self, *argv):
        """`ip -j -d ARGV`, parsed."""
        return json.loads(self.must("ip", "-j", "-d", *words(argv)) or "[]")

    def bridge_json(self, *argv):
        """`bridge -j ARGV`, parsed."""
        return json.loads(self.must("bridge", "-j", *words(argv)) or "[]")

    def nft_list(self, *table):
        """The ruleset as nft's JSON objects; with ("inet", "name") one table's."""
        command = ["nft", "-j", "list", *(("table", *table) if table else ("ruleset",))]
        return json.loads(self.must(command))["nftables"]

    def links(self):
        return {link["ifname"]: link for link in self.ip_json("link") if "ifname" in link}

    def addresses(self, ifname):
        """Global addresses "A/N" of an interface, both families."""
        return [f"{a['local']}/{a['prefixlen']}" for entry in self.ip_json("address", "show", "dev", ifname)
                for a in entry.get("addr_info", []) if a.get("scope") == "global"]

    def sysctl(self, key, value=None):
        """Reads, or writes, a sysctl of this namespace; None when it does not exist. Dots or slashes."""
        path = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
        with self.inside():
            try:
                # /proc/sys/net shows the namespace of the task that opens it (net_ctl_header_lookup).
                with open(path, "r" if value is None else "w") as file:
                    if value is None:
                        return file.read().strip()
                    file.write(str(value))
            except FileNotFoundError:
                return None
        if self.lab.hosts.get(self._machine.name) is self._machine:        # not while the host is being made
            self.lab.transcript.say(f"{self.name}: sysctl {key} = {value}")
        return str(value)

    # -- servers and wires -----------------------------------------------------------------------------
    def serve_tcp(self, port, name=None, address=None):
        return TcpServer(self, port, name or self.name, address)

    def serve_udp(self, port, name=None, address=None):
        return UdpServer(self, port, name or self.name, address)

    def serve_http(self, port, status=200, body=None, name=None, address=None):
        return HttpServer(self, port, name or self.name, address, status, body)

    def serve_dns(self, records, port=53, address=None):
        return DnsServer(self, port, self.name, address, records)

    def capture(self, ifname=None):
        return Capture(self, ifname)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        with self.inside():
            return socket.socket(family, kind | socket.SOCK_CLOEXEC, proto)


def _answer_and_exit(writer, enter, function, arguments):
    answer = pickle.dumps((None, RuntimeError("no answer")))
    try:
        enter()
        answer = pickle.dumps((function(*arguments), None))
    except BaseException as error:  # pylint: disable=broad-except — carried to the parent, whatever it is
        try:
            answer = pickle.dumps((None, error))
            pickle.loads(answer)
        except Exception:  # an exception that cannot travel travels as text
            answer = pickle.dumps((None, RuntimeError(traceback.format_exc())))
    finally:
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
        os._exit(0)
