"""libcni of Debian, by a driver of our own (libcni/main.go): what every runtime built on it does, without the runtime."""
import json

from lab import *
from lab.lab import REPOSITORY
from .template import cni_list
from .world import World

DRIVER = f"{REPOSITORY}/build/runtimes/libcni-driver"
VERSIONS = {"0.3.1": {"cniVersion": "0.3.1"}, "0.4.0": {"cniVersion": "0.4.0"}, "1.0.0": {"cniVersion": "1.0.0"},
            "dual": {"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"]}}


class Libcni:
    """One container, attached by libcni."""

    def __init__(self, world, name, conflist, capabilities=None, args=()):
        self.world, self.place = world, world.node.container(name)
        self.order = {"conflist": conflist, "netns": self.place.netns, "id": self.place.id, "ifname": "eth0", "args": list(args),
                      "capabilities": capabilities or {}, "path": [world.lab.binaries, "/usr/lib/cni"], "cache": "/tmp/cni-cache"}

    def run(self, command, **changes):
        return self.world.node.run([DRIVER, command], input=json.dumps({**self.order, **changes}))

    def must(self, command, **changes):
        done = self.run(command, **changes)
        equal((done.rc, done.err), (0, ""), f"libcni {command}")
        result = json.loads(done.out) if done.out.strip() else None
        if command == "ADD":
            self.place.attachment = result
        return result

    def cache_files(self):
        return self.world.node.listdir("/tmp/cni-cache/results")


def addresses(result):
    return [ip["address"].split("/")[0] for ip in result["ips"]]


@needs(f"program:{DRIVER}")
@variants(version=list(VERSIONS))
def test_RT_30_libcni_adds_checks_and_deletes(lab, version):
    w = World(lab, lb=True)
    conf = {**cni_list("appnet"), **VERSIONS[version]}
    if "cniVersions" not in VERSIONS[version]:
        del conf["cniVersions"]
    # Both spellings of port mappings, and both shapes of aliases: containerd's (Go names) and Podman's.
    capabilities = {"portMappings": [{"HostPort": 8000, "ContainerPort": 8080, "Protocol": "TCP"},
                                     {"hostPort": 8001, "containerPort": 8080, "protocol": "tcp", "hostIP": ""}],
                    "aliases": {"appnet": ["www"], "other": ["no"]}, "mac": "02:aa:bb:cc:dd:01", "ips": ["10.40.0.77", "10.40.0.77"],
                    "dns": {"Servers": ["192.0.2.53"], "Searches": ["example.com"], "Options": None}}
    web = Libcni(w, "web", conf, capabilities, [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web-1"], ["K8S_POD_NAMESPACE", "shop"], ["WHATEVER", "1"]])
    result = web.must("ADD")
    equal(result["cniVersion"], VERSIONS[version]["cniVersion"], "libcni 1.1 reads cniVersion, and gets a result of that version")
    equal(addresses(result)[0], "10.40.0.77", "the address that was asked for")
    equal([i["mac"] for i in result["interfaces"] if i.get("sandbox")], ["02:aa:bb:cc:dd:01"], "and the MAC")
    equal(result["dns"], {"nameservers": ["192.0.2.53"], "search": ["example.com"]}, "the runtime's resolvers are handed back")
    for name in ("web-1", "web-1.shop", "www"):
        w.resolves(name, "10.40.0.77")
    equal(w.client().dns("no").addresses, [], "an alias of another network is none here")
    web.place.serve_tcp(8080)
    for port in (8000, 8001):
        answer = w.outside.tcp_request(w.node.address(4), port)
        equal((answer.name, answer.peer), ("web", w.outside.address(4)), f"port {port} answers since ADD returned, with the client's address")
    equal(len(web.cache_files()), 1, "libcni has cached the result")
    if version == "0.3.1":
        contains(web.run("CHECK").err, "does not support the CHECK command", "CHECK came with 0.4.0")
    else:
        web.must("CHECK")
        web.place.must("ip", "address", "flush", "dev", "eth0", "scope", "global")
        broken = web.run("CHECK")
        equal(broken.rc, 1, "CHECK looks")
        contains(broken.err, "10.40.0.77", "and names what is missing")
    web.must("DEL")
    w.nothing_left()
    web.must("DEL")
    web.must("DEL", netns="")


@needs(f"program:{DRIVER}", "program:/usr/lib/cni/tuning")
@variants(version=["0.3.1", "1.0.0"])
def test_RT_31_libcni_chains_another_plugin_and_deletes_by_its_cache(lab, version):
    w = World(lab)
    conf = {**cni_list("appnet", plugins=[{"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1400}]), "cniVersion": version}
    web = Libcni(w, "web", conf, args=[["IgnoreUnknown", "1"], ["FAIRLEAD_NAME", "web-1"]])
    result = web.must("ADD")
    equal(web.place.links()["eth0"]["mtu"], 1400, "the chained plugin worked on our interface")
    equal(web.place.sysctl("net.core.somaxconn"), "500", "in the container")
    equal(addresses(web.must("CACHED")), addresses(result), "the cache holds what the last of the chain printed")
    if version != "0.3.1":
        web.must("CHECK")
    w.resolves("web-1", addresses(result)[0])
    true(w.client().ping(addresses(result)[0]) is not None, "it is reached")
    web.place.kill()
    web.must("DEL")
    equal(web.cache_files(), [], "libcni has forgotten it")
    w.nothing_left()


@needs(f"program:{DRIVER}")
def test_RT_32_libcni_hands_on_our_errors_and_leaves_nothing(lab):
    w = World(lab)
    broken = Libcni(w, "broken", cni_list("appnet", services=["No Name"]))
    done = broken.run("ADD")
    equal(done.rc, 1, "ADD fails")
    contains(done.err, 'service name "No Name"', "with our message")
    broken.must("DEL")
    w.nothing_left()
    good = Libcni(w, "good", cni_list("appnet"))
    first = good.must("ADD")
    again = good.run("ADD")
    equal(again.rc, 1, "the same container and interface once more")
    contains(again.err, "attached", "says that it is attached already")
    true(w.client().ping(addresses(first)[0]) is not None, "and leaves the first attachment alone")
    good.must("DEL")
    w.nothing_left()
    # A list nobody of today can run: libcni says so before anything happens.
    newer = Libcni(w, "newer", {"cniVersion": "1.1.0", "name": "appnet", "plugins": [{"type": "fairlead"}]})
    refused_add = newer.run("ADD")
    equal(refused_add.rc, 1, "cniVersion 1.1.0 alone breaks libcni up to 1.1")
    contains(refused_add.err, "unsupported CNI result version", "with its words")
    newer.run("DEL")
