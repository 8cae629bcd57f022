"""CHECK: says yes to what ADD left, and no to every part of it that is gone."""
import signal

from .judge import Skipped, check
from .trial import network_places


def attached(t):
    pod = t.pod()
    pod.attach()
    pod.check().silent("CHECK right after ADD")
    return pod


@check("CNI-100", "CHECK right after ADD", "SPEC §2 CHECK")
def right_after_add(t):
    for version in ("0.4.0", "1.0.0"):
        pod = t.pod()
        pod.attach(t.conf(version))
        pod.check().silent(version)


@check("CNI-101", "CHECK needs 0.4.0", "skel code 1")
def needs_0_4_0(t):
    pod = t.pod()
    pod.attach(t.conf("0.3.1"))
    pod.call("CHECK", t.conf("0.3.1"), prev=pod.result).fails(1)


@check("CNI-102", "CHECK without prevResult", "SPEC §2 CHECK: the runtime must include it")
def without_prev_result(t):
    pod = attached(t)
    pod.call("CHECK", t.conf()).fails()


@check("CNI-103", "CHECK, interface gone", "SPEC §2 CHECK")
def interface_gone(t):
    pod = attached(t)
    pod.place.must("ip link delete eth0")
    pod.check().fails()


@check("CNI-104", "CHECK, address gone", "SPEC §2 CHECK")
def address_gone(t):
    pod = attached(t)
    address = next(a for a in pod.addresses() if ":" not in a)
    pod.place.must("ip address delete", address, "dev", "eth0")
    pod.check().fails()


@check("CNI-105", "CHECK, route gone", "SPEC §2 CHECK")
def route_gone(t):
    pod = attached(t)
    pod.place.must("ip -4 route delete default")
    pod.check().fails()


@check("CNI-106", "CHECK, MAC changed", "SPEC §2 CHECK: invalid state")
def mac_changed(t):
    pod = attached(t)
    pod.place.must("ip link set eth0 address 02:00:00:00:ee:ee")
    pod.check().fails()


@check("CNI-107", "CHECK, link down", "SPEC §2 CHECK")
def link_down(t):
    pod = attached(t)
    pod.place.must("ip link set eth0 down")
    pod.check().fails()


@check("CNI-108", "CHECK, host end detached or down", "SPEC §2 CHECK: generally unreachable")
def host_end_down(t):
    pod = attached(t)
    ends = [i["name"] for i in pod.result["interfaces"] if not i.get("sandbox")]
    for place in network_places(t):
        links = place.links()
        peers = [name for name in links if links[name].get("linkinfo", {}).get("info_kind") == "veth"
                 and (name in ends or name.startswith(("veth", "c"))) and "NO-CARRIER" not in links[name]["flags"]]
        for name in peers:
            place.must("ip link set", name, "down")
    assert "LOWER_UP" not in pod.place.links()["eth0"]["flags"], "the container's end has lost its carrier"
    pod.check().fails()


@check("CNI-109", "CHECK, reservation gone", "SPEC §2 CHECK: IP reservations")
def reservation_gone(t):
    pod = attached(t)
    t.host.remove(t.leases()[pod.ips(4)[0]])
    pod.check().fails()


@check("CNI-110", "CHECK, what a later plugin adds is fine", "SPEC §2 CHECK: must allow later chained plugins")
def additions_are_fine(t):
    pod = attached(t)
    pod.place.must("ip address add 192.168.99.1/24 dev eth0")
    pod.place.must("ip route add 198.51.100.0/24 dev eth0")
    pod.check().silent()


@check("CNI-111", "CHECK, namespace gone", "SPEC §2")
def netns_gone(t):
    pod = attached(t)
    pod.check(env={"CNI_NETNS": "/run/netns/none"}).fails()


@check("CNI-112", "CHECK after DEL", "SPEC §2 CHECK")
def after_del(t):
    pod = attached(t)
    pod.detach()
    pod.check().fails()


def plugin_places(t):
    """Namespaces the plugin made for its network; a plugin that needs none has no such parts."""
    places = [place for place in network_places(t) if place is not t.host]
    if not places:
        raise Skipped("the plugin has no namespace of its own")
    return places


def firewalls(t, before):
    """[(place, family, table)] of the firewall tables that were not there before."""
    return [(place, *table) for place in network_places(t) for table in tables_of(place) if (place.name, *table) not in before]


def tables_of(place):
    return [(entry["table"]["family"], entry["table"]["name"]) for entry in place.nft_list() if "table" in entry]


@check("CNI-113.0", "CHECK, firewall gone or emptied", "SPEC §2 CHECK, resources that are not in the result", tags=("strict",))
def firewall_gone(t):
    before = {(t.host.name, *table) for table in tables_of(t.host)}
    attached(t)
    inside = [one for one in firewalls(t, before) if one[0] is not t.host]
    if not inside:
        raise Skipped("the plugin makes no firewall of its own for a network")
    for place, family, name in inside:
        rules = place.must("nft -s list table", family, name)
        for spoil in ("flush", "delete"):
            pod = attached(t)
            place.must("nft", spoil, "table", family, name)
            pod.check().fails(names=(name,), why=f"CHECK after nft {spoil} table {name}")
            place.must("nft -f -", input=(f"delete table {family} {name}\n" if spoil == "flush" else "") + rules)
            pod.check().silent("CHECK when it is back")


@check("CNI-113.1", "CHECK, gateway address gone", "SPEC §2 CHECK: generally unreachable", tags=("strict",))
def gateway_address_gone(t):
    for version in {4 if net.version == 4 else 6 for net in t.target.subnets}:
        pod = attached(t)
        gateway = t.target.gateway(version)
        holders = [(place, entry["ifname"], address["prefixlen"]) for place in network_places(t) for entry in place.ip_json("address", "show")
                   for address in entry["addr_info"] if address.get("local") == gateway]
        if not holders:
            raise Skipped("the gateway is another machine's")
        for place, ifname, length in holders:
            place.must("ip address delete", f"{gateway}/{length}", "dev", ifname)
        pod.check().fails(names=(gateway,), why=f"CHECK without {gateway}")
        for place, ifname, length in holders:
            place.must("ip address add", f"{gateway}/{length}", "dev", ifname, *(["nodad"] if version == 6 else []))
        pod.check().silent("CHECK when it is back")


@check("CNI-113.2", "CHECK, the network's uplink gone", "SPEC §2 CHECK: generally unreachable", tags=("strict",))
def uplink_gone(t):
    pod = attached(t)
    peers = {i["name"] for i in pod.result["interfaces"] if not i.get("sandbox")}
    for place in plugin_places(t):
        uplinks = [name for name, link in place.links().items()
                   if link.get("linkinfo", {}).get("info_kind") == "veth" and name not in peers and not name.startswith("c")]
        assert uplinks, f"the network has a link to the host: {sorted(place.links())}"
        for name in uplinks:
            place.must("ip link delete", name)
            pod.check().fails(names=(name,), why=f"CHECK without {name}")


@check("CNI-113.3", "CHECK does not depend on daemons", "CRI-O fails a pod whose CHECK fails; the data plane needs no daemon", beside=True)
def daemons_gone(t):
    if not t.daemons:
        raise Skipped("nothing runs beside this plugin")
    pod = attached(t)
    for daemon in t.daemons:
        daemon.signal(signal.SIGSTOP)
    pod.check().silent("CHECK while they are stopped")
    for daemon in t.daemons:
        daemon.kill9()
    pod.check().silent("CHECK when they are gone")


@check("CNI-114", "CHECK forwards to IPAM and passes its error", "SPEC §2, §4", tags=("delegates",))
def forwards(t):
    env = t.stub_env()
    pod = t.pod()
    pod.add(t.stub(), env=env).ok()
    pod.check(env=env).silent("while the IPAM says yes")
    t.stub(CHECK={"stdout": '{"cniVersion":"1.0.0","code":106,"msg":"stub says no"}', "rc": 1})
    pod.check(env=env).fails(106, names=("stub says no",))
