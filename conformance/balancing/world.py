"""The small world most balancing tests start from: one node, network appnet (10.32.0.0/16, fd32::/64), service web
(VIPs 10.32.255.1 and fd32::ffff:1, port 80 → 8080), some tasks, a client container and a machine outside."""
import collections
import json
import threading
import time

from lab import *

VIP, VIP6 = "10.32.255.1", "fd32::ffff:1"

# Every test runs with both balancers; a kernel without IPVS skips that half, the VM runs it.
both = variants(balancer=["nft", ("ipvs", "ipvs")])


class Pulse:
    """How late this machine runs a thread that wanted to wake up: .late seconds at worst since the start. A bound on time
    holds on a machine that has time; what somebody else's load takes is added to it."""

    def __init__(self):
        self.late, self._end = 0.0, False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._end:
            start = time.monotonic()
            time.sleep(0.005)
            self.late = max(self.late, time.monotonic() - start - 0.005)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end = True
        self._thread.join()


class World:
    def __init__(self, lab, balancer, outside=False, daemon=True, segments=None, forwarding=False):
        """forwarding: the node was a router before Fairlead came."""
        self.lab, self.balancer = lab, balancer
        segments = segments or (lab.segment("wire"),)
        self.node = lab.host("n1", *segments)
        if forwarding:
            self.node.sysctl("net.ipv4.ip_forward", 1)
            self.node.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.outside = lab.outside(segments[0]) if outside else None
        self.node.start_agent()
        self.node.ctl_ok("network create appnet --subnet 10.32.0.0/16 --subnet fd32::/64")
        self.tasks = []
        self.client = self.container("client")
        self.lb = self.node.start_lb(["--balancer", balancer]) if daemon else None

    def container(self, name, services=(), network="appnet", **attach):
        container = self.node.container(name)
        container.attach(conflist(network, services=list(services)), **attach)
        return container

    def service(self, name="web", network="appnet", vips=(VIP, VIP6), ports=None, **keys):
        """Writes the service's document. ports: [(port, target)] or full objects; default tcp 80 → 8080."""
        ports = ports or [{"protocol": "tcp", "port": 80, "targetPort": 8080}]
        document = {"apiVersion": 1, "network": network, "name": name, "vips": list(vips), "ports": ports, **keys}
        self.node.write(f"/var/lib/fairlead/services/{network}/{name}.json", document)
        return document

    def endpoint_path(self, container, network="appnet"):
        return next(f"/run/fairlead/endpoints/{network}/{name}" for name, document in self.node.endpoints(network).items()
                    if document["container"] == container.id)

    def set_endpoint(self, container, network="appnet", **keys):
        """Changes fields of an endpoint's document, as its runtime would."""
        path = self.endpoint_path(container, network)
        self.node.write(path, {**self.node.read_json(path), **keys})

    def add_tasks(self, count, service="web", port=8080, udp=None, first=1):
        """Containers t1, t2 … with a TCP server (and a UDP server on port udp)."""
        added = []
        for i in range(first, first + count):
            task = self.container(f"t{i}", [service], args={"FAIRLEAD_NAME": f"t{i}"})
            task.server = task.serve_tcp(port)
            task.udp_server = task.serve_udp(udp) if udp else None
            added.append(task)
        self.tasks += added
        return added

    def ready(self, count=None, vip=VIP, port=80, client=None, within=3.0):
        """Waits until the frontend has so many backends (seen by its answers); then the order starts anew for nobody:
        round robin is exact from any starting point."""
        count = len(self.tasks) if count is None else count
        client = client or self.client

        def all_answer():
            names = {client.tcp_request(vip, port).name for _ in range(max(4, 2 * count))}
            return len(names) == count
        eventually(all_answer, within, f"{count} tasks answer behind {vip}")

    def ask(self, count, vip=VIP, port=80, client=None, **options):
        """Answers by task: Counter of names."""
        client = client or self.client
        return collections.Counter(client.tcp_request(vip, port, **options).name for _ in range(count))

    def ask_udp(self, count, vip=VIP, port=80, client=None, **options):
        client = client or self.client
        return collections.Counter(client.udp_request(vip, port, **options).name for _ in range(count))

    def in_router(self, *argv, network="appnet", **options):
        return self.node.in_router(network, *argv, **options)

    def metric(self, name, **labels):
        return self.lb.metric(name, **labels)

    def status(self):
        return json.loads(self.lb.status())

    def problems(self):
        return "\n".join(f"{p['object']}: {p['problem']}" for p in self.status()["problems"])
