"""Capability portMappings: who reaches a mapped port, and when; what it leaves."""
import errno
import signal
import socket
import time

from lab import eventually, refused
from .judge import Skipped, check

PORTS = ("cap:portMappings",)
PORT, UDP_PORT = 8080, 5353


def mapped(t, *mappings):
    return t.conf(runtimeConfig={"portMappings": [{"hostPort": host, "containerPort": inside, "protocol": protocol, **more}
                                                  for host, inside, protocol, more in mappings]})


def serving(t, *mappings):
    """A pod whose servers listen before its ADD → (pod, ADD's answer)"""
    pod = t.pod()
    pod.place.serve_tcp(PORT)
    pod.place.serve_udp(UDP_PORT)
    return pod, pod.add(mapped(t, *mappings))


def versions(t):
    return [4, 6] if t.target.subnet(6) else [4]


def meets(pod, why, request, *target):
    """The pod answers at once; that nobody does is a verdict."""
    try:
        name = request(*target).name
    except OSError as error:
        raise AssertionError(f"{why}: {target}: {error}") from None
    assert name == pod.name, f"{why}: {target}: {name} answers, not {pod.name}"


def clean(t):
    """The state after a first mapped container was attached and removed: chains are made once."""
    t.baseline()
    pod, answer = serving(t, (8999, PORT, "tcp", {}))
    answer.ok()
    pod.detach()
    seen = []

    def settled():
        seen.append(t.state())
        return len(seen) > 1 and seen[-1] == seen[-2]
    eventually(settled, 15, "the state after DEL settles", every=0.3)
    return seen[-1]


def fails(request):
    try:
        request()
    except OSError:
        return True
    return False


@check("CNI-068.0", "capability portMappings, refused values", "CONVENTIONS portMappings", needs=PORTS, beside=True)
def refused_values(t):
    before = t.baseline()
    one = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    for bad in ([one, dict(one, containerPort=81)], [dict(one, hostPort=65536)], [dict(one, protocol="icmp")],
                [dict(one, containerPort=0)], [dict(one, hostIP="x")], {"a": 1}):
        pod = t.pod()
        pod.add(t.conf(runtimeConfig={"portMappings": bad})).fails(7, why=f"portMappings {bad}")
        assert not pod.has(), "no link in the container"
    t.unchanged(before, "what is refused leaves nothing")


@check("CNI-068.1", "capability portMappings, both spellings, protocols in any case, hostPort 0",
       "Podman and containerd spell differently; Go ignores case; CONVENTIONS: hostPort 0 is not mapped", needs=PORTS, beside=True)
def spellings(t):
    lists = [[{"hostPort": 8080, "containerPort": PORT, "protocol": "TCP"}, {"hostPort": 0, "containerPort": 9}],
             [{"HostPort": 8080, "ContainerPort": PORT, "Protocol": "tcp", "HostIP": ""}],
             [{"hostPort": 8080, "containerPort": PORT}, {"hostPort": 8082, "containerPort": 9, "protocol": "Udp"}]]
    for ports in lists:
        pod = t.pod()
        pod.place.serve_tcp(PORT)
        pod.add(t.conf(runtimeConfig={"portMappings": ports})).ok(f"portMappings {ports}")
        meets(pod, f"{ports}: TCP is what is meant", t.host.tcp_request, t.host.address(4), 8080)
        pod.detach()
        eventually(lambda: fails(lambda: t.host.tcp_request(t.host.address(4), 8080, timeout=0.3)), 3, "the port goes with its container")


@check("CNI-068.2", "a mapped port answers everybody when ADD returns", "CONVENTIONS portMappings; portmap", needs=PORTS, beside=True,
       seconds=120)
def reachable(t):
    outside = t.lab.outside(t.wire)
    pod, answer = serving(t, (8000, PORT, "tcp", {}), (5300, UDP_PORT, "udp", {}))
    answer.ok()
    for version in versions(t):
        address = t.host.address(version)
        for who, client in (("outside", outside), ("the host itself", t.host), ("the container itself", pod.place)):
            meets(pod, f"TCP, IPv{version}, from {who}", client.tcp_request, address, 8000)
            meets(pod, f"UDP, IPv{version}, from {who}", client.udp_request, address, 5300)
    meets(pod, "TCP from the host by 127.0.0.1", t.host.tcp_request, "127.0.0.1", 8000)
    meets(pod, "UDP from the host by 127.0.0.1", t.host.udp_request, "127.0.0.1", 5300)
    other = t.pod()
    other.attach()
    meets(pod, "from another container of the network", other.place.tcp_request, t.host.address(4), 8000)
    refused(lambda: outside.tcp_request(t.host.address(4), 8001), "a port that is not mapped")


@check("CNI-068.3", "a mapped port answers at ::1", "CONVENTIONS portMappings, for the other family", needs=(*PORTS, "dual"),
       tags=("strict", "should"), beside=True)
def loopback6(t):
    pod, answer = serving(t, (8000, PORT, "tcp", {}))
    answer.ok()
    meets(pod, "positive control", t.host.tcp_request, t.host.address(6), 8000)
    meets(pod, "TCP from the host by ::1", t.host.tcp_request, "::1", 8000)


@check("CNI-068.4", "hostIP restricts, and leaves the port to others on other addresses", "CONVENTIONS portMappings", needs=PORTS, beside=True)
def host_ip(t):
    outside = t.lab.outside(t.wire)
    t.host.must("ip address add 192.0.2.11/24 dev", t.host.underlay)
    first, answer = serving(t, (8000, PORT, "tcp", {"hostIP": t.host.address(4)}), (5300, UDP_PORT, "UDP", {"hostIP": "127.0.0.1"}))
    answer.ok()
    refused(lambda: outside.tcp_request("192.0.2.11", 8000), "the other address")
    second, answer = serving(t, (8000, PORT, "tcp", {"hostIP": "192.0.2.11"}))
    answer.ok("the same port on another address")
    for client in (outside, t.host):
        meets(first, "the first container on its address", client.tcp_request, t.host.address(4), 8000)
        meets(second, "the second one on its own", client.tcp_request, "192.0.2.11", 8000)
    meets(first, "a mapping of 127.0.0.1 answers the host", t.host.udp_request, "127.0.0.1", 5300)
    refused(lambda: outside.udp_request(t.host.address(4), 5300), "and nobody else")
    refused(lambda: t.host.tcp_request("127.0.0.1", 8000), "nor does a mapping of another address answer at 127.0.0.1")


@check("CNI-068.5", "capability portMappings, sctp", "CONVENTIONS portMappings", needs=PORTS, beside=True)
def sctp(t):
    """Where the kernel speaks SCTP it is spoken; else the mapping has to be accepted and taken back."""
    before = clean(t)
    pod = t.pod()
    server = _sctp_server(pod)
    pod.add(mapped(t, (9000, PORT, "SCTP", {}))).ok()
    if server:
        with t.host.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        client.settimeout(5)
        client.connect((t.host.address(4), 9000))
        server.settimeout(5)
        accepted, _ = server.accept()
        client.sendall(b"over SCTP")
        assert accepted.recv(100) == b"over SCTP"
        for sock in (accepted, client, server):
            sock.close()
    pod.detach()
    t.unchanged(before, "DEL takes it back")


def _sctp_server(pod):
    try:
        with pod.place.inside():
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        raise
    server.bind(("0.0.0.0", PORT))
    server.listen()
    return server


@check("CNI-068.6", "a port that another container has is refused", "CONVENTIONS: an error if it cannot act; bind(2)", needs=PORTS, beside=True,
       tags=("strict",))
def taken(t):
    t.baseline()
    owner, answer = serving(t, (8000, PORT, "tcp", {}))
    answer.ok()
    held = t.state()
    for mapping in ((8000, 81, "tcp", {}), (8000, 81, "tcp", {"hostIP": t.host.address(4)})):
        late = t.pod()
        late.add(mapped(t, (8001, 82, "tcp", {}), mapping)).fails(7, names=("8000", "tcp", owner.id[:12]), why=f"the taken port {mapping}")
        assert not late.has(), "no link in the second container"
        t.unchanged(held, "what is refused leaves nothing")
    meets(owner, "its owner keeps it", t.host.tcp_request, t.host.address(4), 8000)
    other, answer = serving(t, (8000, UDP_PORT, "udp", {}))
    answer.ok("the same port of another protocol")
    meets(other, "the mapped port", t.host.udp_request, t.host.address(4), 8000)
    owner.detach()
    late = t.pod()
    late.place.serve_tcp(PORT)
    late.add(mapped(t, (8000, PORT, "tcp", {}))).ok("when its owner is gone")
    meets(late, "it is the next one's", t.host.tcp_request, t.host.address(4), 8000)


@check("CNI-068.7", "DEL takes back what a mapping made, connection tracking of UDP, too", "portmap: deletes conntrack entries", needs=PORTS,
       beside=True)
def flows_go(t):
    before = clean(t)
    outside = t.lab.outside(t.wire)
    first, answer = serving(t, (8000, PORT, "tcp", {}), (5300, UDP_PORT, "udp", {}))
    answer.ok()
    with outside.udp_socket(t.host.address(4), 5300) as flow:
        assert flow.ask().name == first.name, "positive control"
        first.detach()
        eventually(lambda: fails(lambda: outside.tcp_request(t.host.address(4), 8000, timeout=0.3)), 3, "the port is closed")
        second, answer = serving(t, (5300, UDP_PORT, "udp", {}))
        answer.ok()
        assert eventually(lambda: flow.ask(timeout=0.3).name, 3, "the same client socket") == second.name, "the new owner answers"
        second.detach()
    t.unchanged(before, "nothing is left")


@check("CNI-068.8", "without its daemons: ADD with a mapping fails in time and leaves nothing, DEL works", "robustness", needs=PORTS, beside=True,
       seconds=120)
def daemons_stopped(t):
    if not t.daemons:
        raise Skipped("nothing runs beside this plugin")
    before = clean(t)
    pod, answer = serving(t, (8000, PORT, "tcp", {}))
    answer.ok("while they run")
    for what, stop in {"stopped": lambda d: d.signal(signal.SIGSTOP), "killed": lambda d: d.kill9()}.items():
        for daemon in t.daemons:
            stop(daemon)
        late = t.pod()
        start = time.monotonic()
        late.add(mapped(t, (8001, PORT, "tcp", {}))).fails(why=f"with the daemons {what}")
        took = time.monotonic() - start
        assert took < 8 * t.lab.slow, f"{what}: {took:.1f} s"
        assert not late.has() and not late.place.links().keys() - {"lo"}, f"{what}: nothing is left in the container"
        if what == "stopped":
            pod.delete().silent("DEL of a mapped container while they are stopped")
            assert not set(pod.ips()) & set(t.leases()), "its addresses are free"
        plain = t.pod()
        plain.attach()
        plain.detach()
        if what == "killed":
            for daemon in t.daemons:
                daemon.start()
        else:
            for daemon in t.daemons:
                daemon.signal(signal.SIGCONT)
    t.unchanged(before, "when they are back, nothing is left")
