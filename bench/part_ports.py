"""ports: one ADD and one DEL with a port mapping, fairlead and its daemons against Debian's bridge, then portmap.

fairlead's ADD ends when fairlead-lb has said that the port answers; what the daemons spend meanwhile counts as CPU time.
portmap answers when iptables has ended; a runtime calls it after bridge, with bridge's result as prevResult.
"""
import json
import os
import signal
import subprocess
import time

import attachers
from context import Book, interleaved
from rows import Row

NAME = "ports"
READY_SECONDS = 10


def run(ctx):
    part = f"{NAME}, one mapped port"
    missing = {kind.name: kind.missing(ctx) for kind in (FairleadPorts, BridgePorts)}
    contestants = [kind(ctx, ctx.number(), 4) for kind in (FairleadPorts, BridgePorts) if not missing[kind.name]]
    book, warm = Book(), set()

    def one(contestant):
        container = contestant.container()
        before = contestant.daemon_cpu_ms()
        costs = {"ADD": ctx.launcher.serial(contestant.adds(container))}
        between = contestant.daemon_cpu_ms()
        costs["DEL"] = ctx.launcher.serial(contestant.deletes(container))
        daemons = {"ADD": between - before, "DEL": contestant.daemon_cpu_ms() - between}
        if contestant not in warm:
            warm.add(contestant)    # the first of each makes bridges, routers and chains
            return
        for what, list_ in costs.items():
            book.add((contestant.name, what, "wall"), sum(cost.wall_ms for cost in list_))
            book.add((contestant.name, what, "CPU"), sum(cost.cpu_ms for cost in list_) + daemons[what])

    try:
        interleaved(contestants, ctx.rounds(60, 12) + 1, one)
    finally:
        for contestant in contestants:
            contestant.close()
    return _rows(part, book, missing)


def _rows(part, book, missing):
    rows = []
    for what in ["ADD", "DEL"]:
        for kind in ["wall", "CPU"]:
            rows.append(Row(part, f"bridge + portmap {what} {kind}", book.get(("bridge", what, kind)), missing=missing["bridge"]))
            rows.append(Row(part, f"fairlead {what} {kind}", book.get(("fairlead", what, kind)), "bridge + portmap",
                            book.get(("bridge", what, kind)), 0.1 if (what, kind) == ("ADD", "wall") else None,
                            missing=missing["fairlead"] or missing["bridge"]))
    return rows


def _port(container):
    return 20000 + int(container.rsplit("x", 1)[1])


def _mapping(container):
    return {"portMappings": [{"hostPort": _port(container), "containerPort": 80, "protocol": "tcp"}]}


class _WithConfs:
    """Jobs whose configuration differs from container to container."""

    def conf_of(self, container, name, conf):
        path = f"{self.ctx.folder}/{container}.{name}.conf"
        with open(path, "w", encoding="ascii") as file:
            json.dump(conf, file)
        return path


class FairleadPorts(_WithConfs, attachers.Fairlead):
    DAEMONS = ("fairlead-agent", "fairlead-lb")

    def __init__(self, ctx, number, families):
        super().__init__(ctx, number, families)
        os.makedirs(self.run)
        os.makedirs(self.state)
        with open(f"{self.state}/node.json", "w", encoding="ascii") as file:
            json.dump({"apiVersion": 1, "balancer": "nft"}, file)
        self._log = open(f"{ctx.folder}/{self.network}.log", "wb")
        self._daemons = [subprocess.Popen([f"{ctx.bin}/{program}", "--state-dir", self.state, "--run-dir", self.run],
                                          stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
                         for program in self.DAEMONS]
        deadline = time.monotonic() + READY_SECONDS
        while not all(os.path.exists(f"{self.run}/{program.removeprefix('fairlead-')}.sock") for program in self.DAEMONS):
            if time.monotonic() > deadline:
                raise RuntimeError("the daemons are not ready: " + open(self._log.name, encoding="utf-8").read()[-2000:])
            time.sleep(0.02)

    @classmethod
    def missing(cls, ctx):
        absent = [p for p in cls.DAEMONS if not os.path.exists(f"{ctx.bin}/{p}")]
        return f"not built: {', '.join(absent)}" if absent else super().missing(ctx)

    def adds(self, container):
        return [self._mapped("ADD", container)]

    def deletes(self, container):
        return [self._mapped("DEL", container)]

    def _mapped(self, command, container):
        job = self._job(command, container)
        job.stdin = self.conf_of(container, "fairlead", dict(self.configuration(), runtimeConfig=_mapping(container)))
        return job

    def daemon_cpu_ms(self):
        """User and system time of the daemons' threads so far (proc(5), schedstat: nanoseconds)."""
        total = 0
        for daemon in self._daemons:
            for task in os.listdir(f"/proc/{daemon.pid}/task"):
                with open(f"/proc/{daemon.pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total / 1e6

    def close(self):
        for daemon in self._daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons:
            daemon.wait(10)


class BridgePorts(_WithConfs, attachers.Bridge):
    @classmethod
    def missing(cls, ctx):
        for path in (f"{attachers.DEBIAN_PLUGINS}/portmap", "/usr/sbin/iptables"):
            if not os.path.exists(path):
                return f"{path} is not there"
        return super().missing(ctx)

    def adds(self, container):
        return [self._job("ADD", container), self._portmap("ADD", container)]

    def deletes(self, container):
        return [self._portmap("DEL", container), self._job("DEL", container)]

    def _portmap(self, command, container):
        number = int(container.rsplit("x", 1)[1])
        conf = {"cniVersion": "1.0.0", "name": self.network, "type": "portmap", "snat": True, "runtimeConfig": _mapping(container),
                "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": self.netns(container)}],
                               "ips": [{"address": f"10.{self.number}.1.{number % 250 + 2}/16", "interface": 0}]}}
        job = self._job(command, container)
        job.name = f"portmap {command} {container}"
        job.program = f"{attachers.DEBIAN_PLUGINS}/portmap"
        job.stdin = self.conf_of(container, "portmap", conf)
        return job

    def daemon_cpu_ms(self):
        return 0

    def close(self):
        pass
