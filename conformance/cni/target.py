"""What is judged: a main plugin, its IPAM plugin, and a configuration that works with both."""
import copy
import ipaddress
import json
import os


class Target:
    """name: in reports and of the verdicts' file. conf: as given to --conf, one plugin's configuration."""

    def __init__(self, name, plugin, ipam, conf):
        self.name, self.plugin, self.ipam = name, plugin, ipam
        self._conf = conf
        self.capabilities = {key for key, value in conf.get("capabilities", {}).items() if value}
        self.subnets = [ipaddress.ip_network(text) for text in _subnets(conf)]
        if not self.subnets:
            raise ValueError("the configuration names no subnet (subnets, ipam.subnet or ipam.ranges)")

    @classmethod
    def from_files(cls, plugin, ipam, conf, name=None):
        with open(conf) as file:
            document = json.load(file)
        return cls(name or os.path.basename(plugin), os.path.abspath(plugin), os.path.abspath(ipam), document)

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


def _subnets(conf):
    ipam = conf.get("ipam", {})
    found = list(conf.get("subnets", []))
    found += [entry["subnet"] for group in ipam.get("ranges", []) for entry in group]
    found += [ipam["subnet"]] if "subnet" in ipam else []
    return found
