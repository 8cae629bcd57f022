"""overlay: packets between containers of two nodes, fairlead against the same path set up by hand and against bridge + VXLAN.

By hand: a routed VXLAN by iproute2, no firewall at all. Bridge: what Docker and CNI's vxlan users have, a bridge and a VXLAN
device per host, connection tracking as the host does it anyway. Every contestant has two hosts of its own (conformance/lab);
the streams take turns. Time per MiB and per round trip, so that less is better, as in every part.
"""
import json
import os

import attachers
import sandbox  # noqa: F401 (finds the lab)
from context import Book, interleaved
from lab.lab import Lab, isolated
from rows import Row
from two_nodes import PEER, by_hand, fairlead, hosts, take_times

NAME = "overlay"


def run(ctx):
    """The lab wants a process of its own; its results come back by file."""
    path = f"{ctx.folder}/overlay.json"
    os.environ["FAIRLEAD_BIN"] = ctx.bin
    report = open(path, "w+", encoding="ascii")

    def measured():
        json.dump(_measure(ctx), report)
        report.flush()
        return 0

    if attachers.Fairlead.missing(ctx):
        return [Row(NAME, "fairlead between nodes", missing=attachers.Fairlead.missing(ctx), target=1)]
    status = os.waitstatus_to_exitcode(os.waitpid(isolated(measured), 0)[1])
    if status != 0:
        raise RuntimeError(f"the lab ended with status {status}")
    report.seek(0)
    return _rows(json.load(report))


def _measure(ctx):
    lab = Lab()
    contestants = {name: make(lab, name) for name, make in (("by hand", by_hand), ("fairlead", fairlead), ("bridge", _bridge))}
    servers = []
    for name, (client, server, address) in contestants.items():
        servers.append(server.popen("/usr/bin/python3", "-c", PEER))
    values = {name: {"stream": [], "round trip": []} for name in contestants}

    def one(name):
        client, _, address = contestants[name]
        stream, trip = take_times(client, address, ctx.rounds(200, 50), ctx.rounds(3000, 500))
        values[name]["stream"].append(stream)
        values[name]["round trip"].append(trip)

    interleaved(list(contestants), ctx.rounds(15, 3), one)
    return values


def _bridge(lab, name):
    made = hosts(lab, name)
    places = []
    for number, host in enumerate(made, 1):
        place = host.container("box")
        host.must("ip link add br0 mtu 1450 type bridge")
        host.must(f"ip link add vx0 mtu 1450 type vxlan id 77 local {host.address(4)} dstport 4789 nolearning")
        host.must("ip link set vx0 master br0 up")
        host.must("ip link set br0 up")
        host.must("ip link add p0 mtu 1450 type veth peer name eth0 mtu 1450 netns box")
        host.must("ip link set p0 master br0 up")
        host.must(f"bridge fdb append 00:00:00:00:00:00 dev vx0 dst {made[2 - number].address(4)}")
        host.must("ip -n box link set eth0 up")
        host.must(f"ip -n box addr add 10.32.0.{number}/24 dev eth0")
        host.must("nft add table inet track")     # connection tracking, which a host with containers has
        host.must("nft add chain inet track c { type filter hook forward priority 0 ; }")
        host.must("nft add rule inet track c ct state established accept")
        places.append(place)
    return places[0], places[1], "10.32.0.2"


def _rows(values):
    book = {}
    for name, kinds in values.items():
        for kind, list_ in kinds.items():
            own = Book("ms" if kind == "stream" else "µs")
            for value in list_:
                own.add(kind, value)
            book[name, kind] = own.get(kind)
    rows = []
    for kind, what, limit in (("stream", "a MiB by TCP", 1 / 0.95), ("round trip", "a round trip by UDP", None)):
        for name in ("by hand", "bridge"):
            rows.append(Row(NAME, f"{name}: {what}", book[name, kind]))
        rows.append(Row(NAME, f"fairlead: {what}", book["fairlead", kind], "by hand", book["by hand", kind], limit))
        rows.append(Row(NAME, f"fairlead: {what}", book["fairlead", kind], "bridge", book["bridge", kind], 1.0 if limit else None))
    return rows
