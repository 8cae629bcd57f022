#!/usr/bin/python3
"""Collecting where only half of the pair is ours: another IPAM under `fairlead`, or `fairlead-ipam` under another plugin."""
import json
import os

from lab import *

from .world import World, conf, stub_ipam


@limit(60)
def test_CNI_127_1_gc_tells_a_foreign_ipam_what_lives_and_deletes_what_is_dead(lab):
    """host-local knows no GC, and an IPAM that does would believe a list that lacks another runtime's containers."""
    world = World(lab)
    path, section = stub_ipam(world)
    document = conf(ipam=section)
    alive, dead = world.pod(), world.pod()
    world.ok("ADD", dead, document=document, CNI_PATH=path)
    dead.kill()
    give(world, "10.32.0.10")
    world.ok("ADD", alive, document=document, CNI_PATH=path)
    count = len(log(world))

    def collected():
        world.node.must([lab.binary("fairlead")], input=json.dumps({**document, "cni.dev/valid-attachments": []}),
                        env={"CNI_COMMAND": "GC", "CNI_PATH": path})
        return len(world.node.endpoints("appnet")) == 1
    eventually(collected, 15, "the dead one's document goes", every=0.5)
    calls = log(world)[count:]
    deleted = [call["env"]["CNI_CONTAINERID"] for call in calls if call["command"] == "DEL"]
    equal(deleted, [dead.id], "one DEL, for the dead one, so that an IPAM without a GC gives its address back")
    for call in calls:
        if call["command"] == "GC":
            listed = json.loads(call["stdin"])["cni.dev/valid-attachments"]
            contains([entry["containerID"] for entry in listed], alive.id, "the forwarded list names what was kept")
    equal(json.loads(calls[-1]["stdin"])["cni.dev/valid-attachments"], [{"containerID": alive.id, "ifname": "eth0"}], "and nothing else")
    equal(alive.ping("10.32.0.1") is not None, True, "the living one works")


def give(world, address):
    stub_ipam(world, ADD={"stdout": json.dumps({"cniVersion": "1.1.0", "ips": [{"address": f"{address}/16", "gateway": "10.32.0.1"}],
                                                "routes": [{"dst": "0.0.0.0/0"}]})})


def log(world):
    return [json.loads(line) for line in world.node.read("/run/stub/log").splitlines()]


@limit(60)
def test_CNI_159_2_the_agent_collects_another_plugins_lease_only_when_it_has_seen_its_namespace(lab):
    """A path that leads nowhere may only mean that the runtime has another mount namespace."""
    world = World(lab)
    agent = world.node.start_agent(["--endpoint-grace", "1s"])
    document = {"cniVersion": "1.1.0", "name": "other", "type": "bridge",
                "ipam": {"type": "fairlead-ipam", "ranges": [[{"subnet": "10.60.0.0/24"}]]}}

    def lease(pod, **variables):
        result = world.ok("ADD", pod, document=document, plugin="fairlead-ipam", **variables)
        return result["ips"][0]["address"].split("/")[0]
    dead, alive, elsewhere = world.pod(), world.pod(), world.pod()
    gone, kept, unseen = lease(dead), lease(alive), lease(elsewhere, CNI_NETNS="/run/netns/in-another-mount-namespace")
    never(lambda: len([name for name in world.node.leases("other") if name in (gone, kept, unseen)]) != 3, 3, "a lease goes while all live")
    dead.kill()
    eventually(lambda: gone not in world.node.leases("other"), 8, "the dead one's lease is collected")
    equal(agent.metric("fairlead_leases_collected_total"), 1.0, "and counted")
    never(lambda: not {kept, unseen} <= set(world.node.leases("other")), 2, "another lease goes")


@limit(60)
def test_AGT_38_files_of_writers_that_were_killed_go_after_a_minute(lab):
    world = World(lab)
    world.baseline()
    kept = world.pod()
    world.ok("ADD", kept)
    names = ["/run/fairlead/.tmp-7-0", "/run/fairlead/routers/.tmp-7-1", "/run/fairlead/endpoints/appnet/.tmp-7-2",
             "/var/lib/fairlead/networks/.tmp-7-3", "/run/fairlead/lease-owners/appnet/.tmp-7-4"]
    for name in names:
        world.node.write(name, "{")
        world.node.must("touch -d", "2 minutes ago", name)
    young = "/run/fairlead/routers/.tmp-8-0"
    world.node.write(young, "{")
    before = world.files()
    world.node.start_agent(["--endpoint-grace", "1s"])
    eventually(lambda: not [name for name in names if world.node.exists(name)], 5, "the old ones go")
    true(world.node.exists(young), "one that may still be being written stays")
    equal(world.files(), before, "and every document")
    equal(os.path.basename(young) in world.node.listdir("/run/fairlead/routers"), True, "as it is")
