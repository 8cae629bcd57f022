"""What the suite's tests share: a node, calls that are killed somewhere, and everything that could be left behind."""
import json
import os

from lab import *
from lab.lab import REPOSITORY

from . import tracer

SUBNETS = ["10.32.0.0/16", "fd32::/64"]
FOLDERS = ("/run/fairlead", "/var/lib/fairlead", "/var/lib/cni")
# Locks, hints, sockets, and files that were being written: no state of an attachment (docs/state-directory.md).
NO_STATE = ("lock", ".cursor", ".sock", ".tmp-")
LISTINGS = ("ip -o link", "ip -4 route show table all", "ip -6 route show table main", "ip rule", "ip -6 rule",
            "ip neighbour show nud permanent", "tc qdisc show", "nft -s list ruleset")


def conf(network="appnet", version="1.1.0", **keys):
    """One plugin's configuration."""
    return {"cniVersion": version, "name": network, "type": "fairlead", "network": network, "subnets": SUBNETS,
            "ipam": {"type": "fairlead-ipam"}, **keys}


class World:
    def __init__(self, lab):
        self.lab = lab
        self.node = lab.host("n1", lab.segment("wire"))
        self._pods = 0

    def pod(self, name=None):
        self._pods += 1
        return self.node.container(name or f"pod{self._pods}")

    # -- calls -------------------------------------------------------------------------------------------------
    def call(self, command, pod, document=None, ifname="eth0", plugin=None, **variables):
        return pod.cni(command, document or conf(), ifname, plugin=plugin, **variables)

    def ok(self, command, pod, why="", document=None, **options):
        outcome = self.call(command, pod, document, **options)
        equal(outcome.rc, 0, f"{command} of {pod.name} {why}: {outcome.out} {outcome.err}")
        return outcome.json

    def gc(self, document=None, listed=(), plugin="fairlead"):
        document = dict(document or conf())
        document["cni.dev/valid-attachments"] = [{"containerID": identity, "ifname": "eth0"} for identity in listed]
        env = {"CNI_COMMAND": "GC", "CNI_PATH": f"{self.lab.binaries}:/usr/lib/cni"}
        result = self.node.run([self.lab.binary(plugin)], input=json.dumps(document), env=env)
        equal(result.rc, 0, f"GC: {result.out} {result.err}")

    def start(self, command, pod, document=None, ifname="eth0", plugin="fairlead", path=None, preexec=None):
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": ifname, "CNI_ARGS": "",
               "CNI_PATH": path or f"{self.lab.binaries}:/usr/lib/cni"}
        self.node.write("/tmp/stdin", document or conf())
        with open(self.node.path("/tmp/stdin"), "rb") as stdin:
            return self.node.popen([self.lab.binary(plugin)], env=env, stdin=stdin, preexec=preexec)

    def traced(self, command, pod, limit=1 << 30, everyone=False, action=None, **options):
        """A call that is killed before its limit-th system call → tracer.Outcome"""
        process = self.start(command, pod, preexec=tracer.trace_me, **options)
        return tracer.run_until(process.pid, limit, everyone, action)

    # -- what is there -----------------------------------------------------------------------------------------
    def files(self):
        found = set()
        for folder in FOLDERS:
            root = self.node.path(folder)
            for path, _, names in os.walk(root):
                found |= {folder + os.path.join(path, name)[len(root):] for name in names
                          if not name.endswith(NO_STATE[:3]) and not name.startswith(NO_STATE[3])}
        return found

    def state(self, network="appnet"):
        """Files, and what the host and the router hold. {what: lines}"""
        seen = {"files": self.files()}
        text = self.node.must(["/bin/sh", "-c", "; ".join(LISTINGS)])
        seen["host"] = {_stable(line) for line in text.splitlines()} - {""}
        if self.node.exists(f"/run/fairlead/routers/{network}.json"):
            text = self.node.router(network).must(["/bin/sh", "-c", "; ".join(LISTINGS)])
            seen["router"] = {_stable(line) for line in text.splitlines()} - {""}
        return seen

    def same(self, before, why, within=3):
        """Nothing more and nothing less than before; the kernel takes a moment to end a veth."""
        last = {}

        def is_same():
            after = self.state()
            last.clear()
            last.update({key: (sorted(after.get(key, set()) - before.get(key, set())), sorted(before.get(key, set()) - after.get(key, set())))
                         for key in before.keys() | after.keys() if after.get(key, set()) != before.get(key, set())})
            return not last
        try:
            eventually(is_same, within, why)
        except AssertionError:
            raise AssertionError(f"{why}: " + "; ".join(f"{key}: new {new}, gone {gone}" for key, (new, gone) in last.items())) from None

    def baseline(self, document=None):
        """The state once a first attachment has made what the network needs."""
        pod = self.pod("warmup")
        self.ok("ADD", pod, document=document)
        self.ok("DEL", pod, document=document)
        pod.kill()
        return self.state()

    def baseline_of_ipam(self, options):
        pod = self.pod("warmup")
        self.ok("ADD", pod, **options)
        self.ok("DEL", pod, **options)
        pod.kill()
        return self.state()

    def collected(self, before, why, document=None, plugin="fairlead"):
        """GC, by a runtime that knows no containers, until it has found everything."""
        def done():
            self.gc(document, plugin=plugin)
            self.same(before, why, within=0)
            return True
        eventually(done, 15, why, every=0.3)


def _stable(line):
    """Without what changes by itself: flags of links, link-local addresses, handles."""
    if any(word in line for word in ("fe80:", "ff00::", "multicast", "anycast")):
        return ""
    words = [word for word in line.split() if word not in ("linkdown", "dead")]
    if line[:1].isdigit() and "mtu" in words:       # ip -o link: the name is enough
        return "link " + words[1]
    return " ".join(words)


def stub_ipam(world, **behaviour):
    """conformance/cni/stub_ipam on the node → CNI_PATH, the ipam section that names it."""
    folder = "/run/stub"
    answer = {"cniVersion": "1.1.0", "ips": [{"address": "10.32.0.9/16", "gateway": "10.32.0.1"}], "routes": [{"dst": "0.0.0.0/0"}]}
    behaviour.setdefault("ADD", {})
    behaviour["ADD"].setdefault("stdout", json.dumps(answer))
    with open(f"{REPOSITORY}/conformance/cni/stub_ipam") as file:
        world.node.write(f"{folder}/stub-ipam", file.read(), 0o755)
    world.node.write(f"{folder}/behaviour.json", behaviour)
    return f"{folder}:{world.lab.binaries}", {"type": "stub-ipam"}


def stub_calls(world):
    """Commands the stub was called with."""
    if not world.node.exists("/run/stub/log"):
        return []
    return [json.loads(line)["command"] for line in world.node.read("/run/stub/log").splitlines()]
