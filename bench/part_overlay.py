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
from lab import conflist
from lab.lab import Lab, isolated
from rows import Row

NAME = "overlay"
PORT = 7000
PEER = """
import socket, threading
def sink(c):
    with c:
        buffer = bytearray(1 << 20)
        while c.recv_into(buffer): pass
        c.send(b"!")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("", %(port)d))
def echo():
    while True:
        data, who = udp.recvfrom(64); udp.sendto(data, who)
threading.Thread(target=echo, daemon=True).start()
with socket.create_server(("", %(port)d)) as s:
    print("ready", flush=True)
    while True: sink(s.accept()[0])
""" % {"port": PORT}
CLIENT = """
import socket, sys, time
target, mebibytes, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = b"x" * (1 << 20)
with socket.create_connection((target, %(port)d), 5) as c:
    start = time.perf_counter()
    for _ in range(mebibytes): c.sendall(data)
    c.shutdown(socket.SHUT_WR); c.recv(1)
    stream = (time.perf_counter() - start) / mebibytes
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(2); u.connect((target, %(port)d)); u.send(b"x"); u.recv(64)
start = time.perf_counter()
for _ in range(rounds): u.send(b"x"); u.recv(64)
print(stream * 1e3, (time.perf_counter() - start) / rounds * 1e6)
""" % {"port": PORT}


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
    contestants = {name: make(lab, name) for name, make in (("by hand", _by_hand), ("fairlead", _fairlead), ("bridge", _bridge))}
    servers = []
    for name, (client, server, address) in contestants.items():
        servers.append(server.popen("/usr/bin/python3", "-c", PEER))
    values = {name: {"stream": [], "round trip": []} for name in contestants}

    def one(name):
        client, _, address = contestants[name]
        for attempt in range(50):
            done = client.run("/usr/bin/python3", "-c", CLIENT, address, str(ctx.rounds(200, 50)), str(ctx.rounds(3000, 500)), timeout=60)
            if done.rc == 0:
                break
        else:
            raise RuntimeError(f"{name}: {done.err}")
        stream, trip = map(float, done.out.split())
        values[name]["stream"].append(stream)
        values[name]["round trip"].append(trip)

    interleaved(list(contestants), ctx.rounds(15, 3), one)
    return values


def _hosts(lab, name):
    wire = lab.segment(name)
    hosts = [lab.host(f"{name.replace(' ', '-')}-{number}", wire, address=number) for number in (1, 2)]
    for host in hosts:
        host.sysctl("net.ipv4.ip_forward", 1)
    return hosts


def _by_hand(lab, name):
    """The kernel objects of overlay/mesh_plan.h and overlay/attach.h, by iproute2, without rules."""
    hosts = _hosts(lab, name)
    places = []
    for number, host in enumerate(hosts, 1):
        other = 3 - number
        place = host.container("box")
        host.must("ip netns add router")
        host.must("ip -n router link set lo up")
        host.must("ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        host.must(f"ip link add vx netns router mtu 1450 address 02:57:00:00:00:0{number} type vxlan id 77 "
                  f"local {host.address(4)} dstport 4789 nolearning")
        host.must("ip link add c1 netns router mtu 1450 address 02:57:ff:ff:ff:01 type veth peer name eth0 mtu 1450 netns box")
        for command in ("link set vx up", "link set c1 up", f"addr add 169.254.128.{number}/32 dev vx", "addr add 10.32.0.1/32 dev lo",
                        f"neigh add 169.254.128.{other} lladdr 02:57:00:00:00:0{other} dev vx nud permanent",
                        f"route add 10.32.{number}.2/32 dev c1", f"route add 10.32.{other}.0/24 via 169.254.128.{other} dev vx onlink"):
            host.must(f"ip -n router {command}")
        host.must(f"ip netns exec router bridge fdb append 02:57:00:00:00:0{other} dev vx dst {hosts[other - 1].address(4)} self permanent")
        for command in ("link set eth0 up", f"addr add 10.32.{number}.2/32 dev eth0", "route add default via 10.32.0.1 dev eth0 onlink",
                        "neigh add 10.32.0.1 lladdr 02:57:ff:ff:ff:01 dev eth0 nud permanent"):
            host.must(f"ip -n box {command}")
        places.append(place)
    return places[0], places[1], "10.32.2.2"


def _bridge(lab, name):
    hosts = _hosts(lab, name)
    places = []
    for number, host in enumerate(hosts, 1):
        place = host.container("box")
        host.must("ip link add br0 mtu 1450 type bridge")
        host.must(f"ip link add vx0 mtu 1450 type vxlan id 77 local {host.address(4)} dstport 4789 nolearning")
        host.must("ip link set vx0 master br0 up")
        host.must("ip link set br0 up")
        host.must("ip link add p0 mtu 1450 type veth peer name eth0 mtu 1450 netns box")
        host.must("ip link set p0 master br0 up")
        host.must(f"bridge fdb append 00:00:00:00:00:00 dev vx0 dst {hosts[2 - number].address(4)}")
        host.must("ip -n box link set eth0 up")
        host.must(f"ip -n box addr add 10.32.0.{number}/24 dev eth0")
        host.must("nft add table inet track")     # connection tracking, which a host with containers has
        host.must("nft add chain inet track c { type filter hook forward priority 0 ; }")
        host.must("nft add rule inet track c ct state established accept")
        places.append(place)
    return places[0], places[1], "10.32.0.2"


def _fairlead(lab, name):
    hosts = _hosts(lab, name)
    for host in hosts:
        host.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": host.name})
        host.write("/var/lib/fairlead/networks/net.json", {"apiVersion": 1, "name": "net", "vni": 77, "subnets": ["10.32.0.0/16"]})
        for number, other in enumerate(hosts, 1):
            host.write(f"/var/lib/fairlead/nodes/{other.name}.json",
                       {"apiVersion": 1, "name": other.name, "number": number, "address": other.address(4)})
            host.write(f"/var/lib/fairlead/blocks/net/{other.name}.json",
                       {"apiVersion": 1, "network": "net", "node": other.name, "blocks": [f"10.32.{number}.0/24"]})
        host.start_agent()
    places = []
    for number, host in enumerate(hosts, 1):
        place = host.container("box")
        place.attach(conflist("net"), capabilities={"ips": [f"10.32.{number}.2"]})
        places.append(place)
    return places[0], places[1], "10.32.2.2"


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
