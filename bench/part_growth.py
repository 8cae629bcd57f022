"""growth: one ADD and one DEL with 10 endpoints already there and with 1,000.

The floor's own growth is the kernel's (more links, more namespaces); what fairlead grows beyond it is ours. Both sizes
exist side by side, in networks and state directories of their own, and are measured in turn.
"""
import attachers
from context import Book, interleaved
from rows import Row, Samples

NAME = "growth"
FEW = 10


def run(ctx):
    many = ctx.rounds(1000, 300)
    part = f"{NAME}, {FEW} against {many} endpoints"
    kinds = [attachers.Floor, attachers.Fairlead]
    missing = {kind.name: kind.missing(ctx) for kind in kinds}
    contestants = []
    for kind in kinds:
        for size in (FEW, many):
            if missing[kind.name]:
                continue
            contestant = kind(ctx, ctx.number(), 4)
            contestant.size = size
            ctx.launcher.serial([contestant.add(contestant.container()) for _ in range(size)])
            contestants.append(contestant)
    book = Book()

    def one(contestant):
        container = contestant.container()
        added, deleted = ctx.launcher.serial([contestant.add(container), contestant.delete(container)])
        for what, cost in [("ADD", added), ("DEL", deleted)]:
            book.add((contestant.name, contestant.size, what, "wall"), cost.wall_ms)
            book.add((contestant.name, contestant.size, what, "CPU"), cost.cpu_ms)

    interleaved(contestants, ctx.rounds(60, 10), one)
    rows = []
    for what in ["ADD", "DEL"]:
        for kind in ["wall", "CPU"]:
            rows += _rows(part, book, what, kind, many, missing)
    return rows


def _rows(part, book, what, kind, many, missing):
    rows = []
    for name in ["floor", "fairlead"]:
        rows.append(Row(part, f"{name} {what} {kind} at {many}", book.get((name, many, what, kind)), f"itself at {FEW}",
                        book.get((name, FEW, what, kind)), missing=missing[name]))
    floor, fairlead = rows
    if not any(missing.values()):
        # What grows in fairlead beyond the kernel's own growth; 1.1 leaves room for noise, not for a scan of anything.
        rows.append(Row(part, f"fairlead's growth of {what} {kind}", Samples("×", [fairlead.ratio]), "the floor's",
                        Samples("×", [floor.ratio]), 1.1))
    else:
        rows.append(Row(part, f"fairlead's growth of {what} {kind}", missing="; ".join(filter(None, missing.values())),
                        target=1.1))
    return rows
