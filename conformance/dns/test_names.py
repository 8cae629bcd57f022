#!/usr/bin/python3
"""Names of containers, services and tasks (DNS-001 to DNS-022, DNS-027 to DNS-029)."""
from lab import *
from .world import DOMAIN, World, exchange, negative

VIP = "10.5.255.1"
HTTP = {"protocol": "tcp", "port": 80, "targetPort": 8080, "name": "http"}


def test_DNS_001_a_service_is_its_VIP_and_nothing_else(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    w.task("web-1", "web")
    w.answers(w.client, "web", [VIP])
    equal(w.client.dns("web").rcode, "NOERROR", "a VIP is an answer without reserve")
    w.not_upstream("web")


@variants(mode=["vip", "dnsrr"])
def test_DNS_002_tasks_dot_service_is_every_healthy_task(lab, mode):
    w = World(lab)
    w.service("web", vips=[VIP] if mode == "vip" else [])
    tasks = [w.task(f"web-{i}", "web") for i in range(3)]
    w.answers(w.client, "tasks.web", [t.ip for t in tasks])
    w.unhealthy("web", tasks[0])
    w.answers(w.client, "tasks.web", [t.ip for t in tasks[1:]])
    w.set_endpoint(tasks[1], state="starting")
    w.answers(w.client, "tasks.web", [tasks[2].ip])
    w.answers(w.client, "all.web", [t.ip for t in tasks])
    w.set_endpoint(tasks[1], state="stopping")
    w.answers(w.client, "all.web", [tasks[0].ip, tasks[2].ip])


def test_DNS_003_a_service_without_VIP_is_its_healthy_tasks(lab):
    w = World(lab)
    w.service("rr")
    tasks = [w.task(f"rr-{i}", "rr") for i in range(2)]
    w.answers(w.client, "rr", [t.ip for t in tasks])
    w.unhealthy("rr", tasks[1])
    w.answers(w.client, "rr", [tasks[0].ip])
    lab.say("a service nobody described is round robin, too")
    ad_hoc = w.task("x1", "adhoc")
    w.answers(w.client, "adhoc", [ad_hoc.ip])


def test_DNS_004_name_dot_network_is_the_same_as_the_name(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    db = w.container("db")
    for name, wanted in (("web", VIP), ("db", db.ip), ("tasks.web", None)):
        bare, full = w.client.dns(name), w.client.dns(f"{name}.net1")
        equal(full.addresses, [wanted] if wanted else [], f"{name}.net1")
        equal(full.addresses, bare.addresses, f"{name} and {name}.net1")
    w.not_upstream("web.net1", "db.net1", "tasks.web.net1")


def test_DNS_005_full_names_under_the_local_domain(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    db = w.container("db")
    equal(w.client.dns(f"web.net1.{DOMAIN}").addresses, [VIP], "the service's full name")
    equal(w.client.dns(f"db.net1.{DOMAIN}.").addresses, [db.ip], "the container's full name")


def test_DNS_006_container_name_and_short_id(lab):
    w = World(lab)
    db = w.container("db")
    equal(w.client.dns("db").addresses, [db.ip], "the name")
    equal(w.client.dns(db.id[:12]).addresses, [db.ip], "the first 12 digits of the id")
    equal(w.client.dns(f"{db.id[:12]}.net1").addresses, [db.ip], "and with the network")
    equal(w.client.dns(w.client.id[:12]).addresses, [w.client.ip], "one's own")


def test_DNS_007_aliases_single_and_shared(lab):
    w = World(lab)
    one = w.container("one", aliases=["single", "pool"])
    two = w.container("two", aliases=["pool", "pool"])
    equal(w.client.dns("single").addresses, [one.ip], "one container's alias")
    equal(sorted(w.client.dns("pool").addresses), sorted([one.ip, two.ip]), "a shared alias: everyone once")
    two.detach()
    w.answers(w.client, "pool", [one.ip])


def test_DNS_008_underscores_are_legal(lab):
    w = World(lab)
    odd = w.container("my_db_1", aliases=["_odd", "a_b-c"])
    for name in ("my_db_1", "_odd", "a_b-c", "my_db_1.net1"):
        equal(w.client.dns(name).addresses, [odd.ip], name)


def test_DNS_009_service_dot_slot(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    swarm = w.task("web.1.x7kq2", "web")
    compose = w.task("web-2", "web")
    equal(w.client.dns("web.1").addresses, [swarm.ip], "slot of a Swarm task name")
    equal(w.client.dns("web.1.x7kq2").addresses, [swarm.ip], "the whole task name")
    equal(w.client.dns("web.2").addresses, [compose.ip], "slot of a Compose name")
    equal(w.client.dns(f"web.1.net1.{DOMAIN}").addresses, [swarm.ip], "as a full name")


def test_DNS_010_any_case_and_the_askers_case_comes_back(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    for name in ("WeB.NeT1", "WEB", f"wEb.nEt1.{DOMAIN.upper()}"):
        answer = w.client.dns(name)
        equal(answer.addresses, [VIP], name)
        equal(answer.questions[0][0], name, "the question as asked")
        equal(answer.answers[0].name, name, "the owner as asked")


def test_DNS_011_AAAA_of_a_name_with_IPv4_only_is_no_data(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    equal(w.client.dns("web").addresses, [VIP], "control: the name exists")
    for name in ("web", "web.net1", f"web.net1.{DOMAIN}"):
        negative(w.client.dns(name, "AAAA"), "NOERROR", f"AAAA {name}")
    w.not_upstream("web", "web.net1", f"web.net1.{DOMAIN}")


def test_DNS_012_both_families_each_on_its_own(lab):
    w = World(lab)
    w.service("web", vips=[VIP, "fd05::ffff:1"])
    db = w.container("db")
    equal(w.client.dns("web", "AAAA").addresses, ["fd05::ffff:1"], "the VIP's AAAA")
    equal(w.client.dns("web").addresses, [VIP], "the VIP's A")
    equal(w.client.dns("db", "AAAA").addresses, [db.ip6], "the container's AAAA")
    equal(w.client.dns("db").addresses, [db.ip], "the container's A")


def test_DNS_013_other_types_of_local_names_are_no_data_and_stay_here(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    w.container("db")
    for name in ("web", "db.net1", f"web.net1.{DOMAIN}"):
        for kind in ("MX", "TXT", "CNAME", "NS", "SOA", "HTTPS", 64, 257, 65280):
            negative(w.client.dns(name, kind), "NOERROR", f"{kind} {name}")
    w.not_upstream("web", "db.net1", f"web.net1.{DOMAIN}")


def test_DNS_016_unknown_names_under_the_local_domain(lab):
    w = World(lab)
    names = [f"no.{DOMAIN}", f"no.net1.{DOMAIN}", f"no.such.net9.{DOMAIN}", f"a.client.net1.{DOMAIN}"]
    equal(w.client.dns(f"client.net1.{DOMAIN}").addresses, [w.client.ip], "control: the domain is served")
    for name in names:
        answer = w.client.dns(name)
        negative(answer, "NXDOMAIN", name)
        equal(answer.authority[0].name.lower(), DOMAIN, "the SOA is the domain's")
    w.not_upstream(*names)


def test_DNS_017_names_that_only_have_names_below_exist(lab):
    w = World(lab)
    w.service("web", vips=[VIP], ports=[HTTP])
    w.task("web-1", "web")
    w.answers(w.client, f"web.1.net1.{DOMAIN}", [w.node.containers["web-1"].ip])
    for name in (f"net1.{DOMAIN}", f"1.net1.{DOMAIN}", f"_tcp.web.net1.{DOMAIN}"):
        negative(w.client.dns(name), "NOERROR", name)


def test_DNS_018_SOA_and_NS_of_the_domain(lab):
    w = World(lab)
    soa = w.client.dns(DOMAIN, "SOA")
    equal([r.type for r in soa.answers], ["SOA"], "one SOA")
    true(soa.aa, "AA")
    ns = w.client.dns(DOMAIN, "NS")
    equal([r.type for r in ns.answers], ["NS"], "one NS")
    equal(w.client.dns(ns.answers[0].data).addresses, [w.client.gateway], "the name server's address")


def test_DNS_019_AA_only_for_what_is_ours(lab):
    w = World(lab)
    true(w.client.dns("client").aa, "a local name")
    true(not w.client.dns("www.example.com").aa, "a forwarded answer without AA stays without")
    true(w.client.dns("aa.example.com").aa, "a forwarded answer with AA keeps it")


def test_DNS_020_a_service_without_a_healthy_task(lab):
    w = World(lab)
    w.service("rr")
    w.service("web", vips=[VIP])
    task = w.container("both", services=["rr", "web"])
    w.answers(w.client, "rr", [task.ip])
    w.unhealthy("rr", task)
    w.unhealthy("web", task)
    w.answers(w.client, "tasks.web", [])
    eventually(lambda: w.client.dns("rr").addresses == [], 1, "the unhealthy task is gone")
    negative(w.client.dns("rr"), "NOERROR", "without a VIP: no data")
    equal(w.client.dns("web").addresses, [VIP], "with a VIP: the VIP, which refuses connections")
    w.not_upstream("rr", "web", "tasks.web")


def test_DNS_021_the_order_rotates(lab):
    w = World(lab)
    w.service("rr")
    wanted = sorted(w.task(f"rr-{i}", "rr").ip for i in range(3))
    w.answers(w.client, "rr", wanted)
    first = dict.fromkeys(wanted, 0)
    for _ in range(600):
        addresses = w.client.dns("rr").addresses
        equal(sorted(addresses), wanted, "every answer is complete")
        first[addresses[0]] += 1
    true(all(0.20 <= count / 600 <= 0.47 for count in first.values()), f"each comes first about as often: {first}")


def test_DNS_022_TTLs_are_short_and_equal_in_a_set(lab):
    w = World(lab)
    w.service("rr")
    addresses = [w.task(f"rr-{i}", "rr").ip for i in range(3)]
    w.answers(w.client, "rr", addresses)
    ttls = {r.ttl for r in w.client.dns("rr").answers}
    equal(len(ttls), 1, "one TTL in the set")
    true(max(ttls) <= 10, f"at most 10 s: {ttls}")


def test_DNS_027_SRV_of_a_service(lab):
    w = World(lab)
    w.service("web", vips=[VIP], ports=[HTTP])
    w.service("rr", ports=[HTTP])
    tasks = [w.task(f"rr-{i}", "rr") for i in range(2)]
    w.answers(w.client, "rr", [t.ip for t in tasks])
    answer = w.client.dns("_80._tcp.web", "SRV")
    equal([r.type for r in answer.answers], ["SRV"], "the record's type really is 33")
    priority, weight, port, target = answer.answers[0].data.split()
    equal(port, "80", "the VIP's port")
    equal(w.client.dns(target).addresses, [VIP], "the target resolves")
    equal([r.data for r in answer.additional if r.type == "A"], [VIP], "its address is there already")
    equal(w.client.dns("_http._tcp.web.net1", "SRV").answers[0].data, answer.answers[0].data, "by the port's name, too")
    answer = w.client.dns("_80._tcp.rr.net1", "SRV")
    targets = {r.data.split()[3]: r.data.split()[2] for r in answer.answers}
    equal(set(targets.values()), {"8080"}, "the container's port")
    equal(sorted(w.client.dns(t).addresses[0] for t in targets), sorted(t.ip for t in tasks), "one for each healthy task")
    w.unhealthy("rr", tasks[0])
    eventually(lambda: len(w.client.dns("_80._tcp.rr", "SRV").answers) == 1, 1, "the unhealthy one goes")
    w.not_upstream("_80._tcp.web", "_80._tcp.rr", "_80._tcp.rr.net1")


def test_DNS_028_special_names(lab):
    w = World(lab)
    for name in ("localhost", "x.localhost"):
        equal(w.client.dns(name).addresses, ["127.0.0.1"], name)
        equal(w.client.dns(name, "AAAA").addresses, ["::1"], name)
    special = ["x.invalid", "invalid", "x.onion", "x.alt"]
    for name in special:
        equal(w.client.dns(name).rcode, "NXDOMAIN", name)
    w.not_upstream("localhost", "x.localhost", *special)


def test_DNS_029_a_dot_inside_a_label_separates_nothing(lab):
    w = World(lab)
    w.service("web", vips=[VIP])
    w.answers(w.client, "web.net1", [VIP])

    def raw(*labels):
        question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"
        return question, exchange(w.client, b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question)
    question, answer = raw(b"web.net1", *(label.encode() for label in DOMAIN.split(".")))
    equal(answer[3] & 15, 3, "the label web.net1 is no name of ours")
    for odd in (b"a\0b", b"\xff\xfe", b"a b", b"a\\b"):
        question, answer = raw(odd, *(label.encode() for label in DOMAIN.split(".")))
        equal(answer[12:12 + len(question)], question, "every byte of a label comes back")
        equal(answer[3] & 15, 3, "and it does not exist")
