#!/usr/bin/python3
"""The sidecar at work: changes, load, restarts, routers that come and go (DNS-030, 076, 104, 105)."""
import json
import os
import socket
import threading
import time

from lab import *
from lab import dnsmessage
from .world import DOMAIN, World


def test_DNS_030_changes_are_seen_at_once(lab):
    w = World(lab)
    worst = 0
    for i in range(30):
        vip = f"10.5.255.{i + 1}"
        start = time.monotonic()
        w.node.write("/var/lib/fairlead/services/net1/web.json", {
            "apiVersion": 1, "network": "net1", "name": "web", "vips": [vip], "endpointMode": "vip", "ports": []})
        while w.client.dns("web.net1").addresses != [vip]:
            true(time.monotonic() - start < 1, "within 1 s")
        worst = max(worst, time.monotonic() - start)
    true(worst < 0.1 * lab.slow, f"the slowest change took {worst * 1000:.0f} ms")


@limit(60)
def test_DNS_030_2_two_hundred_changes_under_load(lab):
    w = World(lab)
    w.service("fixed", vips=["10.5.255.9"])
    names = ["fixed", f"client.net1.{DOMAIN}"]
    wanted = {"fixed": ["10.5.255.9"], names[1]: [w.client.ip]}
    stop, wrong, asked = threading.Event(), [], [0]
    opened = w.dns.open_files()
    with w.client._connected(socket.SOCK_DGRAM, w.client.nameserver(), 53, None, None, 2) as sock:

        def load():
            while not stop.is_set():
                name = names[asked[0] % 2]
                sock.send(dnsmessage.query(name))
                try:
                    answer = dnsmessage.decode(sock.recv(2048))
                    if answer.addresses != wanted[name]:
                        wrong.append(f"{name}: {answer}")
                except TimeoutError:
                    wrong.append(f"{name}: no answer")
                asked[0] += 1
        thread = threading.Thread(target=load)
        thread.start()
        for i in range(200):
            w.node.write("/var/lib/fairlead/services/net1/moving.json", {
                "apiVersion": 1, "network": "net1", "name": "moving", "vips": [f"10.5.253.{i + 1}"], "endpointMode": "vip", "ports": []})
            w.node.write(f"/run/fairlead/endpoints/net1/x{i % 20}-eth0.json", {
                "apiVersion": 1, "network": "net1", "container": f"x{i % 20}", "ifname": "eth0", "addresses": [f"10.5.8.{i + 1}"],
                "aliases": ["crowd"], "state": "ready"})
            time.sleep(0.005)
        stop.set()
        thread.join()
    equal(wrong[:3], [], f"of {asked[0]} answers none was wrong")
    true(asked[0] > 500, f"control: {asked[0]} questions were asked meanwhile")
    equal(w.dns.open_files(), opened, "no socket was opened or closed for it")


def test_DNS_030_3_a_bad_document_spoils_only_itself(lab):
    w = World(lab)
    w.service("good", vips=["10.5.255.1"])
    w.service("web", vips=["10.5.255.2"])
    w.node.write("/var/lib/fairlead/services/net1/web.json", '{"apiVersion":1,"network":"net1","name":"web","vips":["nonsense"]}')
    w.node.write("/var/lib/fairlead/services/net1/deep.json", "[" * 100000)
    w.node.write("/run/fairlead/endpoints/net1/bad-eth0.json", b"\xff\xfe")
    w.settle()
    equal(w.client.dns("good").addresses, ["10.5.255.1"], "its neighbours resolve")
    contains(w.dns.status(), "services/net1/web.json", "the status names the file")
    contains(w.dns.status(), "vips", "and the field")
    w.node.write("/var/lib/fairlead/networks/net1.json", "{")
    eventually(lambda: w.dns.metric("fairlead_dns_bad_documents") == 4, 2, "a spoilt network")
    equal(w.client.dns("good").addresses, ["10.5.255.1"], "keeps its names until it is mended")


def test_DNS_030_4_a_router_made_anew_is_served_anew(lab):
    w = World(lab)
    name = w.node.router_name("net1")
    lab.say("the router's namespace vanishes and another takes its name")
    w.node.must("ip", "netns", "delete", name)
    w.node.must("ip", "netns", "add", name)
    w.node.must("ip", "netns", "exec", name, "ip", "link", "set", "lo", "up")
    w.node.must("ip", "netns", "exec", name, "ip", "address", "add", "10.5.0.1/32", "dev", "lo")
    router = w.node.router("net1")
    eventually(lambda: router.dns("x", server="10.5.0.1", timeout=0.3).rcode == "REFUSED", 3, "it listens in the new one")
    w.node.remove("/run/fairlead/routers/net1.json")
    eventually(lambda: json.loads(w.dns.status())["networks"]["net1"]["listening"] == [], 2, "and nowhere without a router")


@limit(60)
@alone
def test_DNS_076_twenty_thousand_queries_a_second(lab):
    w = World(lab)
    for i in range(100):
        w.node.write(f"/run/fairlead/endpoints/net1/l{i}-eth0.json", {
            "apiVersion": 1, "network": "net1", "container": f"l{i}", "ifname": "eth0", "addresses": [f"10.5.7.{i + 1}"],
            "names": [f"load-{i}"], "state": "ready"})
    w.settle()
    program = f"{lab.binaries}/../bench/dns_load"
    if not os.path.exists(program):
        raise AssertionError(f"{program} is not there: build it")
    w.node.write("/root/names", "".join(f"load-{i}.net1 1 10.5.7.{i + 1}\n" for i in range(100)))
    rate = int(20000 / lab.slow)
    found = json.loads(w.client.must(program, "--server", w.client.nameserver(), "--names", "/root/names", "--seconds", "4",
                                     "--rate", rate, timeout=30))
    equal(found["wrong"], 0, "every answer is right")
    true(found["received"] >= 0.999 * found["sent"] and found["sent"] >= 3.5 * rate, f"none lost: {found}")


def test_DNS_104_restarts(lab):
    w = World(lab)
    with w.client._connected(socket.SOCK_DGRAM, w.client.nameserver(), 53, None, None, 3) as sock:
        sock.send(dnsmessage.query("slow500.example"))
        eventually(lambda: w.upstream.queries("slow500.example"), 1, "in flight")
        w.dns.stop()
        equal(dnsmessage.decode(sock.recv(2048)).addresses, ["198.51.100.2"], "SIGTERM lets what is in flight finish")
    refused(lambda: w.client.dns("client", timeout=0.5), "control: it is gone")
    start = time.monotonic()
    w.dns.start()
    eventually(lambda: w.client.dns("client", timeout=0.2).addresses == [w.client.ip], 1, "answers within a second")
    w.dns.kill9()
    w.dns.start()
    eventually(lambda: w.client.dns("client", timeout=0.2).addresses == [w.client.ip], 1, "after kill -9, too")
    equal(w.client.dns("www.example.com").addresses, ["198.51.100.1"], "and forwards")
    second = w.node.run([lab.binary("fairlead-dns")], timeout=5)
    true(second.rc == 1 and "another instance" in second.err, f"a second one refuses to start: {second.err}")
    equal(w.client.dns("client").addresses, [w.client.ip], "without disturbing the first")


def test_DNS_104_2_started_before_anything_is_there(lab):
    wire = lab.segment("wire")
    node = lab.host("n1", wire)
    dns = node.start_dns()
    lab.say("documents, router and container come later")
    node.write("/var/lib/fairlead/networks/late.json", {"apiVersion": 1, "name": "late", "vni": 77, "subnets": ["10.9.0.0/16"],
                                                        "encryption": "none", "internal": False, "mtu": 0})
    late = node.container("late")
    late.attach(conflist("late"), args={"FAIRLEAD_NAME": "late"})
    eventually(lambda: late.dns("late", timeout=0.2).addresses == [late.ip], 2, "served when it is there")
    true(dns.alive(), "by the same process")


def test_DNS_105_what_containers_are_told(lab):
    w = World(lab)
    told = w.client.attachment["dns"]
    equal(told["nameservers"], ["10.5.0.1", "fd05::1"], "the gateway addresses")
    equal(told["search"], [f"net1.{DOMAIN}", DOMAIN], "the search domains")
    true("ndots" not in " ".join(told.get("options", [])), "ndots is left to the user")
    for server in told["nameservers"]:
        equal(w.client.dns("client", server=server).addresses, [w.client.ip], f"{server} serves")
