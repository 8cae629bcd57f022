"""The runner itself: every outcome is told as what it is."""
import os
import subprocess
import sys

from lab import *
from lab import runner

RUN = f"{runner.CONFORMANCE}/run"


def run(*arguments, **environment):
    done = subprocess.run([sys.executable, RUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env={**os.environ, "FAIRLEAD_IN_VM": "0", "FAIRLEAD_LAB_SLOW": "1", **environment})
    return done.returncode, done.stdout


def lines(text, word):
    return [line.split("  (")[0] for line in text.splitlines() if line.startswith(word + " ")]


@limit(90)
def test_RUN_001_every_outcome_is_told(lab):
    status, text = run("lab/fixtures")
    lab.say(text)
    equal(sorted(lines(text, "PASS")), ["PASS FIX-001 passes", "PASS FIX-007.2 has variants [red]"], "passed")
    equal(sorted(lines(text, "FAIL")), ["FAIL FIX-002 fails", "FAIL FIX-003 hangs", "FAIL FIX-004 dies",
                                        "FAIL FIX-005 hangs and hears nothing"], "failed")
    equal(sorted(lines(text, "SKIP")),
          ["SKIP FIX-006 needs what is not there: no program no-such-program",
           "SKIP FIX-007.2 has variants [blue]: no program no-such-program"], "skipped, with the reason")
    equal(text.splitlines()[-1], "2 passed, 4 failed, 2 skipped", "the sum")
    equal(status, 1, "exit status")
    contains(text, "numbers: got 1, wanted 2", "why it failed")
    contains(text, "-- shown", "the transcript of a failed test")
    contains(text, "-- before it hung", "also of one that hung")
    lacks(text, "never shown", "not of a passed one")


def test_RUN_002_exit_status_says_whether_all_is_well(lab):
    equal(run("--only", "FIX-001", "lab/fixtures")[0], 0, "all passed")
    equal(run("--only", "FIX-002", "lab/fixtures")[0], 1, "one failed")
    equal(run("--only", "FIX-006", "lab/fixtures")[0], 1, "all skipped is not a success")
    equal(run("--only", "FIX-999", "lab/fixtures")[0], 1, "nothing ran is not a success")
    equal(run("no-such-suite")[0], 2, "wrong usage")


def test_RUN_003_in_the_vm_a_skip_is_a_failure(lab):
    status, text = run("--only", "FIX-006", "--only", "FIX-001", "lab/fixtures", FAIRLEAD_IN_VM="1")
    equal((status, text.splitlines()[-1]), (1, "1 passed, 1 failed, 0 skipped"), "the sum")
    contains(text, "FAIL FIX-006", "by name")


def test_RUN_004_a_file_that_cannot_be_read_is_a_failure(lab):
    status, text = run("lab/fixtures_broken")
    equal((status, lines(text, "FAIL")), (1, ["FAIL lab/fixtures_broken/test_broken.py cannot be read"]), "the file")
    contains(text, "SyntaxError", "why")


def test_RUN_005_only_chooses_by_id_name_or_pattern(lab):
    for pattern in ("FIX-001", "test_FIX_001_passes", "FIX-001 passes", "FIX-00[1]*", "lab/fixtures/test_FIX_001_passes"):
        equal(run("--list", "--only", pattern, "lab/fixtures")[1].splitlines(), ["lab/fixtures: FIX-001 passes"], pattern)
