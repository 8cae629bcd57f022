#!/usr/bin/python3
"""AGT-01 to AGT-19: whatever somebody removes or changes in what the agent looks after is back within two seconds, and
counted. Every test sees traffic work, sees the damage, and sees traffic work again."""
import json

from lab import *

WITHIN = 2.0


class Scene:
    """One node with its agent, a dual-stack network and two containers on it."""

    def __init__(self, lab, internal=False):
        self.lab = lab
        self.wire = lab.segment("wire")
        self.node = lab.host("n1", self.wire)
        self.outside = lab.outside(self.wire)
        network = {"apiVersion": 1, "name": "appnet", "vni": 4097, "subnets": ["10.32.0.0/16", "fd32::/64"],
                   "encryption": "none", "internal": internal, "mtu": 0}
        self.node.write("/var/lib/fairlead/networks/appnet.json", network)
        self.node.must("ip route add default via 192.0.2.100")
        self.node.must("ip -6 route add default via 2001:db8::100")
        self.agent = self.node.start_agent()
        self.a, self.b = self.node.container("a"), self.node.container("b")
        for container in (self.a, self.b):
            container.attach(conflist("appnet"))
        self.b.serve_tcp(80)
        self.outside.serve_tcp(81)
        self.settle()

    def host_end(self, container):
        name = next(i["name"] for i in container.attachment["interfaces"] if not i.get("sandbox"))
        true(name.startswith("c"), "the host end in the ADD result")
        return name

    def works(self):
        return all((self.a.tcp_request(self.b.ip, 80).name == "b", self.a.tcp_request(self.b.ip6, 80).name == "b",
                    self.a.tcp_request(self.outside.address(4), 81).name == "outside",
                    self.a.tcp_request(self.outside.address(6), 81).name == "outside"))

    def repairs(self, kind):
        return self.agent.metrics()[f'fairlead_repairs_total{{kind="{kind}"}}']

    def settle(self):
        """Working, and nothing being repaired any more."""
        eventually(self.works, 5, "traffic inside and out")

    def damage(self, kind, *commands, broken=None, place=None, back=None):
        """Does the damage, proves it (broken() is true), waits for the repair and for the count."""
        before = self.repairs(kind)
        for command in commands:
            (place or self.node.router("appnet")).must(command)
        if broken:
            true(broken(), "the damage is done")
        eventually(lambda: self.repairs(kind) > before, WITHIN, f"a repair of kind {kind} is counted")
        if back:
            eventually(back, WITHIN, "it is back")
        eventually(self.works, WITHIN, "traffic works again")


def test_AGT_01_a_removed_endpoint_route_is_put_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    for address, family in ((scene.b.ip, "-4"), (scene.b.ip6, "-6")):
        scene.damage("route", f"ip {family} route del {address}",
                     back=lambda a=address, f=family: scene.host_end(scene.b) in router.must(f"ip {f} route show {a}"))


def test_AGT_02_a_route_bent_to_another_link_is_bent_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    other = scene.host_end(scene.a)
    scene.damage("route", f"ip route replace {scene.b.ip}/32 dev {other}",
                 back=lambda: scene.host_end(scene.b) in router.must(f"ip route show {scene.b.ip}"))
    equal(len(router.must(f"ip route show {scene.b.ip}").splitlines()), 1, "and only there")


def test_AGT_03_the_guard_and_default_routes_are_put_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    scene.damage("route", "ip route del unreachable 10.32.0.0/16 metric 4000",
                 back=lambda: "unreachable 10.32.0.0/16" in router.must("ip route"))
    scene.damage("route", "ip -6 route del unreachable fd32::/64 metric 4000",
                 back=lambda: "unreachable fd32::/64" in router.must("ip -6 route"))
    scene.damage("route", "ip route del default", "ip -6 route del default")


def test_AGT_04_removed_and_changed_neighbours_are_put_back(lab):
    scene = Scene(lab)
    router, link = scene.node.router("appnet"), scene.host_end(scene.b)
    scene.damage("neighbour", f"ip neigh del {scene.b.ip} dev {link}",
                 back=lambda: scene.b.mac in router.must(f"ip neigh show {scene.b.ip}"))
    scene.damage("neighbour", f"ip neigh replace {scene.b.ip6} lladdr 02:00:00:00:00:99 nud permanent dev {link}",
                 back=lambda: scene.b.mac in router.must(f"ip neigh show {scene.b.ip6}"))


def test_AGT_05_the_routers_nft_table_is_put_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    wanted = router.must("nft -s list table inet fairlead")
    contains(wanted, "fib saddr", "the rules before")
    for damage in ("nft delete table inet fairlead", "nft flush ruleset", "nft flush chain inet fairlead input",
                   "nft add rule inet fairlead forward accept", "nft flush chain inet fairlead prerouting",
                   "nft insert rule inet fairlead forward drop"):
        scene.damage("nft", damage, back=lambda: router.must("nft -s list table inet fairlead") == wanted)


def test_AGT_06_the_hosts_nft_table_is_put_back_and_nothing_elses_is_touched(lab):
    scene = Scene(lab)
    scene.node.must("nft add table inet foreign")
    scene.node.must("nft add chain inet foreign c { type filter hook input priority 0 ; }")
    wanted = scene.node.must("nft -s list table inet fairlead_host")
    foreign = scene.node.must("nft list table inet foreign")
    for damage in ("nft delete table inet fairlead_host", "nft flush chain inet fairlead_host to_router",
                   "nft add rule inet fairlead_host from_router accept"):
        scene.damage("nft", damage, place=scene.node,
                     back=lambda: scene.node.must("nft -s list table inet fairlead_host") == wanted)
    equal(scene.node.must("nft list table inet foreign"), foreign, "somebody else's table")


def test_AGT_07_gateway_and_uplink_addresses_are_put_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    document = scene.node.read_json("/run/fairlead/routers/appnet.json")
    scene.damage("address", "ip address del 10.32.0.1/32 dev lo", back=lambda: "10.32.0.1/32" in router.addresses("lo"))
    true(scene.a.ping("10.32.0.1"), "the gateway answers")
    scene.damage("address", f"ip address del {document['router4']}/31 dev ul",
                 f"ip address del {document['router6']}/112 dev ul")
    scene.damage("uplink", f"ip address flush dev {document['uplink']}", place=scene.node)


def test_AGT_08_links_that_were_taken_down_come_up(lab):
    scene = Scene(lab)
    uplink = scene.node.read_json("/run/fairlead/routers/appnet.json")["uplink"]
    scene.damage("uplink", f"ip link set {uplink} down", place=scene.node)
    scene.damage("link", "ip link set ul down")
    scene.damage("link", "ip link set eth0 down", place=scene.b)


def test_AGT_09_a_removed_uplink_is_made_anew(lab):
    scene = Scene(lab)
    uplink = scene.node.read_json("/run/fairlead/routers/appnet.json")["uplink"]
    scene.damage("uplink", f"ip link del {uplink}", place=scene.node, back=lambda: uplink in scene.node.links())
    scene.damage("uplink", "ip link del ul", back=lambda: uplink in scene.node.links())


def test_AGT_10_settings_are_put_back(lab):
    scene = Scene(lab)
    router = scene.node.router("appnet")
    uplink = scene.node.read_json("/run/fairlead/routers/appnet.json")["uplink"]
    for key, wrong, place in (("net/ipv4/ip_forward", 0, router), ("net/ipv6/conf/all/forwarding", 0, router),
                              ("net/ipv4/conf/all/accept_redirects", 1, router), ("net/ipv4/ip_forward", 0, scene.node),
                              ("net/ipv6/conf/all/forwarding", 0, scene.node),
                              (f"net/ipv4/conf/{uplink}/route_localnet", 0, scene.node)):
        before, right = scene.repairs("sysctl"), place.sysctl(key)
        place.sysctl(key, wrong)
        eventually(lambda p=place, k=key, r=right: p.sysctl(k) == r, WITHIN, f"{key} is {right} again")
        eventually(lambda b=before: scene.repairs("sysctl") > b, WITHIN, "counted")
        eventually(scene.works, WITHIN, f"traffic after {key}")


def test_AGT_11_a_removed_host_end_is_attached_again_with_the_same_address(lab):
    scene = Scene(lab)
    endpoint = next(iter(e for e in scene.node.endpoints("appnet").values() if e["addresses"][0] == scene.b.ip))
    scene.damage("link", f"ip link del {scene.host_end(scene.b)}",
                 back=lambda: scene.b.links()["eth0"]["address"] == endpoint["mac"])
    equal(sorted(scene.b.addresses("eth0")), sorted(f"{a}/{32 if '.' in a else 128}" for a in endpoint["addresses"]),
          "the same addresses")
    equal(scene.node.endpoints("appnet")[[k for k, v in scene.node.endpoints("appnet").items() if v == endpoint][0]], endpoint,
          "the document is as it was")


def test_AGT_12_a_removed_container_end_is_attached_again(lab):
    scene = Scene(lab)
    scene.damage("link", "ip link del eth0", place=scene.b, back=lambda: "eth0" in scene.b.links())


def test_AGT_13_addresses_routes_and_neighbours_in_a_container_are_put_back_and_its_own_are_left(lab):
    scene = Scene(lab)
    scene.b.must("ip address add 172.31.0.1/24 dev eth0")
    scene.b.must("ip route add 172.30.0.0/24 dev eth0")
    scene.damage("address", f"ip address del {scene.b.ip}/32 dev eth0", place=scene.b)
    scene.damage("route", "ip route del default", "ip -6 route del default", place=scene.b)
    scene.damage("neighbour", f"ip neigh del {scene.b.gateway} dev eth0", place=scene.b)
    contains(scene.b.addresses("eth0"), "172.31.0.1/24", "an address of its own")
    contains(scene.b.must("ip route"), "172.30.0.0/24", "a route of its own")


def test_AGT_14_a_router_whose_name_was_removed_gets_it_back_and_no_connection_breaks(lab):
    scene = Scene(lab)
    before = scene.repairs("router")
    with scene.a.tcp_connect(scene.b.ip, 80) as flow:
        equal(flow.ask("one").payload, "one", "a connection before")
        scene.node.must("ip netns del fl-1001")
        eventually(lambda: "fl-1001" in scene.node.netns_list(), WITHIN, "the name is back")
        equal(flow.ask("two").payload, "two", "the same connection after")
    eventually(lambda: scene.repairs("router") > before, WITHIN, "counted")
    eventually(lambda: scene.node.router("appnet").must("ip -br link show ul"), WITHIN, "it is the same router")
    scene.settle()


def test_AGT_15_a_router_that_died_is_made_anew_with_every_endpoint_attached(lab):
    scene = Scene(lab)
    addresses = (scene.a.ip, scene.a.ip6, scene.a.mac, scene.b.ip, scene.b.ip6, scene.b.mac)
    scene.agent.kill9()      # while it runs it holds the namespace: nobody could destroy it
    scene.node.must("ip netns del fl-1001")
    eventually(lambda: "eth0" not in scene.a.links(), 2, "its containers lost their links")
    scene.agent.start()
    eventually(scene.works, WITHIN + 1, "every endpoint is attached again")
    equal((scene.a.ip, scene.a.ip6, scene.a.links()["eth0"]["address"], scene.b.ip, scene.b.ip6,
           scene.b.links()["eth0"]["address"]), addresses, "same addresses, same MACs")
    equal((scene.repairs("router"), scene.repairs("link")), (1.0, 2.0), "one router and two links are counted")


def test_AGT_16_twenty_things_broken_at_once_are_repaired_together(lab):
    scene = Scene(lab)
    extra = [scene.node.container(f"x{i}") for i in range(8)]
    for container in extra:
        container.attach(conflist("appnet"))
    router = scene.node.router("appnet")
    for container in extra:
        router.must(f"ip route del {container.ip}")
        router.must(f"ip neigh flush dev {scene.host_end(container)} nud permanent")
    router.must("nft delete table inet fairlead")
    scene.node.must("nft delete table inet fairlead_host")
    scene.node.must("ip link set ul1001 down")
    eventually(lambda: all(c.tcp_request(scene.b.ip, 80).name == "b" and scene.b.ping(c.ip) for c in extra), WITHIN,
               "all containers")
    scene.settle()
    equal(json.loads(scene.agent.status())["problems"], [], "no problem is left")


def test_AGT_17_nothing_is_repaired_when_nothing_is_broken(lab):
    scene = Scene(lab)
    for _ in range(3):
        extra = scene.node.container(f"x{_}")
        extra.attach(conflist("appnet"))
        extra.detach()
    def repairs():
        return {name: value for name, value in scene.agent.metrics().items() if name.startswith("fairlead_repairs_total")}
    equal(set(repairs().values()), {0.0}, "no repair since the start")
    never(lambda: set(repairs().values()) != {0.0}, 3, "a repair without a damage")


def test_AGT_18_an_internal_networks_policy_rules_are_put_back(lab):
    wire = lab.segment("wire")
    node = lab.host("n1", wire)
    node.write("/var/lib/fairlead/networks/appnet.json",
               {"apiVersion": 1, "name": "appnet", "vni": 4097, "subnets": ["10.32.0.0/16"], "internal": True})
    agent = node.start_agent()
    container = node.container("a")
    container.attach(conflist("appnet"))
    router = node.router("appnet")
    contains(router.must("ip rule"), "fwmark 0x57 lookup 57", "the rule")
    router.must("ip rule del fwmark 0x57 lookup 57")
    eventually(lambda: "fwmark 0x57 lookup 57" in router.must("ip rule"), WITHIN, "the rule is back")
    lacks(router.must("ip route"), "default", "no way out by default")
    router.must("ip route del default table 57")
    eventually(lambda: "default" in router.must("ip route show table 57"), WITHIN, "the table is back")
    equal(agent.metric("fairlead_repairs_total", kind="route"), 2.0, "counted")


def test_AGT_19_limits_on_a_containers_traffic_are_put_back_and_strays_go(lab):
    scene = Scene(lab)
    limits = {"ingressRate": 80_000_000, "ingressBurst": 8_000_000, "egressRate": 40_000_000, "egressBurst": 8_000_000}
    limited = scene.node.container("limited")
    conf = conflist("appnet")
    conf["plugins"][0]["capabilities"]["bandwidth"] = True
    limited.attach(conf, capabilities={"bandwidth": limits})
    router, end = scene.node.router("appnet"), scene.host_end(limited)
    device = "b" + end[1:]

    def whole():
        queues = {entry["dev"]: entry["kind"] for entry in json.loads(router.must("tc -j qdisc show")) if entry.get("root")}
        filters = json.loads(router.must("tc -j filter show dev", end, "ingress"))
        return queues.get(end) == "tbf" and queues.get(device) == "tbf" and device in json.dumps(filters)
    true(whole(), "a queue for what goes in, one for what comes out, and a filter that leads there")
    for command in (f"tc qdisc delete dev {end} root", f"tc qdisc delete dev {device} root", f"ip link delete {device}",
                    f"tc qdisc delete dev {end} ingress"):
        scene.damage("limit", command, back=whole)
    server = limited.serve_tcp(80)
    equal(scene.a.tcp_request(limited.ip, 80).name, "limited", "its traffic goes on")
    server.kill()
    limited.kill()
    eventually(lambda: device not in router.links(), 5, "the device of a container that is gone goes")
