"""batches: 3,000 routes and 3,000 forwarding entries of a VXLAN device, as the agent programs them and one by one.

One by one is what a program does that runs `ip` or `bridge` for each entry; one request each, what it would cost with netlink
but without batches. All of them in fresh namespaces, on a device of their own.
"""
import subprocess
import time

import sandbox
from context import Book, interleaved
from rows import Row

NAME = "batches"


def run(ctx):
    count = ctx.rounds(3000, 300)
    program = f"{ctx.tools}/bench_batches"
    book, names = Book(), iter(range(1000))

    def one(contestant):
        kind, how = contestant
        name = f"batch{next(names)}"
        path = sandbox.make_netns(name)
        for command in ("link set lo up", "link add vx type vxlan id 77 local 192.0.2.1 dstport 4789 nolearning", "link set vx up"):
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        if how == "commands":
            book.add(contestant, _commands(path, kind, count))
        else:
            done = subprocess.run([program, kind, str(count), how], check=True, stdout=subprocess.PIPE, text=True,
                                  preexec_fn=lambda: sandbox.enter(path))
            book.add(contestant, float(done.stdout))
        subprocess.run(["ip", "netns", "del", name], check=True)

    for kind in ("routes", "forwarding"):
        interleaved([(kind, "batch"), (kind, "each")], ctx.rounds(9, 2), one)
        interleaved([(kind, "commands")], 1, one)
    rows = []
    for kind, title in (("routes", "routes"), ("forwarding", "forwarding entries")):
        rows.append(Row(NAME, f"{count} {title}, one batch", book.get((kind, "batch")), "a command each",
                        book.get((kind, "commands")), 0.1))
        rows.append(Row(NAME, f"{count} {title}, a request each", book.get((kind, "each")), "a command each",
                        book.get((kind, "commands"))))
    return rows


def _commands(path, kind, count):
    """Milliseconds of `ip route replace` or `bridge fdb replace`, once for each entry, as a script does it."""
    if kind == "routes":
        lines = [f"ip route replace 10.32.{i // 250}.{i % 250} via 169.254.128.{i % 100 + 1} dev vx onlink" for i in range(count)]
    else:
        lines = [f"bridge fdb replace 02:57:01:00:{i >> 8:02x}:{i & 255:02x} dev vx dst 192.0.2.{i % 250 + 1} self permanent"
                 for i in range(count)]
    begin = time.perf_counter()
    subprocess.run(["/bin/sh", "-e"], input="\n".join(lines), text=True, check=True, preexec_fn=lambda: sandbox.enter(path))
    return (time.perf_counter() - begin) * 1e3
