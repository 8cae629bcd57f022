"""Several networks on one container, whatever runtime attaches them: docs/runtimes.md's table of routes."""
from lab import *
from .template import cni_list
from .world import World


def defaults(place, version=4):
    """[(interface, metric)] of the default routes, the preferred first; the kernel shows IPv6's metric 1024 where none was given."""
    routes = place.ip_json(f"-{version}", "route", "show", "default")
    return sorted(((r["dev"], r.get("metric", 0)) for r in routes), key=lambda r: r[1])


def both(w, name="web-1", order=("eth0", "eth1")):
    place = w.node.container(name)
    networks = {"eth0": "appnet", "eth1": "backnet"}
    for ifname in order:
        place.attach(cni_list(networks[ifname]), ifname=ifname, args={"FAIRLEAD_NAME": name})
    return place


@variants(order=["eth0 eth1", "eth1 eth0"])
def test_RT_60_eth0_has_the_default_route_whoever_was_first(lab, order):
    w = World(lab, networks=("appnet", "backnet"))
    place = both(w, order=order.split())
    equal(defaults(place), [("eth0", 0), ("eth1", 1025)], "IPv4")
    equal(defaults(place, 6), [("eth0", 1024), ("eth1", 1025)], "IPv6")
    w.outside.serve_tcp(7000)
    equal(place.tcp_request(w.outside.address(4), 7000).peer, w.node.address(4), "the world is reached")
    address = {ifname: place.addresses(ifname)[0].split("/")[0] for ifname in ("eth0", "eth1")}
    for ifname, network in (("eth0", "appnet"), ("eth1", "backnet")):
        equal(place.ip_json("route", "get", w.outside.address(4), "from", address[ifname])[0]["dev"], ifname, "what comes from an address leaves by its interface")
        w.resolves("web-1", address[ifname], network)
        true(w.client(network).ping(address[ifname]) is not None, f"it is reached on {network}")
    place.detach(cni_list("appnet"), ifname="eth0")
    equal(defaults(place), [("eth1", 1025)], "eth1 takes over")
    equal(place.tcp_request(w.outside.address(4), 7000).peer, w.node.address(4), "and leads to the world")
    place.attach(cni_list("appnet"), ifname="eth0", args={"FAIRLEAD_NAME": "web-1"})
    equal(defaults(place), [("eth0", 0), ("eth1", 1025)], "until eth0 is back")
    place.detach(cni_list("backnet"), ifname="eth1")
    equal(defaults(place), [("eth0", 0)], "eth1 may go, too")
    place.attach(cni_list("backnet"), ifname="eth1", args={"FAIRLEAD_NAME": "web-1"})
    new = place.addresses("eth1")[0].split("/")[0]
    equal([rule["src"] for rule in place.ip_json("rule") if rule.get("priority") == 1025], [new], "its rule is that of its address of now")


def test_RT_61_a_default_route_of_somebody_else_is_left_alone(lab):
    w = World(lab, networks=("appnet",))
    place = w.node.container("web-1")
    place.must("ip link add up0 type veth peer name up1")
    place.must("ip link set up0 up")
    place.must("ip address add 198.51.100.2/24 dev up0")
    place.must("ip route add default via 198.51.100.1 dev up0 onlink")
    result = place.attach(cni_list("appnet"))
    equal(defaults(place), [("up0", 0), ("eth0", 2048)], "ours comes after it")
    contains([r["dst"] for r in result["routes"]], "10.40.0.0/16", "the network itself is reached by a route of its own")
    true(place.ping(w.client().ip) is not None, "and answers")
    place.must("ip link delete up0")
    equal(defaults(place), [("eth0", 2048)], "when the other one goes, ours is there")


def test_RT_62_routes_of_a_further_network_are_repaired(lab):
    w = World(lab, networks=("appnet", "backnet"))
    place = both(w)

    def state():
        return defaults(place), place.must("ip rule"), place.must("ip route show table 1025"), place.must("ip route show 10.41.0.0/16")

    repairs = lambda: w.node.daemons["fairlead-agent"].metric("fairlead_repairs_total")   # noqa: E731
    before, done = state(), repairs()
    contains(before[1], "lookup 1025", "there is a rule")
    place.must("ip route flush dev eth1")
    place.must("ip route flush table 1025")
    place.must("ip rule del table 1025")
    eventually(lambda: state() == before, 10, "routes and rule are back")
    true(repairs() >= done + 3, "it was the agent that put back what was taken away")
