"""A lab host: a machine with its own namespaces, files, daemons and containers."""
import http.client
import json
import os
import re
import shlex
import socket
import time

from . import kernel, machine, netlink
from .check import eventually
from .container import Container
from .daemon import Daemon
from .place import Place, words

STATE, RUN = "/var/lib/fairlead", "/run/fairlead"


class Host(Place):
    """Made by Lab.host(). address(4), address(6): on the first segment; underlay: "eth0" (eth1 … on further segments)."""

    def __init__(self, lab, name):
        self.pid = self._start_init(name)
        self.pid_fd = os.pidfd_open(self.pid)
        self.pid_namespace_fd = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        super().__init__(lab, name, os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC), self)
        self.environment = {"PATH": f"{lab.binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                            "HOME": "/root", "FAIRLEAD_STATE_DIR": None, "FAIRLEAD_RUN_DIR": None}
        self.underlay = "eth0"
        self._addresses = {4: [], 6: []}
        self.containers, self.daemons = {}, {}
        self.children = []       # what Place.popen() has started here
        with self.inside():
            netlink.set_link("lo", up=True)
        # A fresh machine forwards nothing. (New namespaces inherit IPv4 settings from the first one.)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter",
                    "net.ipv4.conf.default.rp_filter"):
            self.sysctl(key, 0)
        # Only to save the second that duplicate address detection of the link-local address takes.
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)

    @staticmethod
    def _start_init(name):
        go_reader, go_writer = os.pipe()
        ready_reader, ready_writer = os.pipe()
        pid = kernel.fork_into_new_pid_namespace()
        if pid == 0:
            os.close(go_writer)
            machine.start(name, go_reader, ready_writer)
        os.close(go_reader)
        os.close(ready_writer)
        os.write(go_writer, b"g")
        os.close(go_writer)
        with os.fdopen(ready_reader, "rb") as stream:
            answer = stream.read().decode()
        if answer != "+":
            raise RuntimeError(answer or f"host {name}: its first process died")
        return pid

    def init_alive(self):
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def power_off(self):
        """The machine loses power: all its processes, namespaces and tmpfs are gone, without a goodbye."""
        self.lab.transcript.say(f"{self.name}: power off")
        for segment in self.lab.segments.values():
            segment.unplug(self)
        os.kill(self.pid, 9)
        # The namespace's first process ends after all others have been reaped (zap_pid_ns_processes), and those started from
        # here are children of this process.
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            for child in self.children:
                child.poll()
            time.sleep(0.005)

    # -- underlay --------------------------------------------------------------------------------------
    def plug(self, segment, number):
        """A cable from the segment; called by Lab.host in the order of the segments."""
        ifname = f"eth{len(self._addresses[4])}"
        segment.cable(self, ifname)
        four, six = segment.addresses(number)
        with self.inside():
            netlink.set_link(ifname, up=True)
            netlink.add_address(ifname, four)
            netlink.add_address(ifname, six)
        self._addresses[4].append(four.split("/")[0])
        self._addresses[6].append(six.split("/")[0])

    def address(self, version=4, segment=0):
        return self._addresses[version][segment]

    # -- files -----------------------------------------------------------------------------------------
    def path(self, path):
        """The host's file as the test process can open it. Absolute symbolic links in it would lead astray."""
        return f"/proc/{self.pid}/root{path}"

    def read(self, path):
        with open(self.path(path)) as file:
            return file.read()

    def read_json(self, path):
        return json.loads(self.read(path))

    def write(self, path, content, mode=0o644):
        """Atomically (temporary file and rename); dicts and lists as JSON; makes the folders."""
        if isinstance(content, (dict, list)):
            content = json.dumps(content)
        target = self.path(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.lab")
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, mode)
        os.rename(temporary, target)
        self.lab.transcript.say(f"{self.name}: wrote {path}: {content}")

    def exists(self, path):
        return os.path.lexists(self.path(path))

    def listdir(self, path):
        """Sorted names; [] when the folder does not exist."""
        try:
            return sorted(os.listdir(self.path(path)))
        except FileNotFoundError:
            return []

    def remove(self, path):
        self.lab.transcript.say(f"{self.name}: removed {path}")
        os.unlink(self.path(path))

    def rename(self, old, new):
        self.lab.transcript.say(f"{self.name}: renamed {old} to {new}")
        os.rename(self.path(old), self.path(new))

    def wait_file(self, path, within=2.0):
        eventually(lambda: self.exists(path), within, f"{self.name} has {path}")

    def set_resolv_conf(self, *servers, extra=""):
        self.write("/etc/resolv.conf", "".join(f"nameserver {server}\n" for server in servers) + extra)

    # -- Fairlead --------------------------------------------------------------------------------------
    def start_daemon(self, program, args=(), env=None, wait=True):
        daemon = Daemon(self, program, args, env)
        self.daemons[program] = daemon
        daemon.start(wait)
        return daemon

    def start_agent(self, args=(), **options):
        return self.start_daemon("fairlead-agent", args, **options)

    def start_lb(self, args=(), **options):
        return self.start_daemon("fairlead-lb", args, **options)

    def start_dns(self, args=(), **options):
        return self.start_daemon("fairlead-dns", args, **options)

    def ctl(self, command, **options):
        """fairleadctl with the words of the command (shell quoting, no shell) → .rc .out .err"""
        return self.run([self.lab.binary("fairleadctl"), *shlex.split(command)], **options)

    def ctl_ok(self, command, **options):
        result = self.ctl(command, **options)
        if result.rc != 0:
            raise AssertionError(f"{self.name}: fairleadctl {command} exited {result.rc}: {result.err or result.out}")
        return result.out

    def ctl_json(self, command, **options):
        return json.loads(self.ctl_ok(command if "--json" in command else command + " --json", **options))

    def unix_get(self, path, target):
        """HTTP GET over a Unix socket of the host → (status, body)."""
        connection = http.client.HTTPConnection("localhost", timeout=5 * self.lab.slow)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.sock.settimeout(5 * self.lab.slow)
            connection.sock.connect(self.path(path))
            connection.request("GET", target, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    # -- containers, routers, kernel state ---------------------------------------------------------------
    def container(self, name, pid_holding=False):
        return Container(self, name, pid_holding)

    def netns_list(self):
        return self.listdir("/run/netns")

    def router_name(self, network):
        """fl-<vni in hex> of the network's document."""
        document = self.read_json(f"{STATE}/networks/{network}.json")
        return f"fl-{document['vni']:x}"

    def router(self, network):
        """The network's router as a place. A router that was remade is another place: ask again."""
        name = self.router_name(network)
        fd = os.open(self.path(f"/run/netns/{name}"), os.O_RDONLY | os.O_CLOEXEC)
        return Place(self.lab, f"{self.name}:{name}", fd, self)

    def in_router(self, network, *argv, **options):
        return self.router(network).must(words(argv), **options)

    def leases(self, network):
        return self.listdir(f"{RUN}/leases/{network}")

    def endpoints(self, network):
        """{file name: document}"""
        folder = f"{RUN}/endpoints/{network}"
        return {name: self.read_json(f"{folder}/{name}") for name in self.listdir(folder) if name.endswith(".json")}

    def snapshot(self):
        """What must be as before once everything of ours is removed: links, routes, rules, firewall, namespaces, xfrm."""
        def clean(text):
            return re.sub(r" # handle \d+|expires \S+|valid_lft \S+|preferred_lft \S+", "", text)
        commands = ("ip -o link", "ip -o address", "ip route show table all", "ip -6 route show table all", "ip rule",
                    "ip -6 rule", "nft list ruleset", "ip xfrm state", "ip xfrm policy")
        state = {command: clean(self.must(command)) for command in commands}
        state["netns"] = self.netns_list()
        return state
