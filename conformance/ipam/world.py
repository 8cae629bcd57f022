"""fairlead-ipam called as a main plugin calls it, on a host of the lab."""
import json
import os

from lab.lab import REPOSITORY

OURS = os.path.abspath(os.environ.get("FAIRLEAD_BIN") or f"{REPOSITORY}/build/bin") + "/fairlead-ipam"
NET = "appnet"


class Answer:
    def __init__(self, result):
        self.rc, self.out, self.err = result.rc, result.out, result.err
        self.json = json.loads(self.out) if self.out.strip() else None

    @property
    def addresses(self):
        assert self.rc == 0, f"it must succeed: {self.out}{self.err}"
        return [ip["address"].split("/")[0] for ip in self.json["ips"]]

    @property
    def address(self):
        return self.addresses[0]

    @property
    def error(self):
        """msg and details of a clean failure"""
        assert self.rc > 0 and isinstance(self.json.get("code"), int), f"it must fail cleanly: {self.out}{self.err}"
        return self.json["msg"] + "; " + self.json.get("details", "")


def environment(command, container="c1", args="", ifname="eth0"):
    return {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": "/run/netns/nowhere", "CNI_IFNAME": ifname,
            "CNI_ARGS": args, "CNI_PATH": os.path.dirname(OURS)}


def configuration(ipam=None, network=NET, version="1.0.0", **more):
    return {"cniVersion": version, "name": network, "type": "some-main-plugin", "ipam": {"type": "fairlead-ipam", **(ipam or {})}, **more}


def call(host, command, container="c1", conf=None, args="", plugin=OURS, ifname="eth0"):
    return Answer(host.run([plugin], input=json.dumps(conf or configuration()), env=environment(command, container, args, ifname)))


def add(host, container, name="", **options):
    """→ the first address"""
    args = f"IgnoreUnknown=1;FAIRLEAD_NAME={name}" if name else ""
    return call(host, "ADD", container, args=args + options.pop("args", ""), **options).address


def refused(host, container, name="", **options):
    """→ why"""
    args = f"IgnoreUnknown=1;FAIRLEAD_NAME={name}" if name else ""
    return call(host, "ADD", container, args=args + options.pop("args", ""), **options).error


def delete(host, container, **options):
    answer = call(host, "DEL", container, **options)
    assert answer.rc == 0 and not answer.out, f"DEL: {answer.out}{answer.err}"


def node_of(lab, *subnets, name="n1"):
    host = lab.host(name, lab.segment("wire"))
    host.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": name})
    host.ctl_ok(f"network create {NET} " + " ".join(f"--subnet {s}" for s in subnets or ("10.32.0.0/24",)))
    return host
