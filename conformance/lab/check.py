"""Checks. Each takes the reason why the thing must hold; a failure says what was got and what was wanted."""
import json
import os
import time

SLOW = float(os.environ.get("FAIRLEAD_LAB_SLOW", "1"))


def _show(value):
    if isinstance(value, (dict, list)):
        try:
            return json.dumps(value, indent=1, sort_keys=True)[:3000]
        except TypeError:
            pass
    return repr(value)[:3000]


def equal(got, wanted, why):
    if got != wanted:
        raise AssertionError(f"{why}: got {_show(got)}, wanted {_show(wanted)}")


def true(value, why):
    if not value:
        raise AssertionError(f"{why}: got {_show(value)}")
    return value


def contains(haystack, needle, why):
    if needle not in haystack:
        raise AssertionError(f"{why}: {_show(needle)} is not in {_show(haystack)}")


def lacks(haystack, needle, why):
    if needle in haystack:
        raise AssertionError(f"{why}: {_show(needle)} is in {_show(haystack)}")


def eventually(fn, within=2.0, why="", every=0.02):
    """fn's first value that is truthy and not an exception; within seconds (× the machine's slowness)."""
    deadline = time.monotonic() + within * SLOW
    while True:
        try:
            got = fn()
        except (OSError, AssertionError, LookupError, ValueError) as error:
            got, last = None, repr(error)
        else:
            last = _show(got)
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within * SLOW:g} s: {why or fn}; last: {last}")
        time.sleep(every)


def never(fn, during=1.0, why="", every=0.05):
    """fn stays falsy all the time; an exception of it is an error of the test, not a pass."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        got = fn()
        if got:
            raise AssertionError(f"must not happen: {why}: got {_show(got)}")
        time.sleep(every)


def refused(fn, why):
    """The other side says no at once (RST or ICMP)."""
    _fails(fn, (ConnectionRefusedError, ConnectionResetError), why, "refused")


def silent(fn, why):
    """Nothing comes back."""
    _fails(fn, TimeoutError, why, "silent")


def unreachable(fn, why):
    """Fails, whichever way: refused, unreachable or silent."""
    _fails(fn, OSError, why, "unreachable")


def _fails(fn, kinds, why, word):
    try:
        got = fn()
    except kinds:
        return
    except OSError as error:
        raise AssertionError(f"{why}: must be {word}, failed with {error!r}") from None
    raise AssertionError(f"{why}: must be {word}, but answered {_show(got)}")


def measure(fn):
    start = time.monotonic()
    fn()
    return time.monotonic() - start
