#!/usr/bin/python3
"""kill -9 at the boundaries of system calls: CNI-056.2 (suite cni), CNI-056.5 and CNI-056.7 at every one, the others at the
first and the last of every kind of system call and a spread; with FAIRLEAD_FAULTS=all they do every one, too. How many there are and how many are done is a line of the transcript (-v)."""
from lab import *

from .tracer import choose
from .world import World, conf

MOST, ALL = 45, 1000


def boundaries(world, command, most=MOST, **options):
    """Counts those of a whole call → the numbers to kill at."""
    pod = world.pod()
    if command == "DEL":
        world.ok("ADD", pod, **options)
    outcome = world.traced(command, pod, **options)
    true(not outcome.killed and outcome.calls > 10, f"a whole {command} is counted: {outcome.calls}")
    world.ok("DEL", pod, **options)
    pod.kill()
    numbers = choose(outcome.kinds, most)
    world.lab.say(f"{command}: {outcome.calls} boundaries of {len(set(outcome.kinds))} kinds of system calls, killed at {len(numbers)}")
    return numbers


def killed_then_del(world, command, before, most=MOST, **options):
    kills = 0
    pod = world.pod()
    for number in boundaries(world, command, most, **options):
        if command == "DEL":
            world.ok("ADD", pod, **options)
        kills += world.traced(command, pod, number, **options).killed
        world.ok("DEL", pod, f"after {command} was killed at {number}", **options)
        world.same(before, f"{command} killed at {number}, then DEL")
    true(kills > 10, f"{kills} kills")


def killed_then_forgotten(world, command, most=MOST, **options):
    """Nobody calls DEL, and the namespaces go."""
    for number in boundaries(world, command, most, **options):
        pod = world.pod()
        if command == "DEL":
            world.ok("ADD", pod, **options)
        world.traced(command, pod, number, **options)
        pod.kill()


@limit(240)
@variants(command=["ADD", "DEL"])
def test_CNI_056_4_killed_at_a_system_call_and_deleted_nothing_is_left(lab, command):
    world = World(lab)
    before = world.baseline()
    killed_then_del(world, command, before)


@limit(240)
@variants(command=["ADD", "DEL"])
def test_CNI_056_5_killed_at_a_system_call_and_never_deleted_gc_finds_what_is_left(lab, command):
    world = World(lab)
    before = world.baseline()
    killed_then_forgotten(world, command, ALL)
    world.collected(before, f"what killed {command}s left is collected")
    alive = world.pod()
    world.ok("ADD", alive)
    equal(alive.ping("10.32.0.1") is not None, True, "and the network works")


@limit(240)
@variants(command=["ADD", "DEL"])
def test_CNI_056_6_killed_at_a_system_call_and_never_deleted_the_agent_finds_what_is_left(lab, command):
    world = World(lab)
    before = world.baseline()
    agent = world.node.start_agent(["--endpoint-grace", "1s"])
    alive = world.pod("alive")
    world.ok("ADD", alive)
    held = world.state()
    killed_then_forgotten(world, command)
    world.same(held, f"what killed {command}s left is collected, what lives is not", within=20)
    true(agent.metric("fairlead_leases_collected_total") > 0, "leases without an endpoint are counted")
    equal(alive.ping("10.32.0.1") is not None, True, "the living one works")
    world.ok("DEL", alive)
    world.same(before, "and can be deleted")
    true(agent.alive(), "the agent lives")


@limit(120)
def test_CNI_056_7_fairlead_ipam_alone_killed_at_a_system_call_gives_its_addresses_back(lab):
    world = World(lab)
    document = {**conf("ipamnet"), "type": "bridge"}
    document["ipam"] = {"type": "fairlead-ipam", "ranges": [[{"subnet": "10.40.0.0/24"}], [{"subnet": "fd40::/64"}]]}
    options = {"document": document, "plugin": "fairlead-ipam"}
    before = world.baseline_of_ipam(options)
    for command in ("ADD", "DEL"):
        killed_then_del(world, command, before, ALL, **options)
    for command in ("ADD", "DEL"):
        killed_then_forgotten(world, command, 20, **options)
    world.collected(before, "without a DEL GC finds them", document, "fairlead-ipam")


@limit(300)
@variants(who=["one process", "all of them"])
def test_CNI_056_8_a_networks_first_add_killed_at_a_system_call_of_plugin_or_agent(lab, who):
    """`fairlead` runs `fairlead-agent realise`: both are killed at their system calls, alone or together."""
    world = World(lab)
    pod = world.pod()
    document = conf("net0", subnets=["10.50.0.0/16", "fd50::/64"])
    outcome = world.traced("ADD", pod, document=document)
    true("eth0" in pod.links(), "a whole first ADD attaches, traced or not")
    world.ok("DEL", pod, document=document)
    numbers = choose(outcome.kinds, 40)
    lab.say(f"first ADD: {outcome.calls} boundaries of {len(set(outcome.kinds))} kinds of system calls, killed at {len(numbers)}")
    world.node.ctl_ok("network rm net0")
    before = forgotten_networks(world)
    kills = 0
    for number in numbers:
        kills += world.traced("ADD", pod, number, everyone=who == "all of them", document=document).killed
        world.ok("DEL", pod, f"after a first ADD was killed at {number}", document=document)
        true("eth0" not in pod.links(), f"killed at {number}: no link is left")
        equal({path for path in world.files() if "/endpoints/" in path or "/lease" in path}, set(), f"killed at {number}: no document")
        result = world.ok("ADD", pod, f"after a first ADD was killed at {number}", document=document)
        gateway = result["ips"][0]["gateway"]
        eventually(lambda: pod.ping(gateway) is not None, 3, f"killed at {number}: the gateway answers")
        world.ok("DEL", pod, document=document)
        if number in numbers[::8] or number == numbers[-1]:
            world.node.ctl_ok("network rm net0")
            equal(forgotten_networks(world), before, f"killed at {number}, and the network removed: the host is as it was")
    true(kills > 20, f"{kills} kills")


def forgotten_networks(world):
    """The host after an agent has taken away the routers of networks that are no more."""
    agent = world.node.start_agent()
    eventually(lambda: not [name for name in world.node.netns_list() if name.startswith("fl-")], 5, "no router is left")
    eventually(lambda: "fairlead" not in world.node.must("nft list ruleset"), 5, "no firewall of ours is left")
    agent.stop()
    return {**world.node.snapshot(), "files": world.files(), "forwarding": world.node.sysctl("net.ipv4.ip_forward")}
