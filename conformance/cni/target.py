"""What is judged: a main plugin, its IPAM plugin, and a configuration that works with both."""
import copy
import ipaddress
import json
import os
import shlex


class Target:
    """name: in reports and of the verdicts' file. conf: as given to --conf, one plugin's configuration. chain: configurations
    of plugins to be called after it, as in a conflist, for the capabilities they declare. beside: command lines of daemons
    the plugin needs for some of its capabilities."""

    def __init__(self, name, plugin, ipam, conf, chain=(), beside=()):
        self.name, self.plugin, self.ipam = name, plugin, ipam
        self._conf, self.chain = conf, list(chain)
        self.beside = [shlex.split(line) for line in beside]
        self.capabilities = set().union(*(capabilities_of(one) for one in (conf, *self.chain)))
        self.subnets = [ipaddress.ip_network(text) for text in _subnets(conf)]
        if not self.subnets:
            raise ValueError("the configuration names no subnet (subnets, ipam.subnet or ipam.ranges)")

    @classmethod
    def from_files(cls, plugin, ipam, conf, chain=None, beside=None):
        """chain: a file with a list of configurations. Without chain and beside what stands next to conf (NAME.chain.json,
        NAME.beside) is taken."""
        with open(conf) as file:
            document = json.load(file)
        stem = conf.removesuffix(".json")
        if chain is None and os.path.exists(f"{stem}.chain.json"):
            chain = f"{stem}.chain.json"
        if beside is None and os.path.exists(f"{stem}.beside"):
            with open(f"{stem}.beside") as file:
                beside = [line for line in file.read().splitlines() if line and not line.startswith("#")]
        followers = []
        if chain:
            with open(chain) as file:
                followers = json.load(file)
        return cls(os.path.basename(plugin), os.path.abspath(plugin), os.path.abspath(ipam), document, followers, beside or ())

    def program(self, name):
        """Full path of a program that belongs to the plugin: as given, else beside it, else where daemons are."""
        if "/" in name:
            return name
        return next((path for path in (f"{folder}/{name}" for folder in (os.path.dirname(self.plugin), "/usr/sbin", "/usr/local/sbin"))
                     if os.access(path, os.X_OK)), name)

    def followers(self, conf):
        """[(program, its configuration)] of the chain's plugins that are asked for one of their capabilities."""
        found, runtime = [], conf.get("runtimeConfig", {})
        for one in self.chain:
            asked = {key: value for key, value in runtime.items() if key in capabilities_of(one)}
            if asked:
                program = next((path for path in (f"{folder}/{one['type']}" for folder in self.path.split(":")) if os.access(path, os.X_OK)),
                               one["type"])
                found.append((program, {**one, "cniVersion": conf.get("cniVersion", "0.1.0"), "name": conf["name"], "runtimeConfig": asked}))
        return found

    @property
    def path(self):
        """CNI_PATH: where the plugin and its IPAM are."""
        folders = [os.path.dirname(self.plugin), os.path.dirname(self.ipam), "/usr/lib/cni"]
        return ":".join(dict.fromkeys(folders))

    def subnet(self, version):
        """The subnet of the family, None when the configuration has none."""
        return next((net for net in self.subnets if net.version == version), None)

    def address(self, number, version=4):
        """The subnet's address with that number, as text: address(7) → "10.77.0.7"."""
        return str(self.subnet(version)[number])

    def gateway(self, version=4):
        return self.address(1, version)

    def conf(self, version=None, network=None, **changes):
        """A fresh copy. version: cniVersion, "" for none. network: another network of that name, with the same subnets.
        changes: further keys; None removes one."""
        conf = copy.deepcopy(self._conf)
        if version is not None:
            conf["cniVersion"] = version
            if not version:
                del conf["cniVersion"]
        if network:
            conf["name"] = network
            for key in ("network", "bridge"):
                if key in conf:
                    conf[key] = network
        for key, value in changes.items():
            conf[key] = value
            if value is None:
                del conf[key]
        return conf

    def other_subnets(self, conf, second):
        """conf with its subnets replaced: 10.77.0.0/24 → 10.<second>.0.0/24, fd77::/64 → fd<second, hex>::/64."""
        text = json.dumps(conf)
        for net in self.subnets:
            other = f"10.{second}.0.0/{net.prefixlen}" if net.version == 4 else f"fd{second:02x}::/{net.prefixlen}"
            text = text.replace(f'"{net}"', f'"{other}"')
        return json.loads(text)

    def only_v4(self, conf, prefix=None):
        """conf with the IPv4 subnet alone, optionally a smaller one with the same first address."""
        v4 = self.subnet(4)
        wanted = f"{v4.network_address}/{prefix}" if prefix else str(v4)
        conf = copy.deepcopy(conf)
        if "subnets" in conf:
            conf["subnets"] = [wanted]
        ipam = conf["ipam"]
        if "subnet" in ipam:
            ipam["subnet"] = wanted
        if "ranges" in ipam:
            ipam["ranges"] = [[{"subnet": wanted}]]
        if "routes" in ipam:
            ipam["routes"] = [route for route in ipam["routes"] if ":" not in route["dst"]]
        return conf


def capabilities_of(conf):
    return {key for key, value in conf.get("capabilities", {}).items() if value}


def _subnets(conf):
    ipam = conf.get("ipam", {})
    found = list(conf.get("subnets", []))
    found += [entry["subnet"] for group in ipam.get("ranges", []) for entry in group]
    found += [ipam["subnet"]] if "subnet" in ipam else []
    return found
