"""Every check of the CNI suite as a test: it must pass for fairlead, and must say what is recorded of the reference plugins,
so that the suite is neither tuned to us nor lenient."""
import os

from lab.lab import REPOSITORY
from .judge import HERE, allowed, judge, known_verdicts
from .suite import ALL
from .target import Target
from .trial import Trial

DEBIAN = "/usr/lib/cni"
REFERENCES = ("bridge", "ptp", "macvlan")
SECOND_REFERENCES = ("ptp", "macvlan")


def plugin_folder():
    return os.path.abspath(os.environ.get("FAIRLEAD_BIN") or f"{REPOSITORY}/build/bin")


def target(name):
    folder = plugin_folder() if name == "fairlead" else DEBIAN
    ipam = "fairlead-ipam" if name == "fairlead" else "host-local"
    return Target.from_files(f"{folder}/{name}", f"{folder}/{ipam}", f"{HERE}/confs/{name}.json")  # with what stands beside it


TARGETS = {name: target(name) for name in ("fairlead", *REFERENCES)}


def targets_of(check):
    """Those that can be asked; what cannot is no test."""
    for name, one in TARGETS.items():
        if check.missing(one):
            continue
        # Long ones, and those of the IPAM, say little more about a second plugin of the same family.
        if name in SECOND_REFERENCES and ("ipam" in check.tags or check.limit > 90):
            continue
        # A program that is not there is a skip (a failure in the VM), not a verdict.
        yield name if name == "fairlead" else (name, f"program:{DEBIAN}/{name}", f"program:{DEBIAN}/host-local")


def expected(check, name):
    """The verdicts that are no news."""
    if name == "fairlead":
        return {"pass"}
    known = known_verdicts(name) or {}
    assert check.id in known, f"no verdict of {name} is recorded: conformance/cni/run --plugin {DEBIAN}/{name} --record …"
    return allowed(known[check.id])


def make_test(check):
    def test(lab, plugin):
        verdict = judge(check, Trial(lab, TARGETS[plugin]))
        wanted = expected(check, plugin)
        assert verdict.word in wanted, (f"{check.id} {check.title} ({check.source}): {plugin}: {verdict.word}, expected {' or '.join(sorted(wanted))}; "
                                        f"{verdict.reason}\n{verdict.details}")
    test.__name__ = test.__qualname__ = check.test_name
    test.variants = {"plugin": list(targets_of(check))}
    test.limit = check.limit
    return test


for _check in ALL:
    globals()[_check.test_name] = make_test(_check)
