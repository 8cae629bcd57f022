"""encryption: what encrypted networks cost between nodes against the same associations or WireGuard devices set up by hand, and
what networks without encryption on the same nodes pay.

In Debian's kernel under QEMU with a clock that counts instructions (conformance/vm/run-in-vm --counted): a time is how much is
executed for a MiB, a packet, a round trip, sender and receiver together, a million instructions a millisecond. It comes out the same
on a busy machine and an idle one. What a real CPU does differently (AES in hardware, caches) is not in it; AES is emulated dearly,
so time per packet, where it counts least, has a target of its own.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attachers  # noqa: E402
import sandbox  # noqa: E402
from context import Book, interleaved  # noqa: E402
from lab.lab import Lab, isolated  # noqa: E402
from rows import Row  # noqa: E402
from two_nodes import PACKET_PORT, PEER, fairlead, ipsec, ipsec_by_hand, packet_time, take_times  # noqa: E402

NAME = "encryption"
REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PEERS = 100     # with three epochs in both directions: 600 associations
MARK = "measured: "


def run(ctx):
    if attachers.Fairlead.missing(ctx):
        return [Row(NAME, "fairlead", missing=attachers.Fairlead.missing(ctx), target=1)]
    where, far = _encrypted(ctx)
    rows = []
    for title, ours, theirs, against, targets in (
            ("IPsec", "ipsec", "ipsec by hand", "by hand", dict.fromkeys(KINDS, 1 / 0.97)),
            ("WireGuard", "wireguard", "wireguard by hand", "by hand", dict.fromkeys(KINDS, 1 / 0.97)),
            ("plain network beside encrypted ones", "beside", "plain", "no encrypted networks", {"stream": 1.03})):
        for kind, what in KINDS.items():
            rows.append(Row(NAME, f"{title}{where}: {what}", _book(far[ours], kind), against, _book(far[theirs], kind), targets.get(kind)))
    rows.append(Row(NAME, f"{PEERS * 6} associations, {PEERS} policies{where}: one batch", _book(far, "batch"), "100 ms",
                    _constant(100), 1.0))
    return rows


KINDS = {"stream": "a MiB by TCP", "large": "a packet of 1,300 bytes by UDP", "small": "a packet of 64 bytes by UDP",
         "round trip": "a round trip by UDP"}


def _book(values, kind):
    book = Book("ms" if kind in ("stream", "batch", "limit") else "µs")
    for value in values[kind]:
        book.add(kind, value)
    return book.get(kind)


def _constant(value):
    return _book({"limit": [value]}, "limit")


def _encrypted(ctx):
    """(where it was measured, {contestant: {kind: values}} and the batches)"""
    command = [f"{REPOSITORY}/conformance/vm/run-in-vm", "--counted", "--timeout", "500", "--",
               "/usr/bin/python3", os.path.abspath(__file__), ctx.bin, ctx.tools, str(ctx.rounds(7, 2))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=900)
    for line in done.stdout.splitlines():
        if MARK in line:
            return " (counted)", json.loads(line.split(MARK, 1)[1])
    raise RuntimeError(f"the VM ended with status {done.returncode}: {done.stdout[-2000:]}")


def _measured(makers, binaries, tools, rounds):
    """{contestant: {kind: values}}. The lab wants a process of its own; its results come back by file."""
    os.environ["FAIRLEAD_BIN"] = binaries
    with open("/run/encryption.json", "w+", encoding="ascii") as report:
        def child():
            json.dump(_interleaved(makers, tools, rounds), report)
            report.flush()
            return 0

        status = os.waitstatus_to_exitcode(os.waitpid(isolated(child), 0)[1])
        if status != 0:
            raise RuntimeError(f"the lab ended with status {status}")
        report.seek(0)
        return json.load(report)


def _interleaved(makers, tools, rounds):
    lab = Lab()
    contestants = {name: make(lab, name) for name, make in makers.items()}
    servers = []
    for _, server, _ in contestants.values():
        servers += [server.popen("/usr/bin/python3", "-c", PEER), server.popen(f"{tools}/bench_packets", "sink", str(PACKET_PORT))]
    for client, server, _ in contestants.values():     # the kernels' work is counted; daemons would add theirs now and then
        for place in (client, server):
            place.host.must("pkill -STOP '^(fairlead|etcd)'")
    values = {name: {kind: [] for kind in KINDS} for name in contestants}

    def one(name):
        client, _, address = contestants[name]
        stream, trip = take_times(client, address, 4, 100)
        values[name]["stream"].append(stream)
        values[name]["round trip"].append(trip)
        values[name]["large"].append(packet_time(tools, client, address, 1300, 10))
        values[name]["small"].append(packet_time(tools, client, address, 64, 20))

    interleaved(list(contestants), rounds + 1, one)
    for kinds in values.values():
        for taken in kinds.values():
            del taken[0]                                # the first time, modules are loaded and caches filled
    for server in servers:
        server.kill()
    return values


def _measure(binaries, tools, rounds):
    values = _measured({"wireguard by hand": lambda lab, name: fairlead(lab, name, tunnel=True),
                        "wireguard": lambda lab, name: fairlead(lab, name, "wireguard"),
                        "ipsec by hand": ipsec_by_hand, "ipsec": ipsec,
                        "plain": fairlead, "beside": lambda lab, name: fairlead(lab, name, also=("wireguard", "ipsec"))},
                       binaries, tools, int(rounds))
    values["batch"] = []
    for number in range(int(rounds) + 1):
        path = sandbox.make_netns(f"sa{number}")
        done = subprocess.run([f"{tools}/bench_batches", "associations", str(PEERS), "batch"], check=True, stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda p=path: sandbox.enter(p))
        values["batch"].append(float(done.stdout))
    del values["batch"][0]
    return values


def _in_vm():
    def measured():
        print(MARK + json.dumps(_measure(*sys.argv[1:])), flush=True)
        return 0
    return sandbox.run_inside(measured)


if __name__ == "__main__":
    sys.exit(_in_vm())
