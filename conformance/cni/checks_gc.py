"""GC and STATUS (since 1.1.0), for a main plugin and for an IPAM plugin alone."""
from lab import eventually
from .judge import check

KEY, OLD_KEY = "cni.dev/valid-attachments", "cni.dev/attachments"


def entry(pod, ifname="eth0"):
    return {"containerID": pod.id, "ifname": ifname}


def gc(t, conf, attachments, key=KEY, **variables):
    """As libcni calls it: the variables of an attachment are exported empty."""
    if attachments is not None:
        conf = dict(conf, **{key: attachments})
    return t.call("GC", conf, variables)


def gc_until(t, conf, attachments, done, why, **options):
    """GC again and again until done(): a plugin may leave alone for a while what was made a moment ago."""
    def collected():
        gc(t, conf, attachments, **options).silent()
        return done()
    eventually(collected, 15, why, every=0.5)


def two(t):
    conf = t.newest()
    keep, stale = t.pod(), t.pod()
    keep.attach(conf)
    stale.attach(conf)
    return conf, keep, stale


def two_dead_and_old(t):
    """→ conf, addresses of two attachments that the next GC collects unless it is told to keep them"""
    conf, one, two_ = two(t)
    for pod in (one, two_):
        pod.place.kill()
    last = t.pod()
    last.attach(conf)
    last.place.kill()
    gc_until(t, conf, [entry(one), entry(two_)], lambda: last.ips(4)[0] not in t.leases(), "the youngest is collected")
    dead = {one.ips(4)[0], two_.ips(4)[0]}
    assert dead <= set(t.leases()), "those that are listed are not"
    return conf, dead


def answers(keep):
    return keep.place.ping(keep.trial.target.gateway(), timeout=1) is not None


# What is stale is stale in fact, too: its namespace is gone. A plugin may ask for that proof besides the runtime's list,
# because libcni's cache is shared by runtimes and each lists its own containers only (CNI-120.1).


@check("CNI-120", "GC keeps the listed and drops the rest", "SPEC §2 GC", tags=("v1.1",))
def keeps_and_drops(t):
    t.newest()
    before = t.baseline()
    conf, keep, stale = two(t)
    stale.place.kill()
    gc_until(t, conf, [entry(keep)], lambda: stale.ips(4)[0] not in t.leases(), "the stale lease is released")
    assert keep.ips(4)[0] in t.leases(), "the kept one is not"
    assert answers(keep), "the kept one still works"
    keep.check().silent("and is whole")
    keep.detach()
    t.unchanged(before, "of the stale one nothing is left: no link, no rule, no document")


@check("CNI-120.1", "GC does not touch what lives, listed or not", "robustness: runtimes share networks, each lists its own",
       tags=("v1.1", "strict"))
def keeps_the_living(t):
    conf, alive, stale = two(t)
    stale.place.kill()
    gc_until(t, conf, [], lambda: stale.ips(4)[0] not in t.leases(), "the dead one is collected, so GC works")
    for _ in range(3):
        gc(t, conf, []).silent()
    assert alive.ips(4)[0] in t.leases(), f"the living one keeps its address: {sorted(t.leases())}"
    alive.check().silent("and is whole")
    assert answers(alive), "and works"
    t.host.must("umount -l", alive.netns)
    t.host.remove(alive.netns)
    for _ in range(2):
        gc(t, conf, []).silent()
    assert alive.ips(4)[0] in t.leases() and answers(alive), "also when its namespace has lost its name and somebody still holds it"


@check("CNI-121", "GC matches container and interface", "SPEC §3, attachment identity", tags=("v1.1",))
def matches_the_pair(t):
    conf = t.newest()
    pod = t.pod()
    pod.attach(conf)
    first = pod.ips(4)[0]
    # The same container with another interface in another namespace: only so can one of the two be dead in fact.
    other = t.pod(identity=pod.id)
    other.attach(conf, ifname="eth1")
    second = other.ips(4)[0]
    pod.place.kill()
    gc_until(t, conf, [entry(pod, "eth1")], lambda: first not in t.leases(), "eth0's lease goes")
    assert second in t.leases(), f"eth1's {second} stays: {sorted(t.leases())}"
    other.check(ifname="eth1").silent("and is whole")


@check("CNI-122", "GC with an empty list", "SPEC §2 GC", tags=("v1.1",))
def empty_list(t):
    conf, one, two_ = two(t)
    other_conf = t.target.other_subnets(t.target.conf("1.1.0", network="othernet"), 78)
    other, dead = t.pod(), t.pod()
    other.attach(other_conf)
    dead.attach(other_conf)
    for pod in (one, two_, dead):
        pod.place.kill()
    gc_until(t, conf, [], lambda: not {one.ips(4)[0], two_.ips(4)[0]} & set(t.leases()), "everything of this network goes")
    for pod, what in ((other, "the living"), (dead, "the dead")):
        assert any(path.endswith("/" + pod.ips(4)[0]) for path in t.files()), f"other networks are untouched, {what} there, too"
    other.check().silent("and work")


@check("CNI-123", "GC without the key deletes nothing", "libcni omits it for nil GCArgs", tags=("v1.1", "strict", "should"))
def without_key(t):
    conf, dead = two_dead_and_old(t)
    answer = gc(t, conf, None)
    assert answer.rc == 0 or answer.code == 7, f"exit 0 or code 7; {answer}"
    assert dead <= set(t.leases()), "nothing is deleted"
    gc(t, conf, []).silent()
    assert not dead & set(t.leases()), "an empty list is another matter"


@check("CNI-124", "GC accepts the legacy key", "libcni sends both (issue 1101)", tags=("v1.1",))
def legacy_key(t):
    conf, keep, stale = two(t)
    keep.place.kill()
    stale.place.kill()
    gc_until(t, conf, [entry(keep)], lambda: stale.ips(4)[0] not in t.leases(), "what is not listed goes", key=OLD_KEY)
    assert keep.ips(4)[0] in t.leases(), f"what is listed stays: {sorted(t.leases())}"


@check("CNI-125", "GC environment", "SPEC §2 GC: CNI_COMMAND and CNI_PATH; libcni passes the others empty", tags=("v1.1",))
def environment(t):
    conf = t.newest()
    pod = t.pod()
    pod.attach(conf)
    empty = dict.fromkeys(("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"))
    gc(t, conf, [entry(pod)], **empty).silent("without the other variables")
    gc(t, conf, [entry(pod)]).silent("with them empty")
    assert pod.has() and answers(pod), "the listed attachment works on"


@check("CNI-126", "GC below 1.1.0", "skel code 1", tags=("v1.1",))
def gc_below(t):
    t.newest()
    gc(t, t.conf("1.0.0"), []).fails(1)


@check("CNI-127", "GC forwards to the delegated IPAM", "SPEC §2 GC: must forward", tags=("v1.1", "delegates"))
def gc_forwards(t):
    t.newest()
    conf = dict(t.stub(), cniVersion="1.1.0")
    pod = t.pod()
    env = t.stub_env()
    pod.add(conf, env=env).ok()
    before = len(t.stub_log())
    gc(t, conf, [entry(pod)], **env).silent()
    calls = t.stub_log()[before:]
    assert [c["command"] for c in calls] == ["GC"], f"one GC: {[c['command'] for c in calls]}"
    assert KEY in calls[0]["stdin"] and "unknown" in calls[0]["stdin"], "with the same stdin"


@check("CNI-128", "GC goes on after an error", "SPEC §2 GC", tags=("v1.1", "delegates"))
def gc_goes_on(t):
    t.newest()
    conf = dict(t.stub(GC={"stdout": '{"cniVersion":"1.1.0","code":108,"msg":"stub cannot"}', "rc": 1}), cniVersion="1.1.0")
    pod, env = t.pod(), t.stub_env()
    pod.attach(conf, env=env)
    pod.delete(conf, env=env).silent()
    before = t.state()
    pod.add(conf, env=env).ok()
    pod.place.kill()

    def collected():
        gc(t, conf, [], **env).fails(108, names=("stub cannot",))
        t.unchanged(before, "own resources are removed although the IPAM fails", within=0.2)
        return True
    eventually(collected, 15, "GC goes on", every=0.5)


@check("CNI-129", "GC rejects malformed lists without deleting", "robustness", tags=("v1.1",))
def malformed_lists(t):
    conf, dead = two_dead_and_old(t)
    good = {"containerID": "some", "ifname": "eth0"}
    for bad in ("x", {}, [1], [{"containerID": "some"}], [{"containerID": 7, "ifname": "eth0"}], [good, None]):
        gc(t, conf, bad).fails(6, 7, why=f"list {bad!r}")
    assert dead <= set(t.leases()), "nothing is removed"
    gc(t, conf, [good]).silent()
    assert not dead & set(t.leases()), "which a good list does"


@check("CNI-135", "STATUS when ready", "SPEC §2 STATUS", tags=("v1.1",))
def status_ready(t):
    conf, before = t.newest(), t.state()
    answer = t.call("STATUS", conf)
    answer.silent()
    assert answer.seconds < 1 * t.lab.slow, f"{answer.seconds:.2f} s"
    t.unchanged(before, "no side effect")


@check("CNI-136", "STATUS forwards to IPAM", "SPEC §2 STATUS", tags=("v1.1", "delegates"))
def status_forwards(t):
    t.newest()
    conf = dict(t.stub(STATUS={"stdout": '{"cniVersion":"1.1.0","code":50,"msg":"stub is full"}', "rc": 1}), cniVersion="1.1.0")
    t.call("STATUS", conf, t.stub_env()).fails(50, names=("stub is full",))


@check("CNI-137", "STATUS below 1.1.0", "skel code 1", tags=("v1.1",))
def status_below(t):
    t.newest()
    t.call("STATUS", t.conf("1.0.0")).fails(1)


@check("CNI-139", "STATUS with CNI_PATH absent", "SPEC: CNI_PATH is optional for STATUS", tags=("v1.1", "should"))
def status_without_path(t):
    answer = t.call("STATUS", t.newest(), {"CNI_PATH": None})
    assert answer.rc == 0 or answer.code in (4, 50), f"0 when nothing is delegated, else 50 or 4; {answer}"
