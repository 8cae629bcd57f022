"""Cgroups are the one thing of a container that no namespace of the lab hides. Every test has a parent of its own for them, so that tests
at once do not meet; it is locked as long as the test lives, and those of dead tests are removed by the next one."""
import errno
import fcntl
import os
import secrets
import time

ROOT = "/sys/fs/cgroup"
FOLDER = "fairlead-lab"
YOUNG = 60       # seconds in which a parent may not be locked yet

_held = []


def _roots():
    """The hierarchies: one (version 2) or one for each controller (version 1)."""
    if os.path.exists(f"{ROOT}/cgroup.procs"):
        return [ROOT]
    return sorted(f"{ROOT}/{name}" for name in os.listdir(ROOT) if os.path.exists(f"{ROOT}/{name}/cgroup.procs"))


def make_parent():
    """→ a cgroup path, to be given to the runtime."""
    roots = _roots()
    if not roots:
        return f"/{FOLDER}/none"
    _sweep(roots)
    name = f"{int(time.time())}-{secrets.token_hex(4)}"
    path = f"{roots[-1]}/{FOLDER}/{name}"
    os.makedirs(path)
    _held.append(_lock(path))
    return f"/{FOLDER}/{name}"


def _lock(path):
    """An open, locked folder; None: somebody has it."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        return None
    return folder


def _sweep(roots):
    try:
        names = os.listdir(f"{roots[-1]}/{FOLDER}")
    except FileNotFoundError:
        return
    for name in names:
        if not name.split("-")[0].isdigit() or time.time() - int(name.split("-")[0]) < YOUNG:
            continue
        try:
            folder = _lock(f"{roots[-1]}/{FOLDER}/{name}")
        except FileNotFoundError:
            continue
        if folder is not None:
            for root in roots:
                _remove(f"{root}/{FOLDER}/{name}")
            os.close(folder)


def _remove(path):
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT, errno.ENOTEMPTY):
                raise
