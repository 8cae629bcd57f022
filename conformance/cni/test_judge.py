"""The judge is not lenient: a plugin that agrees to everything and does nothing (wrong_plugin) fails, check by check."""
from lab.marks import variants
from .judge import HERE, judge, allowed, recorded
from .suite import ALL
from .target import Target
from .trial import Trial

WRONG = f"{HERE}/wrong_plugin"
# One or two of every subject; `conformance/cni/run --plugin conformance/cni/wrong_plugin` judges it as a whole.
MUST_FAIL = ("CNI-002", "CNI-003", "CNI-007", "CNI-009", "CNI-014", "CNI-016", "CNI-017", "CNI-021", "CNI-022", "CNI-023", "CNI-032", "CNI-040",
             "CNI-041.0", "CNI-042.1", "CNI-044", "CNI-045", "CNI-049", "CNI-052", "CNI-054", "CNI-057", "CNI-059", "CNI-061", "CNI-062",
             "CNI-066", "CNI-068.0", "CNI-068.2", "CNI-068.6", "CNI-069.0", "CNI-069.1", "CNI-069.4", "CNI-070", "CNI-071.1", "CNI-072",
             "CNI-075.0", "CNI-080", "CNI-085", "CNI-091", "CNI-101", "CNI-103", "CNI-105", "CNI-112", "CNI-120", "CNI-126", "CNI-129",
             "CNI-137", "CNI-138.0", "CNI-141.2", "CNI-147", "CNI-152", "CNI-153", "CNI-164")
CHECKS = {check.id: check for check in ALL}


@variants(check=list(MUST_FAIL))
def test_JUDGE_01_a_plugin_that_only_says_yes_fails(lab, check):
    verdict = judge(CHECKS[check], Trial(lab, Target.from_files(WRONG, WRONG, f"{HERE}/confs/wrong_plugin.json")))
    assert verdict.word == "fail", f"{check} {CHECKS[check].title}: {verdict.word} for a plugin that does nothing; {verdict.reason}"
    assert verdict.reason, "a failure says what was seen"


def test_JUDGE_02_a_verdict_that_varies_stays_recorded_as_such(lab):
    varies = {"verdict": "varies", "seen": ["fail", "pass"], "reason": "a race"}
    assert allowed(varies) == {"fail", "pass"} and allowed({"verdict": "pass", "reason": ""}) == {"pass"}
    assert recorded({"CNI-161": {"verdict": "pass", "reason": ""}}, {"CNI-161": varies}) == {"CNI-161": varies}
    news = recorded({"CNI-161": {"verdict": "skipped", "reason": "x"}}, {"CNI-161": varies})
    assert news == {"CNI-161": {"verdict": "skipped", "reason": "x"}}, "what was never seen is news"
