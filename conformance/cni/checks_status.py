"""STATUS codes 50 (no ADD possible) and 51 (containers that are attached suffer), and the way back to 0 (since 1.1.0)."""
import os
import shutil

from .judge import Skipped, check
from .trial import STATE_FOLDERS, network_places


def status(t, conf, **options):
    return t.call("STATUS", conf, **options)


@check("CNI-138.0", "STATUS 50 while the pool is exhausted", "SPEC §2 STATUS", tags=("v1.1",))
def exhausted(t):
    conf = t.target.only_v4(dict(t.target.conf("1.1.0", network="smallnet"), cniVersion=t.newest()["cniVersion"]), 29)
    status(t, conf).silent("before the first ADD")
    pods = []
    for _ in range(8):
        pod = t.pod()
        answer = pod.add(conf)
        if answer.rc != 0:
            break
        pods.append(pod)
        if len(pods) == 1:
            status(t, conf).silent("while there are addresses")
    assert len(pods) == 5, f"a /29 has five addresses beside network, broadcast and gateway: {len(pods)}"
    answer.fails(names=("smallnet",), why="ADD says by itself that the pool is exhausted")
    assert not pod.has(), "and leaves no link"
    status(t, conf).fails(50, names=("smallnet",))
    pods[2].detach()
    status(t, conf).silent("when an address is free again")


@check("CNI-138.1", "STATUS 50 while state cannot be written", "SPEC §2 STATUS", tags=("v1.1",))
def unwritable(t):
    conf = t.newest()
    t.pod().attach(conf)
    folders = [folder for folder in STATE_FOLDERS if any(path.startswith(folder + "/") for path in t.files())]
    if not folders:
        raise Skipped("the plugin keeps no state where it is known to")
    for folder in folders:
        mount = "/run" if folder.startswith("/run") else folder
        pod = t.pod()
        t.host.must("mount -o remount,ro", mount)
        answer, add = status(t, conf), pod.add(conf)
        t.host.must("mount -o remount,rw", mount)
        answer.fails(50, names=(folder,), why=f"{folder} is read-only")
        if folder.startswith("/run"):
            add.fails(why="ADD gives an error of its own")
        status(t, conf).silent(f"when {folder} can be written again")


@check("CNI-138.2", "STATUS 50 when a program it needs is missing", "SPEC §2 STATUS", tags=("v1.1",))
def program_missing(t):
    """The plugin and its IPAM alone in a folder, as after half an installation; a network that is not there yet."""
    t.newest()
    if not t.target.beside:
        raise Skipped("the plugin needs no other program")
    os.makedirs(t.host.path("/run/alone"))
    for program in (t.target.plugin, t.target.ipam):
        shutil.copy(program, t.host.path("/run/alone/"))
    alone = f"/run/alone/{os.path.basename(t.target.plugin)}"
    conf = t.target.conf("1.1.0", network="newnet")
    missing = os.path.basename(t.target.beside[0][0])
    answer = t.call("STATUS", conf, {"CNI_PATH": "/run/alone"}, plugin=alone)
    answer.fails(50, names=(missing,))
    pod = t.pod()
    variables = {"CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0", "CNI_PATH": "/run/alone"}
    t.call("ADD", conf, variables, plugin=alone).fails(names=(missing,), why="ADD says so by itself")
    assert not pod.has() and not t.leases(), "and leaves nothing"
    status(t, conf).silent("with everything installed")


@check("CNI-138.3", "STATUS 51 while a network's router is broken, 0 after repair", "SPEC §2 STATUS", tags=("v1.1",))
def broken_router(t):
    conf = t.newest()
    pod = t.pod()
    pod.attach(conf)
    places = [place for place in network_places(t) if place is not t.host]
    if not places:
        raise Skipped("the plugin has no namespace of its own")
    for place in places:
        for entry in place.nft_list():
            if "table" not in entry:
                continue
            table = (entry["table"]["family"], entry["table"]["name"])
            rules = place.must("nft -s list table", *table)
            place.must("nft delete table", *table)
            status(t, conf).fails(51, names=(table[1],), why=f"without table {table}")
            late = t.pod()
            late.attach(conf)
            late.detach()
            place.must("nft -f -", input=rules)
            status(t, conf).silent("with its table again")
        for version in {4 if net.version == 4 else 6 for net in t.target.subnets}:
            gateway = t.target.gateway(version)
            length = 32 if version == 4 else 128
            place.must("ip address delete", f"{gateway}/{length}", "dev", "lo")
            status(t, conf).fails(51, names=(gateway,), why=f"without {gateway}")
            place.must("ip address add", f"{gateway}/{length}", "dev", "lo")
            status(t, conf).silent("with its gateway again")
    pod.detach()
