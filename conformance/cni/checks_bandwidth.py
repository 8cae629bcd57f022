"""Capability bandwidth: bits per second into the container (ingress) and out of it (egress), bits that may come at once."""
import json
import socket
import threading
import time

from lab import eventually
from .judge import check
from .trial import network_places

NEEDS = ("cap:bandwidth",)
PORT = 9100
MBIT = 1_000_000


def limited(t, **limits):
    return t.conf(runtimeConfig={"bandwidth": limits})


def measured(sender, receiver, address, skip, seconds):
    """Bits per second that arrive of one TCP connection, after the first `skip` seconds (in which the burst is used up)."""
    listener = receiver.socket()
    listener.bind((address, PORT))
    listener.listen()
    client = sender.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)     # the kernel sends on while this process waits
    client.settimeout(10)
    client.connect((address, PORT))
    server, _ = listener.accept()
    server.settimeout(10)
    end = threading.Event()

    def send():
        block = bytes(1 << 16)
        try:
            while not end.is_set():
                client.send(block)
        except OSError:
            pass
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    drain = threading.Thread(target=_drain, args=(server,), daemon=True)
    drain.start()
    time.sleep(skip)
    start, bytes_before = _received(receiver)
    time.sleep(seconds)
    stop, bytes_after = _received(receiver)
    end.set()
    for sock in (server, client, listener):
        sock.close()
    thread.join(10)
    return (bytes_after - bytes_before) * 8 / (stop - start)


def _drain(sock):
    try:
        while sock.recv(1 << 18):
            pass
    except OSError:
        pass


def _received(place):
    """(when, bytes) the container's link has received: what waits in a socket or was lost and sent again plays no part."""
    before = time.monotonic()
    (link,) = place.ip_json("-s", "link", "show", "dev", "eth0")
    return (before + time.monotonic()) / 2, link["stats64"]["rx"]["bytes"]


@check("CNI-069.0", "capability bandwidth, refused values", "CONVENTIONS bandwidth; bandwidth plugin", needs=NEEDS)
def refused_values(t):
    before = t.baseline()
    good = {"ingressRate": MBIT, "ingressBurst": MBIT}
    for bad in ({"ingressRate": -1, "ingressBurst": MBIT}, {"egressRate": MBIT, "egressBurst": -1}, {"ingressRate": MBIT},
                {"egressRate": MBIT, "egressBurst": 0}, dict(good, ingressBurst=8 * 2 ** 32), dict(good, ingressRate="fast")):
        pod = t.pod()
        pod.add(limited(t, **bad)).fails(7, why=f"bandwidth {bad}")
        assert not pod.has(), "no link in the container"
    t.unchanged(before, "what is refused leaves nothing")


@check("CNI-069.1", "ingress and egress are what was asked for", "CONVENTIONS bandwidth", needs=NEEDS, seconds=90)
def rates(t):
    free, one = t.pod(), t.pod()
    free.attach()
    rate_in, rate_out, burst = 8 * MBIT, 16 * MBIT, 800_000
    one.add(limited(t, ingressRate=rate_in, ingressBurst=burst, egressRate=rate_out, egressBurst=burst)).ok()
    one.check().silent("CHECK of a limited container")
    for what, sender, receiver, wanted in (("into the container", free, one, rate_in), ("out of it", one, free, rate_out)):
        got = measured(sender.place, receiver.place, receiver.ips(4)[0], skip=2 * burst / wanted + 0.5, seconds=2)
        assert 0.85 * wanted < got < 1.15 * wanted, f"{what}: {got / MBIT:.2f} Mbit/s, asked for {wanted / MBIT:g}"
    other = t.pod()
    other.attach()
    got = measured(free.place, other.place, other.ips(4)[0], skip=0.1, seconds=0.5)
    assert got > 5 * rate_out, f"without a limit there is none: {got / MBIT:.0f} Mbit/s"


@check("CNI-069.2", "both spellings; 0 and absent are no limit", "containerd sends Burst 4294967295 and zeros; Go ignores case", needs=NEEDS)
def spellings(t):
    before = t.baseline()
    for limits in ({"IngressRate": MBIT, "IngressBurst": 4294967295, "EgressRate": 0, "EgressBurst": 0},
                   {"egressRate": MBIT, "egressBurst": MBIT}, {"ingressRate": 0, "ingressBurst": 0}, {}):
        pod = t.pod()
        pod.add(limited(t, **limits)).ok(f"bandwidth {limits}")
        pod.check().silent(f"CHECK with {limits}")
        pod.delete(prev=True).silent()
    t.unchanged(before, "DEL leaves nothing")


@check("CNI-069.3", "DEL removes queues and devices, when the container is gone, too", "CONVENTIONS bandwidth; bandwidth plugin", needs=NEEDS)
def del_removes(t):
    before = t.baseline()
    limits = dict.fromkeys(("ingressRate", "ingressBurst", "egressRate", "egressBurst"), MBIT)
    for what, gone, env in (("a container that is there", False, {}), ("one that is gone", True, {}),
                            ("one of which nothing is known any more", True, {"CNI_NETNS": ""})):
        pod = t.pod()
        pod.add(limited(t, **limits)).ok()
        assert queues(t), "while it is attached there are queues"
        if gone:
            pod.place.kill()
            del t.host.containers[pod.name]
        pod.delete(prev=True, env=env).silent(f"DEL of {what}")
        assert not queues(t), f"DEL of {what}: {queues(t)}"
        t.unchanged(before, f"DEL of {what} leaves nothing")


def queues(t):
    """[(place, device)] of all token buckets outside containers."""
    return [(place, entry["dev"]) for place in network_places(t) for entry in json.loads(place.must("tc -j qdisc show")) if entry["kind"] == "tbf"]


@check("CNI-069.4", "CHECK notices a limit that is gone", "SPEC §2 CHECK; bandwidth plugin", needs=NEEDS, tags=("strict",))
def check_notices(t):
    limits = dict.fromkeys(("ingressRate", "ingressBurst", "egressRate", "egressBurst"), MBIT)
    for number in range(2):
        pod = t.pod()
        pod.add(limited(t, **limits)).ok()
        pod.check().silent("CHECK while all is there")
        found = queues(t)
        assert len(found) == 2, f"a queue for each direction: {found}"
        place, device = found[number]
        place.must("tc qdisc delete dev", device, "root")
        pod.check().fails(why=f"CHECK without the queue of {device}")
        pod.delete(prev=True).silent()
        eventually(lambda: not queues(t), 3, "DEL removes the rest")
