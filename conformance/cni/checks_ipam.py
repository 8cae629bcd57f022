"""The IPAM plugin by itself, the way a main plugin calls it."""
import json
import os

from lab import eventually
from .judge import Skipped, check

NOWHERE = "/run/netns/there-is-no-such"


def ipam_conf(t, prefix=None, version="1.0.0", name="ipamnet"):
    """A main plugin's configuration with host-local's keys, whichever IPAM is judged."""
    v4, v6 = t.target.subnet(4), t.target.subnet(6)
    if prefix:
        ranges = [[{"subnet": f"{v4.network_address}/{prefix}"}]]
    else:
        ranges = [[{"subnet": str(net)}] for net in (v4, v6) if net]
    return {"cniVersion": version, "name": name, "type": "some-main-plugin", "unknown": {"key": [1]},
            "ipam": {"type": t.target.conf()["ipam"]["type"], "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "198.51.100.0/24", "gw": t.target.address(5)}]}}


def add(t, identity, conf, **more):
    result = t.ipam("ADD", conf, identity, netns=NOWHERE, **more).ok(f"ADD of {identity}")
    return [ip["address"].split("/")[0] for ip in result["ips"]]


@check("CNI-150", "IPAM, abbreviated result", "SPEC §5 Delegated plugins", tags=("ipam",))
def abbreviated(t):
    for version in ("0.3.1", "0.4.0", "1.0.0"):
        conf = ipam_conf(t, version=version)
        result = t.ipam("ADD", conf, f"c-{version}", netns=NOWHERE).ok()
        assert result["cniVersion"] == version and not result.get("interfaces"), f"no interfaces: {result}"
        assert all("interface" not in ip for ip in result["ips"]), f"no ips[].interface: {result}"
        first = result["ips"][0]
        assert first["address"].endswith(f"/{t.target.subnet(4).prefixlen}"), f"with the subnet's prefix length: {first}"
        assert first["gateway"] == t.target.gateway(), f"with the gateway: {first}"
        assert len(result["ips"]) == len(conf["ipam"]["ranges"]), f"one address per list of ranges: {result}"
        assert result["routes"] == conf["ipam"]["routes"], f"with the routes: {result}"


@check("CNI-151", "IPAM never touches the namespace", "host-local", tags=("ipam",))
def no_netns(t):
    assert add(t, "c1", ipam_conf(t)), "works with a path that does not exist"


@check("CNI-152", "IPAM, second ADD of the same attachment", "host-local refuses duplicates", tags=("ipam",))
def second_add(t):
    conf = ipam_conf(t)
    first = add(t, "c1", conf)
    leases = t.leases()
    t.ipam("ADD", conf, "c1", netns=NOWHERE).fails()
    assert t.leases() == leases and set(first) <= set(leases), f"still what the first one got: {sorted(t.leases())}"


@check("CNI-153", "IPAM, DEL semantics", "SPEC §2 DEL", tags=("ipam",))
def del_semantics(t):
    conf = ipam_conf(t)
    t.ipam("DEL", conf, "never", netns="").silent("an unknown container")
    add(t, "c1", conf)
    second = t.ipam("ADD", conf, "c1", ifname="eth1", netns=NOWHERE).ok()["ips"][0]["address"].split("/")[0]
    for _ in range(2):
        t.ipam("DEL", conf, "c1", netns="").silent()
    assert second in t.leases(), "the other interface's address is not affected"
    t.ipam("DEL", conf, "c1", ifname="eth1", netns="").silent()
    assert not t.leases(), f"all are released: {sorted(t.leases())}"


@check("CNI-154", "IPAM, CHECK", "SPEC §2 CHECK", tags=("ipam",))
def check_semantics(t):
    conf = ipam_conf(t)
    t.ipam("CHECK", conf, "c1", netns=NOWHERE).fails(why="without a lease")
    result = t.ipam("ADD", conf, "c1", netns=NOWHERE).ok()
    t.ipam("CHECK", dict(conf, prevResult=result), "c1", netns=NOWHERE).silent("with one")
    t.ipam("DEL", conf, "c1").silent()
    t.ipam("CHECK", dict(conf, prevResult=result), "c1", netns=NOWHERE).fails(why="after DEL")


@check("CNI-155", "IPAM, exhaustion", "host-local", tags=("ipam",))
def exhaustion(t):
    conf = ipam_conf(t, prefix=29)
    given = [add(t, f"c{n}", conf)[0] for n in range(5)]
    assert given == [t.target.address(n) for n in range(2, 7)], f".2 to .6: {given}"
    error = t.ipam("ADD", conf, "late", netns=NOWHERE).fails(why="the sixth")
    assert error["code"] == 11 or error["code"] >= 100, f"code 11 or an own one: {error}"
    t.ipam("DEL", conf, "c2").silent()
    assert add(t, "late", conf) == [given[2]], "what is released can be had again"


@check("CNI-155.1", "IPAM, STATUS when exhausted", "SPEC §2 STATUS", tags=("ipam", "v1.1"))
def exhaustion_status(t):
    t.needs_version("1.1.0", t.target.ipam)
    conf = ipam_conf(t, prefix=29, version="1.1.0")
    t.ipam("STATUS", conf).silent("while addresses are free")
    for n in range(5):
        add(t, f"c{n}", conf)
    t.ipam("STATUS", conf).fails(50)
    t.ipam("DEL", conf, "c1").silent()
    t.ipam("STATUS", conf).silent("and again after a release")


@check("CNI-156", "IPAM, no immediate re-use", "host-local round robin", tags=("ipam",))
def no_immediate_reuse(t):
    conf = ipam_conf(t, prefix=29)
    for n in range(3):
        add(t, f"c{n}", conf)
    t.ipam("DEL", conf, "c1").silent()
    order = [add(t, f"d{n}", conf)[0] for n in range(3)]
    assert order == [t.target.address(n) for n in (5, 6, 3)], f"the address released last is given last: {order}"


@check("CNI-157", "IPAM, concurrency and kills", "SPEC §3 locking", tags=("ipam",), seconds=180)
def concurrency(t):
    conf = ipam_conf(t)
    path = t.file("/run/ipam-conf", json.dumps(conf))

    def start(identity):
        with open(t.host.path(path), "rb") as stdin:
            return t.host.popen([t.target.ipam], stdin=stdin, env={
                "CNI_COMMAND": "ADD", "CNI_CONTAINERID": identity, "CNI_NETNS": NOWHERE, "CNI_IFNAME": "eth0", "CNI_ARGS": "",
                "CNI_PATH": t.target.path})
    processes = [start(f"c{n}") for n in range(100)]
    given = []
    for process in processes:
        assert process.wait(60) == 0, process.output()
        given.append(json.loads(process.output())["ips"][0]["address"].split("/")[0])
    assert len(set(given)) == 100, f"100 distinct addresses: {len(set(given))}"
    assert set(given) <= set(t.leases()), "none is lost"
    processes = [start(f"k{n}") for n in range(40)]
    for number, process in enumerate(processes):
        if number % 2:
            process.kill()
        else:
            process.wait(60)
    for n in range(40):
        t.ipam("DEL", conf, f"k{n}", netns="").silent("DEL after the kills")
    assert set(t.leases(4)) == set(given), f"a readable store, nothing lost, nothing kept: {sorted(set(t.leases(4)) ^ set(given))}"


@check("CNI-158", "IPAM under other main plugins", "any main plugin", tags=("ipam",), seconds=180)
def under_other_plugins(t):
    v4 = t.target.subnet(4)
    if t.conf()["ipam"]["type"] != "fairlead-ipam":
        raise Skipped("bridge, ptp and macvlan with host-local are what the reference plugins are tested with")
    mains = {"bridge": {"bridge": "otherbr", "isGateway": True}, "ptp": {}, "macvlan": {"master": "eth0", "mode": "bridge"}}
    for main, keys in mains.items():
        for version in ("0.3.1", "0.4.0", "1.0.0"):
            conf = {"cniVersion": version, "name": f"{main}-net", "type": main, **keys,
                    "ipam": {"type": "fairlead-ipam", "subnet": str(v4), "routes": [{"dst": "0.0.0.0/0"}]}}
            pods = [t.pod(), t.pod()]
            for pod in pods:
                pod.conf = conf
                answer = t.call("ADD", conf, {"CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0"}, plugin=f"/usr/lib/cni/{main}")
                pod.result = answer.ok(f"{main} {version}")
            if main != "ptp":       # its host side does not forward by itself here
                assert pods[0].place.ping(pods[1].ips(4)[0], timeout=1) is not None, f"{main} {version}: two containers reach one another"
            for pod in pods:
                env = {"CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0"}
                if version != "0.3.1":
                    t.call("CHECK", dict(conf, prevResult=pod.result), env, plugin=f"/usr/lib/cni/{main}").silent(f"{main} {version} CHECK")
                t.call("DEL", conf, env, plugin=f"/usr/lib/cni/{main}").silent(f"{main} {version} DEL")
            assert not t.leases(), f"{main} {version}: all are released: {sorted(t.leases())}"


@check("CNI-159", "IPAM, GC", "SPEC §2 GC", tags=("ipam", "v1.1"))
def garbage_collection(t):
    t.needs_version("1.1.0", t.target.ipam)
    conf = ipam_conf(t, version="1.1.0")
    kept, stale = add(t, "keep", conf), add(t, "stale", conf)
    other = add(t, "other", dict(ipam_conf(t, version="1.1.0", name="othernet")))
    key = "cni.dev/valid-attachments"
    t.call("GC", conf, plugin=t.target.ipam).silent("without the key")
    assert {*kept, *stale} <= set(t.leases()), "which deletes nothing"
    t.call("GC", dict(conf, **{key: "x"}), plugin=t.target.ipam).fails(6, 7)
    # A plugin may leave alone for a while what was made a moment ago; that the namespaces are gone it can see.
    def collected():
        t.call("GC", dict(conf, **{key: [{"containerID": "keep", "ifname": "eth0"}]}), plugin=t.target.ipam).silent()
        return not set(stale) & {os.path.basename(path) for path in t.files() if "othernet" not in path}
    eventually(collected, 15, "what is not listed goes", every=0.5)
    assert set(kept) <= set(t.leases()), "the listed one is kept"
    t.call("GC", dict(conf, **{key: []}), plugin=t.target.ipam).silent()
    assert sum(path.endswith("/" + other[0]) for path in t.files()) == 1, "other networks are untouched"
    assert not [path for path in t.files() if os.path.basename(path) in {*kept, *stale} and "othernet" not in path], "and an empty list is one"
    t.call("GC", dict(t.conf("1.0.0")), plugin=t.target.ipam).fails(1)


@check("CNI-159.1", "IPAM, GC does not touch what lives, listed or not", "robustness: runtimes share networks, each lists its own",
       tags=("ipam", "v1.1", "strict"))
def garbage_collection_of_the_living(t):
    t.needs_version("1.1.0", t.target.ipam)
    conf = ipam_conf(t, version="1.1.0")
    pods = [t.pod() for _ in range(3)]
    alive, dead, replaced = (t.ipam("ADD", conf, pod.id, netns=pod.netns).ok()["ips"][0]["address"].split("/")[0] for pod in pods)
    pods[1].place.kill()
    before = os.stat(t.host.path(pods[2].netns)).st_ino
    pods[2].place.kill()
    for _ in range(3):      # they get the numbers that are free now, so that the next one gets another
        t.pod()
    t.host.must("ip netns add", os.path.basename(pods[2].netns))
    assert os.stat(t.host.path(pods[2].netns)).st_ino != before, "another namespace at the same path"
    gc = {**conf, "cni.dev/valid-attachments": []}

    def collected():
        t.call("GC", gc, plugin=t.target.ipam).silent()
        return not {dead, replaced} & set(t.leases())
    eventually(collected, 15, "what had a namespace that is gone, or another one now, goes", every=0.5)
    t.call("GC", gc, plugin=t.target.ipam).silent()
    assert alive in t.leases(), f"what has a living namespace is kept: {sorted(t.leases())}"
