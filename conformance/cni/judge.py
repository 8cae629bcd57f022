"""Checks and verdicts. A check is a function of a Trial; it returns, or raises AssertionError or Skipped."""
import collections
import json
import os
import re
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
Verdict = collections.namedtuple("Verdict", "word reason details")


# What a check runs into when a plugin's answer lacks a key, or nobody answers where somebody should.
UNUSABLE = (LookupError, TypeError, StopIteration, OSError)


class Skipped(Exception):
    """The target cannot be asked this (it lacks a version, a capability); the text says why."""


class Check:
    def __init__(self, function, identity, title, source, needs, tags, seconds, beside):
        self.function, self.id, self.title, self.source = function, identity, title, source
        self.needs, self.tags, self.limit, self.beside = needs, tags, seconds, beside

    @property
    def test_name(self):
        """A name conformance/run understands: test_CNI_041_1_result_format_0_2_0"""
        number = self.id.removeprefix("CNI-").replace(".", "_")
        return f"test_CNI_{number}_" + re.sub(r"\W+", "_", self.title.lower()).strip("_")

    def missing(self, target):
        """Why this target need not be asked at all; "" when it must."""
        for need in self.needs:
            if need == "dual" and not (target.subnet(4) and target.subnet(6)):
                return "the configuration is not dual-stack"
            if need.startswith("cap:") and need.removeprefix("cap:") not in target.capabilities:
                return f"the configuration does not declare the capability {need.removeprefix('cap:')}"
        return ""


CHECKS = []


def check(identity, title, source, needs=(), tags=(), seconds=60, beside=False):
    """needs: "dual" (both families), "cap:NAME" (a declared capability). tags: strict, should, v1.1, ipam, delegates.
    beside: the target's daemons run (when it has any)."""
    def register(function):
        CHECKS.append(Check(function, identity, title, source, tuple(needs), tuple(tags), seconds, beside))
        return function
    return register


def judge(one, trial):
    reason = one.missing(trial.target)
    if reason:
        return Verdict("skipped", reason, "")
    try:
        if one.beside:
            trial.start_beside()
        one.function(trial)
    except Skipped as skipped:
        return Verdict("skipped", str(skipped), "")
    except AssertionError as failure:
        return Verdict("fail", str(failure), traceback.format_exc())
    except UNUSABLE as failure:
        return Verdict("fail", f"what the plugin left or said is of no use: {failure!r}", traceback.format_exc())
    return Verdict("pass", "", "")


def allowed(entry):
    """The words a recorded verdict allows: one, or for "varies" those that were seen (a race in the plugin, not in the check)."""
    return set(entry["seen"]) if entry["verdict"] == "varies" else {entry["verdict"]}


def recorded(outcomes, before):
    """What --record writes. A verdict known to vary stays so when this run's is one of those seen: no single run can refute it."""
    def entry(identity, outcome):
        old = before.get(identity, {})
        if old.get("verdict") == "varies" and outcome["verdict"] in old["seen"]:
            return old
        return {"verdict": outcome["verdict"], "reason": outcome["reason"][:300]}
    return {identity: entry(identity, outcome) for identity, outcome in outcomes.items()}


def known_verdicts(name):
    """{id: {"verdict": …, "reason": …}} as recorded for a reference plugin; None when nothing is recorded.
    {"verdict": "varies", "seen": ["fail", "pass"], "reason": …}: what comes out differs from run to run, and why."""
    try:
        with open(f"{HERE}/verdicts/{name}.json") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
