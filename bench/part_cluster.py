"""cluster: how soon many documents of one node are on another, and what a node stores of networks that are not its own.

Real managers, etcd and agents on three lab hosts; the endpoints are documents without containers. The bounds are seconds, not
ratios: nobody else does this. `make test` checks that it happens at all.
"""
import json
import os
import time

import sandbox  # noqa: F401 (finds the lab)
from cluster import world
from lab.lab import Lab, isolated
from rows import Row, Samples

NAME = "cluster"
NETWORKS, MINE = 100, 2      # networks there are; of them those the new node takes part in


def run(ctx):
    """The lab wants a process of its own; its results come back by file."""
    os.environ["FAIRLEAD_BIN"] = ctx.bin
    report = open(f"{ctx.folder}/cluster.json", "w+", encoding="ascii")

    def measured():
        json.dump(_measure(ctx), report)
        report.flush()
        return 0

    status = os.waitstatus_to_exitcode(os.waitpid(isolated(measured), 0)[1])
    if status != 0:
        raise RuntimeError(f"the lab ended with status {status}")
    report.seek(0)
    return _rows(json.load(report), ctx)


def _endpoint(network, number):
    return {"apiVersion": 1, "network": network, "container": f"c{number}", "ifname": "eth0", "netns": "/run/netns/none", "node": "",
            "addresses": [f"10.{100 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"], "mac": "02:00:00:00:00:01"}


def _put(node, network, numbers):
    """Documents beside their place, in one rename per network: the clock starts when all are there."""
    folder = node.path(f"/run/fairlead/endpoints/{network}")
    os.makedirs(folder, exist_ok=True)
    for number in numbers:
        with open(f"{folder}/.tmp-{number}", "w", encoding="ascii") as file:
            json.dump(_endpoint(network, number), file)
    begin = time.monotonic()
    for number in numbers:
        os.rename(f"{folder}/.tmp-{number}", f"{folder}/c{number}-eth0.json")
    return begin


def _files(node, path):
    return sum(len(files) for _, _, files in os.walk(node.path(path)))


def _until(done, begin, what, limit=120):
    while not done():
        if time.monotonic() - begin > limit:
            raise RuntimeError(f"not in {limit} s: {what}")
        time.sleep(0.005)
    return (time.monotonic() - begin) * 1e3


def _measure(ctx):
    lab = Lab()
    wire = lab.segment("wire")
    n1, n2, n3 = (world.host(lab, wire, name) for name in ("n1", "n2", "n3"))
    world.found(n1)
    world.join(n2, n1)
    names = [f"net{i}" for i in range(ctx.rounds(NETWORKS, 10))]
    for number, name in enumerate(names):
        n1.ctl_ok(f"network create {name} --subnet 10.{100 + number}.0.0/16", timeout=20)
    _until(lambda: len(world.networks(n2)) == len(names), time.monotonic(), "the networks")
    remote = f"{world.REMOTE}/net0/n2"
    _put(n1, "net0", [99999])      # it takes part
    result = {"converge": []}
    for turn in range(ctx.rounds(3, 1)):
        begin = _put(n2, "net0", range(turn * 1000, turn * 1000 + 1000))
        result["converge"].append(_until(lambda: _files(n1, remote) == (turn + 1) * 1000, begin, "a thousand endpoints"))
    there = 1000 * ctx.rounds(3, 1)
    result["all"] = ctx.rounds(10000, 2000)
    each = (result["all"] - there) // (len(names) - 1) + 1
    for number, name in enumerate(names[1:], 1):
        _put(n2, name, range(number * 100000, number * 100000 + min(each, result["all"] - there)))
        there += min(each, result["all"] - there)
    _until(lambda: n2.ctl_json("cluster status", timeout=20)["state"] == "synced", time.monotonic(), "n2 is in step")
    for name in names[1:1 + MINE]:
        _put(n3, name, [1])
    result["mine"] = sum(_files(n2, f"/run/fairlead/endpoints/{name}") for name in names[1:1 + MINE])
    begin = time.monotonic()
    world.join(n3, n1)
    result["join"] = _until(lambda: _files(n3, world.REMOTE) >= result["mine"], begin, "the new node knows its networks' endpoints")
    time.sleep(2)      # what it should not have had would be there by now
    result["stored"] = _files(n3, world.REMOTE)
    result["links"] = len(n3.must("ip -o link").splitlines())
    return result


def _rows(result, ctx):
    bound = Samples("ms", [2000.0])
    return [Row(NAME, "1,000 endpoints, one node to another", Samples("ms", result["converge"]), "2 s", bound, 1.0),
            Row(NAME, f"a node joins {ctx.rounds(NETWORKS, 10)} networks, {result['all']} endpoints", Samples("ms", [result["join"]])),
            Row(NAME, f"endpoints it stores, {MINE} networks being its own", Samples("files", [float(result["stored"])]),
                "those networks' endpoints", Samples("files", [float(result["mine"])]), 1.0)]
