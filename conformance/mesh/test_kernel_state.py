#!/usr/bin/python3
"""OVL-30: the comparison of kernels with documents that the tests of faults rely on sees what is missing and what is stale."""
from lab import *

from .cluster import Cluster
from .kernel_state import kernels_agree, look


def test_OVL_30_what_is_missing_and_what_is_stale_in_a_kernel_is_found(lab):
    cluster = Cluster(lab, networks=("appnet", "other"))
    cluster.start_services()
    cluster.pair()
    cluster.service("web", vips=["10.32.255.1", "fd32::ffff:1"], ports=[{"port": 80, "targetPort": 7000, "published": 8000},
                                                                       {"port": 80, "targetPort": 7000, "protocol": "udp"}])
    one, two = cluster.nodes
    cluster.container(one, "task", services=["web"])
    gone = cluster.container(two, "task", services=["web"])
    cluster.publish()
    kernels_agree(cluster.nodes)
    for daemon in (*cluster.agents, *(node.daemons["fairlead-lb"] for node in cluster.nodes)):
        daemon.kill9()
    addresses = gone.ip, gone.ip6
    gone.detach()
    expected = {f"n1 appnet: backends: stale ('{vip}', '{protocol}', {port}, '{task}', 7000)"
                for protocol, port, fronts in (("tcp", 80, ("10.32.255.1", "fd32::ffff:1")), ("udp", 80, ("10.32.255.1", "fd32::ffff:1")),
                                               ("tcp", 8000, ("169.254.64.1", "fd57:64::2")))
                for vip, task in zip(fronts, addresses)}
    found = set(look(cluster.nodes))
    equal(found, expected | {line.replace("n1", "n2", 1) for line in expected}, "backends of a task that is gone")
    router = one.router("appnet")
    for command in ("ip route add 10.32.9.0/24 via 169.254.128.2 dev vx onlink proto 57", "ip route del 10.32.2.0/24", "ip -6 route del fd32::2:0/112",
                    "ip neigh del 169.254.128.2 dev vx", "ip -6 neigh add fd57:128::9 dev vx lladdr 02:57:00:00:00:09 nud permanent",
                    "bridge fdb append 02:57:00:00:00:09 dev vx dst 192.0.2.9", "bridge fdb del 02:57:00:00:00:02 dev vx dst 192.0.2.2",
                    "ip link add stray type veth peer name stray2", "ip route add local 10.32.255.2 dev lo proto 58", "ip rule del priority 99",
                    "nft flush chain inet fairlead prerouting"):
        router.must(command)
    one.must("ip netns add fl-77")
    for chain in {r["rule"]["chain"] for r in one.nft_list() if r.get("rule", {}).get("comment") == "not from a node"}:
        one.must("nft flush chain inet fairlead_host", chain)
    lines = {line.removeprefix("n1 appnet: ") for line in set(look(cluster.nodes)) - found}
    equal(lines, {
        "n1: routers: stale fl-77", "n1: nodes its firewall knows: missing 192.0.2.1", "n1: nodes its firewall knows: missing 192.0.2.2",
        "routes: missing ('main', '10.32.2.0/24', '169.254.128.2', 'vx')", "routes: missing ('main', 'fd32::2:0/112', 'fd57:128::2', 'vx')",
        "routes: stale ('local', '10.32.255.2', 'local', 'lo')", "routes: stale ('main', '10.32.9.0/24', '169.254.128.2', 'vx')",
        "neighbours: missing ('169.254.128.2', 'vx', '02:57:00:00:00:02')", "neighbours: stale ('fd57:128::9', 'vx', '02:57:00:00:00:09')",
        "rules: missing (4, 99, '0/0xffff0000', 'main')", "links: stale stray", "links: stale stray2",
        "forwarding: missing ('02:57:00:00:00:02', '192.0.2.2')", "forwarding: stale ('02:57:00:00:00:09', '192.0.2.9')",
        "routers its firewall knows: missing 02:57:00:00:00:02"}, "all that was broken, and nothing else")
