"""`ctr run --cni`: a runtime that passes nothing but ids, and never sends DEL for a detached container."""
from lab import *
from .containerd import Containerd
from .world import World


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_01_ctr_in_the_foreground_attaches_and_leaves_nothing(lab):
    w = World(lab)
    containerd = Containerd(w, "appnet")
    out = containerd.run("once", "ip", "address", detach=False)
    contains(out, "10.40.0.", "the container has an address of the network")
    contains(out, "fd40::", "of both families")
    # ctr asks for DEL when the process is gone, and its namespace with it: CNI_NETNS is empty.
    w.nothing_left()


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_02_ctr_detached_resolves_by_the_id_that_was_given(lab):
    w = World(lab, networks=("appnet", "other"))
    containerd = Containerd(w, "appnet")
    w.node.write("/tmp/resolv.conf", f"nameserver {w.gateway()}\nsearch appnet.fairlead.internal\n")
    resolver = ("--mount", "type=bind,src=/tmp/resolv.conf,dst=/etc/resolv.conf,options=rbind:ro")
    containerd.run("web-1", options=resolver)
    containerd.load("team-a")
    containerd.run("b-c", space="team-a", options=resolver)
    web, other = w.endpoint("default-web-1"), w.endpoint("team-a-b-c")
    w.resolves("web-1", web["addresses"][0])
    w.resolves("default-web-1", web["addresses"][0])
    w.resolves("b-c.appnet.fairlead.internal", other["addresses"][0])
    equal([w.client().dns(name).addresses for name in ("1", "c", "a-b-c")], [[], [], []], "no other part of an id is a name")
    equal(w.client("other").dns("web-1.appnet.fairlead.internal").addresses, [], "nor is it one on another network")
    out = containerd.exec("web-1", "nslookup", "b-c.appnet.fairlead.internal").out
    contains(out, other["addresses"][0], "one container of containerd finds the other")
    contains(containerd.exec("web-1", "nslookup", other["addresses"][0]).out, "name = b-c.appnet.fairlead.internal", "the address leads back to the plain id")


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_03_ctr_detached_is_collected_by_the_agent(lab):
    w = World(lab, agent=("--endpoint-grace", "1s"))
    containerd = Containerd(w, "appnet")
    containerd.run("web-1")
    containerd.run("stays")
    w.client()
    stays = w.endpoint("stays")
    containerd.kill("web-1")
    eventually(lambda: w.endpoint("web-1") is None, 15, "the endpoint of a container that ended without a DEL goes")
    eventually(lambda: len(w.node.leases("appnet")) == 4, 15, "its addresses are free; those of two others are not")
    w.resolves("stays", stays["addresses"][0])
