"""What a part found out: rows of the table, their verdicts, and the statistics behind them."""
import dataclasses
import statistics


@dataclasses.dataclass
class Samples:
    """Measurements of one thing in one unit. Empty when it could not be measured."""
    unit: str
    values: list = dataclasses.field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def minimum(self):
        return min(self.values)

    def summary(self):
        ordered = sorted(self.values)
        return {"unit": self.unit, "n": len(ordered), "min": ordered[0], "median": self.median, "max": ordered[-1]}


@dataclasses.dataclass
class Row:
    """One line: a measurement, and where there is something to compare with, the ratio to it.

    target: the largest ratio allowed. later: the target belongs to a later issue; shown, but not judged now.
    missing: why there is no measurement (then nothing else is looked at, and a target counts as not met).
    """
    part: str
    what: str
    samples: Samples = None
    against: str = ""
    reference: Samples = None
    target: float = None
    later: bool = False
    missing: str = ""

    @property
    def ratio(self):
        return self.samples.median / self.reference.median if self.reference and self.reference.median else None

    @property
    def ratio_of_minima(self):
        return self.samples.minimum / self.reference.minimum if self.reference and self.reference.minimum else None

    @property
    def met(self):
        """True or False; None where nothing is demanded."""
        if self.target is None:
            return None
        return not self.missing and self.ratio is not None and self.ratio <= self.target

    def as_json(self):
        answer = {"part": self.part, "what": self.what, "target": self.target, "later": self.later, "met": self.met}
        if self.missing:
            return dict(answer, missing=self.missing)
        answer.update(self.samples.summary())
        if self.reference:
            answer.update(against=self.against, reference=self.reference.summary(), ratio=self.ratio,
                          ratio_of_minima=self.ratio_of_minima)
        return answer

    def cells(self):
        if self.missing:
            return [self.what, "missing", "", self.against, "", "", f"≤ {self.target:g}" if self.target else "",
                    self.missing]
        cells = [self.what, _number(self.samples.median, self.samples.unit),
                 _number(self.samples.minimum, self.samples.unit)]
        if self.ratio is None:
            return cells + ["", "", "", "", ""]
        cells += [self.against, f"{self.ratio:.2f}", f"{self.ratio_of_minima:.2f}"]
        verdict = {None: "", True: "yes", False: "NO"}[self.met]
        if self.later and verdict:
            verdict += " (later)"
        return cells + [f"≤ {self.target:g}" if self.target is not None else "", verdict]


def _number(value, unit):
    return f"{value:.3f} {unit}" if value < 10 else f"{value:.1f} {unit}"


HEADER = ["", "median", "minimum", "against", "ratio", "of minima", "target", "met"]


def table(rows):
    """Text, one block per part."""
    lines = []
    widths = [max(len(cell) for cell in column) for column in zip(HEADER, *(row.cells() for row in rows))]
    part = None
    for row in rows:
        if row.part != part:
            part = row.part
            lines += ["", part, "  " + "  ".join(h.ljust(w) for h, w in zip(HEADER, widths)).rstrip()]
        lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row.cells(), widths)).rstrip())
    return "\n".join(lines)
