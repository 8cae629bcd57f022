#!/usr/bin/python3
"""ENC-30: encrypted networks of a real cluster, where nobody writes a document by hand: keys by `announce`, epochs by managers. Captures on
every machine's underlay, from before the network exists until after it is gone."""
import concurrent.futures
import contextlib

from cluster.world import cluster_of, join, networks, synced
from lab import *
from .keys import public_key
from .world import marker, policies

VXLAN = (4789, 4790, 4791)


def leaks(wires, outside, *markers):
    """Packets that must not be there: VXLAN outside its protection, the markers, but for what the client outside says and is told itself."""
    def bad(packet):
        # What the join preflight sends to these ports is no VXLAN.
        return packet.proto == "udp" and packet.dport in VXLAN and packet.payload[:4] == b"\x08\0\0\0" or \
            any(m in packet.raw for m in markers) and outside.address(4) not in (packet.src, packet.dst)
    return [str(packet) for wire in wires for packet in wire.packets(bad)]


def container(node, name, **keys):
    made = node.container(name)
    made.attach(conflist("appnet", **keys))
    made.serve_tcp(7000)
    made.serve_udp(7000)
    return made


def carries(a, b, secret):
    equal(a.tcp_request(b.ip, 7000, payload=secret.decode(), timeout=1).name, b.name, f"TCP to {b.name}")
    equal(a.udp_request(b.ip, 7000, payload=secret.decode(), timeout=1).name, b.name, f"UDP to {b.name}")
    return True


def start_again(node):
    """The machine boots: its processes, its kernel's state and its /run are gone; its disk is as it was."""
    for daemon in node.daemons.values():
        daemon.kill9()
    for name in node.netns_list():
        node.must("ip netns del", name)
    node.run("ip link del fl-wg"), node.run("tc qdisc del dev eth0 clsact")
    for command in ("ip xfrm policy flush", "ip xfrm state flush", "nft flush ruleset", "find /run/fairlead -type f -delete"):
        node.must(command)
    for daemon in node.daemons.values():
        daemon.start()


def many_at_once(pool, nodes, count, secret):
    """Containers that send the secret to addresses all over the network as soon as they are there."""
    def busy(i):
        made = container(nodes[i % 3], f"c{i}")
        for other in range(2, 60, 4):
            with made.udp_socket(f"10.32.0.{other}", 7000) as flow, contextlib.suppress(OSError):
                flow.sock.send(secret)
        return made
    return [made.result() for made in [pool.submit(busy, i) for i in range(count)]]


def join_with_other_keys(node, manager):
    node.ctl_ok("cluster leave --force", timeout=60)
    node.daemons["fairlead-agent"].stop()
    node.must("rm -rf /var/lib/fairlead/keys")
    node.daemons["fairlead-agent"].start()
    join(node, manager)
    synced(node, 30)


def nothing_left(node, encryption):
    if encryption == "wireguard":
        return node.run("ip link show fl-wg").rc != 0
    return "reqid 5700" not in node.must("ip xfrm state") and "4790" not in policies(node)


@alone
@needs("program:wg")
@limit(300)
@variants(encryption=[("ipsec", "esp"), ("wireguard", "wireguard")])
def test_ENC_30_a_real_cluster_says_nothing_in_the_clear_in_any_state(lab, encryption):
    secret, asked = marker(), marker()
    n1, n2, n3 = nodes = cluster_of(lab, "n1", "n2", "n3")
    outside = lab.outside(lab.segments["wire"])
    for node in nodes:
        node.start_lb(), node.start_dns()
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(8) as pool:
        wires = [stack.enter_context(node.capture("eth0")) for node in nodes]

        def clean(why):
            equal(leaks(wires, outside, secret, asked)[:3], [], f"{why}: in the clear on a wire")

        synced(n1, 30)
        n1.ctl_ok(f"network create appnet --subnet 10.32.0.0/16 --encryption {encryption}", timeout=30)
        n1.ctl_ok("service create web --network appnet --port 80:7000 --publish 8000:80", timeout=30)
        for node in nodes:
            eventually(lambda node=node: networks(node) and len(node.listdir("/var/lib/fairlead/blocks/appnet")) >= 3, 30,
                       f"{node.name} has the network, and all have addresses")
        lab.say("containers that send as soon as they are there, all at once")

        crowd = many_at_once(pool, nodes, 9 if lab.in_vm else 50, secret)
        a, b, c = crowd[0], container(n2, "b", services=["web"]), crowd[2]
        eventually(lambda: carries(a, b, secret) and carries(c, a, secret) and carries(b, c, secret), 30, "all three nodes")
        a.dns("web"), a.dns(asked.decode()[:60] + ".appnet")
        clean("many at once")
        lab.say("a published port, asked on a node without a backend")
        answer = eventually(lambda: outside.tcp_request(n3.address(4), 8000, payload=asked.decode(), timeout=1), 15, "the port answers")
        equal((answer.name, answer.peer), ("b", outside.address(4)), "the backend sees who asks")
        true(wires[2].count(lambda p: asked in p.raw) > 0, "the control: the client's own way to n3 is seen")
        clean("the mesh")
        lab.say("a machine boots while the others go on talking to it")
        for made in crowd[1::3] + [b]:
            made.kill()
        start_again(n2)
        b = container(n2, "b2", services=["web"])
        eventually(lambda: carries(a, b, secret) and carries(b, c, secret), 40, "it is back")
        clean("after the boot")
        lab.say("a node is evicted, and joins again with another key")
        old = public_key(n3, "wireguard")
        n1.ctl_ok("cluster evict n3", timeout=60)
        eventually(lambda: c.ping(a.ip) is None and a.ping(c.ip) is None, 20, "nothing passes any more")
        if encryption == "wireguard":
            eventually(lambda: len(n1.must("wg show fl-wg peers").split()) == 1, 20, "n1 has forgotten its key")
        join_with_other_keys(n3, n1)
        true(public_key(n3, "wireguard") != old, "another key")
        c = container(n3, "c-again")
        eventually(lambda: carries(a, c, secret) and carries(c, b, secret), 40, "with its new key it takes part")
        clean("evicted and joined again")
        lab.say("the network goes")
        for made in [made for node in nodes for made in list(node.containers.values()) if made.attachment and made not in crowd[1::3]]:
            with contextlib.suppress(CniError):
                made.detach()
        n1.ctl_ok("service rm web --network appnet", timeout=30)
        eventually(lambda: n1.ctl("network rm appnet", timeout=30).rc == 0, 20, "nobody uses it any more")
        for node in nodes:
            eventually(lambda node=node: nothing_left(node, encryption), 30, f"{node.name} has no association, no policy, no device left")
        clean("until the end")
