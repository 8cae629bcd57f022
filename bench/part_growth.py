"""growth: one ADD and one DEL with 10 endpoints on the node and with 10,000.

First everybody gets 10 endpoints and is measured, then 10,000, and again. What the floor grows by is the kernel's doing
(more links, more namespaces, more of everything it caches); what fairlead grows by beyond that is ours.
"""
import attachers
from context import Book, interleaved
from rows import Row, Samples

NAME = "growth"
FEW = 10


def run(ctx):
    many = ctx.rounds(10000, 300)
    part = f"{NAME}, {FEW} against {many} endpoints"
    kinds = [attachers.Floor, attachers.Fairlead]
    missing = {kind.name: kind.missing(ctx) for kind in kinds}
    contestants = [kind(ctx, ctx.number(), 4) for kind in kinds if not missing[kind.name]]
    book = Book()
    there = 0
    for size in (FEW, many):
        for contestant in contestants:
            ctx.launcher.serial([contestant.add(contestant.container()) for _ in range(size - there)])
        there = size
        interleaved(contestants, ctx.rounds(60, 10), lambda contestant: _one(ctx, book, contestant, there))
    rows = []
    for what in ["ADD", "DEL"]:
        for kind in ["wall", "CPU"]:
            rows += _rows(part, book, what, kind, many, missing)
    return rows


def _one(ctx, book, contestant, size):
    container = contestant.container()
    added, deleted = ctx.launcher.serial([contestant.add(container), contestant.delete(container)])
    for what, cost in [("ADD", added), ("DEL", deleted)]:
        book.add((contestant.name, size, what, "wall"), cost.wall_ms)
        book.add((contestant.name, size, what, "CPU"), cost.cpu_ms)


def _rows(part, book, what, kind, many, missing):
    rows = []
    for name in ["floor", "fairlead"]:
        rows.append(Row(part, f"{name} {what} {kind} at {many}", book.get((name, many, what, kind)), f"itself at {FEW}",
                        book.get((name, FEW, what, kind)), missing=missing[name]))
    floor, fairlead = rows
    if any(missing.values()):
        return rows + [Row(part, f"fairlead's growth of {what} {kind}", target=1.1,
                           missing="; ".join(filter(None, missing.values())))]
    # 1.1 leaves room for noise, not for a scan of anything.
    return rows + [Row(part, f"fairlead's growth of {what} {kind}", Samples("×", [fairlead.ratio]), "the floor's",
                       Samples("×", [floor.ratio]), 1.1)]
