"""The three ways of attaching a container that are compared: fairlead, Debian's bridge + host-local, and the floor.

An attacher is one network of one of them: add(container) and delete(container) make the jobs to be launched.
"""
import json
import os

import sandbox
from launcher import Job

DEBIAN_PLUGINS = "/usr/lib/cni"


class Attacher:
    """families: 4 (IPv4 only) or 46 (dual stack). number: makes names and subnets unique."""
    name = ""

    def __init__(self, ctx, number, families):
        self.ctx, self.number, self.families = ctx, number, families
        self.network = f"{self.name}{number}"
        self._netns = {}
        self._count = 0
        self.conf = f"{ctx.folder}/{self.network}.conf"
        with open(self.conf, "w", encoding="ascii") as file:
            json.dump(self.configuration(), file)

    @classmethod
    def missing(cls, ctx):
        """Why this cannot be measured here; empty when it can."""
        raise NotImplementedError

    def configuration(self):
        return {"cniVersion": "1.0.0", "name": self.network}

    def container(self):
        """A new container: its id. Its namespace is fresh."""
        self._count += 1
        container = f"{self.network}x{self._count}"
        self._netns[container] = sandbox.make_netns(container)
        return container

    def netns(self, container):
        return self._netns[container]

    def add(self, container):
        return self._job("ADD", container)

    def delete(self, container):
        return self._job("DEL", container)

    def version(self):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND": "VERSION"}
        return Job(f"{self.name} VERSION", self.program(), self.conf, environment)

    def _job(self, command, container):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND": command, "CNI_CONTAINERID": container,
                       "CNI_NETNS": self._netns[container], "CNI_IFNAME": "eth0", **self.environment(container)}
        return Job(f"{self.name} {command} {container}", self.program(), self.conf, environment)

    def program(self):
        raise NotImplementedError

    def environment(self, container):
        raise NotImplementedError


class Fairlead(Attacher):
    name = "fairlead"

    @classmethod
    def missing(cls, ctx):
        absent = [p for p in ["fairlead", "fairlead-ipam", "fairlead-agent"] if not os.path.exists(f"{ctx.bin}/{p}")]
        return f"not built: {', '.join(absent)}" if absent else ""

    def configuration(self):
        subnets = [f"10.{self.number}.0.0/16"]
        if self.families == 46:
            subnets.append(f"fd57:{self.number}::/64")
        return dict(super().configuration(), type="fairlead", network=self.network, subnets=subnets,
                    stateDir=self.state, runDir=self.run, ipam={"type": "fairlead-ipam"})

    @property
    def state(self):
        return f"/var/lib/fairlead/{self.network}"

    @property
    def run(self):
        return f"/run/fairlead/{self.network}"

    def router(self):
        """The router's namespace; there is one from the first ADD on."""
        with open(f"{self.run}/routers/{self.network}.json", encoding="utf-8") as file:
            return "/run/netns/" + json.load(file)["netns"]

    def program(self):
        return f"{self.ctx.bin}/fairlead"

    def environment(self, container):
        return {"CNI_PATH": self.ctx.bin, "PATH": f"{self.ctx.bin}:/usr/sbin:/usr/bin:/sbin:/bin"}


class Bridge(Attacher):
    name = "bridge"

    @classmethod
    def missing(cls, ctx):
        there = all(os.path.exists(f"{DEBIAN_PLUGINS}/{p}") for p in ["bridge", "host-local"])
        return "" if there else "package containernetworking-plugins is not installed"

    def configuration(self):
        ranges, routes = [[{"subnet": f"10.{self.number}.0.0/16"}]], [{"dst": "0.0.0.0/0"}]
        if self.families == 46:
            ranges.append([{"subnet": f"fd57:{self.number}::/64"}])
            routes.append({"dst": "::/0"})
        return dict(super().configuration(), type="bridge", bridge=f"br{self.number}", isGateway=True,
                    ipam={"type": "host-local", "ranges": ranges, "routes": routes})

    def program(self):
        return f"{DEBIAN_PLUGINS}/bridge"

    def environment(self, container):
        return {"CNI_PATH": DEBIAN_PLUGINS}


class Floor(Attacher):
    name = "floor"

    def __init__(self, ctx, number, families):
        super().__init__(ctx, number, families)
        self._folder = f"/run/floor/{self.network}"
        for kind in ["leases", "endpoints"]:
            os.makedirs(f"{self._folder}/{kind}")
        self._router = sandbox.make_netns(f"router-{self.network}")
        gateways = [f"10.{number}.0.1/32"] + ([f"fd57:{number}::1/128"] if families == 46 else [])
        ctx.prepare_router(self._router, gateways)

    @classmethod
    def missing(cls, ctx):
        return "" if os.path.exists(f"{ctx.tools}/bench_floor") else "not built: bench_floor"

    def router(self):
        return self._router

    def program(self):
        return f"{self.ctx.tools}/bench_floor"

    def environment(self, container):
        number = int(container.rsplit("x", 1)[1]) + 10
        answer = {"FLOOR_ROUTER": self._router, "FLOOR_DIR": self._folder,
                  "FLOOR_IP4": f"10.{self.number}.{number // 250}.{number % 250 + 2}", "FLOOR_GW4": f"10.{self.number}.0.1"}
        if self.families == 46:
            answer.update(FLOOR_IP6=f"fd57:{self.number}::{number:x}", FLOOR_GW6=f"fd57:{self.number}::1")
        return answer


ALL = [Floor, Fairlead, Bridge]
