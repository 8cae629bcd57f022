"""The runner: finds tests, runs each in a fresh lab in a process of its own, reports."""
import argparse
import fnmatch
import importlib
import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types

from . import marks
from .check import SLOW
from .lab import Lab, REPOSITORY, isolated

CONFORMANCE = f"{REPOSITORY}/conformance"
DEFAULT_LIMIT = 60
GRACE = 5 * SLOW    # seconds after its own time limit in which a test may still print its transcript
VM_LIMIT = 7200     # seconds for a whole run in the VM; every test has its own limit besides
NAME = re.compile(r"test_([A-Z]+)_(\d+)(?:_(\d+)(?=_))?_(\w+)$")


class TimeLimit(BaseException):
    """Raised in a test by the alarm; not an Exception, so that no check swallows it."""


class Test:
    def __init__(self, suite, function, variant):
        match = NAME.match(function.__name__)
        if not match:
            raise ValueError(f"{suite}: {function.__name__} is not test_ID_NUMBER_sentence")
        family, number, part, sentence = match.groups()
        self.id = f"{family}-{number}" + (f".{part}" if part else "")
        self.suite, self.function = suite, function
        self.arguments, self.needs = {}, tuple(getattr(function, "needs", ()))
        for key, value in variant.items():
            if isinstance(value, tuple):
                value, extra = value[0], value[1:]
                self.needs += extra
            self.arguments[key] = value
        self.label = f"{self.id} {sentence.replace('_', ' ')}" + "".join(f" [{v}]" for v in self.arguments.values())
        self.limit = getattr(function, "limit", DEFAULT_LIMIT) * SLOW
        self.alone = getattr(function, "alone", False)

    def matches(self, patterns):
        names = (self.id, self.function.__name__, self.label, f"{self.suite}/{self.function.__name__}")
        return not patterns or any(fnmatch.fnmatch(name, pattern) or pattern in name
                                   for pattern in patterns for name in names)


class Broken:
    """A test file that cannot be read counts as a failed test."""
    needs, limit, alone, arguments = (), DEFAULT_LIMIT, False, {}

    def __init__(self, suite, file, error):
        self.suite, self.label = suite, f"{suite}/{file} cannot be read"
        self._error = error

    def function(self, lab):
        raise self._error

    def matches(self, patterns):
        return True


def discover(suite):
    """All tests of conformance/SUITE/test_*.py (or of a folder given by path) in file and line order."""
    folder = suite if os.path.isabs(suite) else f"{CONFORMANCE}/{suite}"
    if not os.path.isdir(folder):
        raise ValueError(f"there is no suite {folder}")
    package = types.ModuleType("suite_" + re.sub(r"\W", "_", suite))    # so that tests can say `from .helpers import …`
    package.__path__ = [folder]
    sys.modules[package.__name__] = package
    tests = []
    for file in sorted(os.listdir(folder)):
        if not re.fullmatch(r"test_\w+\.py", file):
            continue
        try:
            tests += _tests_of(suite, importlib.import_module(f"{package.__name__}.{file[:-3]}"))
        except Exception as error:  # pylint: disable=broad-except — whatever is wrong with the file
            tests.append(Broken(suite, file, error))
    return tests


def _tests_of(suite, module):
    tests = []
    functions = [f for name, f in vars(module).items()
                 if name.startswith("test_") and getattr(f, "__module__", "") == module.__name__]
    for function in sorted(functions, key=lambda f: f.__code__.co_firstlineno):
        choices = getattr(function, "variants", {})
        for values in itertools.product(*choices.values()):
            tests.append(Test(suite, function, dict(zip(choices, values))))
    return tests


def prepare(suite):
    """Runs the suite's program `prepare`, if it has one: what its tests need from outside, which they cannot reach."""
    program = f"{CONFORMANCE}/{suite}/prepare"
    if os.access(program, os.X_OK):
        subprocess.run([program], stdin=subprocess.DEVNULL, check=False)    # a test that needs it will say what is missing


def missing_needs(tests):
    """{need: why it is missing} of all needs named; probed in a lab process."""
    wanted = sorted({need for test in tests for need in test.needs})
    if not wanted:
        return {}
    reader, writer = os.pipe()

    def probe():
        answer = {need: marks.missing(need) for need in wanted}
        os.write(writer, json.dumps(answer).encode())
        return 0

    pid = isolated(probe)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    if not text:
        raise RuntimeError("probing what the kernel has failed; are we root?")
    return {need: why for need, why in json.loads(text).items() if why}


class Running:
    """One test in its process. The report arrives by file, so that a test that dies has said what it could."""

    def __init__(self, test, verbose):
        self.test = test
        self.started = time.monotonic()
        self.output = tempfile.TemporaryFile()
        self.pid = isolated(lambda: self._body(verbose))
        self.pid_fd = os.pidfd_open(self.pid)

    def _body(self, verbose):
        os.dup2(self.output.fileno(), 1)
        if not verbose:
            os.dup2(self.output.fileno(), 2)

        def alarm(*_):
            raise TimeLimit(f"time limit of {self.test.limit:g} s")

        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, self.test.limit)
        lab = None
        try:
            lab = Lab()
            lab.transcript.live = verbose
            self.test.function(lab, **self.test.arguments)
            status = 0
        except BaseException:  # pylint: disable=broad-except — every end but a clean one is a failure
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(traceback.format_exc().rstrip())
            status = 1
            if lab:
                print("transcript:\n" + lab.transcript.text())
                print(lab.logs())
        sys.stdout.flush()
        return status

    def overdue(self):
        return time.monotonic() - self.started > self.test.limit + GRACE

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def finish(self):
        """→ (passed, seconds, text)"""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pid_fd)
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        if os.WIFSIGNALED(status):
            text += f"\nthe test process was ended by signal {os.WTERMSIG(status)}"
        elif os.WEXITSTATUS(status) not in (0, 1):
            text += f"\nthe test process ended with status {os.WEXITSTATUS(status)}"
        return status == 0, time.monotonic() - self.started, text


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.unsteady = []

    def add(self, word, label, detail="", text=""):
        print(f"{word} {label}{detail}", flush=True)
        if text:
            print("\n".join("    " + line for line in text.rstrip().splitlines()), flush=True)

    def summary(self):
        for label in self.unsteady:
            print(f"UNSTEADY {label}: failed at first, passed alone", flush=True)
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def run_all(tests, jobs, verbose, report, second_try=False):
    """With second_try, a test that fails is run once more at the end, with nothing beside it: two cores full of other
    tests make time limits lie. What passes only then is named in the summary."""
    waiting, running, again = list(tests), {}, []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                exclusive = waiting[0].alone or any(r.test.alone for r in running.values())
                if exclusive and running:
                    break
                started = Running(waiting.pop(0), verbose)
                running[started.pid_fd] = started
            for fd in select.select(list(running), [], [], 0.5)[0]:
                finished = running.pop(fd)
                passed, seconds, text = finished.finish()
                if not passed and second_try:
                    again.append(finished.test)
                    report.add("AGAIN", finished.test.label, f"  ({seconds:.1f} s) failed; it is tried once more, alone", text)
                    continue
                report.passed += passed
                report.failed += not passed
                report.add("PASS" if passed else "FAIL", finished.test.label, f"  ({seconds:.1f} s)",
                           "" if passed else text)
            for late in [r for r in running.values() if r.overdue()]:
                late.kill()
    finally:
        for left in running.values():
            left.kill()
    for test in again:
        before = report.failed
        run_all([test], 1, verbose, report)
        if report.failed == before:
            report.unsteady.append(test.label)


def _vm(arguments):
    """Replaces this process by the same run in the VM."""
    own = [argument for argument in arguments if argument != "--in-vm"]
    program = f"{CONFORMANCE}/vm/run-in-vm"
    os.execv(program, [program, "--timeout", str(VM_LIMIT), "--", f"{CONFORMANCE}/run", *own])


def main(arguments):
    parser = argparse.ArgumentParser(prog="conformance/run", description="Runs black-box suites in the lab (root needed).")
    parser.add_argument("suites", nargs="+", metavar="suite")
    parser.add_argument("--in-vm", action="store_true", help="in one boot of Debian's kernel; there a skip is a failure")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="id, name or part of one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="every test N times, to find unsteady ones")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", "-v", action="store_true", help="transcripts as they happen")
    options = parser.parse_args(arguments)
    if options.in_vm and os.environ.get("FAIRLEAD_IN_VM") != "1":
        _vm(arguments)
    try:
        tests = [test for suite in options.suites for test in discover(suite) if test.matches(options.only)]
    except ValueError as error:
        print(f"conformance/run: {error}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{test.suite}: {test.label}" for test in tests))
        return 0
    if os.geteuid() != 0:
        print("conformance/run: needs root (or CAP_SYS_ADMIN and CAP_NET_ADMIN) to make namespaces", file=sys.stderr)
        return 2
    report = Report()
    for suite in sorted({test.suite for test in tests}):
        prepare(suite)
    absent = missing_needs(tests)
    able = []
    for test in tests * options.repeat:
        reasons = [absent[need] for need in test.needs if need in absent]
        if not reasons:
            able.append(test)
            continue
        in_vm = os.environ.get("FAIRLEAD_IN_VM") == "1"
        report.failed += in_vm
        report.skipped += not in_vm
        report.add("FAIL" if in_vm else "SKIP", test.label, f": {'; '.join(reasons)}"
                   + (" — in the VM nothing may be skipped" if in_vm else ""))
    run_all(able, 1 if options.verbose else max(1, options.jobs), options.verbose, report,
            second_try=options.repeat == 1 and not options.verbose)
    return report.summary()
