"""DEL: complete, idempotent, and possible when next to nothing is known any more."""
import os
import signal

from lab import eventually
from .judge import Skipped, check


def attached(t, conf=None):
    """(state before, a pod that is attached)"""
    before = t.baseline()
    pod = t.pod()
    pod.attach(conf)
    return before, pod


@check("CNI-080", "DEL removes everything", "SPEC §2 DEL")
def removes_everything(t):
    before, pod = attached(t)
    assert t.leases(), "while attached there is a lease"
    pod.delete(prev=True).silent()
    eventually(lambda: not pod.has(), 2, "the container's end goes")
    t.unchanged(before, "nothing is left")


@check("CNI-081", "DEL is idempotent", "SPEC §2 DEL: must accept multiple")
def idempotent(t):
    before, pod = attached(t)
    for _ in range(3):
        pod.delete(prev=True).silent()
    pod.delete().silent("without prevResult")
    t.unchanged(before, "nothing is left")


@check("CNI-082", "DEL for an attachment never added", "SPEC §2 DEL")
def never_added(t):
    before = t.baseline()
    t.pod().delete().silent()
    t.pod().delete(ifname="eth7").silent()
    t.unchanged(before, "nothing is changed")


@check("CNI-083", "DEL without CNI_NETNS", "SPEC §2 DEL: optional")
def without_netns(t):
    _gone(t, None)


@check("CNI-084", "DEL with an empty CNI_NETNS", "SPEC §2; containerd passes it when the namespace is gone")
def empty_netns(t):
    _gone(t, "")


def _gone(t, netns):
    _, pod = attached(t)
    address = pod.ips(4)[0]
    assert address in t.leases(), "while attached there is a lease"
    pod.delete(env={"CNI_NETNS": netns}).silent()
    assert address not in t.leases(), "the lease is released"


@check("CNI-085", "DEL after the namespace was deleted", "SPEC §2: best effort")
def netns_deleted(t):
    before, pod = attached(t)
    pod.place.kill()
    pod.delete(prev=True).silent()
    pod.delete(env={"CNI_NETNS": ""}).silent()
    del t.host.containers[pod.name]
    t.unchanged(before, "nothing is left")


@check("CNI-086", "DEL without prevResult", "SPEC §2 DEL")
def without_prev_result(t):
    before, pod = attached(t)
    pod.delete().silent()
    t.unchanged(before, "complete from the plugin's own state")


@check("CNI-087", "DEL with an empty or broken prevResult", "SPEC §2: still without error if prevResult is empty")
def broken_prev_result(t):
    before = t.baseline()
    for prev in ({}, {"ips": [{"address": "x"}]}, "text", []):
        pod = t.pod()
        pod.attach()
        answer = pod.call("DEL", prev=prev)
        if prev == {}:
            answer.silent("an empty prevResult is no error")
        assert answer.rc == 0 or answer.code in (6, 7), f"0 or a clean 6 or 7; {answer}"
        pod.delete().silent("a correct DEL cleans up afterwards")
    t.unchanged(before, "nothing is left")


@check("CNI-088", "DEL with the host's own namespace must not delete the host's link", "skel code 8; safety", tags=("strict",))
def own_netns(t):
    t.baseline()
    t.host.must("ip link add eth9 type veth peer name eth9peer")
    answer = t.pod().delete(env={"CNI_NETNS": "/proc/1/ns/net"}, ifname="eth9")
    assert "eth9" in t.host.links(), "the host's own link survives"
    assert answer.rc == 0 or answer.code == 8, f"exit 0 or code 8; {answer}"
    answer = t.pod().delete(env={"CNI_NETNS": "/proc/1/ns/net"}, ifname="eth0")
    assert "eth0" in t.host.links(), f"the host's uplink survives; {answer}"


@check("CNI-089", "DEL after the configuration or the network record changed", "robustness")
def changed_meanwhile(t):
    changes = {"other subnets": lambda conf: t.target.other_subnets(conf, 79),
               "an ipam section without ranges": lambda conf: dict(conf, ipam={"type": conf["ipam"]["type"]})}
    for what, change in changes.items():
        pod = t.pod()
        pod.attach()
        address = pod.ips(4)[0]
        pod.call("DEL", change(t.conf())).silent(what)
        eventually(lambda pod=pod: not pod.has(), 2, f"{what}: the link goes")
        assert address not in t.leases(), f"{what}: the lease is released"
    if not t.host.exists("/var/lib/fairlead/networks/confnet.json"):
        return
    for what, spoil in {"no document": lambda path: os.unlink(path),
                        "an unreadable document": lambda path: open(path, "w").write("{")}.items():
        pod = t.pod()
        pod.attach()
        address = pod.ips(4)[0]
        text = t.host.read("/var/lib/fairlead/networks/confnet.json")
        spoil(t.host.path("/var/lib/fairlead/networks/confnet.json"))
        pod.delete().silent(what)
        eventually(lambda pod=pod: not pod.has(), 2, f"{what}: the link goes")
        assert address not in t.leases(), f"{what}: the lease is released"
        t.host.write("/var/lib/fairlead/networks/confnet.json", text)


@check("CNI-090", "DEL while daemons are stopped or gone, and what they write cannot be written", "SPEC §2: best effort", beside=True)
def control_plane_gone(t):
    if not t.daemons:
        raise Skipped("nothing runs beside this plugin")
    runtime = {"portMappings": [{"hostPort": 8000, "containerPort": 80}]} if "portMappings" in t.target.capabilities else {}
    pods = [t.pod() for _ in range(2)]
    for number, pod in enumerate(pods):
        pod.add(t.conf(runtimeConfig={key: [dict(value[0], hostPort=8000 + number)] for key, value in runtime.items()})).ok()
    for pod, what, stop in ((pods[0], "stopped", lambda d: d.signal(signal.SIGSTOP)), (pods[1], "killed", lambda d: d.kill9())):
        for daemon in t.daemons:
            stop(daemon)
        t.host.must("mount -o remount,ro /var/lib/fairlead")
        answer = pod.delete()
        t.host.must("mount -o remount,rw /var/lib/fairlead")
        answer.silent(f"DEL with the daemons {what}")
        assert answer.seconds < 5 * t.lab.slow, f"{what}: {answer.seconds:.1f} s"
        eventually(lambda pod=pod: not pod.has(), 2, f"{what}: the link goes")
        assert not set(pod.ips()) & set(t.leases()), f"{what}: its addresses are free"
        left = [path for path in t.files() if pod.id in path]
        assert not left, f"{what}: {left}"


@check("CNI-091", "DEL forwards to IPAM even without a namespace", "SPEC §2, §4", tags=("delegates",))
def forwards_without_netns(t):
    conf, env = t.stub(), t.stub_env()
    pod = t.pod()
    pod.add(conf, env=env).ok()
    before = len(t.stub_log())
    pod.delete(env={**env, "CNI_NETNS": ""}).silent()
    commands = [call["command"] for call in t.stub_log()[before:]]
    assert commands == ["DEL"], f"exactly one DEL: {commands}"


@check("CNI-092", "IPAM DEL failure is reported", "SPEC §4", tags=("delegates",))
def ipam_failure(t):
    before = t.baseline()
    error = '{"cniVersion":"1.0.0","code":107,"msg":"the stub keeps it"}'
    conf, env = t.stub(DEL={"stdout": error, "rc": 1}), t.stub_env()
    pod = t.pod()
    pod.add(conf, env=env).ok()
    pod.delete(env=env).fails(107, names=("the stub keeps it",))
    eventually(lambda: not pod.has(), 2, "our own link goes nevertheless")
    t.unchanged(before, "our own resources are removed nevertheless")
