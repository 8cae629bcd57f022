"""Two hosts with a container each, in the ways that are compared, and the programs that measure between them (part_overlay.py,
part_encryption.py)."""
import sandbox  # noqa: F401 (finds the lab)
from cluster import world
from lab import conflist, eventually

PORT, PACKET_PORT = 7000, 7001
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


def take_times(client, address, mebibytes, rounds):
    """(ms a MiB by TCP, µs a round trip by UDP) from this container to the PEER at that address."""
    for _ in range(50):
        done = client.run("/usr/bin/python3", "-c", CLIENT, address, str(mebibytes), str(rounds), timeout=60)
        if done.rc == 0:
            return tuple(map(float, done.out.split()))
    raise RuntimeError(f"{client.name}: {done.err}")


def packet_time(tools, client, address, size, windows):
    """µs a UDP packet takes from this container to a sink at that address (packets.cc)."""
    return float(client.must(f"{tools}/bench_packets send {address} {PACKET_PORT} {size} {windows}", timeout=60))


def hosts(lab, name):
    wire = lab.segment(name)
    made = [lab.host(f"{name.replace(' ', '-')}-{number}", wire, address=number) for number in (1, 2)]
    for host in made:
        host.sysctl("net.ipv4.ip_forward", 1)
    return made


def _keys(made):
    """A WireGuard key pair for each host: [(private, public)]"""
    pairs = []
    for host in made:
        private = host.must("wg genkey").strip()
        pairs.append((private, host.must("wg pubkey", input=private + "\n").strip()))
    return pairs


def _wireguard_by_hand(made):
    """→ the addresses of the devices."""
    pairs = _keys(made)
    for number, host in enumerate(made, 1):
        other = 3 - number
        host.write("/tmp/key", pairs[number - 1][0] + "\n", mode=0o600)
        host.must("ip link add wg0 mtu 1440 type wireguard")
        host.must(f"wg set wg0 listen-port 4792 private-key /tmp/key peer {pairs[other - 1][1]} "
                  f"allowed-ips 10.250.0.{other}/32 endpoint {made[other - 1].address(4)}:4792")
        host.must(f"ip addr add 10.250.0.{number}/32 dev wg0")
        host.must("ip link set wg0 up")
        host.must(f"ip route add 10.250.0.{other}/32 dev wg0")
    return ["10.250.0.1", "10.250.0.2"]


def by_hand(lab, name):
    """The kernel objects of overlay/mesh_plan.h and overlay/attach.h, by iproute2, without rules."""
    made = hosts(lab, name)
    places = []
    for number, host in enumerate(made, 1):
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
        host.must(f"ip netns exec router bridge fdb append 02:57:00:00:00:0{other} dev vx dst {made[other - 1].address(4)} self permanent")
        for command in ("link set eth0 up", f"addr add 10.32.{number}.2/32 dev eth0", "route add default via 10.32.0.1 dev eth0 onlink",
                        "neigh add 10.32.0.1 lladdr 02:57:ff:ff:ff:01 dev eth0 nud permanent"):
            host.must(f"ip -n box {command}")
        places.append(place)
    return places[0], places[1], "10.32.2.2"


def _associations_by_hand(made):
    """ESP between the hosts for the port of networks without encryption, with the parameters of kernel/xfrm.h."""
    for number, host in enumerate(made, 1):
        mine, other = host.address(4), made[2 - number].address(4)
        for source, target in ((mine, other), (other, mine)):
            spi = 0x5000 + int(source.rsplit(".", 1)[1])
            host.must(f"ip xfrm state add src {source} dst {target} proto esp spi {spi} reqid 1 mode transport "
                      f"aead rfc4106(gcm(aes)) 0x{spi:072x} 128 replay-window 1024 flag esn")
            direction = "out" if source == mine else "in"
            host.must(f"ip xfrm policy add src {source}/32 dst {target}/32 proto udp dport 4789 dir {direction} "
                      f"tmpl src {source} dst {target} proto esp reqid 1 mode transport")


def ipsec_by_hand(lab, name):
    """A network without encryption above associations that somebody else made; packets as large as an encrypted one's."""
    made = []
    client, server, address = fairlead(lab, name, mtu=1408, hosts_made=made)
    _associations_by_hand(made)
    return client, server, address


def ipsec(lab, name):
    """An encrypted network, with all it takes: managers, keys, associations."""
    made = hosts(lab, name)
    for host in made:
        host.start_agent()
    world.found(made[0])
    world.join(made[1], made[0])
    made[0].ctl_ok("network create net --subnet 10.32.0.0/16 --encryption ipsec", timeout=60)
    eventually(lambda: made[1].exists("/var/lib/fairlead/networks/net.json"), 30, "both have the network")
    places = []
    for host in made:
        places.append(host.container("box"))
        places[-1].attach(conflist("net"))
    eventually(lambda: places[0].ping(places[1].ip), 30, "the associations are there")
    return places[0], places[1], places[1].ip


def fairlead(lab, name, encryption="none", also=(), tunnel=False, mtu=0, hosts_made=None):
    """also: encryption of further networks, which nobody uses. tunnel: the underlay is a WireGuard device made by hand.
    hosts_made: a list that gets the hosts."""
    made = hosts(lab, name)
    if hosts_made is not None:
        hosts_made += made
    addresses = _wireguard_by_hand(made) if tunnel else [host.address(4) for host in made]
    pairs = _keys(made) if encryption == "wireguard" else [("", "")] * 2
    for (private, _), host in zip(pairs, made):
        if private:
            host.must("mkdir -p -m 0700 /var/lib/fairlead/keys")
            host.write("/var/lib/fairlead/keys/wireguard.key", private + "\n", mode=0o600)
        for number, kind in enumerate(also, 78):
            host.write(f"/var/lib/fairlead/networks/other{number}.json",
                       {"apiVersion": 1, "name": f"other{number}", "vni": number, "subnets": [f"10.{number}.0.0/16"], "encryption": kind})
        host.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": host.name})
        host.write("/var/lib/fairlead/networks/net.json", {"apiVersion": 1, "name": "net", "vni": 77, "subnets": ["10.32.0.0/16"],
                                                                    "encryption": encryption, "mtu": mtu})
        for number, other in enumerate(made, 1):
            host.write(f"/var/lib/fairlead/nodes/{other.name}.json",
                       {"apiVersion": 1, "name": other.name, "number": number, "address": addresses[number - 1],
                        "wireguardKey": pairs[number - 1][1]})
            host.write(f"/var/lib/fairlead/blocks/net/{other.name}.json",
                       {"apiVersion": 1, "network": "net", "node": other.name, "blocks": [f"10.32.{number}.0/24"]})
        host.start_agent()
    places = []
    for number, host in enumerate(made, 1):
        place = host.container("box")
        place.attach(conflist("net"), capabilities={"ips": [f"10.32.{number}.2"]})
        places.append(place)
    return places[0], places[1], "10.32.2.2"
