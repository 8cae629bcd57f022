"""CHECK: says yes to what ADD left, and no to every part of it that is gone."""
from .judge import check


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
    for place in [t.host] + [_named(t, name) for name in t.host.netns_list() if name not in t.host.containers]:
        links = place.links()
        peers = [name for name in links if links[name].get("linkinfo", {}).get("info_kind") == "veth"
                 and (name in ends or name.startswith(("veth", "c"))) and "NO-CARRIER" not in links[name]["flags"]]
        for name in peers:
            place.must("ip link set", name, "down")
    assert "LOWER_UP" not in pod.place.links()["eth0"]["flags"], "the container's end has lost its carrier"
    pod.check().fails()


def _named(t, name):
    import os
    from lab.place import Place
    return Place(t.lab, name, os.open(t.host.path(f"/run/netns/{name}"), os.O_RDONLY | os.O_CLOEXEC), t.host)


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


@check("CNI-114", "CHECK forwards to IPAM and passes its error", "SPEC §2, §4", tags=("delegates",))
def forwards(t):
    env = t.stub_env()
    pod = t.pod()
    pod.add(t.stub(), env=env).ok()
    pod.check(env=env).silent("while the IPAM says yes")
    t.stub(CHECK={"stdout": '{"cniVersion":"1.0.0","code":106,"msg":"stub says no"}', "rc": 1})
    pod.check(env=env).fails(106, names=("stub says no",))
