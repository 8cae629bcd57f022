"""dns: CPU of the server per query, local names by UDP, against a canned-answer loop and against dnsmasq, unbound, knot.

Everyone serves the same 1,000 names from the same router namespace to the same client through a veth; the answers are
checked. CPU is the run time of all threads of the server as the scheduler counts it (kernel work included)."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

import sandbox
from context import Book, interleaved
from lab import kernel, netlink
from rows import Row

NAME = "dns"
ROUTER, CLIENT = "fl-1", "dns-client"
GATEWAY, ASKER = "10.32.0.1", "10.32.0.2"
SUFFIX = "net1.fairlead.internal"
COUNT = 1000
LOADS = {"20,000 q/s": ["--rate", "20000"], "64 in flight": ["--window", "64"]}


def address(number):
    return f"10.32.{4 + number // 250}.{1 + number % 250}"


def in_namespace(name):
    def enter():
        kernel.die_with_parent()
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        kernel.setns(fd, kernel.CLONE_NEWNET)
    return enter


class Server:
    """A contestant: where its program is, which port it serves, how it is started."""
    name, port, program, threads = "", 53, "", 1

    def __init__(self, ctx):
        self.ctx, self.folder = ctx, f"/run/bench-{self.name.replace(' ', '-')}"
        os.makedirs(self.folder, exist_ok=True)
        self.process = None

    def missing(self):
        return "" if shutil.which(self.program) else f"{self.program} is not installed"

    def write(self, name, lines):
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        return f"{self.folder}/{name}"

    def start(self):
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, preexec_fn=in_namespace(self.place()))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                self.load(["--window", "1", "--sockets", "1"], 0.05)
                return
            time.sleep(0.1)
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"{self.name} does not answer: {log.read()[-500:]}")

    def place(self):
        return ROUTER

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def load(self, how, seconds):
        """What dns_load found out, as a dict."""
        command = [f"{self.ctx.tools}/dns_load", "--server", GATEWAY, "--port", str(self.port), "--names",
                   self.names(), "--seconds", str(seconds), "--pid", str(self.process.pid), *how]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=in_namespace(CLIENT), check=False)
        if done.returncode != 0:
            raise OSError(f"{self.name}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    def names(self):
        path = "/run/bench-names"
        if not os.path.exists(path):
            with open(path, "w", encoding="ascii") as file:
                file.writelines(f"task-{i}.{SUFFIX} 1 {address(i)}\n" for i in range(COUNT))
        return path


class Canned(Server):
    name, port = "canned loop", 5301

    def missing(self):
        return ""

    def names(self):
        path = "/run/bench-names-any"
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"task-{i}.{SUFFIX}\n" for i in range(COUNT))
        return path

    def command(self):
        return [f"{self.ctx.tools}/dns_canned", GATEWAY, str(self.port), str(self.threads)]


class Fairlead(Server):
    name = "fairlead-dns"

    def missing(self):
        return "" if os.path.exists(f"{self.ctx.bin}/fairlead-dns") else "fairlead-dns is not built"

    def document(self, path, **fields):
        path = f"{self.folder}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            json.dump({"apiVersion": 1, **fields}, file)

    def endpoint(self, container, ip, name):
        self.document(f"run/endpoints/net1/{container}-eth0.json", network="net1", container=container, ifname="eth0",
                      addresses=[ip], names=[name], state="ready")

    def command(self):
        self.document("state/networks/net1.json", name="net1", vni=1, subnets=["10.32.0.0/16"])
        self.document("run/routers/net1.json", network="net1", vni=1, netns=ROUTER, index=0, uplink="ul1",
                      host4="169.254.64.0", router4="169.254.64.1", host6="fd57:64::1", router6="fd57:64::2")
        self.endpoint("client", ASKER, "client")
        for i in range(COUNT):
            self.endpoint(f"c{i}", address(i), f"task-{i}")
        return [f"{self.ctx.bin}/fairlead-dns", "--state-dir", f"{self.folder}/state", "--run-dir", f"{self.folder}/run",
                "--workers", str(self.threads)]

    def place(self):
        return "dns-host"


class Dnsmasq(Server):
    name, port, program = "dnsmasq", 5302, "dnsmasq"

    def command(self):
        hosts = self.write("hosts", [f"{address(i)} task-{i}.{SUFFIX}" for i in range(COUNT)])
        return [self.program, "-k", "-C", "/dev/null", "-u", "root", "-p", str(self.port), "-a", GATEWAY, "-z", "-R", "-h",
                "-H", hosts, "-A", f"/{SUFFIX}/", "--local-ttl=5", "-x", f"{self.folder}/pid"]


class Unbound(Server):
    name, port, program = "unbound", 5303, "unbound"

    def command(self):
        lines = ["server:", f" interface: {GATEWAY}@{self.port}", " access-control: 0.0.0.0/0 allow", " do-daemonize: no",
                 ' chroot: ""', ' username: ""', f' pidfile: "{self.folder}/pid"', " use-syslog: no", " num-threads: 1",
                 ' module-config: "iterator"', f' local-zone: "{SUFFIX}." static']
        lines += [f' local-data: "task-{i}.{SUFFIX}. 5 IN A {address(i)}"' for i in range(COUNT)]
        lines += ["remote-control:", " control-enable: no"]
        return [self.program, "-d", "-c", self.write("conf", lines)]


class Knot(Server):
    name, port, program = "knot", 5304, "knotd"

    def command(self):
        zone = [f"{SUFFIX}. 5 SOA ns.{SUFFIX}. root.{SUFFIX}. 1 1 1 1 5", f"{SUFFIX}. 5 NS ns.{SUFFIX}.", f"ns.{SUFFIX}. 5 A {GATEWAY}"]
        zone += [f"task-{i}.{SUFFIX}. 5 A {address(i)}" for i in range(COUNT)]
        self.write("zone", zone)
        return [self.program, "-c", self.write("conf", [
            "server:", f"  rundir: {self.folder}", f"  listen: {GATEWAY}@{self.port}", "  udp-workers: 1", "  tcp-workers: 1",
            "  background-workers: 1", "database:", f"  storage: {self.folder}/db", "zone:", f"  - domain: {SUFFIX}.",
            f"    file: {self.folder}/zone"])]


def build_place():
    """Client — veth — router with the gateway address, as an attached container has it."""
    for name in (ROUTER, CLIENT, "dns-host"):
        sandbox.make_netns(name)
    router = os.open(f"/run/netns/{ROUTER}", os.O_RDONLY | os.O_CLOEXEC)
    with sandbox.inside(f"/run/netns/{CLIENT}"):
        sandbox.link_up("lo")
        netlink.add_veth("eth0", "c0", router, 1500)
        sandbox.link_up("eth0")
        sandbox.add_address("eth0", f"{ASKER}/16")
    with sandbox.inside(f"/run/netns/{ROUTER}"):
        sandbox.link_up("lo")
        sandbox.link_up("c0")
        sandbox.add_address("c0", f"{GATEWAY}/16")
    os.close(router)


def run(ctx):
    build_place()
    servers = [kind(ctx) for kind in (Canned, Fairlead, Dnsmasq, Unbound, Knot)]
    present = [server for server in servers if not server.missing()]
    for server in present:
        server.start()
    book, qps = Book("us"), Book("kq/s")
    try:
        def one(server):
            for load, how in LOADS.items():
                found = server.load(how, 2 if not ctx.quick else 1)
                book.add((server.name, load), found["cpu_us_per_query"])
                qps.add((server.name, load), found["qps"] / 1000)
        interleaved(present, ctx.rounds(7, 3), one)
    finally:
        for server in present:
            server.stop()
    rows = []
    for load in LOADS:
        part = f"{NAME}, CPU per query, {load}"
        ours = book.get(("fairlead-dns", load))
        for server in servers:
            if server.name != "fairlead-dns":
                rows.append(Row(part, server.name, book.get((server.name, load)), missing=server.missing()))
        for server in servers:
            if server.name != "fairlead-dns":
                target = 2 if server.name == "canned loop" else None
                rows.append(Row(part, "fairlead-dns", ours, server.name, book.get((server.name, load)), target,
                                missing=server.missing() if target is None else ""))
    for server in present:
        rows.append(Row(f"{NAME}, answers with 64 in flight, one worker each", server.name, qps.get((server.name, "64 in flight"))))
    return rows
