"""The place where everything is measured: private namespaces, empty /run and /var/lib, and as many network
namespaces as wanted. It all belongs to one PID namespace whose first process dies with `bench/run`; nothing of it
can be seen from or left on the machine, kill -9 included.
"""
import contextlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from lab import kernel, netlink  # noqa: E402

PLACES = ["/run", "/var/lib"]  # empty inside; build directories are elsewhere


def run_inside(function):
    """Runs function() in a child that is pid 1 of the sandbox; returns its exit status."""
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
    pid = kernel.fork_into_new_pid_namespace()
    if pid == 0:
        status = 1
        try:
            kernel.die_with_parent()
            _furnish()
            status = function()
        except KeyboardInterrupt:
            status = 130
        except BaseException:  # pylint: disable=broad-except — a forked child must not return into its parent's code
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGKILL)


def _furnish():
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("sysfs", "/sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    for place in PLACES:
        kernel.mount("tmpfs", place, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    for folder in ["/run/netns", "/var/lib/cni", "/var/lib/fairlead"]:
        os.makedirs(folder)
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]:
        with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
            file.write("1")


def make_netns(name):
    """A network namespace pinned as /run/netns/NAME; returns the path."""
    path = f"/run/netns/{name}"
    fd = kernel.new_net_namespace()
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
        kernel.mount(f"/proc/self/fd/{fd}", path, None, kernel.MS_BIND)
    finally:
        os.close(fd)
    return path


def enter(path):
    """This process goes into that network namespace for good; for a child between fork and exec."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    kernel.setns(fd, kernel.CLONE_NEWNET)
    os.close(fd)


@contextlib.contextmanager
def inside(path):
    """This thread's network calls, and its look at /proc/sys/net, concern that namespace meanwhile."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with kernel.net_namespace(fd):
            yield
    finally:
        os.close(fd)


def link_up(name):
    netlink.set_link(name, up=True)


def add_address(ifname, address):
    netlink.add_address(ifname, address)
