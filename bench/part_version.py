"""version: starting a plugin and asking for its VERSION, the price of every exec; the floor does nothing and exits."""
import attachers
from context import Book, interleaved
from rows import Row, Samples

NAME = "version"
LIMIT_MS = 1.5


def run(ctx):
    kinds = attachers.ALL
    missing = {kind.name: kind.missing(ctx) for kind in kinds}
    contestants = [kind(ctx, ctx.number(), 4) for kind in kinds if not missing[kind.name]]
    book = Book()

    def one(contestant):
        job = contestant.version()
        cost, = ctx.launcher.serial([job])
        book.add((contestant.name, "wall"), cost.wall_ms)
        book.add((contestant.name, "CPU"), cost.cpu_ms)

    interleaved(contestants, ctx.rounds(200, 30), one)
    rows = []
    for kind in ["wall", "CPU"]:
        for name in ["floor", "bridge"]:
            rows.append(Row(NAME, f"{name} VERSION {kind}", book.get((name, kind)), missing=missing[name]))
        for against in ["floor", "bridge"]:
            rows.append(Row(NAME, f"fairlead VERSION {kind}", book.get(("fairlead", kind)), against,
                            book.get((against, kind)), missing=missing["fairlead"]))
    rows.append(Row(NAME, "fairlead VERSION wall", book.get(("fairlead", "wall")), f"{LIMIT_MS} ms", Samples("ms", [LIMIT_MS]), 1,
                    missing=missing["fairlead"]))
    return rows
