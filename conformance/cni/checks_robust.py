"""Kills, closed outputs, many at once."""
import json
import random
import signal
import time

from lab import eventually
from . import tracer
from .judge import Skipped, check


def result_of(process):
    """The result a plugin run in the background printed (stderr may follow)."""
    text = process.output()
    return json.JSONDecoder().raw_decode(text, text.index("{"))[0]


def variables(pod, ifname="eth0"):
    return {"CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": ifname}


@check("CNI-056.0", "kill -9 while the IPAM works, then DEL, then ADD", "robustness; SPEC §3", tags=("delegates",))
def killed_in_ipam(t):
    before = t.baseline()
    conf, env = t.stub(ADD={"sleep": 30, "stdout": json.dumps(t.stub_result())}), t.stub_env()
    pod = t.pod()
    process = t.start("ADD", conf, {**variables(pod), **env})
    eventually(lambda: t.stub_log(), 5, "the IPAM is asked")
    process.kill()
    conf = t.stub()
    pod.delete(conf, env=env).silent("DEL after the kill")
    t.unchanged(before, "after DEL nothing is left")
    pod.add(conf, env=env).ok("the next ADD")
    pod.delete(env=env).silent()
    t.unchanged(before, "and all is clean")


@check("CNI-056.1", "kill -9 at random moments of ADD and DEL, then DEL", "robustness; SPEC §3", seconds=180)
def killed_anywhere(t):
    before = t.baseline()
    pod = t.pod()
    start = time.monotonic()
    pod.attach()
    usual = time.monotonic() - start
    pod.detach()
    dice = random.Random(56)
    killed = 0
    for round_ in range(30):
        command = "ADD" if round_ % 3 else "DEL"
        if command == "DEL":
            pod.attach()
        process = t.start(command, t.conf(), variables(pod))
        time.sleep(dice.uniform(0, usual))
        process.signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        pod.delete().silent(f"DEL after a killed {command}")
        eventually(lambda: not pod.has(), 2, f"round {round_}: the link goes")
    assert killed >= 5, f"the kills came in time {killed} times of 30"
    t.unchanged(before, "after DEL nothing is left")
    pod.attach()
    pod.detach()


@check("CNI-056.2", "kill -9 at every system call of ADD and DEL, then DEL or GC", "robustness; SPEC §3", seconds=240)
def killed_everywhere(t):
    pod = t.pod()
    before = t.baseline()
    pod.attach()
    pod.detach()
    totals = {command: _system_calls(t, pod, command) for command in ("ADD", "DEL")}
    pod.delete().silent()
    for command, total in totals.items():
        for number in range(1, total + 1):
            if command == "DEL":
                pod.attach()
            killed, _, _ = _killed_at(t, pod, command, number)
            pod.delete().silent(f"DEL after {command} was killed at call {number}")
            assert not t.leases(), f"{command} killed at system call {number} ({killed}) leaves {sorted(t.leases())}"
            if number % 8 == 0 or number == total:
                t.unchanged(before, f"after {command} was killed at system call {number}, or up to seven before it")
    if "1.1.0" in t.supported():
        _collected_everywhere(t, totals, before)
    pod.attach()
    pod.detach()


def _collected_everywhere(t, totals, before):
    """No DEL ever comes: the namespaces go, then GC has to find what each kill left."""
    for command, total in totals.items():
        for number in range(1, total + 1, 2):
            pod = t.pod(f"{command.lower()}{number}")
            if command == "DEL":
                pod.attach()
            _killed_at(t, pod, command, number)
            pod.place.kill()

    def collected():
        t.call("GC", dict(t.conf("1.1.0"), **{"cni.dev/valid-attachments": []})).silent("GC")
        return not t.leases()
    eventually(collected, 15, "GC finds the addresses of all killed calls", every=0.5)
    t.unchanged(before, "and everything else they left")


def _killed_at(t, pod, command, number):
    process = t.start(command, t.conf(), variables(pod), preexec=tracer.trace_me)
    return tracer.run_until(process.pid, number)


def _system_calls(t, pod, command):
    """How many a whole call makes."""
    if command == "DEL":
        pod.attach()
    killed, total, threads = _killed_at(t, pod, command, 1 << 30)
    assert not killed
    if command == "ADD":
        pod.detach()
    _skip_unless_repeatable(command, total, threads)
    return total


def _skip_unless_repeatable(what, total, threads):
    if threads > 1 or total > 600:
        raise Skipped(f"{what} has {threads} threads and {total} system calls in the first one; not the same ones every time")


@check("CNI-056.3", "kill -9 during the first ADD of a network, then DEL, then ADD", "robustness; SPEC §3", seconds=240)
def killed_in_first_add(t):
    """The first ADD makes what the network needs once (bridge, router): half of it must not be in the way of the next."""
    pod = t.pod()
    conf = t.target.conf(network="first0")
    process = t.start("ADD", conf, variables(pod), preexec=tracer.trace_me)
    _, total, threads = tracer.run_until(process.pid, 1 << 30)
    _skip_unless_repeatable("the first ADD", total, threads)
    assert pod.has(), "the call that was only counted attaches"
    pod.conf = conf
    pod.detach()
    step = max(1, total // 30)
    for round_, number in enumerate(range(1, total + 1, step), 1):
        conf = t.target.other_subnets(t.target.conf(network=f"first{round_}"), 100 + round_)
        process = t.start("ADD", conf, variables(pod), preexec=tracer.trace_me)
        tracer.run_until(process.pid, number)
        pod.delete(conf).silent(f"DEL after the first ADD was killed at call {number} of {total}")
        assert not pod.has() and not _addresses(t), f"killed at {number}: {sorted(_addresses(t))} are left"
        pod.attach(conf)
        # Not at once: the first packet may come before the host end's queue is there (net/core/link_watch.c).
        eventually(lambda pod=pod: pod.place.ping(pod.result["ips"][0]["gateway"], timeout=1) is not None, 3,
                   f"killed at {number}: the gateway answers the next ADD's container")
        pod.detach()


def _addresses(t):
    """Files named after addresses of any network."""
    return {path for path in t.files() if path.rsplit("/", 1)[1].startswith(("10.", "fd")) and "/lease" in path + "/lease"}


@check("CNI-057.1", "ADD on a full disk", "robustness")
def full_disk(t):
    _with_state_mounts(t, _fill, "ADD on a full disk")


@check("CNI-057.2", "ADD on a read-only disk", "robustness")
def read_only_disk(t):
    _with_state_mounts(t, lambda t, mount: t.host.must("mount -o remount,ro", mount), "ADD on a read-only disk")


def _with_state_mounts(t, spoil, what):
    before = t.baseline()
    mounts = ("/run", "/var/lib/fairlead", "/var/lib/cni")
    pod, other = t.pod(), t.pod()
    other.attach()
    held = t.state()
    for mount in mounts:
        spoil(t, mount)
    try:
        answer = pod.add()
        answer.fails(why=what)
    finally:
        for mount in mounts:
            t.host.must("mount -o remount,rw,size=64m", mount)
            if t.host.exists(f"{mount}/filler"):
                t.host.remove(f"{mount}/filler")
    pod.delete().silent(f"DEL after {what}")
    assert not pod.has(), "no link is left in the container"
    t.unchanged(held, f"{what} leaves nothing, and what was there stays")
    other.check().silent("the other attachment is whole")
    other.detach()
    t.unchanged(before, "and can be removed")


def _fill(t, mount):
    """The smallest size that holds what is there, then a file that takes the rest."""
    t.host.must("mount -o remount,size=1m", mount)
    t.host.run("dd if=/dev/zero bs=4096 status=none", f"of={mount}/filler")


@check("CNI-057", "ADD with stdout closed or full", "robustness", tags=("should",))
def stdout_broken(t):
    before = t.baseline()
    for wrap in ('exec "$0" >&-', 'exec "$0" >/dev/full'):
        pod = t.pod()
        answer = pod.add(wrap=wrap)
        assert answer.rc != 0, f"the runtime never saw the result; {wrap} {answer}"
        eventually(lambda pod=pod: not pod.has(), 2, "no link is left in the container")
        t.unchanged(before, f"full rollback: {wrap}")


@check("CNI-160", "parallel ADD of distinct containers", "SPEC §3 Lifecycle", seconds=180)
def fifty_at_once(t):
    before = t.baseline()
    # Equal beginnings: host-side names must not be made of the id's first bytes.
    pods = [t.pod(f"p{n}", identity="0123456789abcdef" * 4 + f"{n:02d}") for n in range(50)]
    start = time.monotonic()
    processes = [t.start("ADD", t.conf(), variables(pod)) for pod in pods]
    for pod, process in zip(pods, processes):
        assert process.wait(60) == 0, f"{pod.name}: {process.output()}"
        pod.result, pod.conf = result_of(process), t.conf()
    took = time.monotonic() - start
    assert took < 30 * t.lab.slow, f"{took:.1f} s"
    for what, values in {"address": [pod.ips(4)[0] for pod in pods],
                         "MAC": [i["mac"] for pod in pods for i in pod.result["interfaces"] if i.get("sandbox")],
                         "host name": [i["name"] for pod in pods for i in pod.result["interfaces"]
                                       if not i.get("sandbox") and i["name"] != t.conf().get("bridge")]}.items():
        assert len(set(values)) == len(values), f"every {what} once: {sorted(values)}"
        assert all(len(value) <= 17 for value in values)
    for pod in (pods[0], pods[49]):
        assert pod.place.ping(pods[25].ips(4)[0], timeout=1) is not None, f"{pod.name} reaches p25"
    deletions = [t.start("DEL", t.conf(), variables(pod)) for pod in pods]
    for pod, process in zip(pods, deletions):
        assert process.wait(60) == 0, f"{pod.name}: {process.output()}"
    t.unchanged(before, "50 DELs at once leave nothing", within=10)


@check("CNI-161", "ADD and DEL of the same container at once", "SPEC forbids it to the runtime; kubelets do it", tags=("should",), seconds=180)
def add_and_del_at_once(t):
    before = t.baseline()
    pod = t.pod()
    for round_ in range(25):
        adding = t.start("ADD", t.conf(), variables(pod))
        deleting = t.start("DEL", t.conf(), variables(pod))
        added = adding.wait(20)
        deleting.wait(20)
        whole = pod.has() and bool(pod.addresses())
        leased = bool(set(t.leases()))
        if added == 0 and whole and leased:
            pod.result = result_of(adding)
            pod.conf = t.conf()
            pod.check().silent(f"round {round_}: attached in full")
        else:
            eventually(lambda: not pod.has() and not t.leases(), 2, f"round {round_}: neither attached nor removed in full")
        pod.delete(t.conf()).silent("the last DEL")
        eventually(lambda: not pod.has(), 2, f"round {round_}: the last DEL leaves no link")
    t.unchanged(before, "nor anything else")


@check("CNI-162", "a stopped process makes others fail with code 11 rather than hang", "robustness", seconds=120)
def stopped_holder(t):
    """Some call is stopped at a random moment; whatever it holds, calls for other containers end within 10 s."""
    t.baseline()
    dice = random.Random(162)
    for round_ in range(6):
        pod, other = t.pod(), t.pod()
        process = t.start("ADD", t.conf(), variables(pod))
        time.sleep(dice.uniform(0, 0.02))
        process.signal(signal.SIGSTOP)
        start = time.monotonic()
        answer = other.add(timeout=12)
        took = time.monotonic() - start
        process.signal(signal.SIGCONT)
        process.wait(30)
        assert took < 10 * t.lab.slow, f"round {round_}: {took:.1f} s"
        if answer.rc != 0:
            answer.fails(11)
        else:
            other.delete().silent()
        pod.delete(t.conf()).silent()


@check("CNI-164", "host interface names never collide, and are the same at the next ADD", "IFNAMSIZ", tags=("strict",), seconds=180)
def host_names(t):
    """Ids that begin or end alike, parts that run into one another, two interfaces, two networks. (10,000: a unit test.)"""
    prefix = "a" * 63
    ids = [prefix + "a", prefix + "b", prefix * 2 + "a", prefix * 2 + "b", "b", "bc", "b-eth0", "eth0", "1", "11", "A", "a"]
    other = t.target.other_subnets(t.target.conf(network="othernet"), 78)
    cases = [(identity, "eth0", t.conf()) for identity in ids] + [(identity, "eth1", t.conf()) for identity in ids[:4]]
    cases += [(identity, "eth0", other) for identity in ids[:4]]
    first = _host_names(t, cases)
    every = [name for mine in first for name in mine]
    if not every:
        raise Skipped("the plugin makes no interface on the host for a container")
    assert len(set(every)) == len(every), f"every name once: {sorted(every)}"
    assert all(len(name.encode()) <= 15 for name in every), f"no name is longer than 15 bytes: {every}"
    assert _host_names(t, cases[:6]) == first[:6], f"the same names at the next ADD: {first[:6]}"


def _host_names(t, cases):
    """Attaches all, then removes all → [the names on the host of each]"""
    found, variables = [], []
    for identity, ifname, conf in cases:
        pod = t.pod(identity=identity)
        result = pod.add(conf, ifname=ifname).ok(f"{identity[-8:]} {ifname} on {conf['name']}")
        found.append([i["name"] for i in result["interfaces"] if not i.get("sandbox") and i["name"] != conf.get("bridge")])
        variables.append({"CNI_CONTAINERID": identity, "CNI_NETNS": pod.netns, "CNI_IFNAME": ifname})
    for (_, _, conf), one in zip(cases, variables):
        t.call("DEL", conf, one).silent()
    return found
