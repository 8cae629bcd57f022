#!/usr/bin/python3
"""Other people's firewalls beside ours, and ours while it is attacked: ISO-25, ISO-28, ISO-30, ISO-31, ISO-34."""
import json
import time

from lab import *
from .packets import send_udp
from .world import BLUE, RED, World, reaches, sees_none, serve, shut_out

WITHIN = 2.0
DOCKER = [
    "-t filter -P FORWARD DROP", "-t filter -N DOCKER", "-t filter -N DOCKER-USER", "-t filter -A DOCKER-USER -j RETURN",
    "-t filter -I FORWARD -j DOCKER-USER", "-t filter -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-t filter -A FORWARD -o docker0 -j DOCKER", "-t filter -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
    "-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
]


def docker_rules(node):
    """What dockerd 20.10 writes at start (IPv4 by iptables-nft; IPv6 gets the policy only)."""
    for command in DOCKER:
        node.must("iptables-nft " + command)
    node.must("ip6tables-nft -P FORWARD DROP")


def saved(node, program="iptables-nft-save"):
    """Everybody else's rules."""
    return [line for line in node.must(program).splitlines() if "fairlead" not in line and not line.startswith(("#", ":"))]


def egress(world, container):
    return all(container.tcp_request(world.outside.address(family), 7000, timeout=0.5).name == "outside" for family in (4, 6))


def our_rules(node, program):
    return [line for line in node.must(program + " -S FORWARD").splitlines() if "fairlead" in line]


def test_ISO_28_docker_started_before_and_after_and_restarted_beside_us(lab):
    world = World(lab)
    node = world.node
    docker_rules(node)
    before = saved(node)
    a, b = world.pair()
    serve(a, b, world.outside)
    eventually(lambda: egress(world, a), WITHIN, "egress through Docker's policy DROP")
    equal(saved(node), before, "Docker's own rules")
    for program in ("iptables-nft", "ip6tables-nft"):
        equal(sorted(our_rules(node, program)), ["-A FORWARD -i ul+ -o eth0 -m comment --comment \"fairlead to eth0\" -j ACCEPT",
                                                 "-A FORWARD -o ul+ -m comment --comment fairlead -j ACCEPT"], program)
        contains(node.must(program + " -S FORWARD"), "-P FORWARD DROP", "their policy")
    # A restart: flushed and written again.
    count = world.agent.metric("fairlead_repairs_total", kind="forward")
    for command in ("iptables-nft -F FORWARD", "iptables-nft -X DOCKER-USER", "ip6tables-nft -F FORWARD"):
        node.run(command)
    eventually(lambda: egress(world, a), WITHIN, "egress after the flush")
    equal(world.agent.metric("fairlead_repairs_total", kind="forward") > count, True, "counted")
    node.must("iptables-nft -I FORWARD -i docker0 -j ACCEPT")
    time.sleep(1)
    equal(len(our_rules(node, "iptables-nft")), 2, "not written again and again")
    reaches(a, b)


def test_ISO_28_docker_started_later_and_stopped_again(lab):
    world = World(lab)
    node = world.node
    a, _ = world.pair()
    serve(world.outside)
    true(egress(world, a), "before")
    equal(node.must("nft list tables ip").strip(), "", "no table of iptables was made by us")
    docker_rules(node)
    eventually(lambda: egress(world, a), WITHIN, "with Docker")
    node.must("iptables-nft -P FORWARD ACCEPT")
    node.must("nft flush table ip filter")
    node.must("nft delete table ip filter")
    true(eventually(lambda: egress(world, a), WITHIN, "after Docker"), "after Docker")


def test_ISO_28_published_ports_pass_dockers_policy(lab):
    world = World(lab)
    docker_rules(world.node)
    world.node.start_lb(["--balancer", "nft"])
    world.network("red", RED)
    world.node.ctl_ok("service create web --network red --publish 8000:7000 --vip 10.32.255.1 --vip fd32::ffff:1")
    task = world.container("task", "red", services=["web"])
    serve(task)
    for family in (4, 6):
        eventually(lambda f=family: world.outside.tcp_request(world.node.address(f), 8000, timeout=0.5).name == "task", 3,
                   "from outside")
        unreachable(lambda f=family: world.outside.tcp_request(world.node.address(f), 7000, timeout=0.4), "nothing else")


def test_ISO_28_what_docker_keeps_closed_stays_closed_to_our_containers(lab):
    world = World(lab)
    node = world.node
    segment = lab.segment("docker")
    guest = lab.host("guest", segment)              # 192.0.3.2 behind docker0
    segment.cable(node, "port0")
    node.must("ip link add docker0 type bridge")
    node.must("ip link set port0 master docker0 up")
    node.must("ip address add 192.0.3.200/24 dev docker0")
    node.must("ip link set docker0 up")
    guest.must("ip route add default via 192.0.3.200")
    guest.serve_tcp(7000)
    a, _ = world.pair()
    serve(a, world.outside)
    equal(node.tcp_request(guest.address(4), 7000).name, "guest", "Docker's container is there")
    docker_rules(node)
    node.must(f"iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to {guest.address(4)}:7000")
    node.must(f"iptables-nft -A DOCKER -d {guest.address(4)} ! -i docker0 -o docker0 -p tcp --dport 7000 "
              "-m conntrack --ctstate DNAT -j ACCEPT")
    eventually(lambda: egress(world, a), WITHIN, "our containers get out")
    equal(world.outside.tcp_request(node.address(4), 8080).name, "guest", "published by Docker: from outside")
    equal(a.tcp_request(node.address(4), 8080).name, "guest", "published by Docker: from our container")
    never(lambda: reached(a, guest.address(4)), 1.2, "Docker's container by its own address")
    # A link that leads out and comes later is let through, too.
    far = lab.segment("far")
    beyond = lab.outside(far, name="beyond")
    far.cable(node, "eth9")
    node.must("ip link set eth9 up")
    node.must("ip address add 192.0.4.9/24 dev eth9")
    node.must("ip route add 203.0.113.0/24 via 192.0.4.100")
    beyond.must("ip address add 203.0.113.1/32 dev lo")
    beyond.serve_tcp(7000)
    eventually(lambda: reached(a, "203.0.113.1"), WITHIN, "by another gateway")


def reached(client, address):
    try:
        return client.tcp_request(address, 7000, timeout=0.2)
    except OSError:
        return None


def test_ISO_28_iptables_legacy_is_reported_with_what_to_do(lab):
    world = World(lab, agent=False)
    node = world.node
    a, _ = world.pair()
    equal(json.loads(node.start_agent().status())["problems"], [], "no problem")
    agent = node.daemons["fairlead-agent"]
    if node.run("iptables-legacy -P FORWARD DROP").rc != 0:
        # This kernel has no legacy tables: nothing can be in the way, and nothing may be reported.
        equal(node.exists("/proc/net/ip_tables_names"), False, "legacy tables in a kernel without them")
        return
    agent.restart()
    problems = json.loads(agent.status())["problems"]
    equal([p["subject"] for p in problems], ["host"], "reported")
    contains(problems[0]["message"], "iptables-legacy -I FORWARD -i ul+ -j ACCEPT", "what to do")
    for command in ("iptables-legacy -I FORWARD -i ul+ -j ACCEPT", "iptables-legacy -I FORWARD -o ul+ -j ACCEPT"):
        node.must(command)
    world.outside.serve_tcp(7000)
    equal(a.tcp_request(world.outside.address(4), 7000).name, "outside", "what it says helps")


def flood(world, sources):
    """Requests that must never be answered, during an attack on the rules."""
    def answered():
        for source, target in sources:
            try:
                return source.tcp_request(target, 7000, timeout=0.05)
            except OSError:
                continue
        return None
    return answered


def test_ISO_30_a_flushed_ruleset_comes_back_and_networks_stay_apart_meanwhile(lab):
    world = World(lab)
    red, red_b = world.pair("red", RED)
    blue, blue_b = world.pair("blue", BLUE)
    serve(red, red_b, blue, blue_b)
    world.outside.must("ip route add 10.32.0.0/16 via", world.node.address(4))
    answered = flood(world, [(red, blue.ip), (blue, red.ip), (red, blue.ip6), (world.outside, red.ip)])
    reaches(red, red_b)
    for round_number in range(3):
        world.node.must("nft flush ruleset")
        for network in ("red", "blue"):
            world.node.router(network).must("nft flush ruleset")
        never(answered, 0.4, "an answer across networks or from outside while the rules are gone")
        for place in (world.node, world.node.router("red"), world.node.router("blue")):
            eventually(lambda p=place: "policy drop" in p.must("nft list ruleset") or "deny by default" in
                       p.must("nft list ruleset"), WITHIN, f"the rules of {place.name} are back")
    never(answered, 0.3, "afterwards")
    reaches(red, red_b)
    reaches(blue, blue_b)


def test_ISO_30_flows_inside_a_network_go_on_while_all_rules_are_gone(lab):
    world = World(lab)
    a, b = world.pair()
    serve(b, world.outside)
    with a.tcp_connect(b.ip, 7000) as inner, a.tcp_connect(b.ip6, 7000) as inner6:
        for number in range(5):
            world.node.router("red").must("nft flush ruleset")
            world.node.must("nft flush ruleset")
            for flow in (inner, inner6):
                equal(flow.ask(f"round {number}", timeout=3).payload, f"round {number}", "the flow")
            time.sleep(0.2)
    eventually(lambda: egress(world, a), WITHIN, "and new flows get out again")


def test_ISO_31_iptables_flushed_and_set_to_drop(lab):
    world = World(lab)
    a, b = world.pair()
    serve(a, b, world.outside)
    docker_rules(world.node)
    eventually(lambda: egress(world, a), WITHIN, "before")
    world.outside.must("ip route add 10.32.0.0/16 via", world.node.address(4))
    for command in ("iptables-nft -F", "iptables-nft -t nat -F", "iptables-nft -P FORWARD DROP", "ip6tables-nft -F",
                    "ip6tables-nft -P FORWARD DROP"):
        world.node.must(command)
        eventually(lambda: egress(world, a), WITHIN, f"egress after {command}")
        unreachable(lambda: world.outside.tcp_request(a.ip, 7000, timeout=0.3), "nothing was opened")
    world.node.must("iptables-nft-restore", input="*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\nCOMMIT\n")
    eventually(lambda: egress(world, a), WITHIN, "egress after iptables-restore")
    reaches(a, b)


def test_ISO_25_a_router_has_its_rules_before_it_has_a_name_whenever_its_making_is_killed(lab):
    world = World(lab, agent=False)
    node = world.node
    world.network("red", RED)
    program = lab.binary("fairlead-agent")
    started = time.monotonic()
    node.must([program, "realise", "red"])
    whole = time.monotonic() - started
    unfinished = 0
    for step in range(40):
        if node.router_name("red") in node.netns_list():
            node.must(f"ip netns del {node.router_name('red')}")
        eventually(lambda: not [name for name in node.links() if name.startswith("ul")], 5, "the last round's uplink is gone")
        node.run("nft delete table inet fairlead_host")
        process = node.popen(program, "realise", "red")
        time.sleep(whole * 1.3 * step / 40)
        process.kill()
        named = node.router_name("red") in node.netns_list()
        unfinished += not named
        if named:
            # Not as a place: that would hold the namespace, and its uplink would stay.
            rules = node.must(f"nsenter --net=/run/netns/{node.router_name('red')} nft list table inet fairlead")
            contains(rules, "fib saddr", "a router with a name has its rules")
            contains(rules, "policy drop", "a router with a name has its rules")
        if any(name.startswith("ul") for name in node.links()):
            contains(node.must("nft list table inet fairlead_host"), "deny by default", "an uplink has the node's rules")
    true(unfinished > 5, "some were killed before the end")
    a, b = (world.container(name, "red") for name in "ab")
    serve(b, world.outside)
    reaches(a, b)
    true(egress(world, a), "what was left half made does no harm")
    equal([name for name in node.links() if name.startswith("ul")], ["ul" + node.router_name("red")[3:]], "one uplink")


def test_ISO_34_after_the_last_network_is_removed_the_node_is_as_before(lab):
    world = World(lab, agent=False)
    node = world.node
    docker_rules(node)
    node.must("nft add table inet mine")
    keys = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/eth0/accept_ra",
            "net/ipv4/conf/eth0/rp_filter", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/eth0/forwarding")

    def state():
        snapshot = node.snapshot()
        snapshot["nft list ruleset"] = [line.split(" counter")[0] for line in snapshot["nft list ruleset"].splitlines()]
        for command in ("ip -o address", "ip -o link"):
            snapshot[command] = [line for line in snapshot[command].splitlines() if "fe80::" not in line]
        return {**snapshot, **{key: node.sysctl(key) for key in keys}}
    eventually(lambda: "tentative" not in node.must("ip -6 address show dev eth0"), 5, "addresses are settled")
    before = state()
    agent = node.start_agent()
    equal(state(), before, "an agent without networks changes nothing")
    containers = []
    for name, subnets in (("red", RED), ("blue", BLUE), ("inner", ("10.34.0.0/16",))):
        world.network(name, subnets, *(["--internal"] if name == "inner" else []))
        containers += [world.container(f"{name}-{n}", name) for n in range(2)]
    true(node.sysctl("net/ipv4/ip_forward") == "1", "something was changed")
    for container in containers:
        container.detach()
    pins = [f"/run/netns/{container.name}" for container in containers]
    for name in ("red", "blue", "inner"):
        node.ctl_ok(f"network rm {name}")
    eventually(lambda: not [n for n in node.netns_list() if n.startswith("fl-")], 3, "the routers are gone")
    for container in containers:
        container.kill()
    eventually(lambda: node.sysctl("net/ipv4/ip_forward") == "0", 3, "forwarding is closed again")
    eventually(lambda: state() == before, 3, "everything is as it was")
    equal([path for path in pins if node.exists(path)], [], "no pins")
    equal(node.listdir("/run/fairlead/routers"), [n for n in node.listdir("/run/fairlead/routers") if n.startswith(".")],
          "no router documents")
    equal(node.listdir("/run/fairlead/routers/.index"), [], "no numbers are taken")
    agent.stop()
