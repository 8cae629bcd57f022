#!/usr/bin/python3
"""Machines whose clocks differ by ten minutes. What is dated bears it, what waits does not look at the clock of the day, and people are told.

Only the clock of the day of our daemons is moved (libfaketime, CLOCK_REALTIME), not that of etcd (a Go program, which asks the kernel past the
C library; it measures its leases with the clock that never jumps) and not that of `fairlead` and `fairlead-ipam`, which are static."""
import time

from lab import *

from .busy import FAST, World
from .world import other_clock, remote, status, synced

OFFSET = "/etc/clock-offset"


def faked(_node):
    return other_clock(FAKETIME_TIMESTAMP_FILE=OFFSET, FAKETIME_NO_CACHE="1", FAKETIME_DONT_RESET="1")


def jump(node, minutes):
    node.write(OFFSET, f"{minutes * 60:+d}\n")


def skews(node):
    """What a node says of its own clock."""
    return sorted(p for p in status(node)["problems"] if "clock" in p)


@needs("program:faketime")
@limit(240)
def test_CLU_48_clocks_are_ten_minutes_off_and_jump_while_everything_goes_on(lab):
    first = {"n1": 0, "n2": 0, "n3": 0, "n4": 10}
    world = World(lab, *first, managers=3, options=FAST + " --certificate-life 5h", env=faked,
                  prepare=lambda node: jump(node, first[node.name]))
    n1, n2, n3, n4 = world.nodes
    for node in world.nodes:
        now = int(node.run("date +%s", env=faked(node)).out) - time.time()
        true(abs(now - 60 * first[node.name]) < 5, f"{node.name}'s clock is where the test wants it: {now}")
    lab.say("a node that joined with its clock ahead")
    eventually(lambda: "10 minutes ahead of manager" in str(skews(n4)), 10, "it says so, and how much")
    eventually(lambda: "n4's is 10 minutes ahead" in n2.ctl_ok("cluster status", timeout=20), 10, "and so does everybody")
    for what, node, minutes in (("a node's clock jumps back", n4, -10), ("one of three managers' jumps ahead", n2, 10), ("and back", n2, -10)):
        lab.say(what)
        lived = {other: remote(n3, other) for other in (n1, n2, n4)}
        jump(node, minutes)
        begin = time.monotonic()
        while time.monotonic() < begin + 5:     # more than two leases
            equal({other: remote(n3, other) for other in lived}, lived, "nobody counts as dead meanwhile")
            time.sleep(0.1)
        word = f"10 minutes {'ahead of' if minutes > 0 else 'behind'} manager"
        eventually(lambda: len([s for s in skews(node) if word in s]) == (1 if node is n4 else 2), 25, f"{what}: it says so")
        new = world.task(node)
        world.answers()
        world.tasks.remove((node, new))
        new.detach()
        world.settled()
        world.flowing()
    lab.say("new certificates and keys while n2 and n4 are behind, n3 ahead")
    jump(n3, 10)
    before = {node: node.ctl_json("cluster status", timeout=20)["certificate"]["until"] for node in world.nodes}
    n1.ctl_ok("cluster rotate ca", timeout=30)
    eventually(lambda: "exchange" not in status(n1), 60, "all have certificates of the new authority")
    epoch = n2.ctl_json("cluster rotate keys", timeout=30)["epoch"]
    for node in world.nodes:
        synced(node, 10)
        true(node.ctl_json("cluster status", timeout=20)["certificate"]["until"] != before[node], f"{node.name} has another certificate")
        eventually(lambda node=node: node.exists(f"/run/fairlead/remote/keys/{epoch}.json"), 10, f"{node.name} has the new epoch")
    renewed = {node: node.agent.log().count("certificate is renewed") for node in world.nodes}
    epochs = [e["id"] for e in status(n1)["keys"]["epochs"]]
    world.settled()
    world.flowing()
    for node in world.nodes:
        node.agent.restart()
        synced(node, 20)
        lacks(node.agent.log(), "certificate is renewed", f"{node.name} does not renew again and again")
        true(renewed[node] < 8, f"{node.name} renewed {renewed[node]} times")
    equal([e["id"] for e in status(n1)["keys"]["epochs"]], epochs, "and nobody makes epochs because of the time")
    world.flowing()
    for node in world.nodes:
        jump(node, 0)
    for node in world.nodes:
        eventually(lambda node=node: not skews(node), 25, f"{node.name} has nothing to say any more")
    lacks(n1.ctl_ok("cluster status", timeout=20), "minutes", "nor has anybody else")
    world.settled()
