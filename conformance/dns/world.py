"""What most DNS tests start from: one node with fairlead-dns, a misbehaving resolver outside (upstream.py) that the node's
resolv.conf names, network net1 (10.5.0.0/16, fd05::/64) and, when asked for, net2 (10.6.0.0/16) and closed (internal).

    w = World(lab); w.service("web", vips=["10.5.255.1"]); t = w.task("web-1", "web")
    w.client.ask("web").addresses
"""
import socket
import struct
import time

from lab import *
from lab import dnsmessage
from .upstream import Upstream

DOMAIN = "fairlead.internal"
NETWORKS = {"net1": ["10.5.0.0/16", "fd05::/64"], "net2": ["10.6.0.0/16"], "closed": ["10.7.0.0/16"]}


class World:
    def __init__(self, lab, networks=("net1",), dns=True, resolver=True):
        self.lab, self.dns, self._markers = lab, None, 0
        self.wire = lab.segment("wire")
        self.node = lab.host("n1", self.wire)
        if resolver:
            self.resolver = lab.outside(self.wire, name="resolver", address=53)
            self.upstream = Upstream(self.resolver)
            self.node.set_resolv_conf("192.0.2.53")
        for number, name in enumerate(networks):
            self.network(name, vni=0x1001 + number)
        self.client = self.container("client")
        if dns:
            self.dns = self.node.start_dns()
            eventually(lambda: self.client.dns("ns." + DOMAIN, timeout=0.3).rcode == "NOERROR", 5, "the sidecar answers")

    def network(self, name, vni=None, **keys):
        """Writes the network's document; fields of an existing one are changed."""
        path = f"/var/lib/fairlead/networks/{name}.json"
        document = self.node.read_json(path) if self.node.exists(path) else {
            "apiVersion": 1, "name": name, "vni": vni, "subnets": NETWORKS[name], "encryption": "none",
            "internal": name == "closed", "mtu": 0}
        self.node.write(path, {**document, **keys})
        self.settle()

    def container(self, name, network="net1", services=(), aliases=(), ifname="eth0"):
        container = self.node.containers.get(name) or self.node.container(name)
        args = {"FAIRLEAD_NAME": name}
        if aliases:
            args["FAIRLEAD_ALIASES"] = ",".join(aliases)
        if services:
            args["FAIRLEAD_SERVICES"] = ",".join(services)
        container.attach(conflist(network), ifname=ifname, args=args)
        container.ask = lambda *a, **k: container.dns(*a, **k)
        container.network = network
        self.settle()
        return container

    def task(self, name, service, network="net1", **options):
        return self.container(name, network, services=[service], **options)

    def service(self, name, network="net1", vips=(), ports=(), **keys):
        document = {"apiVersion": 1, "network": network, "name": name, "vips": list(vips),
                    "endpointMode": "vip" if vips else "dnsrr", "ports": list(ports), **keys}
        self.node.write(f"/var/lib/fairlead/services/{network}/{name}.json", document)
        self.settle()

    def settle(self):
        """Until the sidecar has read all that was written before: changes are seen in order, so a last one is enough."""
        if not self.dns:
            return
        self._markers += 1
        vip = f"10.5.254.{self._markers % 250}"
        self.node.write("/var/lib/fairlead/services/net1/marker.json", {
            "apiVersion": 1, "network": "net1", "name": "marker", "vips": [vip], "endpointMode": "vip", "ports": []})
        self.answers(self.client, "marker.net1", [vip])

    def endpoint_path(self, container, network=None):
        network = network or container.network
        return next(f"/run/fairlead/endpoints/{network}/{name}" for name, document in self.node.endpoints(network).items()
                    if document["container"] == container.id)

    def set_endpoint(self, container, network=None, **keys):
        path = self.endpoint_path(container, network)
        self.node.write(path, {**self.node.read_json(path), **keys})
        self.settle()

    def unhealthy(self, service, *containers, network="net1"):
        keys = [self.endpoint_path(c, network).rsplit("/", 1)[1].removesuffix(".json") for c in containers]
        self.node.write(f"/run/fairlead/health/{network}/{service}.json",
                        {"apiVersion": 1, "network": network, "service": service, "unhealthy": keys})
        self.settle()

    # -- waiting, and what must not have left ------------------------------------------------------------
    def answers(self, client, name, wanted, type="A", within=1.0, **options):
        """Until the name has exactly these addresses."""
        wanted = sorted(wanted)
        eventually(lambda: sorted(client.dns(name, type, timeout=0.5, **options).addresses) == wanted, within,
                   f"{client.name}: {name} {type} is {wanted}")

    def not_upstream(self, *names):
        """None of these reached the resolver, while a control question did."""
        control = f"control{time.monotonic_ns()}.example"
        equal(self.client.dns(control).addresses, ["198.51.100.1"], "control: the resolver is reached")
        equal(len(self.upstream.queries(control)), 1, "control: it notes what arrives")
        leaked = [q for q in self.upstream.queries() if q.name.lower() in {n.lower() for n in names}]
        equal(leaked, [], "nothing of this reaches the resolver")


def negative(answer, rcode, why):
    """No answer records, an SOA with a TTL of at most 10 s, AA."""
    equal(answer.rcode, rcode, why)
    equal(answer.answers, [], why)
    soas = [r for r in answer.authority if r.type == "SOA"]
    equal(len(soas), 1, f"{why}: one SOA in authority")
    true(soas[0].ttl <= 10, f"{why}: SOA TTL {soas[0].ttl} is at most 10 s")
    true(int(soas[0].data.split()[-1]) <= 10, f"{why}: SOA MINIMUM is at most 10 s")
    true(answer.aa, f"{why}: AA")


def exchange(place, wire, tcp=False, timeout=1.0, server=None):
    """Raw bytes there and back; None for silence (or, by TCP, a closed connection)."""
    server = server or place.nameserver()
    sock = place._connected(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM, server, 53, None, None, timeout)
    with sock:
        try:
            if not tcp:
                sock.send(wire)
                return sock.recv(65535)
            sock.sendall(struct.pack(">H", len(wire)) + wire)
            return read_message(sock)
        except (TimeoutError, ConnectionError):
            return None


def read_message(sock):
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack_from(">H", data)[0]:
        chunk = sock.recv(65535)
        if not chunk:
            return None
        data += chunk
    return data[2:2 + struct.unpack_from(">H", data)[0]]


def reverse(address):
    import ipaddress
    return ipaddress.ip_address(address).reverse_pointer
