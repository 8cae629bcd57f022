"""ADD: what it makes, what it refuses, and how it handles prevResult."""
import errno
import time

from lab import eventually
from .judge import Skipped, check
from .trial import network_places


@check("CNI-040", "ADD, link, address, route and result agree", "SPEC §2 ADD, §5 ADD success")
def add_agrees(t):
    pod = t.pod()
    result = pod.attach()
    inside = [(n, i) for n, i in enumerate(result["interfaces"]) if i.get("sandbox")]
    assert len(inside) == 1, f"one interface in the sandbox: {result['interfaces']}"
    number, interface = inside[0]
    assert interface["name"] == "eth0" and interface["sandbox"] == pod.netns, f"name and CNI_NETNS byte for byte: {interface}"
    link = pod.place.links()["eth0"]
    assert "UP" in link["flags"], f"the link is up: {link['flags']}"
    assert link["address"] == interface["mac"].lower(), f"the MAC is the link's: {interface['mac']} {link['address']}"
    told = {ip["address"] for ip in result["ips"]}
    assert told == pod.addresses(), f"exactly the result's addresses {told}; the link has {pod.addresses()}"
    assert len(told) == len(t.target.subnets), f"an address per subnet: {told}"
    assert all(ip["interface"] == number for ip in result["ips"]), f"ips[].interface is {number}: {result['ips']}"
    for version in {4 if net.version == 4 else 6 for net in t.target.subnets}:
        assert pod.default_routes(version), f"an IPv{version} default route"


@check("CNI-045", "name already taken in the container", "SPEC §2 ADD: must be an error")
def name_taken(t):
    before = t.baseline()
    pod = t.pod()
    pod.place.must("ip link add eth0 type veth peer name other")
    pod.place.must("ip address add 192.168.9.1/24 dev eth0")
    pod.add().fails()
    assert pod.addresses() == {"192.168.9.1/24"}, f"the existing interface keeps its address: {pod.addresses()}"
    t.unchanged(before, "neither an address nor a host link is left")


@check("CNI-046", "ADD twice without DEL", "SPEC §2 ADD")
def add_twice(t):
    before = t.baseline()
    pod = t.pod()
    first = pod.attach()
    had, leases = pod.addresses(), t.leases()
    pod.call("ADD").fails(why="the second ADD")
    assert pod.addresses() == had, f"the first attachment stays: {pod.addresses()}"
    assert t.leases() == leases, f"its lease is not released by the failing call: {leases} {t.leases()}"
    pod.check(prev=first).silent("the first attachment is intact")
    pod.detach()
    t.unchanged(before, "one DEL cleans all")


@check("CNI-047", "netns path missing", "SPEC §2; codes 3, 8 (skel) or 4")
def netns_missing(t):
    before = t.baseline()
    t.pod().add(env={"CNI_NETNS": "/run/netns/none"}).fails()
    t.unchanged(before, "nothing is left")


@check("CNI-048", "netns path is not a namespace", "skel CheckNetNS")
def netns_is_something_else(t):
    before = t.baseline()
    pod = t.pod()
    t.file("/run/plain-file", "x")
    for path in ("/run/plain-file", "/run", "/proc/self/ns/uts"):
        pod.add(env={"CNI_NETNS": path}).fails(why=f"CNI_NETNS {path}")
    t.unchanged(before, "nothing is left")


@check("CNI-049", "CNI_NETNS is the plugin's own namespace", "skel code 8; CNI_NETNS_OVERRIDE", tags=("strict",))
def own_netns(t):
    before = t.baseline()
    t.pod().add(env={"CNI_NETNS": "/proc/1/ns/net"}, ifname="own0").fails(8)
    t.unchanged(before, "refused before anything is changed")


@check("CNI-050", "CNI_NETNS_OVERRIDE", "skel (of the library, not in SPEC)", tags=("strict", "should"))
def own_netns_override(t):
    for number, value in enumerate(("1", "true", "True")):
        pod = t.pod()
        env = {"CNI_NETNS": "/proc/1/ns/net", "CNI_NETNS_OVERRIDE": value}
        ifname = f"own{number}"
        pod.add(env=env, ifname=ifname).ok(f"CNI_NETNS_OVERRIDE={value}")
        assert ifname in t.host.links(), "the interface is in the runtime's own namespace"
        pod.delete(env=env, ifname=ifname).silent()
        eventually(lambda ifname=ifname: ifname not in t.host.links(), 2, "and goes with DEL")


@check("CNI-051", "dns from the configuration", "SPEC §1 dns, §5 dns")
def dns_from_conf(t):
    dns = {"nameservers": ["192.0.2.53", "192.0.2.54"], "domain": "example.net", "search": ["b.example", "a.example"],
           "options": ["ndots:3", "timeout:1"]}
    result = t.pod().attach(t.conf(dns=dns))
    assert result["dns"] == dns, f"the configuration's dns in its order: {result['dns']}"


@check("CNI-052", "prevResult passes through", "SPEC §2 ADD: must handle prevResult; §5")
def prev_result_passes(t):
    pod = t.pod()
    prev = {"cniVersion": "1.0.0",
            "interfaces": [{"name": "hostA", "mac": "02:00:00:00:00:01"}, {"name": "x0", "mac": "02:00:00:00:00:02", "sandbox": pod.netns}],
            "ips": [{"address": "192.168.77.2/24", "gateway": "192.168.77.1", "interface": 1}],
            "routes": [{"dst": "192.168.0.0/16", "gw": "192.168.77.1"}], "dns": {"nameservers": ["192.0.2.99"]}}
    result = pod.add(t.conf(), prev=prev).ok()
    assert result.get("interfaces", [])[:2] == prev["interfaces"], f"interfaces first and unchanged: {result.get('interfaces')}"
    assert result["ips"][:1] == prev["ips"], f"ips first and unchanged: {result['ips']}"
    assert result["routes"][:1] == prev["routes"], f"routes first and unchanged: {result['routes']}"
    assert "192.0.2.99" in result["dns"].get("nameservers", []), f"dns is kept: {result['dns']}"
    own = result["ips"][1:]
    assert own and all(result["interfaces"][ip["interface"]] == {**result["interfaces"][ip["interface"]], "name": "eth0", "sandbox": pod.netns}
                       for ip in own), f"our addresses point to our interface: {result}"
    pod.detach()


@check("CNI-053", "prevResult of any format", "types; SPEC §2")
def prev_result_formats(t):
    good = {"0.2.0": {"cniVersion": "0.2.0", "ip4": {"ip": "192.168.77.2/24", "gateway": "192.168.77.1"}},
            "0.3.1": {"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "192.168.77.2/24"}]},
            "0.4.0": {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "192.168.77.2/24"}]},
            "1.0.0": {"ips": [{"address": "192.168.77.2/24"}]}}
    for version, prev in good.items():
        pod = t.pod()
        pod.add(t.conf(version), prev=prev).ok(f"prevResult {prev}")
        pod.detach()
    before = t.state()
    for prev in ("text", [], 1, {"ips": [{"address": "x"}]}, {"ips": {"a": 1}}, {"cniVersion": "1.0.0", "ips": "x"}):
        t.pod().add(prev=prev).fails(6, 7, why=f"prevResult {prev!r}")
    t.unchanged(before, "garbage has no side effect")


@check("CNI-059", "IPv6 address usable on return", "bridge waits for DAD (pkg/ip SettleAddresses)", needs=("dual",))
def ipv6_usable(t):
    pod, peer = t.pod(), t.pod()
    peer.attach()
    pod.attach()
    flags = [a for entry in pod.place.ip_json("-6", "address", "show", "dev", "eth0") for a in entry["addr_info"] if a["scope"] == "global"]
    assert flags, "there is a global IPv6 address"
    assert not any(a.get("tentative") or a.get("dadfailed") for a in flags), f"none is tentative: {flags}"
    for what, address in (("the gateway", t.target.gateway(6)), ("a peer", peer.ips(6)[0])):
        assert pod.place.ping(address, timeout=1) is not None, f"{what} {address} answers at once"


@check("CNI-060", "re-used address is reachable at once", "bridge sets arp_notify", needs=("cap:ips",), tags=("should",))
def reused_address(t):
    peer, first, second = t.pod(), t.pod(), t.pod()
    peer.attach()
    wanted = [t.target.address(200)]
    conf = t.conf(runtimeConfig={"ips": wanted})
    first.attach(conf)
    assert peer.place.ping(wanted[0], timeout=1) is not None, "the first owner answers"
    time.sleep(1.2)     # for a second after an answer the kernel takes no other MAC (neigh locktime)
    first.detach()
    second.attach(conf)
    eventually(lambda: peer.place.ping(wanted[0], timeout=0.3) is not None, 1, "the second owner answers within a second")


@check("CNI-163", "two networks in one container", "SPEC §3", tags=("should",))
def two_networks(t):
    pod, peer_a, peer_b = t.pod(), t.pod(), t.pod()
    first = t.conf()
    second = t.target.other_subnets(t.target.conf(network="secondnet"), 78)
    pod.attach(first)
    result = pod.add(second, ifname="eth1").ok("a second network")
    pod.conf = first
    here = [ip["address"].split("/")[0] for ip in result["ips"]]
    peer_a.attach(first)
    peer_b.attach(second)
    for peer in (peer_a, peer_b):
        assert pod.place.ping(peer.ips(4)[0], timeout=1) is not None, f"{peer.ips(4)} on its network"
    best = min(route.get("metric", 0) for route in pod.default_routes())
    assert len([r for r in pod.default_routes() if r.get("metric", 0) == best]) == 1, f"one default route wins: {pod.default_routes()}"
    pod.call("DEL", second, ifname="eth1").silent()
    eventually(lambda: not pod.has("eth1"), 2, "eth1 goes")
    assert pod.has("eth0") and pod.place.ping(peer_a.ips(4)[0], timeout=1) is not None, "eth0 still works"
    assert not set(here) & set(t.leases()), f"the second network's addresses are free again: {here} {sorted(t.leases())}"


@check("CNI-074", "route attributes", "SPEC §5 routes, 1.1.0", tags=("v1.1",))
def route_attributes(t):
    conf = t.newest()
    if "routes" not in conf["ipam"] and conf["ipam"].get("type") != "fairlead-ipam":
        raise Skipped("the configuration's IPAM has no routes")
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "203.0.113.0/24", "mtu": 1300, "advmss": 1200, "priority": 77},
              {"dst": "198.51.100.0/24", "table": 77, "priority": 5}, {"dst": "192.0.2.128/25", "scope": 253}]
    conf["ipam"]["routes"] = routes
    pod = t.pod()
    result = pod.attach(conf)
    told = next((r for r in result["routes"] if r["dst"] == "203.0.113.0/24"), None)
    assert told and {k: told.get(k) for k in ("mtu", "advmss", "priority")} == {"mtu": 1300, "advmss": 1200, "priority": 77}, \
        f"the result repeats them: {result['routes']}"
    kernel = next((r for r in pod.place.ip_json("route", "show", "table", "main") if r["dst"] == "203.0.113.0/24"), None)
    assert kernel and kernel.get("metric") == 77, f"the kernel's route has the metric: {kernel}"
    metrics = kernel.get("metrics", [{}])[0]
    assert metrics.get("mtu") == 1300 and metrics.get("advmss") == 1200, f"and the attributes: {kernel}"
    assert kernel.get("gateway") == t.target.gateway(), f"gw absent means the family's gateway: {kernel}"
    other = pod.place.ip_json("route", "show", "table", "77")
    assert [(r["dst"], r.get("metric")) for r in other] == [("198.51.100.0/24", 5)], f"the table asked for: {other}"
    link = next((r for r in pod.place.ip_json("route", "show", "table", "main") if r["dst"] == "192.0.2.128/25"), None)
    assert link and link.get("scope") == "link" and "gateway" not in link, f"scope link has no gateway: {link}"
    by_destination = {r["dst"]: r for r in result["routes"]}
    assert by_destination["198.51.100.0/24"].get("table") == 77, f"the result repeats the table: {result['routes']}"
    told = by_destination["192.0.2.128/25"]
    assert told.get("scope") == 253 and "gw" not in told, f"and the scope, without a gateway: {told}"
    pod.check().silent("CHECK with such routes")


@check("CNI-075.0", "MTU as configured, on both ends", "SPEC §5 mtu")
def configured_mtu(t):
    pod, peer = t.pod(), t.pod()
    for one in (pod, peer):
        one.attach(t.conf(mtu=1400))
    inside = pod.place.links()["eth0"]
    assert inside["mtu"] == 1400, f"the container's end: {inside['mtu']}"
    ends = [place.links()[i["name"]] for place in network_places(t) for i in pod.result["interfaces"]
            if not i.get("sandbox") and i["name"] in place.links() and i["name"] != t.conf().get("bridge")]
    assert all(end["mtu"] == 1400 for end in ends), f"the other end: {[(end['ifname'], end['mtu']) for end in ends]}"
    passes_exactly(pod, peer, 1400)


@check("CNI-075.1", "MTU by default fits the underlay, and is what passes", "SPEC §5 mtu", tags=("strict",))
def default_mtu(t):
    """What an overlay takes off exactly, between nodes and encrypted: suites isolation and mesh."""
    underlay = 1300
    t.host.must("ip link set", t.host.underlay, "mtu", str(underlay))
    t.host.must("ip route add default dev", t.host.underlay)
    pod, peer = t.pod(), t.pod()
    pod.attach()
    peer.attach()
    mtu = pod.place.links()["eth0"]["mtu"]
    assert mtu <= underlay, f"{mtu} on an underlay of {underlay}"
    passes_exactly(pod, peer, mtu)


def passes_exactly(pod, peer, mtu):
    address = peer.ips(4)[0]
    eventually(lambda: pod.place.ping(address, size=mtu - 28, df=True, timeout=1) is not None, 3, f"{mtu} bytes pass")
    try:
        too_large = pod.place.ping(address, size=mtu - 27, df=True, timeout=0.5)
    except OSError as error:
        assert error.errno == errno.EMSGSIZE, error
        too_large = None
    assert too_large is None, f"{mtu + 1} bytes do not"
