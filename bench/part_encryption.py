"""encryption: what encrypted networks cost; between nodes against the same set up by hand, and networks that are not encrypted.

By hand: the same network without encryption, over a WireGuard device between the hosts that `wg` made, or above associations
that `ip xfrm` made. WireGuard and ESP are
measured where the kernel has them: here, or else in Debian's kernel in QEMU (conformance/vm), two CPUs emulated in software. There
absolute numbers mean nothing; ratios do, because the contestants take turns.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attachers  # noqa: E402
import sandbox  # noqa: E402
from context import Book, interleaved  # noqa: E402
from lab import marks  # noqa: E402
from lab.lab import Lab, isolated  # noqa: E402
from rows import Row  # noqa: E402
from two_nodes import PEER, fairlead, ipsec, ipsec_by_hand, take_times  # noqa: E402

NAME = "encryption"
REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PEERS = 100     # with three epochs in both directions: 600 associations
MARK = "measured: "


def run(ctx):
    if attachers.Fairlead.missing(ctx):
        return [Row(NAME, "fairlead", missing=attachers.Fairlead.missing(ctx), target=1)]
    mine = _measured({"nothing encrypted": lambda lab, name: fairlead(lab, name),
                      "beside": lambda lab, name: fairlead(lab, name, also=("wireguard", "ipsec"))},
                     ctx.bin, ctx.folder, ctx.rounds(15, 3), ctx.rounds(200, 50), ctx.rounds(3000, 500))
    where, far = _encrypted(ctx)
    rows = []
    for kind, what, limit in KINDS:
        rows.append(Row(NAME, f"plain network beside encrypted ones: {what}", _book(mine["beside"], kind), "no encrypted networks",
                        _book(mine["nothing encrypted"], kind), 1.03))
    for title, ours, theirs in (("IPsec", "ipsec", "ipsec by hand"), ("WireGuard", "fairlead", "by hand")):
        for kind, what, limit in KINDS:
            rows.append(Row(NAME, f"{title} by hand{where}: {what}", _book(far[theirs], kind)))
            rows.append(Row(NAME, f"{title}, fairlead{where}: {what}", _book(far[ours], kind), "by hand", _book(far[theirs], kind), limit))
    count = PEERS * 6
    rows.append(Row(NAME, f"{count} associations, {PEERS} policies{where}: one batch", _book(far, "batch"), "a request each", _book(far, "each")))
    return rows


KINDS = (("stream", "a MiB by TCP", 1 / 0.97), ("round trip", "a round trip by UDP", None))


def _book(values, kind):
    book = Book("µs" if kind == "round trip" else "ms")
    for value in values[kind]:
        book.add(kind, value)
    return book.get(kind)


def _encrypted(ctx):
    """(where it was measured, {contestant: {kind: values}} and the batches)"""
    arguments = [ctx.bin, ctx.tools, str(ctx.rounds(5, 2))]
    if not marks.missing("wireguard") and not marks.missing("esp"):
        return "", measure_encrypted(*arguments, ctx.folder)
    command = [f"{REPOSITORY}/conformance/vm/run-in-vm", "--timeout", "300", "--", "/usr/bin/python3", os.path.abspath(__file__), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    for line in done.stdout.splitlines():
        if MARK in line:
            return " (VM)", json.loads(line.split(MARK, 1)[1])
    raise RuntimeError(f"the VM ended with status {done.returncode}: {done.stdout[-2000:]}")


def _measured(makers, binaries, folder, rounds, mebibytes, trips):
    """{contestant: {kind: values}}. The lab wants a process of its own; its results come back by file."""
    os.environ["FAIRLEAD_BIN"] = binaries
    with open(f"{folder}/encryption.json", "w+", encoding="ascii") as report:
        def child():
            json.dump(_interleaved(makers, rounds, mebibytes, trips), report)
            report.flush()
            return 0

        status = os.waitstatus_to_exitcode(os.waitpid(isolated(child), 0)[1])
        if status != 0:
            raise RuntimeError(f"the lab ended with status {status}")
        report.seek(0)
        return json.load(report)


def _interleaved(makers, rounds, mebibytes, trips):
    lab = Lab()
    contestants = {name: make(lab, name) for name, make in makers.items()}
    servers = [server.popen("/usr/bin/python3", "-c", PEER) for _, server, _ in contestants.values()]
    values = {name: {"stream": [], "round trip": []} for name in contestants}

    def one(name):
        client, _, address = contestants[name]
        stream, trip = take_times(client, address, mebibytes, trips)
        values[name]["stream"].append(stream)
        values[name]["round trip"].append(trip)

    interleaved(list(contestants), rounds, one)
    for server in servers:
        server.kill()
    return values


def measure_encrypted(binaries, tools, rounds, folder):
    """Where the kernel can encrypt."""
    values = _measured({"by hand": lambda lab, name: fairlead(lab, name, tunnel=True), "fairlead": lambda lab, name: fairlead(lab, name, "wireguard"),
                        "ipsec by hand": ipsec_by_hand, "ipsec": ipsec},
                       binaries, folder, int(rounds), 4, 100)
    values.update(batch=[], each=[])
    for number in range(int(rounds)):
        for how in ("batch", "each"):
            path = sandbox.make_netns(f"sa{number}{how}")
            done = subprocess.run([f"{tools}/bench_batches", "associations", str(PEERS), how], check=True, stdout=subprocess.PIPE, text=True,
                                  preexec_fn=lambda p=path: sandbox.enter(p))
            values[how].append(float(done.stdout))
    return values


def _in_vm():
    def measured():
        values = measure_encrypted(*sys.argv[1:], "/run")
        print(MARK + json.dumps(values), flush=True)
        return 0
    return sandbox.run_inside(measured)


if __name__ == "__main__":
    sys.exit(_in_vm())
