"""The command line: every check in a lab of its own, verdicts as lines or JSON."""
import argparse
import json
import os
import select
import signal
import sys
import tempfile

from lab.lab import Lab, isolated
from .judge import HERE, allowed, judge, recorded
from .suite import ALL
from .target import Target
from .trial import Trial

WORDS = {"pass": "PASS", "fail": "FAIL", "skipped": "SKIP"}


class TimeLimit(AssertionError):
    pass


class Running:
    """A check in a process of its own; the verdict comes back through a file, so that dying is a verdict, too."""

    def __init__(self, check, target):
        self.check = check
        self.file = tempfile.TemporaryFile("w+")
        self.pid = isolated(lambda: self._body(target))
        self.pid_fd = os.pidfd_open(self.pid)

    def _body(self, target):
        def alarm(*_):
            raise TimeLimit(f"not done within {self.check.limit} s")
        lab = Lab()
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, self.check.limit * lab.slow)
        try:
            verdict = judge(self.check, Trial(lab, target))
        except Exception as error:  # pylint: disable=broad-except — a broken check is no verdict about the plugin
            self._write("broken", repr(error), lab)
            raise
        self._write(verdict.word, verdict.reason, lab, verdict.details)
        return 0

    def _write(self, word, reason, lab, details=""):
        json.dump({"verdict": word, "reason": reason, "details": details, "transcript": lab.transcript.text()}, self.file)
        self.file.flush()

    def finish(self):
        os.waitpid(self.pid, 0)
        os.close(self.pid_fd)
        self.file.seek(0)
        text = self.file.read()
        if not text:
            return {"verdict": "broken", "reason": "the check's process died", "details": "", "transcript": ""}
        return json.loads(text)


def run_all(checks, target, jobs, report):
    waiting, running, outcomes = list(checks), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                started = Running(waiting.pop(0), target)
                running[started.pid_fd] = started
            for fd in select.select(list(running), [], [])[0]:
                finished = running.pop(fd)
                outcomes[finished.check.id] = outcome = finished.finish()
                report(finished.check, outcome)
    finally:
        for left in running.values():
            os.kill(left.pid, signal.SIGKILL)
    return {check.id: outcomes[check.id] for check in checks}


def report_line(verbose):
    def report(check, outcome):
        tags = f" [{', '.join(check.tags)}]" if check.tags else ""
        print(f"{WORDS.get(outcome['verdict'], 'BROKEN')} {check.id} {check.title}{tags} ({check.source})", flush=True)
        if outcome["reason"]:
            print(f"     {outcome['reason'][:2000]}", flush=True)
        if outcome["verdict"] == "broken" or (verbose and outcome["verdict"] == "fail"):
            print("\n".join("     | " + line for line in (outcome["details"] + outcome["transcript"]).splitlines()), flush=True)
    return report


def unexpected(outcomes, path):
    """Lines about verdicts that differ from the recorded ones; broken ones always do."""
    with open(path) as file:
        known = json.load(file)
    lines = [f"{identity}: no verdict is recorded" for identity in outcomes if identity not in known]
    return lines + [f"{identity}: {outcome['verdict']}, recorded is {known[identity]['verdict']}"
                    for identity, outcome in outcomes.items() if identity in known and outcome["verdict"] not in allowed(known[identity])]


def record(outcomes, path):
    """Writes the verdicts over those of the same checks; the others stay."""
    before = {}
    if os.path.exists(path):
        with open(path) as file:
            before = json.load(file)
    verdicts = {**before, **recorded(outcomes, before)}
    with open(path, "w") as file:
        json.dump({check.id: verdicts[check.id] for check in ALL if check.id in verdicts}, file, indent=1, ensure_ascii=False)
        file.write("\n")


def main(arguments):
    parser = argparse.ArgumentParser(prog="conformance/cni/run", description="Judges a CNI plugin (root needed; nothing of this machine is touched).")
    parser.add_argument("--plugin", required=True, metavar="PATH", help="the main plugin")
    parser.add_argument("--ipam", metavar="PATH", help="its IPAM plugin (default: ipam.type beside the plugin)")
    parser.add_argument("--conf", metavar="FILE", help="a configuration of one plugin that works (default: confs/PLUGIN.json)")
    parser.add_argument("--chain", metavar="FILE", help="a list of configurations of plugins to be called after it (default: confs/PLUGIN.chain.json)")
    parser.add_argument("--beside", action="append", metavar="'PROGRAM ARGS'",
                        help="a daemon the plugin needs for some capabilities (default: the lines of confs/PLUGIN.beside)")
    parser.add_argument("--expect", metavar="FILE", help="succeed when the verdicts are those recorded in FILE")
    parser.add_argument("--record", metavar="FILE", help="write the verdicts there (of the checks that were run)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--verbose", "-v", action="store_true", help="transcripts of failures")
    parser.add_argument("ids", nargs="*", metavar="ID", help="only these, e.g. CNI-040")
    options = parser.parse_args(arguments)
    conf = options.conf or f"{HERE}/confs/{os.path.basename(options.plugin)}.json"
    try:
        with open(conf) as file:
            document = json.load(file)
        ipam = options.ipam or f"{os.path.dirname(os.path.abspath(options.plugin))}/{document['ipam']['type']}"
        target = Target.from_files(options.plugin, ipam, conf, options.chain, options.beside)
    except (OSError, ValueError, KeyError) as error:
        print(f"conformance/cni/run: {conf}: {error}", file=sys.stderr)
        return 2
    checks = [c for c in ALL if not options.ids or any(c.id == i or c.id.startswith(i + ".") for i in options.ids)]
    outcomes = run_all(checks, target, max(1, options.jobs), report_line(options.verbose))
    count = {word: sum(o["verdict"] == word for o in outcomes.values()) for word in ("pass", "fail", "skipped", "broken")}
    print(", ".join(f"{number} {word}" for word, number in count.items() if number or word != "broken"), flush=True)
    if options.record:
        record(outcomes, options.record)
    if options.expect:
        lines = unexpected(outcomes, options.expect)
        print("\n".join(lines) or "as recorded")
        return 1 if lines else 0
    return 1 if count["fail"] or count["broken"] or not count["pass"] else 0
