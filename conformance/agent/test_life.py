#!/usr/bin/python3
"""AGT-20 to AGT-39: the agent's own life (start, stop, kill, a second one), `realise`, bad input, dead containers."""
import json
import os
import time

from lab import *

NETWORKS = "/var/lib/fairlead/networks"


def network(name, vni, *subnets, **keys):
    return {"apiVersion": 1, "name": name, "vni": vni, "subnets": list(subnets) or ["10.32.0.0/16", "fd32::/64"], **keys}


def node_with(lab, *networks):
    node = lab.host("n1", lab.segment("wire"))
    for document in networks:
        node.write(f"{NETWORKS}/{document['name']}.json", document)
    return node


def realise(node, name, **options):
    return node.run([node.lab.binary("fairlead-agent"), "realise", name], **options)


def problems(agent):
    return {p["subject"]: p["message"] for p in json.loads(agent.status())["problems"]}


def state_of(agent, name):
    return {n["name"]: n["state"] for n in json.loads(agent.status())["networks"]}.get(name)


def attached(node, name, net="appnet"):
    container = node.container(name)
    container.attach(conflist(net))
    return container


def pair(node, net="appnet"):
    a, b = attached(node, f"{net}-a", net), attached(node, f"{net}-b", net)
    b.serve_tcp(80)
    equal(a.tcp_request(b.ip, 80).name, b.name, "they reach each other")
    return a, b


def one_line(result, *needles):
    equal(result.rc, 1, "exit status")
    equal((len(result.err.strip().splitlines()), result.out), (1, ""), "one line on stderr, nothing on stdout")
    for needle in needles:
        contains(result.err, needle, "the message")


def test_AGT_20_killing_the_agent_drops_no_packet_and_a_new_one_changes_nothing(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent()
    a, b = pair(node)
    links = {name: link["ifindex"] for name, link in node.router("appnet").links().items()}
    document = node.read("/run/fairlead/routers/appnet.json")
    with a.tcp_connect(b.ip, 80) as flow:
        for end in (agent.kill9, agent.stop):
            end()
            for number in range(20):
                equal(flow.ask(str(number), timeout=0.5).payload, str(number), "while there is no agent")
                true(a.ping(b.ip, timeout=0.5), "and pings")
            agent.start()
            equal(flow.ask("again").payload, "again", "after the restart")
    time.sleep(1.2)
    equal({name: link["ifindex"] for name, link in node.router("appnet").links().items()}, links, "the same links")
    equal(node.read("/run/fairlead/routers/appnet.json"), document, "the same document")
    equal({v for k, v in agent.metrics().items() if k.startswith("fairlead_repairs_total")}, {0.0}, "nothing to repair")


def test_AGT_21_a_second_agent_is_refused_and_the_first_goes_on(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent()
    second = node.run([lab.binary("fairlead-agent")], timeout=5)
    one_line(second, "another instance is running")
    true(agent.alive(), "the first")
    equal(json.loads(agent.status())["problems"], [], "its socket answers")


def test_AGT_22_realise_makes_a_router_and_is_idempotent(lab):
    node = node_with(lab, network("appnet", 4097), network("other", 4098))
    result = realise(node, "appnet")
    equal((result.rc, result.out, result.err), (0, "", ""), "silent success")
    record = node.read_json("/run/fairlead/routers/appnet.json")
    equal((record["netns"], record["uplink"], record["index"], record["vni"], record["mtu"]),
          ("fl-1001", "ul1001", 0, 4097, 1450), "the document")
    before = (node.router("appnet").must("ip -o link"), node.must("ip -o link"), node.router("appnet").must("nft list ruleset"))
    equal(realise(node, "appnet").rc, 0, "again")
    equal((node.router("appnet").must("ip -o link"), node.must("ip -o link"), node.router("appnet").must("nft list ruleset")),
          before, "nothing changed")
    equal(realise(node, "other").rc, 0, "another network")
    equal(node.read_json("/run/fairlead/routers/other.json")["index"], 1, "a number of its own")


def test_AGT_23_twenty_realise_at_once_make_one_router_each(lab):
    documents = [network(f"net{i}", 5000 + i) for i in range(5)]
    node = node_with(lab, *documents)
    node.start_agent()
    running = [node.popen(lab.binary("fairlead-agent"), "realise", f"net{n % 5}") for n in range(20)]
    equal([(p.wait(30), p.output()) for p in running], [(0, "")] * 20, "all succeed")
    records = [node.read_json(f"/run/fairlead/routers/net{i}.json") for i in range(5)]
    equal(sorted(r["index"] for r in records), [0, 1, 2, 3, 4], "five numbers")
    equal(sorted(n for n in node.links() if n.startswith("ul")), sorted(r["uplink"] for r in records), "five uplinks")
    for i in range(5):
        pair(node, f"net{i}")


def test_AGT_24_realise_of_what_cannot_be_says_what_and_what_to_do(lab):
    node = node_with(lab, network("appnet", 4097))
    one_line(realise(node, "nothere"), "network nothere", "fairleadctl network create nothere")
    for name in ("../appnet", "a/b", "", "x" * 100, "Appnet", ".", "a b", "a\nb"):
        result = realise(node, name)
        equal((result.rc, len(result.err.strip().splitlines())), (1, 1), f"the name {name!r}")
    node.write(f"{NETWORKS}/bad.json", {**network("bad", 4098), "vni": "x"})
    one_line(realise(node, "bad"), f"{NETWORKS}/bad.json", "/vni")
    node.must("ip link add ul1001 type bridge")
    one_line(realise(node, "appnet"), "ul1001", "bridge", "rename it")
    node.must("ip link del ul1001")
    equal(realise(node, "appnet").rc, 0, "and then it works")
    equal(node.run([lab.binary("fairlead-agent"), "realise"]).rc, 2, "wrong usage")
    equal(node.run([lab.binary("fairlead-agent"), "--nonsense"]).rc, 2, "wrong usage")


def test_AGT_25_bad_documents_do_not_stop_the_others(lab):
    node = node_with(lab, network("good", 4097))
    agent = node.start_agent()
    pair(node, "good")
    bad = {"broken.json": '{"apiVersion":1,', "deep.json": "[" * 100000 + "]" * 100000, "huge.json": '{"x":"' + "x" * (8 << 20) + '"}',
           "wrong.json": json.dumps({**network("wrong", 4098), "subnets": ["10.0.0.1/8"]}), "empty.json": "",
           "twice.json": '{"apiVersion":1,"name":"twice","vni":5,"vni":6}', "UPPER.json": "{}"}
    for name, content in bad.items():
        node.write(f"{NETWORKS}/{name}", content)
    node.must(f"mkfifo {NETWORKS}/fifo.json")
    node.write("/run/fairlead/endpoints/good/half-eth0.json", '{"apiVersion":1,"network":"good"')
    expected = [f"{NETWORKS}/{name}" for name in ("broken.json", "deep.json", "huge.json", "wrong.json", "empty.json", "twice.json")]
    expected.append("/run/fairlead/endpoints/good/half-eth0.json")
    eventually(lambda: not set(expected) - set(problems(agent)), 3, "each is named by its path")
    contains(problems(agent)[f"{NETWORKS}/wrong.json"], "/subnets/0", "the field")
    node.in_router("good", "nft delete table inet fairlead")
    eventually(lambda: node.router("good").run("nft list table inet fairlead").rc == 0, 2, "the good one is still looked after")
    equal(state_of(agent, "good"), "ready", "its state")
    for name in bad:
        node.remove(f"{NETWORKS}/{name}")
    node.remove("/run/fairlead/endpoints/good/half-eth0.json")
    node.remove(f"{NETWORKS}/fifo.json")
    eventually(lambda: problems(agent) == {}, 3, "problems go with their cause")


def test_AGT_26_a_networks_document_going_bad_takes_nothing_away(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent()
    a, b = pair(node)
    good = node.read(f"{NETWORKS}/appnet.json")
    with a.tcp_connect(b.ip, 80) as flow:
        node.write(f"{NETWORKS}/appnet.json", good[:20])
        eventually(lambda: f"{NETWORKS}/appnet.json" in problems(agent), 2, "reported")
        never(lambda: "fl-1001" not in node.netns_list(), 1.5, "its router taken away")
        equal(flow.ask("on").payload, "on", "traffic goes on")
        node.write(f"{NETWORKS}/appnet.json", good)
        eventually(lambda: state_of(agent, "appnet") == "ready", 2, "back")
        equal(flow.ask("on").payload, "on", "traffic goes on")


def test_AGT_27_one_networks_trouble_is_not_anothers(lab):
    node = node_with(lab, network("good", 4097), network("bad", 4098))
    agent = node.start_agent()
    for name in ("good", "bad"):
        pair(node, name)
    uplink = node.read_json("/run/fairlead/routers/bad.json")["uplink"]
    node.must(f"ip link del {uplink}")
    node.must(f"ip link add {uplink} type bridge")
    eventually(lambda: state_of(agent, "bad") == "failed", 2, "it fails")
    contains(problems(agent)["network bad"], "bridge", "and says why")
    node.in_router("good", "ip route del unreachable 10.32.0.0/16 metric 4000")
    eventually(lambda: "unreachable 10.32" in node.in_router("good", "ip route"), 2, "the other is repaired")
    node.must(f"ip link del {uplink}")
    eventually(lambda: state_of(agent, "bad") == "ready", 4, "and it recovers by itself")


def test_AGT_28_a_read_only_or_full_run_directory_is_an_error_that_names_it(lab):
    node = node_with(lab, network("appnet", 4097))
    node.must("mkdir -p /run/fairlead")
    node.must("mount -t tmpfs -o size=64k tmpfs /run/fairlead")
    node.must("mount -o remount,ro /run/fairlead")
    one_line(realise(node, "appnet"), "/run/fairlead", "Read-only file system")
    agent = node.run([lab.binary("fairlead-agent")], timeout=5)
    equal(agent.rc, 1, "the daemon, too")
    contains(agent.err, "/run/fairlead", "the message")
    equal("fl-1001" in node.netns_list(), False, "nothing was made")
    node.must("mount -o remount,rw /run/fairlead")
    node.run("dd if=/dev/zero of=/run/fairlead/fill bs=4096 count=100")
    one_line(realise(node, "appnet"), "/run/fairlead", "No space left on device")
    node.remove("/run/fairlead/fill")
    equal(realise(node, "appnet").rc, 0, "once there is room")
    pair(node)


def test_AGT_29_a_full_run_directory_stops_no_repair_of_the_kernel(lab):
    node = node_with(lab, network("appnet", 4097))
    node.must("mkdir -p /run/fairlead")
    node.must("mount -t tmpfs -o size=256k tmpfs /run/fairlead")
    agent = node.start_agent()
    pair(node)
    node.run("dd if=/dev/zero of=/run/fairlead/fill bs=4096 count=100")
    node.in_router("appnet", "ip route del unreachable 10.32.0.0/16 metric 4000")
    eventually(lambda: "unreachable 10.32" in node.in_router("appnet", "ip route"), 2, "repaired")
    true(agent.alive(), "and alive")


def test_AGT_30_what_a_dead_container_held_is_released_after_the_grace_period(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent(["--endpoint-grace", "1500ms"])
    dead, alive = attached(node, "dead"), attached(node, "alive")
    address = dead.ip
    contains(node.leases("appnet"), address, "its lease")
    dead.kill()
    never(lambda: address not in node.leases("appnet"), 1.0, "released before its time")
    eventually(lambda: len(node.endpoints("appnet")) == 1, 4, "the endpoint is gone")
    eventually(lambda: address not in node.leases("appnet"), 1, "and its addresses")
    equal(agent.metric("fairlead_endpoints_reaped_total"), 1.0, "counted")
    contains(node.leases("appnet"), alive.ip, "the living one keeps its own")
    never(lambda: len(node.endpoints("appnet")) != 1, 2.5, "the living one's endpoint")


def test_AGT_31_a_living_container_whose_name_is_gone_is_kept(lab):
    node = node_with(lab, network("appnet", 4097))
    node.start_agent(["--endpoint-grace", "500ms"])
    container, other = attached(node, "a"), attached(node, "b")
    container.serve_tcp(80)
    node.must("umount -l /run/netns/a")
    node.remove("/run/netns/a")
    never(lambda: len(node.endpoints("appnet")) != 2, 2.5, "released while its link is alive")
    equal(other.tcp_request(container.ip, 80).name, "a", "it works on")


def test_AGT_32_nothing_is_ever_written_into_the_hosts_namespace_or_a_foreign_one(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent()
    victim = attached(node, "victim")
    key = next(iter(node.endpoints("appnet")))
    document = node.endpoints("appnet")[key]
    links, routes = sorted(node.links()), node.must("ip route")
    for path in ("/proc/1/ns/net", "/proc/self/ns/net", "/run/netns/fl-1001"):
        node.write(f"/run/fairlead/endpoints/appnet/{key}", {**document, "netns": path})
        node.in_router("appnet", f"ip link del {document['hostIfname'] if 'hostIfname' in document else host_end(victim)}") \
            if path == "/proc/1/ns/net" else None
        eventually(lambda: any("namespace" in m for m in problems(agent).values()), 3, f"{path} is refused")
        equal((sorted(node.links()), node.must("ip route")), (links, routes), "links and routes of the host")
        lacks(node.router("appnet").links(), "eth0", "the router")
    node.write(f"/run/fairlead/endpoints/appnet/{key}", document)
    eventually(lambda: "eth0" in victim.links(), 3, "with its own path it is attached again")


def host_end(container):
    return next(i["name"] for i in container.attachment["interfaces"] if not i.get("sandbox"))


def test_AGT_33_a_detached_container_is_not_attached_again(lab):
    node = node_with(lab, network("appnet", 4097))
    agent = node.start_agent()
    for number in range(12):
        container = attached(node, f"c{number}")
        container.detach()
        never(lambda c=container: "eth0" in c.links(), 0.3, "a link after DEL")
    time.sleep(1.2)
    equal(node.leases("appnet"), [name for name in node.leases("appnet") if name.startswith((".", "last"))], "no lease is left")
    equal(agent.metric("fairlead_repairs_total"), 0.0, "nothing was repaired")


def test_AGT_34_a_removed_networks_router_goes_and_one_with_endpoints_stays(lab):
    node = node_with(lab, network("appnet", 4097), network("busy", 4098))
    agent = node.start_agent()
    container = attached(node, "a")
    container.detach()
    pair(node, "busy")
    node.remove(f"{NETWORKS}/appnet.json")
    eventually(lambda: "fl-1001" not in node.netns_list(), 2, "its router is gone")
    eventually(lambda: not node.exists("/run/fairlead/routers/appnet.json"), 1, "and the document")
    node.remove(f"{NETWORKS}/busy.json")
    eventually(lambda: "2 endpoints" in problems(agent).get("network busy", ""), 2, "the other is reported")
    never(lambda: "fl-1002" not in node.netns_list(), 1, "its router taken from under its containers")


def test_AGT_35_a_network_made_anew_with_another_number_gets_a_new_router(lab):
    node = node_with(lab, network("appnet", 4097))
    equal(realise(node, "appnet").rc, 0, "the first")
    node.write(f"{NETWORKS}/appnet.json", network("appnet", 4099))
    equal(realise(node, "appnet").rc, 0, "the second")
    equal([name for name in node.netns_list() if name.startswith("fl-")], ["fl-1003"], "one router")
    equal([name for name in node.links() if name.startswith("ul")], ["ul1003"], "one uplink")
    pair(node)


def test_AGT_36_the_mtu_comes_from_the_underlay_once_and_from_the_document_always(lab):
    wire = lab.segment("wire", mtu=9000)
    node = lab.host("n1", wire)
    node.must("ip route add default via 192.0.2.100")
    node.write(f"{NETWORKS}/appnet.json", network("appnet", 4097))
    node.write(f"{NETWORKS}/small.json", network("small", 4098, mtu=1300))
    node.start_agent()
    equal(attached(node, "a").links()["eth0"]["mtu"], 8950, "the underlay's 9000 less 50")
    equal(attached(node, "b", "small").links()["eth0"]["mtu"], 1300, "as the document says")
    node.must("ip link set eth0 mtu 1500")
    time.sleep(1.2)
    equal(attached(node, "c").links()["eth0"]["mtu"], 8950, "it does not change under running containers")


def test_AGT_37_hundreds_of_changes_a_second_in_a_router_do_not_starve_the_others(lab):
    node = node_with(lab, network("noisy", 4097), network("quiet", 4098))
    agent = node.start_agent()
    pair(node, "noisy")
    pair(node, "quiet")
    noise = node.router("noisy").popen("/usr/bin/python3", "-c",
                                       "import subprocess\nwhile True:\n"
                                       " subprocess.run(['ip','route','replace','10.99.0.0/24','dev','lo'])\n"
                                       " subprocess.run(['ip','route','del','10.99.0.0/24','dev','lo'])\n")
    before = agent.cpu_seconds()
    time.sleep(3)
    used = agent.cpu_seconds() - before
    node.in_router("quiet", "ip route del unreachable 10.32.0.0/16 metric 4000")
    eventually(lambda: "unreachable 10.32" in node.in_router("quiet", "ip route"), 2, "the quiet one is repaired in time")
    noise.kill()
    true(used < 1.0, f"CPU seconds in 3 s of noise: {used}")
