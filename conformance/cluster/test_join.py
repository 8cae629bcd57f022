#!/usr/bin/python3
"""Founding, joining, leaving, and what is refused."""
from lab import *

from .world import (cluster_of, found, host, join, networks, not_a_member, one_line, status, synced, token, try_join)


@limit(90)
def test_CLU_01_one_command_founds_one_joins_and_a_network_made_on_one_is_on_all(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3")
    n1.ctl_ok("network create appnet --subnet 10.32.0.0/16", timeout=20)
    for node in (n1, n2, n3):
        eventually(lambda node=node: "appnet.json" in networks(node), 5, f"{node.name} has the network")
    equal(n2.ctl_json("network inspect appnet")["subnets"], ["10.32.0.0/16"], "the same network")
    n1.ctl_ok("service create web --network appnet --port 80", timeout=20)
    eventually(lambda: n3.exists("/var/lib/fairlead/services/appnet/web.json"), 5, "n3 has the service")
    numbers = {m["name"]: m["number"] for m in status(n1)["members"]}
    equal(numbers, {"n1": 1, "n2": 2, "n3": 3}, "numbers in the order of joining")
    equal(n2.read_json("/var/lib/fairlead/nodes/n3.json")["address"], n3.address(4), "every node knows every other")
    equal([(n["name"], n["role"], n["live"], n["self"]) for n in n2.ctl_json("node ls")],
          [("n1", "manager", True, False), ("n2", "node", True, True), ("n3", "node", True, False)], "and lists them")
    n1.ctl_ok("service rm web --network appnet", timeout=20)
    n1.ctl_ok("network rm appnet", timeout=20)
    eventually(lambda: not networks(n2) and not networks(n3), 5, "removed on one, gone on all")


@limit(60)
def test_CLU_02_what_the_first_node_had_is_the_clusters(lab):
    wire = lab.segment("wire")
    n1, n2 = host(lab, wire, "n1"), host(lab, wire, "n2")
    n1.ctl_ok("network create before --subnet 10.40.0.0/16")
    n2.ctl_ok("network create mine --subnet 10.41.0.0/16")
    found(n1)
    join(n2, n1)
    eventually(lambda: "before.json" in networks(n2), 5, "n2 has what n1 had")
    true("mine.json" in networks(n2), "what is n2's own stays")
    lacks(networks(n1), "mine.json", "and is not the cluster's")


@limit(90)
def test_CLU_03_wrong_tokens_addresses_and_names_are_one_clear_line_and_nothing_is_half_joined(lab):
    wire = lab.segment("wire")
    n1, n2, other = host(lab, wire, "n1"), host(lab, wire, "n2"), host(lab, wire, "other")
    found(n1)
    found(other)
    good = token(n1)
    letters = good.strip()
    mistyped = letters[:-3] + ("A" if letters[-3] != "A" else "B") + letters[-2:]
    expired = token(n1, options="--expires 1s")
    n1.must("sleep 1.5")
    for text, needle in (("", "the token is empty"), ("SWMTKN-1-abc", "no token of Fairlead"), (letters[:-4], "not whole"),
                         (mistyped, "not valid"), (token(other), "another cluster"), (expired, "not valid")):
        one_line(try_join(n2, n1, text), needle)
        not_a_member(n2)
    one_line(n2.ctl("cluster join 192.0.2.99 --name n2", input=good, timeout=40), "192.0.2.99")
    one_line(try_join(n2, n1, good, "--advertise 192.0.2.1"), "is that of member n1")
    n2.name, kept = "n1", n2.name
    one_line(try_join(n2, n1, good), "a member named n1 already")
    n2.name = kept
    not_a_member(n2)
    join(n2, n1)
    one_line(try_join(n2, n1, good), "in cluster")
    synced(n2)


@limit(60)
def test_CLU_04_a_token_is_used_up(lab):
    wire = lab.segment("wire")
    n1, n2, n3 = (host(lab, wire, name) for name in ("n1", "n2", "n3"))
    found(n1)
    once = token(n1, options="--uses 1")
    equal(try_join(n2, n1, once).rc, 0, "the first use")
    one_line(try_join(n3, n1, once), "not valid")
    not_a_member(n3)


@limit(60)
def test_CLU_05_a_node_that_leaves_or_is_evicted_is_gone_everywhere_and_its_number_is_not_given_again(lab):
    n1, n2, n3 = cluster_of(lab, "n1", "n2", "n3")
    n2.ctl_ok("cluster leave", timeout=20)
    not_a_member(n2)
    n1.ctl_ok("cluster evict n3", timeout=20)
    eventually(lambda: status(n3)["state"] == "evicted", 10, "n3 knows that it is evicted")
    eventually(lambda: n1.listdir("/var/lib/fairlead/nodes") == ["n1.json"], 5, "n1 knows no other node")
    contains(n3.ctl("cluster status").out, "no longer a member", "and says so")
    n3.ctl_ok("cluster leave", timeout=20)
    join(n3, n1)
    equal(status(n3)["number"], 4, "a new member, with a new number")


@limit(60)
def test_CLU_06_who_has_not_proved_himself_reaches_nothing_that_reads_messages(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    port = f"{n1.address(4)}:7310"
    true(n2.run(f"openssl s_client -connect {port}", input="").out, "somebody listens")
    answer = n2.run(f"openssl s_client -connect {port} -tls1_3 -ign_eof", input="GET / HTTP/1.1\r\n\r\n")
    contains(answer.out + answer.err, "certificate required", "no certificate, no conversation")
    old = n2.run(f"openssl s_client -connect {port} -tls1_2", input="")
    contains(old.out + old.err, "protocol version", "TLS 1.2 is refused")
    plain = n2.call(_talk, n1.address(4), 7310, b"GET / HTTP/1.1\r\n\r\n" * 100)
    lacks(plain, b"HTTP", "no answer in clear")
    peers = n2.run(f"openssl s_client -connect {n1.address(4)}:7311 -tls1_3 -cert /var/lib/fairlead/pki/node.pem "
                   "-key /var/lib/fairlead/pki/node.pem -ign_eof", input="GET /members HTTP/1.1\r\nHost: x\r\n\r\n")
    contains(peers.out + peers.err, "alert", "a node's certificate is nothing to etcd's peers")
    equal(n1.run("ss -ltnH").out.count("LISTEN"), 2, "the front and etcd's peers, nothing else")


def _talk(address, port, data):
    import socket
    with socket.create_connection((address, port), timeout=3) as stream:
        stream.sendall(data)
        try:
            return stream.recv(4096)
        except OSError as error:
            return str(error).encode()


@limit(90)
def test_CLU_07_a_manager_without_its_store_lets_nobody_in_and_says_so(lab):
    wire = lab.segment("wire")
    n1, n2 = host(lab, wire, "n1"), host(lab, wire, "n2")
    found(n1)
    good = token(n1)
    n1.must("pkill -STOP -x etcd")
    one_line(try_join(n2, n1, good), "etcd does not answer")
    one_line(n1.ctl("cluster token node", timeout=40), "etcd does not answer")
    not_a_member(n2)
    n1.must("pkill -CONT -x etcd")
    eventually(lambda: try_join(n2, n1, good).rc == 0, 20, "the same token is good once it is back")


@limit(120)
def test_CLU_08_a_manager_that_joined_and_never_started_keeps_nobody_out(lab):
    wire = lab.segment("wire")
    n1, lost, n3, n4 = host(lab, wire, "n1"), lab.host("lost", wire), host(lab, wire, "n3"), host(lab, wire, "n4")
    found(n1)
    join(lost, n1, "manager")
    good = token(n1, "manager")
    eventually(lambda: try_join(n3, n1, good).rc == 0, 50, "another manager can join after a while")
    eventually(lambda: any("manager n3 has its vote" in m.agent.log() for m in (n1, n3)), 20, "and gets its vote")
    n1.ctl_ok("cluster evict lost", timeout=20)
    again = lab.host("again", wire)
    join(again, n1, "manager")
    n1.ctl_ok("cluster evict again", timeout=20)
    join(n4, n1, "manager")
    synced(n4, 20)
