"""Several nodes by documents alone, with a network that WireGuard protects."""
import base64
import os

from mesh.cluster import Cluster
from . import curve

KEY = "/var/lib/fairlead/keys/wireguard.key"
PORT, VXLAN = 4792, 4791


def device_address(number):
    return f"169.254.128.{number}"


class WireguardNodes(Cluster):
    """As Cluster; node N's key is keys[N-1] (private). told: whether the others know it."""

    def __init__(self, lab, count=2, agents=True, told=True, **keys):
        self.keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(count)]
        self.told = told
        super().__init__(lab, count, agents=False, **keys)
        for node, key in zip(self.nodes, self.keys):
            self.install_key(node, key)
            for name in self.networks:
                path = f"/var/lib/fairlead/networks/{name}.json"
                node.write(path, dict(node.read_json(path), encryption="wireguard"))
        self.agents = [node.start_agent() for node in self.nodes] if agents else []

    @staticmethod
    def install_key(node, key, mode=0o600):
        node.must("mkdir -p -m 0700 /var/lib/fairlead/keys")
        node.write(KEY, key + "\n", mode=mode)

    def tell(self, node, number, address=None, key=None):
        document = {"apiVersion": 1, "name": node.name, "number": number, "address": address or node.address(self.family)}
        if self.told:
            document["wireguardKey"] = key or curve.public(self.keys[number - 1])
        self.everywhere(f"/var/lib/fairlead/nodes/{node.name}.json", document)

    def public(self, number):
        return curve.public(self.keys[number - 1])


def peers(node):
    """{public key: (endpoint, allowed)} of the node's device, as the kernel says it; no private key is read."""
    found = {}
    for line in node.must("wg show fl-wg endpoints").splitlines():
        key, endpoint = line.split("\t")
        found[key] = [endpoint]
    for line in node.must("wg show fl-wg allowed-ips").splitlines():
        key, allowed = line.split("\t")
        found[key].append(allowed)
    return {key: tuple(value) for key, value in found.items()}
