"""What the cluster tests share: hosts that found and join, and what they say about it."""
import glob
import json
import socket

from lab import conflist, eventually

NETWORK = "appnet"
REMOTE = "/run/fairlead/remote/endpoints"


def host(lab, wire, name, prepare=None, env=None):
    """prepare(node): before its agent starts. env(node): of the agent."""
    node = lab.host(name, wire)
    if prepare:
        prepare(node)
    node.agent = node.start_agent(env=env(node) if env else None)
    return node


def other_clock(**how):
    """The environment of a program of ours with another clock of the day (libfaketime); what waits goes by the machine's."""
    return {"LD_PRELOAD": glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0], "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", **how}


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


def attach(node, name, network=NETWORK):
    container = node.container(name)
    container.attach(conflist(network))
    return container


def in_step(manager, within=15):
    """Every live member finds its directory as the managers' store is."""
    def all_in_step():
        checked = manager.ctl("cluster check", timeout=30)
        if checked.rc:
            raise AssertionError(checked.out + checked.err)
        return True
    eventually(all_in_step, within, "all directories are as the store says")


def etcd(node, path, request):
    """A request to the etcd of a manager, past everything of ours."""
    return node.call(_post_to_etcd, path, json.dumps(request))


def _post_to_etcd(path, body):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(5)
        stream.connect("/run/fairlead/etcd/etcd.sock:0")
        stream.sendall(f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head, _, text = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.splitlines()[0]:
        raise AssertionError(f"etcd: {head.decode()} {text.decode()}")
    return json.loads(text)


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
