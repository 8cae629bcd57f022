#!/usr/bin/python3
"""Many calls killed at random moments, and calls beside those who collect."""
import json
import os
import random
import time

from lab import *

from . import storm
from .world import World, conf

CALLS = int(os.environ.get("FAIRLEAD_STORM", "400"))


@limit(60 + CALLS // 4)
@variants(collecting=["afterwards", "meanwhile"])
def test_CNI_056_13_calls_killed_at_random_leak_nothing(lab, collecting):
    """FAIRLEAD_STORM=10000 makes so many calls; FAIRLEAD_SEED=N repeats a run (as far as the kernel lets it)."""
    world = World(lab)
    before = world.baseline()
    seed = int(os.environ.get("FAIRLEAD_SEED", "0")) or int.from_bytes(os.urandom(2), "little") + 1
    lab.say(f"seed {seed}")
    agent = world.node.start_agent(["--endpoint-grace", "500ms"]) if collecting == "meanwhile" else None
    loop = collect_always(world) if agent else None
    count, failures, seconds = world.node.call(storm.run, lab.binary("fairlead"), json.dumps(conf()).encode(), lab.binaries, CALLS, 4, seed)
    lab.say(f"{count['calls']} calls, {count['kills']} killed, {count['attached']} ADDs that ended well, {count['forgotten']} containers "
            f"that nobody deleted, {seconds:.1f} s")
    equal(failures, [], f"no call failed that was not killed (seed {seed})")
    true(count["kills"] > CALLS // 10 and count["attached"] > CALLS // 10 and count["forgotten"] > CALLS // 100, f"it was a storm: {count}")
    if agent:
        world.same(before, f"the agent has collected everything (seed {seed})", within=15)
        loop.kill()
        true(agent.alive(), "and lives")
        agent.stop()
    else:
        world.collected(before, f"GC has collected everything (seed {seed})")


def collect_always(world):
    """GC in a loop with a list that names nobody: what a runtime says that knows nothing of these containers."""
    document = dict(conf(), **{"cni.dev/valid-attachments": []})
    world.node.write("/tmp/gc.json", document)
    return world.node.popen(["/bin/sh", "-c", 'while :; do "$0" < /tmp/gc.json; sleep 0.01; done', world.lab.binary("fairlead")],
                            env={"CNI_COMMAND": "GC", "CNI_PATH": world.lab.binaries})


@limit(120)
def test_CNI_120_2_gc_with_an_outdated_list_and_the_agent_take_nothing_from_the_living(lab):
    """Both run all the time and as fast as they can, while containers attach, stay for a while and detach."""
    world = World(lab)
    before = world.baseline()
    agent = world.node.start_agent(["--endpoint-grace", "300ms"])
    control = world.pod("control")
    world.ok("ADD", control)
    control.kill()
    loop = collect_always(world)
    dice = random.Random(120)
    alive, done = {}, 0
    end = time.monotonic() + 7
    while time.monotonic() < end:
        if len(alive) < 6 and dice.random() < 0.7:
            pod = world.pod()
            alive[pod] = world.ok("ADD", pod, "beside GC")
        elif alive:
            pod = dice.choice(list(alive))
            result = alive.pop(pod)
            whole(world, pod, result)
            world.ok("DEL", pod, "beside GC")
            pod.kill()
            done += 1
        for pod, result in alive.items():
            whole(world, pod, result)
    true(done > 5, f"{done} containers came and went")
    # Long enough for both to judge by age what still lives.
    time.sleep(4)
    for pod, result in alive.items():
        whole(world, pod, result)
        equal(pod.ping("10.32.0.1") is not None, True, f"{pod.name} works")
    true(loop.alive(), "GC ran all the time")
    lacks(str(world.files()), control.id, "what was dead is collected, so collecting works")
    for pod in alive:
        world.ok("DEL", pod)
    loop.kill()
    world.same(before, "nothing is left")
    equal(agent.metric("fairlead_leases_collected_total"), 0.0, "the agent took no lease without an endpoint")


LINKAT = 265        # x86_64


@limit(60)
def test_CNI_120_3_an_add_that_is_held_up_for_long_loses_nothing_to_gc_or_the_agent(lab):
    """It has its addresses and no link and no document yet: what a killed one would leave, but it holds its lock."""
    world = World(lab)
    before = world.baseline()
    agent = world.node.start_agent(["--endpoint-grace", "500ms"])
    killed, slow = world.pod("killed"), world.pod("slow")
    kinds = world.traced("ADD", slow).kinds
    world.ok("DEL", slow)
    # The owner, then an address of each family (ipam/lease.h).
    number = [place for place, kind in enumerate(kinds, 1) if kind == LINKAT][2] + 1
    true(world.traced("ADD", killed, number).killed, "one is killed there")
    equal(len(world.files() - before["files"]), 3, "and leaves an owner and two leases")
    held = []

    def collect():
        end = time.monotonic() + 4
        while time.monotonic() < end:
            world.gc()
            time.sleep(0.2)
        held.extend(world.files() - before["files"])
        true(agent.alive(), "the agent collects, too")
    # Two calls later: it tries the addresses the killed one has first.
    true(world.traced("ADD", slow, number + 2, action=collect).killed, "the other is held up there")
    lacks(str(held), killed.id, "what the killed one left was collected meanwhile")
    contains(str(held), slow.id, "what the slow one has was not")
    equal(len(held), 3, "neither its owner nor its addresses")
    equal(slow.ping("10.32.0.1") is not None, True, "it ends well")
    world.ok("DEL", slow)
    world.same(before, "nothing is left")


def whole(world, pod, result):
    """Its addresses, its document and its link are there."""
    node = world.node
    for ip in result["ips"]:
        address = ip["address"].split("/")[0]
        true(node.exists(f"/run/fairlead/leases/appnet/{address}"), f"{pod.name} has lost its address {address}")
    true(node.exists(f"/run/fairlead/endpoints/appnet/{pod.id}-eth0.json"), f"{pod.name} has lost its document")
    true("eth0" in pod.call(os.listdir, "/proc/self/net/dev_snmp6"), f"{pod.name} has lost its link")
