#!/usr/bin/python3
"""fairleadctl service: documents the balancer can follow, and nothing that would take what belongs to others."""
from lab import *

from .test_network import node_of, refuses

SERVICES = "/var/lib/fairlead/services"


def node_with_network(lab, name="appnet"):
    node = node_of(lab)
    node.ctl_ok(f"network create {name} --subnet 10.32.0.0/16 --subnet fd32::/64")
    return node


def attachment(number, **fields):
    return {"apiVersion": 1, "network": "appnet", "container": f"c{number}", "ifname": "eth0",
            "netns": f"/run/netns/c{number}", "node": "n1", "addresses": [f"10.32.0.{number}", f"fd32::{number}"],
            "mac": f"02:00:00:00:00:{number:02x}", "names": [f"web-{number}"], "services": ["web"], "state": "ready", **fields}


def write_endpoint(node, document):
    node.write(f"/run/fairlead/endpoints/appnet/{document['container']}-{document['ifname']}.json", document)


def test_CTL_020_a_created_service_is_the_document_of_its_options(lab):
    node = node_with_network(lab)
    made = node.ctl_json(
        "service create web --network appnet --port http=80:8080 --port 53/udp --vip 10.32.255.1 --vip fd32::ffff:1 "
        "--publish 8000:8080 --publish 5353:53/udp --publish-mode host --scheduler wrr --affinity 10m "
        "--health http:8080/healthz --health-interval 200ms --health-timeout 100ms --unhealthy-after 3 --healthy-after 2 "
        "--http-host web.example.com --http-host www.example.com --drain 1500ms --weight web-1=3 --weight web-2=0")
    equal(made, {
        "apiVersion": 1, "network": "appnet", "name": "web", "vips": ["10.32.255.1", "fd32::ffff:1"], "endpointMode": "vip",
        "ports": [{"name": "http", "protocol": "tcp", "port": 80, "targetPort": 8080, "published": 8000, "publishMode": "host"},
                  {"protocol": "udp", "port": 53, "targetPort": 53, "published": 5353, "publishMode": "host"}],
        "scheduler": "wrr", "affinitySeconds": 600,
        "health": {"type": "http", "port": 8080, "path": "/healthz", "interval": "200ms", "timeout": "100ms",
                   "unhealthyAfter": 3, "healthyAfter": 2},
        "http": [{"host": "web.example.com"}, {"host": "www.example.com"}], "drain": "1500ms",
        "weights": {"web-1": 3, "web-2": 0}}, "the document")
    equal(node.read_json(f"{SERVICES}/appnet/web.json"), made, "is what was written")
    equal(node.ctl_json("service ls"), [made], "and what is listed")
    contains(node.ctl_ok("service inspect web --network appnet"), "web.example.com", "for people")
    node.ctl_ok("service rm web --network appnet")
    equal(node.ctl_json("service ls"), [], "until it is removed")


def test_CTL_021_a_service_gets_a_free_vip_of_each_family_and_keeps_it(lab):
    node = node_with_network(lab)
    first = node.ctl_json("service create web --network appnet --port 80")["vips"]
    equal(len(first), 2, "one per family")
    true(first[0].startswith("10.32.255.") and first[1].startswith("fd32::ffff:"), "out of the pools")
    others = [vip for i in range(40) for vip in node.ctl_json(f"service create s{i} --network appnet --port 80")["vips"]]
    equal(len(set(others) | set(first)), 82, "no address twice")
    node.ctl_ok("service rm web --network appnet")
    equal(node.ctl_json("service create web --network appnet --port 80")["vips"], first, "the same after it was gone")
    equal(node.ctl_json("service create rr --network appnet --endpoint-mode dnsrr")["vips"], [], "none with dnsrr")


def test_CTL_022_a_full_pool_is_told(lab):
    node = node_of(lab)
    node.ctl_ok("network create small --subnet 10.9.0.0/26")   # the pool is a /30: two VIPs
    for name in ("a", "b"):
        node.ctl_ok(f"service create {name} --network small --port 80")
    refuses(node, "service create c --network small --port 80", "service c", "every VIP of network small is taken", "dnsrr")
    node.ctl_ok("service create c --network small --endpoint-mode dnsrr")
    node.ctl_ok("service rm a --network small")
    node.ctl_ok("service create d --network small --port 80")


def test_CTL_023_an_address_that_is_not_the_networks_to_give_is_refused(lab):
    node = node_with_network(lab)
    node.ctl_ok("service create db --network appnet --vip 10.32.255.1 --port 5432")
    for vip, why in (("1.1.1.1", "VIP pool"), ("192.0.2.1", "VIP pool"), ("10.32.0.1", "VIP pool"), ("10.32.0.77", "VIP pool"),
                     ("127.0.0.1", "VIP pool"), ("169.254.169.254", "VIP pool"), ("fd32::5", "VIP pool"),
                     ("10.32.255.255", "broadcast"), ("10.32.255.1", "service db of network appnet")):
        refuses(node, f"service create web --network appnet --port 80 --vip {vip}", vip, why)
    refuses(node, "service create web --network appnet --vip 10.32.255.2 --vip 10.32.255.3", "one VIP per address family",
            status=2)
    refuses(node, "service create web --network appnet --vip example.com", "example.com", status=2)
    node.ctl_ok("network create twin --subnet 10.32.0.0/16")
    node.ctl_ok("service create db --network twin --vip 10.32.255.1 --port 5432")
    equal(len(node.ctl_json("service ls")), 2, "another network's same address is another address")


def test_CTL_024_a_published_port_has_one_owner(lab):
    node = node_with_network(lab)
    node.ctl_ok("network create other")
    node.ctl_ok("service create web --network appnet --port 80 --publish 8000:80")
    refuses(node, "service create api --network other --publish 8000:80", "8000/tcp", "service web of network appnet")
    node.ctl_ok("service create api --network other --publish 8000:80/udp")
    refuses(node, "service update api --network other --publish 8000:80", "8000/tcp", "service web of network appnet")
    node.ctl_ok("service update web --network appnet --publish 8000:80 --scheduler lc")     # its own port is no conflict
    write_endpoint(node, attachment(7, portMappings=[{"protocol": "tcp", "hostPort": 9000, "containerPort": 80}]))
    refuses(node, "service update web --network appnet --publish 9000:80", "9000/tcp", "container c7")
    node.ctl_ok("service update web --network appnet --publish none")
    node.ctl_ok("service create api2 --network other --publish 8000:80")


def test_CTL_025_an_update_changes_what_is_named_and_nothing_else(lab):
    node = node_with_network(lab)
    before = node.ctl_json("service create web --network appnet --port 80:8080 --publish 8000:80 --health tcp --drain 5s")
    after = node.ctl_json("service update web --network appnet --scheduler wlc --weight web-1=5")
    equal(after, {**before, "scheduler": "wlc", "weights": {"web-1": 5}}, "two fields")
    after = node.ctl_json("service update web --network appnet --health none --endpoint-mode dnsrr")
    equal((after["vips"], "health" in after), ([], False), "the VIPs and the check are gone")
    after = node.ctl_json("service update web --network appnet --endpoint-mode vip")
    equal(after["vips"], before["vips"], "the same VIPs come back")
    refuses(node, "service update nope --network appnet --scheduler lc", "service nope", "there are: web")
    refuses(node, "service update web --network nope --scheduler lc", "network nope", "there are: appnet")


def test_CTL_026_words_it_does_not_know_are_refused(lab):
    node = node_with_network(lab)
    for options in ("--port 0", "--port 70000", "--port 80/icmp", "--port x", "--publish 80", "--publish 80:x",
                    "--scheduler best", "--affinity 1.5s", "--affinity forever", "--drain 5", "--health ping",
                    "--health tcp:80/x", "--weight web-1", "--weight web-1=70000", "--endpoint-mode both",
                    "--publish-mode swarm", "--unhealthy-after 0", "--health tcp --health-interval 1ms",
                    "--endpoint-mode dnsrr --vip 10.32.255.1"):
        refuses(node, f"service create web --network appnet {options}", options.split()[-2], status=2)
    for options in ("--http-host 'not a host'", "--http-host a/b", "--port 80 --port 80", "--health-interval 1s"):
        refuses(node, f"service create web --network appnet {options}")
    for name in ("Web", "a/b", "..", "$(touch x)", ""):
        refuses(node, f"service create '{name}' --network appnet", "service name")
    refuses(node, "service create web --network ../../etc", "network name")
    equal(node.exists(f"{SERVICES}/appnet"), False, "nothing was written")
    node.ctl_ok("service create web --network appnet")
    refuses(node, "service create web --network appnet", "web", "exists already", "fairleadctl service update")


def test_CTL_027_inspect_shows_the_tasks_and_their_health(lab):
    node = node_with_network(lab)
    node.ctl_ok("service create web --network appnet --port 80 --health tcp --weight web-6=3")
    write_endpoint(node, attachment(5))
    write_endpoint(node, attachment(6))
    write_endpoint(node, attachment(7, state="starting"))
    write_endpoint(node, attachment(8, services=["other"]))
    node.write("/run/fairlead/health/appnet/web.json",
               {"apiVersion": 1, "network": "appnet", "service": "web", "unhealthy": ["c5-eth0"]})
    tasks = {task["name"]: task for task in node.ctl_json("service inspect web --network appnet")["tasks"]}
    equal({name: (task["healthy"], task["weight"]) for name, task in tasks.items()},
          {"web-5": (False, 1), "web-6": (True, 3), "web-7": (False, 1)}, "tasks")
    contains(node.ctl_ok("service ls"), "1/3", "the listing counts them")


def test_CTL_028_of_services_created_at_once_none_gets_the_others_address_or_port(lab):
    node = node_with_network(lab)
    ctl = lab.binary("fairleadctl")
    running = [node.popen([ctl, "service", "create", f"s{i}", "--network", "appnet", "--port", "80",
                           "--publish", f"{8000 + i // 2}:80"]) for i in range(40)]
    statuses = [process.wait(30) for process in running]
    equal(statuses.count(0), 20, "one of two for each published port")
    services = node.ctl_json("service ls")
    equal(len(services), 20, "services")
    equal(len({vip for s in services for vip in s["vips"]}), 40, "VIPs")
    equal(len({p["published"] for s in services for p in s["ports"]}), 20, "published ports")


def test_CTL_030_endpoints_are_listed_and_found(lab):
    node = node_with_network(lab)
    for number in (5, 6):
        write_endpoint(node, attachment(number))
    write_endpoint(node, attachment(9, services=[], names=["db"], container="abcdef123456789"))
    equal([e["names"] for e in node.ctl_json("endpoint ls")], [["db"], ["web-5"], ["web-6"]], "all")
    equal([e["names"] for e in node.ctl_json("endpoint ls --service web")], [["web-5"], ["web-6"]], "of a service")
    for word in ("abcdef", "db", "10.32.0.9", "fd32::9", "abcdef123456789-eth0"):
        equal([e["container"] for e in node.ctl_json(f"endpoint inspect {word}")], ["abcdef123456789"], word)
    contains(node.ctl_ok("endpoint inspect db"), "10.32.0.9", "for people")
    refuses(node, "endpoint inspect c", "ambiguous", "c5", "c6")
    refuses(node, "endpoint inspect nobody", "nobody", "fairleadctl endpoint ls")
    refuses(node, "endpoint ls --network nope", "network nope", "there are: appnet")


def test_CTL_031_a_name_from_a_document_does_not_play_with_the_terminal(lab):
    node = node_with_network(lab)
    write_endpoint(node, attachment(5, labels={"note": "\x1b[2J\x07"}))
    shown = node.ctl_ok("endpoint inspect web-5")
    contains(shown, "note=", "the label is shown")
    lacks(shown, "\x1b", "without its escape")
    contains(node.ctl_ok("endpoint inspect web-5 --json"), "\\u001b", "JSON has it escaped")
