"""attach: one ADD and one DEL after another, fairlead + fairlead-ipam against the floor and Debian's bridge + host-local."""
import attachers
from context import Book, interleaved
from rows import Row
from same_work import difference

NAME = "attach"
TITLES = {4: "IPv4", 46: "IPv4 + IPv6"}


def run(ctx):
    return [row for families in (4, 46) for row in _run(ctx, families)]


def _run(ctx, families):
    part = f"{NAME}, {TITLES[families]}"
    missing = {kind.name: kind.missing(ctx) for kind in attachers.ALL}
    contestants = [kind(ctx, ctx.number(), families) for kind in attachers.ALL if not missing[kind.name]]
    rows = _compare_work(ctx, part, contestants)
    book, warm = Book(), set()

    def one(contestant):
        container = contestant.container()
        added, deleted = ctx.launcher.serial([contestant.add(container), contestant.delete(container)])
        if contestant not in warm:
            warm.add(contestant)  # the first of each makes bridges, routers and caches
            return
        for what, cost in [("ADD", added), ("DEL", deleted)]:
            book.add((contestant.name, what, "wall"), cost.wall_ms)
            book.add((contestant.name, what, "CPU"), cost.cpu_ms)
        book.add((contestant.name, "ADD+DEL", "wall"), added.wall_ms + deleted.wall_ms)
        book.add((contestant.name, "ADD+DEL", "CPU"), added.cpu_ms + deleted.cpu_ms)

    interleaved(contestants, ctx.rounds(100, 15) + 1, one)
    return rows + _rows(part, book, missing)


def _rows(part, book, missing):
    rows = []
    targets = {("ADD", "floor"): 1.5, ("ADD", "bridge"): 0.25, ("DEL", "floor"): 1.3}
    for what in ["ADD", "DEL", "ADD+DEL"]:
        for kind in ["wall", "CPU"]:
            for name in ["floor", "bridge"]:
                rows.append(Row(part, f"{name} {what} {kind}", book.get((name, what, kind)), missing=missing[name]))
            for against in ["floor", "bridge"]:
                target = targets.get((what, against))
                rows.append(Row(part, f"fairlead {what} {kind}", book.get(("fairlead", what, kind)), against,
                                book.get((against, what, kind)), target,
                                missing=missing["fairlead"] or (missing[against] if target else "")))
    return rows


def _compare_work(ctx, part, contestants):
    """The floor is only a floor while it leaves the same kernel state as fairlead does."""
    by_name = {contestant.name: contestant for contestant in contestants}
    if "floor" not in by_name or "fairlead" not in by_name:
        return []
    states = difference(ctx, by_name["floor"], by_name["fairlead"])
    if not states:
        return []
    return [Row(part, "the floor's kernel state", missing="differs from fairlead's: " + "; ".join(states), target=1)]
