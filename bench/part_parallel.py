"""parallel: 50 ADDs started at once, then 50 DELs; the time until the last one is done."""
import attachers
from context import Book, interleaved
from rows import Row

NAME = "parallel"
COUNT = 50


def run(ctx):
    part = f"{NAME}, {COUNT} at once"
    missing = {kind.name: kind.missing(ctx) for kind in attachers.ALL}
    contestants = [kind(ctx, ctx.number(), 4) for kind in attachers.ALL if not missing[kind.name]]
    containers = {c: [c.container() for _ in range(COUNT)] for c in contestants}
    for contestant in contestants:  # the router or bridge exists before many need it at once
        first = containers[contestant][0]
        ctx.launcher.serial([contestant.add(first), contestant.delete(first)])
    book = Book()

    def one(contestant):
        for what, job in [("ADD", contestant.add), ("DEL", contestant.delete)]:
            costs, makespan = ctx.launcher.parallel([job(container) for container in containers[contestant]])
            book.add((contestant.name, what, "makespan"), makespan)
            book.add((contestant.name, what, "CPU of all"), sum(cost.cpu_ms for cost in costs))

    interleaved(contestants, ctx.rounds(9, 3), one)
    rows = []
    for what in ["ADD", "DEL"]:
        for kind in ["makespan", "CPU of all"]:
            for name in ["floor", "bridge"]:
                rows.append(Row(part, f"{name} {what} {kind}", book.get((name, what, kind)), missing=missing[name]))
            for against in ["floor", "bridge"]:
                target = 1.4 if (what, kind, against) == ("ADD", "makespan", "floor") else None
                rows.append(Row(part, f"fairlead {what} {kind}", book.get(("fairlead", what, kind)), against,
                                book.get((against, what, kind)), target, missing=missing["fairlead"]))
    return rows
