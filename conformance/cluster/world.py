"""What the cluster tests share: hosts that found and join, and what they say about it."""
from lab import eventually

NETWORK = "appnet"
REMOTE = "/run/fairlead/remote/endpoints"


def host(lab, wire, name):
    node = lab.host(name, wire)
    node.agent = node.start_agent()
    return node


def found(node, options=""):
    node.ctl_ok(f"cluster init --advertise {node.address(4)} --name {node.name} {options}", timeout=30)


def token(manager, role="node", options=""):
    return manager.ctl_ok(f"cluster token {role} {options}", timeout=20)


def try_join(node, manager, text, options=""):
    return node.ctl(f"cluster join {manager.address(4)} --name {node.name} {options}", input=text, timeout=40)


def join(node, manager, role="node"):
    joined = try_join(node, manager, token(manager, role))
    if joined.rc != 0:
        raise AssertionError(f"{node.name} could not join: {joined.err}")


def status(node):
    return node.ctl_json("cluster status", timeout=20)


def synced(node, within=10):
    eventually(lambda: status(node)["state"] == "synced", within, f"{node.name} is in step with the managers")


def networks(node):
    return [name for name in node.listdir("/var/lib/fairlead/networks") if name.endswith(".json")]


def remote(node, of, network=NETWORK):
    """The endpoints of another node as this one knows them."""
    return [name for name in node.listdir(f"{REMOTE}/{network}/{of.name}") if name.endswith(".json")]


def cluster_of(lab, *names, options=""):
    """Hosts in one cluster; the first one is its manager."""
    wire = lab.segment("wire")
    nodes = [host(lab, wire, name) for name in names]
    found(nodes[0], options)
    for node in nodes[1:]:
        join(node, nodes[0])
    return nodes


def one_line(result, needle):
    """A refusal: exit status 1, one line on stderr that says why."""
    lines = result.err.strip().splitlines()
    if result.rc != 1 or len(lines) != 1 or needle not in lines[0]:
        raise AssertionError(f"expected one line with {needle!r} and exit status 1, got {result.rc}: {result.err!r}")


def not_a_member(node):
    left = [path for path in ("cluster.json", "pki", "etcd") if node.exists(f"/var/lib/fairlead/{path}")]
    if left:
        raise AssertionError(f"{node.name} is half a member: {left}")
