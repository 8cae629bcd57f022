#!/usr/bin/python3
"""What one node has, the others know; what happens when one goes away."""
from lab import *

from .world import NETWORK, cluster_of, host, join, networks, one_line, remote, status, synced, token, try_join


def attach(node, name):
    container = node.container(name)
    container.attach(conflist(NETWORK))
    return container


@limit(90)
def test_CLU_10_an_attached_container_is_known_on_the_others_until_it_is_detached_or_its_node_dies(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3", options="--lease 2s")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    for node in (n1, n2, n3):
        eventually(lambda node=node: networks(node), 5, f"{node.name} has the network")
    one, two = attach(n2, "one"), attach(n2, "two")
    for node in (n1, n3):
        eventually(lambda node=node: len(remote(node, n2)) == 2, 5, f"{node.name} knows both")
    equal(remote(n2, n2), [], "a node's own are not remote")
    document = n3.read_json(f"/run/fairlead/remote/endpoints/{NETWORK}/n2/{remote(n3, n2)[0]}")
    equal(document["node"], "n2", "whose it is")
    true(document["addresses"][0] in (one.ip, two.ip), "its address")
    one_line(n1.ctl(f"network rm {NETWORK}", timeout=20), "endpoints")
    one.detach()
    eventually(lambda: len(remote(n1, n2)) == 1 and len(remote(n3, n2)) == 1, 5, "the detached one is gone")
    n2.agent.kill9()
    eventually(lambda: not remote(n1, n2) and not remote(n3, n2), 12, "a node whose lease is lost is hidden")
    n2.agent.start()
    eventually(lambda: len(remote(n1, n2)) == 1 and len(remote(n3, n2)) == 1, 12, "and comes back")


@limit(90)
def test_CLU_11_without_the_manager_all_goes_on_and_what_changed_is_told_after(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2) and networks(n3), 5, "the network is everywhere")
    stays = attach(n2, "stays")
    goes = attach(n2, "goes")
    eventually(lambda: len(remote(n3, n2)) == 2, 5, "n3 knows both")
    n1.agent.kill9()
    goes.detach()
    comes = attach(n2, "comes")
    eventually(lambda: status(n3)["state"] == "away", 15, "n3 notices")
    equal(len(remote(n3, n2)), 2, "n3 goes on with what it knows")
    true(networks(n3), "and has its network")
    n1.agent.start()
    wanted = sorted(f"{c.id}-eth0.json" for c in (stays, comes))
    eventually(lambda: sorted(remote(n3, n2)) == wanted, 25, "the detached one is gone, the attached one is there")
    synced(n2)


@limit(60)
def test_CLU_12_certificates_are_renewed_long_before_they_end(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options="--certificate-life 10s")
    first = {node.name: status(node)["certificate"]["until"] for node in (n1, n2)}
    for node in (n1, n2):
        eventually(lambda node=node: status(node)["certificate"]["until"] > first[node.name], 12, f"{node.name} renews")
    lab.say("longer than the life of the first certificates")
    n1.must("sleep 6")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 8, "the cluster works on with the new ones")
    synced(n2)


@limit(60)
def test_CLU_13_a_node_may_not_change_networks_an_operator_may_a_viewer_sees_them(lab):
    n1, n2, admin, guest = cluster_of(lab, "n1", "n2") + [host_of(lab, "admin"), host_of(lab, "guest")]
    for who, role in ((admin, "operator"), (guest, "viewer")):
        join(who, n1, role)
    for who, role in ((n2, "node"), (guest, "viewer")):
        one_line(who.ctl(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20),
                 f"{who.name} has the role {role} and may not write networks/{NETWORK}; the role manager or operator is needed")
    contains(n1.agent.log(), f"/node/n2 write networks/{NETWORK}", "the manager wrote down who was refused what")
    one_line(n2.ctl("cluster token node", timeout=20), "the role manager is needed")
    one_line(admin.ctl("cluster evict n2", timeout=20), "the role manager is needed")
    admin.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2) and networks(guest), 5, "the operator's network is everywhere")
    equal(n2.listdir("/var/lib/fairlead/nodes"), ["n1.json", "n2.json"], "only nodes are nodes")


def host_of(lab, name):
    return host(lab, lab.segments["wire"], name)


@limit(60)
def test_CLU_14_who_was_off_for_longer_than_his_certificate_lives_comes_back_by_himself(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options="--certificate-life 5s")
    for node in (n1, n2):
        node.agent.stop()
    ends = max(int(node.must("date -d " + _end_of_certificate(node) + " +%s")) for node in (n1, n2))
    eventually(lambda: int(n1.must("date +%s")) > ends, 15, "both certificates have expired")
    for node in (n1, n2):
        node.agent.start()
    for node in (n1, n2):
        synced(node, 20)
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 8, "the cluster is as before")


def _end_of_certificate(node):
    text = node.must("openssl x509 -noout -enddate -in /var/lib/fairlead/pki/node.pem")
    return "'" + text.strip().split("=", 1)[1] + "'"


@limit(60)
def test_CLU_15_a_partition_heals_and_both_sides_know_what_the_other_did(lab):
    n1, n2 = cluster_of(lab, "n1", "n2", options="--lease 2s")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 5, "the network is on both")
    before = attach(n2, "before")
    eventually(lambda: len(remote(n1, n2)) == 1, 5, "n1 knows it")
    lab.segments["wire"].cut(n2)
    eventually(lambda: not remote(n1, n2), 15, "n1 hides what it cannot reach")
    before.detach()
    after, here = attach(n2, "after"), attach(n1, "here")
    eventually(lambda: status(n2)["state"] == "away", 20, "n2 knows that it is alone")
    lab.segments["wire"].heal(n2)
    eventually(lambda: remote(n1, n2) == [f"{after.id}-eth0.json"], 25, "n1 knows what n2 did")
    eventually(lambda: remote(n2, n1) == [f"{here.id}-eth0.json"], 15, "and n2 what n1 did")
