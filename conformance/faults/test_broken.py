#!/usr/bin/python3
"""What breaks round a call: outputs, disks, the IPAM, the container's namespace, the state directory."""
import os
import time

from lab import *

from .tracer import choose
from .world import World, conf, stub_calls, stub_ipam


def refuses(outcome, *names, why=""):
    """A clean error: exit status, one error object, naming what is the matter."""
    true(outcome.rc > 0 and isinstance(outcome.json, dict) and outcome.json.get("code"), f"{why}: an error object, got {outcome}")
    text = outcome.json["msg"] + outcome.json.get("details", "")
    for name in names:
        contains(text, name, why)


@limit(60)
def test_CNI_057_3_add_whose_reader_is_gone_takes_itself_back(lab):
    world = World(lab)
    before = world.baseline()
    pod = world.pod()
    wrapped = {"a pipe nobody reads": 'sleep 0.2; exec "$0"', "stdout closed": 'exec "$0" >&-', "all closed": 'exec "$0" >&- 2>&-'}
    for what, shell in wrapped.items():
        reader, writer = os.pipe()
        os.close(reader)
        env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0", "CNI_PATH": lab.binaries}
        world.node.write("/tmp/stdin", conf())
        with open(world.node.path("/tmp/stdin"), "rb") as stdin:
            process = world.node._spawn(["/bin/sh", "-c", shell, lab.binary("fairlead")], env, stdin=stdin, stdout=writer, stderr=writer)
        os.close(writer)
        true(process.wait(20) > 0, f"{what}: the runtime never saw the result; an exit status, no signal: {process.returncode}")
        world.same(before, f"{what}: everything is taken back")
    world.ok("ADD", pod, "afterwards")
    world.ok("DEL", pod)


@limit(90)
@variants(how=["full", "read-only"])
def test_CNI_057_4_del_and_gc_on_a_disk_that_cannot_be_written(lab, how):
    """ADD there: CNI-057.1 and CNI-057.2. What DEL could not remove the next DEL does, and GC frees nothing by mistake."""
    world = World(lab)
    before = world.baseline()
    pods = [world.pod() for _ in range(3)]
    for pod in pods:
        world.ok("ADD", pod)
    alive, deleted, dead = pods
    dead.kill()
    held = world.state()
    for folder in ("/run", "/var/lib/fairlead"):
        spoil(world.node, folder, how)
    outcome = world.call("DEL", deleted)
    true("eth0" not in deleted.links(), f"{how}: the link goes in any case: {outcome}")
    if how == "full":
        equal(outcome.rc, 0, f"removing needs no room: {outcome}")
    else:
        refuses(outcome, "Read-only file system", why="the lease is still there and DEL says so")
        world.node.run([lab.binary("fairlead")], input='{"cniVersion":"1.1.0","name":"appnet","type":"fairlead","cni.dev/valid-attachments":[]}',
                       env={"CNI_COMMAND": "GC", "CNI_PATH": lab.binaries})
    for folder in ("/run", "/var/lib/fairlead"):
        mend(world.node, folder)
    world.ok("DEL", deleted, "once the disk is well")
    true(world.files() < held["files"], "less is left")
    equal(alive.ping("10.32.0.1") is not None, True, "the living one works")
    world.ok("CHECK", alive, document=conf(prevResult=alive_result(world, alive)))
    world.ok("DEL", alive)
    world.collected(before, "the dead one is collected")


def alive_result(world, pod):
    """A result that says what the endpoint's document says."""
    document = next(d for d in world.node.endpoints("appnet").values() if d["container"] == pod.id)
    return {"cniVersion": "1.1.0", "interfaces": [{"name": document["hostIfname"]}, {"name": "eth0", "mac": document["mac"], "sandbox": pod.netns}],
            "ips": [{"address": a + ("/128" if ":" in a else "/32"), "interface": 1} for a in document["addresses"]]}


def spoil(node, folder, how):
    if how == "read-only":
        node.must("mount -o remount,ro", folder)
        return
    node.must("mount -o remount,size=1m", folder)
    node.run("dd if=/dev/zero bs=4096 status=none", f"of={folder}/filler")


def mend(node, folder):
    node.must("mount -o remount,rw,size=64m", folder)
    if node.exists(f"{folder}/filler"):
        node.remove(f"{folder}/filler")


@limit(60)
@variants(how=["full", "read-only"])
def test_CNI_057_5_a_networks_first_add_on_a_disk_that_cannot_be_written(lab, how):
    world = World(lab)
    pod = world.pod()
    for folder in ("/run", "/var/lib/fairlead"):
        world.node.must(f"mkdir -p {folder}/fairlead" if folder == "/run" else f"mkdir -p {folder}")
    for folder in ("/var/lib/fairlead", "/run/fairlead"):
        world.node.must("mount -t tmpfs -o size=64k tmpfs", folder)
        before, links = world.files(), world.node.must("ip -o link")
        spoil(world.node, folder, how) if how == "read-only" else world.node.run("dd if=/dev/zero bs=4096 status=none", f"of={folder}/filler")
        refuses(world.call("ADD", pod), folder, "Read-only" if how == "read-only" else "No space", why=f"{folder} is {how}")
        true("eth0" not in pod.links(), "no link")
        mend(world.node, folder)
        outcome = world.call("DEL", pod)
        equal(outcome.rc, 0, f"DEL: {outcome}")
        lacks(str(world.files() - before), "lease", "no lease is left")
        if folder == "/var/lib/fairlead":
            equal(world.node.must("ip -o link"), links, "nothing was made on the host")
    world.ok("ADD", pod, "once there is room")
    world.ok("DEL", pod)


@limit(90)
def test_CNI_056_9_an_ipam_that_hangs_is_ended_and_the_add_is_taken_back(lab):
    world = World(lab)
    path, section = stub_ipam(world)
    pod = world.pod()
    world.ok("ADD", pod, document=conf(ipam=section), CNI_PATH=path)
    world.ok("DEL", pod, document=conf(ipam=section), CNI_PATH=path)
    document = conf(ipam=section, ipamTimeout="2s")
    before, calls = world.state(), len(stub_calls(world))
    stub_ipam(world, ADD={"sleep": 60})
    seconds = measure(lambda: refuses(world.call("ADD", pod, document, CNI_PATH=path), "stub-ipam", "no answer", why="ADD"))
    true(seconds < 20 * lab.slow, f"it is not waited for: {seconds:.1f} s")
    equal(stub_calls(world)[calls:], ["ADD", "DEL"], "a failed ADD is followed by DEL")
    world.same(before, "nothing is left")
    equal(running(world, "stub-ipam"), [], "nor a process")
    # One that does not listen to SIGTERM, and has a helper that does not either.
    world.node.write("/run/stub/stub-ipam", '#!/bin/sh\ntrap "" TERM\n[ "$CNI_COMMAND" = ADD ] || exit 0\nsleep 61 &\nsleep 62\nsleep 63\n', 0o755)
    seconds = measure(lambda: refuses(world.call("ADD", pod, document, CNI_PATH=path), "no answer", why="ADD"))
    true(seconds < 20 * lab.slow, f"it is killed: {seconds:.1f} s")
    world.same(before, "nothing is left")
    eventually(lambda: not running(world, "stub-ipam", "sleep"), 3, "nor a process")
    refuses(world.call("ADD", pod, conf(ipam=section, ipamTimeout="soon"), CNI_PATH=path), "ipamTimeout", why="a bad value")


@limit(60)
def test_CNI_056_10_del_with_an_ipam_that_hangs_removes_the_rest_and_can_be_repeated(lab):
    world = World(lab)
    path, section = stub_ipam(world)
    document, patient = conf(ipam=section, ipamTimeout="1s"), conf(ipam=section)
    pod = world.pod()
    world.ok("ADD", pod, document=patient, CNI_PATH=path)
    world.ok("DEL", pod, document=patient, CNI_PATH=path)
    before = world.state()
    world.ok("ADD", pod, document=patient, CNI_PATH=path)
    stub_ipam(world, DEL={"sleep": 60})
    refuses(world.call("DEL", pod, document, CNI_PATH=path), "no answer", why="DEL says so")
    world.same(before, "the link and the document are gone all the same")
    stub_ipam(world)
    world.ok("DEL", pod, "again", document=patient, CNI_PATH=path)


def running(world, *names):
    """Command lines on the node that name one of names."""
    return [line for line in world.node.must("ps -eo args").splitlines() if any(name in line for name in names) and "ps -eo" not in line]


@limit(120)
@variants(command=["ADD", "DEL"])
def test_CNI_056_11_the_namespace_goes_in_the_middle_of_a_call(lab, command):
    world = World(lab)
    before = world.baseline()
    counted = world.pod()
    if command == "DEL":
        world.ok("ADD", counted)
    numbers = choose(world.traced(command, counted).kinds, 30)
    if command == "ADD":
        world.ok("DEL", counted)
    counted.kill()
    for number in numbers:
        pod = world.pod()
        if command == "DEL":
            world.ok("ADD", pod)
        reached = world.traced(command, pod, number, action=pod.kill).killed
        if not reached:
            pod.kill()
        if number % 2:
            outcome = world.call("DEL", pod)
            equal(outcome.rc, 0, f"DEL after the namespace went at {number} of {command}: {outcome}")
            outcome = world.call("DEL", pod, CNI_NETNS="")
            equal(outcome.rc, 0, f"and once more: {outcome}")
    world.collected(before, f"namespaces gone in the middle of {command}, no DEL for half of them")


@limit(60)
@variants(what=["a file", "a loop of links"])
def test_CNI_056_12_a_state_directory_that_cannot_be_read_stops_add_and_not_del(lab, what):
    world = World(lab)
    world.baseline()
    kept, pod = world.pod(), world.pod()
    world.ok("ADD", kept)
    before = world.state()
    world.node.rename("/var/lib/fairlead/networks", "/var/lib/fairlead/aside")
    world.node.must("touch /var/lib/fairlead/networks" if what == "a file" else "ln -s networks /var/lib/fairlead/networks")
    refuses(world.call("ADD", pod), "/var/lib/fairlead/networks", why="ADD")
    true("eth0" not in pod.links(), "no link is left")
    world.ok("DEL", pod, "which needs no network's document")
    world.ok("DEL", kept)
    world.node.remove("/var/lib/fairlead/networks")
    world.node.rename("/var/lib/fairlead/aside", "/var/lib/fairlead/networks")
    world.ok("ADD", kept, "once it is there again")
    equal({os.path.dirname(path) for path in world.files()}, {os.path.dirname(path) for path in before["files"]}, "nothing else is left")
    world.ok("DEL", kept)
