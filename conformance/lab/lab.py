"""A lab: segments and hosts of one test. Its process sits in namespaces of its own, so nothing in it has a name outside."""
import os
import traceback

from . import kernel, netlink
from .check import SLOW
from .host import Host
from .transcript import Transcript

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Segment:
    """An L2 underlay: a bridge in a namespace of its own. number counts from 1 and is part of the addresses."""

    def __init__(self, lab, name, number, mtu):
        self.lab, self.name, self.number, self.mtu = lab, name, number, mtu
        self._fd = kernel.new_net_namespace()
        self._cables, self._ports = {}, 0
        with kernel.net_namespace(self._fd):
            for which in ("all", "default"):
                with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as file:
                    file.write("1")
            netlink.add_bridge("wire", mtu)
            netlink.set_link("wire", up=True)

    def addresses(self, number):
        if not 1 <= number <= 254:
            raise ValueError(f"host number {number} on {self.name}: 1 to 254")
        six = "2001:db8::" if self.number == 1 else f"2001:db8:{self.number - 1:x}::"
        return f"192.0.{self.number + 1}.{number}/24", f"{six}{number}/64"

    def cable(self, host, ifname):
        port = f"p{self._ports}"
        self._ports += 1
        with kernel.net_namespace(self._fd):
            netlink.add_veth(port, ifname, host._net_fd, self.mtu, master="wire")
        self._cables[host.name] = port
        self.lab.transcript.say(f"{self.name}: cable to {host.name} {ifname}")

    def cut(self, host):
        """Pulls the host's cable: the carrier goes away on both sides."""
        self._set(host, False)

    def heal(self, host):
        self._set(host, True)

    def unplug(self, host):
        """The host's cable is gone for good."""
        if port := self._cables.pop(host.name, None):
            with kernel.net_namespace(self._fd):
                netlink.delete_link(port)

    def _set(self, host, up):
        self.lab.transcript.say(f"{self.name}: cable of {host.name} {'plugged in' if up else 'cut'}")
        with kernel.net_namespace(self._fd):
            netlink.set_link(self._cables[host.name], up=up)


class Lab:
    """Call it only in a process made by isolated(); the runner does that for every test."""

    def __init__(self):
        self.transcript = Transcript()
        self.slow = SLOW
        self.in_vm = os.environ.get("FAIRLEAD_IN_VM") == "1"
        self.binaries = os.path.abspath(os.environ.get("FAIRLEAD_BIN") or f"{REPOSITORY}/build/bin")
        self.hosts, self.segments = {}, {}
        self._number = 0

    def say(self, text):
        self.transcript.say(f"-- {text}")

    def binary(self, name):
        """Full path of one of our executables (a path with a slash stays)."""
        path = name if "/" in name else f"{self.binaries}/{name}"
        if not os.access(path, os.X_OK):
            raise AssertionError(f"{path} is not there: build it, or set FAIRLEAD_BIN")
        return path

    def segment(self, name="wire", mtu=1500):
        self.segments[name] = Segment(self, name, len(self.segments) + 1, mtu)
        return self.segments[name]

    def host(self, name, *segments, address=None):
        if name in self.hosts:
            raise ValueError(f"there is a host {name} already")
        if address is None:
            self._number += 1
            address = self._number
        host = Host(self, name)
        self.hosts[name] = host
        for segment in segments:
            host.plug(segment, address)
        self.transcript.say(f"host {name}: " + ", ".join(host._addresses[4] + host._addresses[6]))
        return host

    def outside(self, *segments, name="outside", address=100):
        """A machine without Fairlead."""
        return self.host(name, *segments, address=address)

    def logs(self):
        """The logs of all daemons, for the report of a failure."""
        parts = []
        for host in self.hosts.values():
            for name, daemon in host.daemons.items():
                try:
                    state = "running" if daemon.alive() else "ended"
                    parts.append(f"--- {name} on {host.name} ({state}):\n{daemon.log()[-6000:]}")
                except (OSError, AttributeError) as error:
                    parts.append(f"--- {name} on {host.name}: {error}")
        return "\n".join(parts)


def isolated(function):
    """Forks; runs function in the child, which is pid 1 of a PID namespace, with private mounts and an empty network
    namespace. → the child's pid; its exit status is function's value (an int) or 70 after an exception."""
    parent = os.getpid()
    go_reader, go_writer = os.pipe()
    pid = kernel.fork_into_new_pid_namespace()
    if pid != 0:
        os.close(go_reader)
        os.write(go_writer, b"g")
        os.close(go_writer)
        return pid
    status = 70
    try:
        kernel.die_with_parent()
        os.close(go_writer)
        if os.read(go_reader, 1) != b"g":
            raise RuntimeError(f"process {parent} is gone")
        os.close(go_reader)
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC)
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        netlink.set_link("lo", up=True)
        status = function()
    except BaseException:  # pylint: disable=broad-except — the exit status must say it
        traceback.print_exc()
    finally:
        os._exit(status)
