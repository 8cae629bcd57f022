#!/usr/bin/python3
"""What one node has, the others know; what happens when one goes away."""
import concurrent.futures
import json
import time

from lab import *

from .world import (NETWORK, attach, cluster_of, host, in_step, join, networks, one_line, remote, status, synced)


@limit(90)
def test_CLU_10_an_attached_container_is_known_on_the_others_until_it_is_detached_or_its_node_dies(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3", options="--lease 2s")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    for node in (n1, n2, n3):
        eventually(lambda node=node: networks(node), 5, f"{node.name} has the network")
    for node in (n1, n3):
        attach(node, "witness")  # who has no container in a network is told nothing of it
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
    attach(n3, "witness")
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
    witness = attach(n1, "witness")
    before = attach(n2, "before")
    eventually(lambda: len(remote(n1, n2)) == 1, 5, "n1 knows it")
    lab.segments["wire"].cut(n2)
    eventually(lambda: not remote(n1, n2), 15, "n1 hides what it cannot reach")
    before.detach()
    after, here = attach(n2, "after"), attach(n1, "here")
    eventually(lambda: status(n2)["state"] == "away", 20, "n2 knows that it is alone")
    lab.segments["wire"].heal(n2)
    eventually(lambda: remote(n1, n2) == [f"{after.id}-eth0.json"], 25, "n1 knows what n2 did")
    both = sorted(f"{c.id}-eth0.json" for c in (witness, here))
    eventually(lambda: sorted(remote(n2, n1)) == both, 15, "and n2 what n1 did")
    in_step(n1)


@limit(90)
def test_CLU_16_a_node_holds_what_belongs_to_networks_it_takes_part_in_and_no_more(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    for name, subnet in ((NETWORK, "10.32.0.0/16"), ("other", "10.33.0.0/16")):
        n1.ctl_ok(f"network create {name} --subnet {subnet}", timeout=20)
    eventually(lambda: len(networks(n2)) == 2, 5, "n2 has the networks")
    mine = [attach(n2, "mine"), attach(n2, "other", "other")]
    seen = lambda: {name: len(remote(n1, n2, name)) for name in (NETWORK, "other")}
    in_step(n1)
    equal(seen(), {NETWORK: 0, "other": 0}, "n1 takes part in neither")
    here = n1.container("here")
    began = time.monotonic()
    here.attach(conflist(NETWORK))
    eventually(lambda: seen()[NETWORK] == 1, 3, "its first container brings what the others have")
    lab.say(f"{time.monotonic() - began:.2f} s after the ADD was asked for")
    equal(seen(), {NETWORK: 1, "other": 0}, "of this network")
    more = attach(n2, "more")
    eventually(lambda: seen() == {NETWORK: 2, "other": 0}, 5, "and what comes later")
    n1.ctl_ok("service create web --network other --port 80 --publish 8000:80", timeout=20)
    eventually(lambda: seen() == {NETWORK: 2, "other": 1}, 5, "a published port needs every node")
    here.detach()
    eventually(lambda: seen() == {NETWORK: 0, "other": 1}, 5, "with the last container it is gone")
    n1.ctl_ok("service rm web --network other", timeout=20)
    eventually(lambda: seen() == {NETWORK: 0, "other": 0}, 5, "so with the service")
    for container in (*mine, more):
        container.detach()
    in_step(n1)


@limit(90)
def test_CLU_17_a_command_shows_whether_the_directories_are_as_the_store_says(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 5, "n2 has the network")
    for node in (n1, n2):
        attach(node, "c")
    eventually(lambda: remote(n1, n2) and remote(n2, n1), 5, "they know each other's")
    in_step(n1)
    contains(n2.ctl_ok("cluster check", timeout=20), "n2: in step", "on a node of itself")
    contains(n1.ctl_ok("cluster check --local", timeout=20), "n1: in step", "and on a manager, if that is wanted")
    path = f"/run/fairlead/remote/endpoints/{NETWORK}/n1/{remote(n2, n1)[0]}"
    n2.must(f"rm {path}")
    document = n2.read_json(f"/var/lib/fairlead/networks/{NETWORK}.json")
    document["mtu"] = 1300
    n2.write(f"/var/lib/fairlead/networks/{NETWORK}.json", json.dumps(document))
    own = n2.ctl("cluster check", timeout=20)
    equal(own.rc, 1, "what differs is exit status 1")
    everybody = n1.ctl("cluster check", timeout=30)
    equal(everybody.rc, 1, "also where a manager asks")
    key = path.split("remote/")[1][:-5]
    for text in (own.out, everybody.out):
        contains(text, f"{key}: is missing here", "what is missing, by name")
        contains(text, f"networks/{NETWORK}: differs", "and what differs")
    contains(everybody.out, "n1: in step", "who is in step is said, too")
    found = json.loads(n1.ctl("cluster check --json", timeout=30).out)
    equal((found["inStep"], sorted(found["nodes"]["n2"]["differences"])), (False, sorted([key, f"networks/{NETWORK}"])),
          "as JSON")
    n2.agent.restart()
    synced(n2, 20)
    in_step(n1)


@limit(90)
def test_CLU_79_a_vip_is_one_services_whichever_managers_are_asked_at_once(lab):
    n1, n2 = cluster_of(lab, "n1")[0], host(lab, lab.segments["wire"], "n2")
    join(n2, n1, "manager")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/24", timeout=20)     # its VIPs: 10.32.0.240/28
    eventually(lambda: networks(n2), 5, "n2 has the network")

    def create(node, name, options=""):
        return node.ctl(f"service create {name} --network {NETWORK} --port 80 {options}", timeout=60)

    def at_once(*calls):
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return [each.result() for each in [pool.submit(create, *call) for call in calls]]

    one_line(create(n2, "web", "--vip 10.32.0.77"), "VIP pool")
    one_line(create(n2, "web", "--vip 192.0.2.1"), "VIP pool")
    results = at_once((n1, "one", "--vip 10.32.0.250"), (n2, "two", "--vip 10.32.0.250"))
    equal(sorted(result.rc for result in results), [0, 1], "one of them has it")
    one_line(next(result for result in results if result.rc), "10.32.0.250")
    names = [f"s{number}" for number in range(8)]
    results = at_once(*((node, name) for node, name in zip((n1, n2) * 4, names)))
    equal([result.err for result in results if result.rc], [], "all get one")
    eventually(lambda: set(names) <= {service["name"] for service in n1.ctl_json("service ls")}, 5, "n1 knows all")
    vips = [vip for service in n1.ctl_json("service ls") for vip in service["vips"]]
    equal((len(vips), len(set(vips))), (9, 9), f"and each its own: {vips}")
    one_line(create(n2, "late", f"--vip {vips[0]}"), vips[0])
