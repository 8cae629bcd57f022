"""The few kernel calls Python's os module lacks: namespaces, mounts, parent-death signal.

Every call raises OSError with the verb and the object.
"""
import contextlib
import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _bytes(text):
    return None if text is None else os.fsencode(text)


def setns(fd, kind):
    _check(_libc.setns(fd, kind), f"setns(fd {fd}, {kind:#x})")


def unshare(kinds):
    _check(_libc.unshare(kinds), f"unshare({kinds:#x})")


def mount(source, target, kind=None, flags=0, data=None):
    _check(_libc.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data)),
           f"mount {source} on {target} (type {kind}, flags {flags:#x}, {data})")


def umount(target, flags=0):
    _check(_libc.umount2(_bytes(target), flags), f"umount {target}")


def pivot_root(new, old):
    number = _PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, _bytes(new), _bytes(old)), f"pivot_root {new} {old}")


def die_with_parent():
    """SIGKILL for this process when the thread that forked it ends; to be called in the child."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


@contextlib.contextmanager
def children_in(pid_namespace_fd):
    """Children forked by this thread meanwhile start in that PID namespace (this process stays in its own).

    Whoever is pid 1 of that namespace must live. Not for os.fork(), whose child would run the exit of this block."""
    own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(pid_namespace_fd, CLONE_NEWPID)
        try:
            yield
        finally:
            setns(own, CLONE_NEWPID)
    finally:
        os.close(own)


def fork_into(pid_namespace_fd):
    """fork() whose child is in that PID namespace."""
    own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    setns(pid_namespace_fd, CLONE_NEWPID)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            setns(own, CLONE_NEWPID)
        os.close(own)
    return pid


def fork_into_new_pid_namespace():
    """fork() whose child is pid 1 of a PID namespace of its own; later children of the caller are ordinary ones."""
    own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    unshare(CLONE_NEWPID)
    pid = os.fork()
    if pid != 0:
        setns(own, CLONE_NEWPID)
    os.close(own)
    return pid


@contextlib.contextmanager
def net_namespace(fd):
    """This thread's network calls happen in that namespace meanwhile; sockets made there stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(own, CLONE_NEWNET)
    finally:
        os.close(own)


def new_net_namespace():
    """A descriptor of a new, empty network namespace; it lives as long as somebody holds it."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            setns(own, CLONE_NEWNET)
    finally:
        os.close(own)
