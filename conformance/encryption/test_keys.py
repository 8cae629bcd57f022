#!/usr/bin/python3
"""Epochs and their sealed copies in a real cluster, without a packet: who makes them, who can read them, where they are."""
import base64
import http.client
import json
import os
import socket

from lab import *

from .keys import (STATE, RUN, copies, epochs, files_with, fingerprint, found_in, in_memory_of, opened, private_key, public_key, sealed, secret_of,
                   what_it_says)

PREFIX = "/fairlead/v1/"


def cluster_of(lab, *names, options="", network=None):
    """network: one the first node has before it founds the cluster."""
    wire = lab.segment("wire")
    nodes = [lab.host(name, wire) for name in names]
    if network:
        nodes[0].write(f"{STATE}/networks/{network['name']}.json", network)
    for node in nodes:
        node.start_agent()
    nodes[0].ctl_ok(f"cluster init --advertise {nodes[0].address(4)} --name {names[0]} {options}", timeout=30)
    for node in nodes[1:]:
        join(node, nodes[0])
    return nodes


def join(node, manager, role="node"):
    token = manager.ctl_ok(f"cluster token {role}", timeout=20)
    joined = node.ctl(f"cluster join {manager.address(4)} --name {node.name}", input=token, timeout=40)
    equal(joined.rc, 0, joined.err)


def agree(nodes, within=15):
    """Until all have the newest epoch of the first one's, and their copies of what is listed; the ids."""
    def look():
        ids = epochs(nodes[0])
        return ids if ids and all(epochs(n) == ids and copies(n) == sorted(ids) for n in nodes) else None
    return eventually(look, within, "everybody has the epochs and copies of them")


def in_store(manager, prefix):
    """{key: document} of etcd, past all of our code."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    folder = manager.path(f"{RUN}/etcd")
    connection.sock = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # a socket's path is short
    try:
        connection.sock.connect(next(name for name in os.listdir(".") if "sock" in name))
    finally:
        os.chdir(here)
    key = (PREFIX + prefix).encode()
    body = {"key": base64.b64encode(key).decode(), "range_end": base64.b64encode(key[:-1] + bytes([key[-1] + 1])).decode()}
    connection.request("POST", "/v3/kv/range", json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return {base64.b64decode(kv["key"]).decode()[len(PREFIX):]: base64.b64decode(kv.get("value", "")) for kv in answer.get("kvs", [])}


def mode(node, path):
    return os.stat(node.path(path)).st_mode & 0o7777


WIREGUARD = {"apiVersion": 1, "name": "appnet", "vni": 4097, "subnets": ["10.32.0.0/16"], "encryption": "wireguard"}


def public_keys_are_known(nodes):
    """To every node those of every node; fingerprints are shown, for people those that count in a network's kind of encryption."""
    prints = [{"node": n.name, "sealKey": fingerprint(public_key(n)), "wireguardKey": fingerprint(public_key(n, "wireguard"))} for n in nodes]
    for node in nodes:
        for other in nodes:
            document = node.read_json(f"{STATE}/nodes/{other.name}.json")
            equal(base64.b64decode(document["sealKey"]), public_key(other), f"{node.name} knows {other.name}'s public key")
            equal(base64.b64decode(document["wireguardKey"]), public_key(other, "wireguard"), "and the one for WireGuard")
        eventually(lambda node=node: node.ctl_json("network inspect appnet")["keys"] == prints, 10, f"{node.name} shows them")
        contains(node.ctl_ok("network inspect appnet"), f"{nodes[-1].name} {prints[-1]['wireguardKey']}", "the text has them, too")


@limit(150)
def test_ENC_21_19_20_25_an_epochs_secret_is_for_its_nodes_only_and_goes_with_the_epoch(lab):
    n1, n2, n3 = nodes = cluster_of(lab, "n1", "n2", "n3", network=WIREGUARD)
    first, = agree(nodes)
    secret = secret_of(n1, first)
    equal([secret_of(n, first) for n in nodes], [secret] * 3, "one secret, three copies")
    for node in nodes:
        for other in nodes:
            if other is not node:
                equal(opened(private_key(node), first, sealed(other, first)), None, f"{node.name} opens {other.name}'s copy")
        equal(copies(node), [first], "a node has its own copies only")
    public_keys_are_known(nodes)
    lab.say("files: modes, and what is in them")
    for node in nodes:
        for path, wanted in ((f"{STATE}/keys", 0o700), (f"{STATE}/keys/seal.key", 0o600), (f"{STATE}/keys/wireguard.key", 0o600),
                             (f"{RUN}/remote/keys", 0o700), (f"{RUN}/remote/keys/{first}.json", 0o600)):
            equal(oct(mode(node, path)), oct(wanted), f"{node.name}: {path}")
    private = [private_key(node) for node in nodes]
    etcd = n1.path(f"{STATE}/etcd")
    true(files_with(etcd, [base64.b64decode(sealed(n2, first))]) or any(
        sealed(n2, first).encode() in open(os.path.join(where, name), "rb").read()
        for where, _, files in os.walk(etcd) for name in files if os.path.isfile(os.path.join(where, name))), "etcd has the sealed copy")
    equal(files_with(etcd, [secret] + private), [], "etcd's files")
    for node in nodes:
        equal(files_with(node.path(RUN), [secret] + private), [], f"{node.name}: run")
        equal(files_with(node.path(STATE), [secret] + private), [node.path(f"{STATE}/keys/seal.key")], f"{node.name}: state")
        lab.say(f"what {node.name} says")
        said = what_it_says(node)
        contains(said.decode("latin-1"), first, "what it says is looked through: the epoch's name is there")
        true(not found_in(said, [secret] + private), f"{node.name} tells no secret")
        limits = open(f"/proc/{node.daemons['fairlead-agent'].pid}/limits", encoding="ascii").read()
        contains(limits.replace(" ", ""), "Maxcorefilesize00", "no core dumps")
    lab.say("two rotations: what is over is gone")
    second = n1.ctl_json("cluster rotate keys", timeout=20)["epoch"]
    equal(eventually(lambda: len(epochs(n3)) == 2 and agree(nodes), 10, "two epochs"), [second, first], "newest first")
    true(secret_of(n2, second) not in (None, secret), "another secret")
    third = n1.ctl_json("cluster rotate keys", timeout=20)["epoch"]
    eventually(lambda: third in epochs(n3), 10, "the third")
    equal(agree(nodes), [third, second], "two are kept")
    lacks(str(sorted(in_store(n1, "keys/"))), first, "the first is gone from the store")
    for node in nodes:
        pid = node.daemons["fairlead-agent"].pid
        eventually(lambda pid=pid: in_memory_of(pid, secret) == 0, 5, f"{node.name}: the first is gone from memory")
    refused_line = n2.ctl("cluster rotate keys", timeout=20)
    equal(refused_line.rc, 1, "a node may not rotate")
    contains(refused_line.err, "the role manager is needed", "and is told so")
    contains(n1.daemons["fairlead-agent"].log(), "refused fairlead://", "which stands in the manager's log")
    lab.say("eviction: the next epoch is not for who is gone")
    key3 = private_key(n3)
    n1.ctl_ok("cluster evict n3", timeout=20)
    eventually(lambda: epochs(n1) and epochs(n1)[0] not in (third, second), 10, "a new epoch without being asked")
    newest = agree([n1, n2])[0]
    true(secret_of(n2, newest) is not None, "n2 can open it")
    stored = in_store(n1, "keys/")
    contains(str(sorted(stored)), f"keys/n2/{newest}", "the store has n2's copy")
    for key, value in stored.items():
        if key.endswith(newest):
            equal(opened(key3, newest, json.loads(value)["sealed"]), None, f"n3 opens {key}")
    eventually(lambda: not [key for key in in_store(n1, "keys/n3/")], 10, "and no copy for n3 at all")


@limit(120)
def test_ENC_14_21_a_new_epoch_by_time_and_copies_for_who_comes_later(lab):
    wire_options = "--key-interval 10s"
    n1, n2 = cluster_of(lab, "n1", "n2", options=wire_options)
    begin = agree([n1, n2])[0]
    later = eventually(lambda: epochs(n2) and epochs(n2)[0] != begin and epochs(n2)[0], 25, "the next one, without being asked")
    equal(int(later.split("-")[0]), int(begin.split("-")[0]) + 1, "the next number")
    n3 = lab.host("n3", lab.segments["wire"])
    n3.start_agent()
    join(n3, n1, "manager")
    eventually(lambda: copies(n3) and epochs(n3) and epochs(n3)[0] in copies(n3), 25, "a manager that joined has copies")
    ids = epochs(n3)
    equal(secret_of(n3, ids[0]), eventually(lambda: secret_of(n1, ids[0]), 5, "n1's"), "of the same secret")
    contains(n1.ctl_ok("cluster status", timeout=20), "a new one every 10s", "status says how it is")


@limit(60)
def test_ENC_19_keys_others_could_have_read_are_refused_by_name(lab):
    node = lab.host("n1", lab.segment("wire"))
    node.write(f"{STATE}/nodes/n1.json", {"apiVersion": 1, "name": "n1", "number": 1, "address": node.address(4)})
    agent = node.start_agent()
    eventually(lambda: node.exists(f"{RUN}/keys.json"), 5, "the node has keys")
    kept = node.read(f"{STATE}/keys/seal.key")
    agent.stop()
    for path, good, bad in ((f"{STATE}/keys/seal.key", 0o600, 0o640), (f"{STATE}/keys/wireguard.key", 0o600, 0o604),
                            (f"{STATE}/keys", 0o700, 0o755)):
        os.chmod(node.path(path), bad)
        started = node.run([lab.binary("fairlead-agent")], timeout=10)
        equal(started.rc, 1, f"{path} with mode {oct(bad)}")
        contains(started.err, path, "which one")
        contains(started.err, "chmod", "and what to do")
        os.chmod(node.path(path), good)
    agent.start()
    equal(node.read(f"{STATE}/keys/seal.key"), kept, "the key is still the same")
