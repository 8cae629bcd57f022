"""One check's world: a lab host, the target's plugins on it, containers, and ways to see what was left behind."""
import ipaddress
import json
import os
import re
import shutil
import time

from lab import eventually
from lab.daemon import Daemon
from lab.place import Place
from .judge import HERE, Skipped

STUB = "/run/stub"
# Folders in which plugins keep files, and names in them that are hints or locks, not state of an attachment.
STATE_FOLDERS = ("/var/lib/cni", "/run/cni", "/run/fairlead", "/var/lib/fairlead")
NO_STATE = re.compile(r"(lock|.*\.lock|last_reserved_ip\..*|\.cursor|.*\.sock)$")
NEWEST = "1.1.0"


def network_places(t):
    """The host, and every namespace on it that is not a container's: where a plugin may have put something."""
    pods = {os.path.basename(c.netns) for c in t.host.containers.values()}
    return [t.host] + [Place(t.lab, name, os.open(t.host.path(f"/run/netns/{name}"), os.O_RDONLY | os.O_CLOEXEC), t.host)
                       for name in t.host.netns_list() if name not in pods]


class Answer:
    """What a plugin did: rc (negative: a signal), out, err, seconds, json (None when stdout is not one document)."""

    def __init__(self, what, rc, out, err, seconds):
        self.what, self.rc, self.out, self.err, self.seconds = what, rc, out, err, seconds
        try:
            self.json = json.loads(out) if out.strip() else None
        except ValueError:
            self.json = None

    def __str__(self):
        return f"{self.what}: exit {self.rc}, stdout {self.out.strip()[:600]!r}, stderr {self.err.strip()[:300]!r}"

    @property
    def code(self):
        return self.json.get("code") if isinstance(self.json, dict) else None

    def ok(self, why="it must succeed"):
        """→ the result (None when stdout is empty)"""
        assert self.rc == 0, f"{why}; {self}"
        assert self.json is not None or not self.out.strip(), f"stdout must be one JSON document; {self}"
        return self.json

    def silent(self, why="it must succeed and print nothing"):
        assert self.rc == 0 and self.out == "", f"{why}; {self}"

    def fails(self, *codes, names=(), why="it must fail"):
        """Cleanly: no signal, an error object; with one of codes when any are given; msg or details have all names."""
        assert self.rc > 0, f"{why}; {self}"
        assert isinstance(self.json, dict) and isinstance(self.code, int) and not isinstance(self.code, bool), \
            f"{why} with one error object on stdout; {self}"
        assert self.json.get("msg") and isinstance(self.json["msg"], str), f"msg must be text; {self}"
        assert isinstance(self.json.get("details", ""), str), f"details must be a string; {self}"
        assert not codes or self.code in codes, f"{why} with code {' or '.join(map(str, codes))}; {self}"
        text = self.json["msg"] + " " + self.json.get("details", "")
        for name in names:
            assert name in text, f"{why}, naming {name}; {self}"
        return self.json


class Pod:
    """A container as a runtime sees it. Its calls use the trial's configuration unless told otherwise."""

    def __init__(self, trial, name, identity=None):
        self.trial, self.name = trial, name
        self.place = trial.host.container(name)
        self.id, self.netns = identity or self.place.id, self.place.netns
        self.result, self.conf = None, None

    def call(self, command, conf=None, ifname="eth0", env=None, prev=None, **options):
        conf = dict(conf or self.conf or self.trial.conf())
        if prev is not None:
            conf["prevResult"] = prev
        variables = {"CNI_CONTAINERID": self.id, "CNI_NETNS": self.netns, "CNI_IFNAME": ifname, **(env or {})}
        return self.trial.call(command, conf, variables, **options)

    def follow(self, command, conf, answer, order, env):
        """The plugins of the chain after the plugin itself (DEL: before). → the answer that counts"""
        variables = {"CNI_CONTAINERID": self.id, "CNI_NETNS": self.netns, "CNI_IFNAME": "eth0", **env}
        for program, one in order(self.trial.target.followers(conf)):
            prev = answer.json if answer and isinstance(answer.json, dict) else self.result
            next_answer = self.trial.call(command, {**one, "prevResult": prev} if prev else one, variables, plugin=program)
            if next_answer.rc != 0:
                return next_answer
            answer = next_answer if command == "ADD" else answer
        return answer

    def add(self, conf=None, **options):
        """With the chain: when one of its plugins fails, all are told to DEL, as a runtime does."""
        self.conf = conf or self.trial.conf()
        answer = self.call("ADD", self.conf, **options)
        if answer.rc == 0 and isinstance(answer.json, dict):
            self.result = answer.json
            answer = self.follow("ADD", self.conf, answer, list, options.get("env") or {})
            if answer.rc == 0:
                self.result = answer.json
            elif self.trial.target.followers(self.conf):
                self.delete(prev=True)
        return answer

    def attach(self, conf=None, **options):
        """ADD that must succeed → its result."""
        result = self.add(conf, **options).ok("ADD of a plain attachment")
        assert isinstance(result, dict), f"ADD must print a result, got {result!r}"
        return result

    def delete(self, conf=None, prev=False, **options):
        failed = self.follow("DEL", conf or self.conf or {}, None, reversed, options.get("env") or {})
        answer = self.call("DEL", conf, prev=self.result if prev else None, **options)
        return failed or answer

    def detach(self, **options):
        self.delete(**options).silent("DEL")

    def check(self, conf=None, **options):
        conf = conf or self.conf
        if conf.get("cniVersion", "0.1.0") < "0.4.0":
            conf = dict(conf, cniVersion="0.4.0")
        answer = self.call("CHECK", conf, prev=options.pop("prev", self.result), **options)
        return answer if answer.rc != 0 else self.follow("CHECK", conf, None, list, options.get("env") or {}) or answer

    # -- what the kernel says ------------------------------------------------------------------------------
    def has(self, ifname="eth0"):
        return ifname in self.place.links()

    def addresses(self, ifname="eth0"):
        return set(self.place.addresses(ifname)) if self.has(ifname) else set()

    def default_routes(self, version=4):
        return [r for r in self.place.ip_json(f"-{version}", "route", "show", "table", "main") if r["dst"] == "default"]

    def ips(self, version=None):
        """Addresses of the result without prefix length."""
        texts = [ip["address"].split("/")[0] for ip in (self.result or {}).get("ips", [])]
        return [t for t in texts if version is None or (":" in t) == (version == 6)]


class Trial:
    def __init__(self, lab, target):
        self.lab, self.target = lab, target
        self.wire = lab.segment("wire")
        self.host = lab.host("n1", self.wire)
        self._pods = 0
        self.daemons = []

    def start_beside(self):
        """The daemons the target needs for some capabilities. Ready means READY=1 (sd_notify), or still there after 5 s."""
        for program, *arguments in self.target.beside:
            daemon = Daemon(self.host, self.target.program(program), arguments)
            self.daemons.append(daemon)
            try:
                daemon.start()
            except AssertionError:
                if not daemon.alive():
                    raise

    # -- calls -----------------------------------------------------------------------------------------------
    def conf(self, version=None, **changes):
        return self.target.conf(version, **changes)

    def call(self, command, conf, variables=None, plugin=None, stdin=None, timeout=20, wrap=None):
        """One plugin call, all six variables exported as libcni does. variables: None removes one; command None too.
        stdin: bytes or text instead of conf. wrap: shell text in which "$0" is the plugin."""
        plugin = plugin or self.target.plugin
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": "", "CNI_NETNS": "", "CNI_IFNAME": "", "CNI_ARGS": "",
               "CNI_PATH": self.target.path, **(variables or {})}
        document = json.dumps(conf) if stdin is None else stdin
        argv = ["/bin/sh", "-c", wrap, plugin] if wrap else [plugin]
        self.lab.transcript.say(f"CNI {command} {variables} {str(document)[:1500]}")
        start = time.monotonic()
        result = self.host.run(argv, input=document, env=env, timeout=timeout)
        return Answer(f"{os.path.basename(plugin)} {command}", result.rc, result.out, result.err, time.monotonic() - start)

    def ipam(self, command, conf, identity="c1", ifname="eth0", netns="/run/netns/none", **variables):
        """One call of the IPAM plugin alone."""
        return self.call(command, conf, {"CNI_CONTAINERID": identity, "CNI_NETNS": netns, "CNI_IFNAME": ifname, **variables},
                         plugin=self.target.ipam)

    def pod(self, name=None, identity=None):
        self._pods += 1
        return Pod(self, name or f"pod{self._pods}", identity)

    def start(self, command, conf, variables, preexec=None):
        """A plugin call left running → Process. preexec: called in the child right before exec."""
        env = {"CNI_COMMAND": command, "CNI_ARGS": "", "CNI_PATH": self.target.path, **variables}
        path = self.file(f"/run/stdin-{command}-{time.monotonic_ns()}", json.dumps(conf))
        with open(self.host.path(path), "rb") as stdin:
            return self.host.popen([self.target.plugin], env=env, stdin=stdin, preexec=preexec)

    # -- versions --------------------------------------------------------------------------------------------
    def supported(self, plugin=None):
        answer = self.call("VERSION", {"cniVersion": "0.4.0"}, plugin=plugin).ok("VERSION")
        return answer["supportedVersions"]

    def needs_version(self, version, plugin=None):
        if version not in self.supported(plugin):
            raise Skipped(f"{os.path.basename(plugin or self.target.plugin)} does not support {version}")

    def newest(self):
        """conf of 1.1.0, or Skipped."""
        self.needs_version(NEWEST)
        return self.conf(NEWEST)

    # -- files and stub ----------------------------------------------------------------------------------------
    def file(self, path, text, mode=0o644):
        self.host.write(path, text, mode)
        return path

    def stub(self, **behaviour):
        """Installs the stub IPAM. → a configuration that uses it; say ADD={"stdout": …}. Without ADD it gives an address."""
        behaviour.setdefault("ADD", {"stdout": json.dumps(self.stub_result())})
        if not self.host.exists(f"{STUB}/stub-ipam"):
            os.makedirs(self.host.path(STUB))
            shutil.copy(f"{HERE}/stub_ipam", self.host.path(f"{STUB}/stub-ipam"))
        self.file(f"{STUB}/behaviour.json", json.dumps(behaviour))
        return self.conf(ipam={"type": "stub-ipam", "unknown": {"deep": [1, 2, 3]}})

    def stub_env(self):
        return {"CNI_PATH": f"{STUB}:{self.target.path}"}

    def stub_result(self, version="1.0.0", number=9):
        net = self.target.subnet(4)
        address = f"{net[number]}/{net.prefixlen}"
        if version < "0.3.0":
            return {"cniVersion": version, "ip4": {"ip": address, "gateway": self.target.gateway(),
                                                   "routes": [{"dst": "0.0.0.0/0"}]}}
        ip = {"address": address, "gateway": self.target.gateway()}
        if version < "1.0.0":
            ip["version"] = "4"
        return {"cniVersion": version, "ips": [ip], "routes": [{"dst": "0.0.0.0/0"}]}

    def stub_log(self):
        if not self.host.exists(f"{STUB}/log"):
            return []
        return [json.loads(line) for line in self.host.read(f"{STUB}/log").splitlines()]

    # -- what is there ---------------------------------------------------------------------------------------
    def files(self):
        """Paths of all state files of plugins on the host."""
        found = set()
        for folder in STATE_FOLDERS:
            root = self.host.path(folder)
            for path, _, names in os.walk(root):
                found |= {folder + os.path.join(path, name)[len(root):] for name in names if not NO_STATE.match(name)}
        return found

    def leases(self, version=None):
        """{address: path of the file named after it}, for the addresses of the target's subnets."""
        found = {}
        for path in self.files():
            try:
                address = ipaddress.ip_address(os.path.basename(path))
            except ValueError:
                continue
            if version in (None, address.version):
                found[str(address)] = path
        return found

    def _places(self):
        pods = {os.path.basename(c.netns) for c in self.host.containers.values()}
        yield "host", ()
        for name in self.host.netns_list():
            if name not in pods:
                yield name, ("ip", "netns", "exec", name)

    def state(self):
        """Everything a plugin may have made, besides what is inside containers."""
        seen = {"files": self.files()}
        for name, prefix in self._places():
            def lines(*argv, prefix=prefix):
                return {_stable(line) for line in self.host.must([*prefix, *argv]).splitlines()} - {""}
            seen[f"links of {name}"] = {line.split()[0].split("@")[0] for line in lines("ip", "-br", "link")}
            # Of IPv6 the table of local addresses is the kernel's, filled by a worker some time after the address is there.
            seen[f"routes of {name}"] = (lines("ip", "-4", "route", "show", "table", "all") |
                                         lines("ip", "-6", "route", "show", "table", "main"))
            seen[f"neighbours of {name}"] = lines("ip", "neighbour", "show", "nud", "permanent")
            seen[f"firewall of {name}"] = lines("nft", "-s", "list", "ruleset")
        return seen

    def baseline(self):
        """The state after a first ADD and DEL have made what a network needs once."""
        pod = self.pod("warmup")
        pod.attach()
        pod.detach()
        return self.state()

    def unchanged(self, before, why, within=2.0):
        """Nothing more and nothing less than before; teardown in the kernel may take a moment."""
        def differences():
            after = self.state()
            return {key: (sorted(after.get(key, set()) - before.get(key, set())),
                          sorted(before.get(key, set()) - after.get(key, set())))
                    for key in before.keys() | after.keys() if after.get(key, set()) != before.get(key, set())}
        last = {}

        def same():
            last.clear()
            last.update(differences())
            return not last
        try:
            eventually(same, within, why, every=0.1)
        except AssertionError:
            raise AssertionError(f"{why}: " + "; ".join(
                f"{key}: new {new}, gone {gone}" for key, (new, gone) in sorted(last.items()))) from None


def _stable(line):
    """Without what changes by itself: link-local and multicast IPv6, timers, link state flags."""
    line = re.sub(r"\b(linkdown|dead|expires \S+|# handle \d+)", "", line).strip()
    return "" if re.search(r"\b(fe80:|ff00:|multicast|anycast)", line) else re.sub(r"\s+", " ", line)

