"""The first process of a lab host and the root file system it makes for itself.

The root is this machine's root below an overlay whose upper layer is a tmpfs: everything can be read and run,
nothing written reaches the machine. /run, /var/lib/fairlead and /var/lib/cni are tmpfs of their own, as on a real host;
/proc and /sys belong to the host's namespaces.
"""
import os
import signal
import socket

from . import kernel

PSEUDO = ("/proc", "/sys", "/dev", "/run")
# Directories that start empty although the machine has something in them.
EMPTY = ("/etc/cni", "/etc/fairlead", "/var/lib/fairlead", "/var/lib/cni")
TMPFS = ("/var/lib/fairlead", "/var/lib/cni", "/dev/shm")
ETC = {
    "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "resolv.conf": "# none\n",
}


def start(name, go, ready):
    """Never returns. Reads one byte from `go`, answers on `ready`: empty = all well, else the error's text."""
    try:
        kernel.die_with_parent()
        # The parent may have died before the call above; then the pipe is at its end.
        if os.read(go, 1) != b"g":
            os._exit(1)
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
        _close_all_but(ready)
        socket.sethostname(name)
        _make_root(name)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)     # orphans are reaped by the kernel
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(ready, b"+")
        os.close(ready)
    except BaseException as error:  # pylint: disable=broad-except — the parent reports it
        os.write(ready, f"host {name}: {error!r}".encode())
        os._exit(1)
    while True:
        signal.pause()


def _close_all_but(keep):
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number != keep:
            try:
                os.close(number)
            except OSError:
                pass


def _make_root(name):
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    other_mounts = _real_mounts()
    # The scratch tmpfs needs a mount point that exists on every machine; /run is replaced below anyway.
    kernel.mount("lab", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    for directory in ("upper", "work", "root"):
        os.mkdir(f"/run/{directory}", 0o755)
    _fill_upper("/run/upper", name)
    kernel.mount("lab", "/run/root", "overlay", 0, "lowerdir=/,upperdir=/run/upper,workdir=/run/work")
    for point in other_mounts:
        _graft(point, "/run/root" + point)
    root = "/run/root"
    kernel.mount("tmpfs", root + "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    kernel.mount("proc", root + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("sysfs", root + "/sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    if os.path.isdir(root + "/sys/fs/cgroup"):
        kernel.mount("/sys/fs/cgroup", root + "/sys/fs/cgroup", None, kernel.MS_BIND | kernel.MS_REC)
    kernel.mount("/dev", root + "/dev", None, kernel.MS_BIND | kernel.MS_REC)
    for point in TMPFS:
        mode = "mode=1777" if point == "/dev/shm" else "mode=0755"
        os.makedirs(root + point, exist_ok=True)
        kernel.mount("tmpfs", root + point, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, mode)
    os.mkdir(root + "/run/netns", 0o755)
    os.mkdir(root + "/run/lock", 0o1777)
    os.mkdir(root + "/run/old", 0o700)
    kernel.pivot_root(root, root + "/run/old")
    os.chdir("/")
    kernel.umount("/run/old", kernel.MNT_DETACH)
    os.rmdir("/run/old")


def _fill_upper(upper, name):
    for path in EMPTY:
        if os.path.isdir(path):
            os.makedirs(upper + path, 0o755, exist_ok=True)
            os.setxattr(upper + path, "trusted.overlay.opaque", b"y")
    os.makedirs(upper + "/etc", 0o755, exist_ok=True)
    for file, text in {**ETC, "hostname": name + "\n", "hosts": ETC["hosts"] + f"127.0.1.1 {name}\n"}.items():
        with open(f"{upper}/etc/{file}", "w") as stream:
            stream.write(text)


def _real_mounts():
    """Mount points of real file systems besides the root, parents first."""
    points = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            point = line.split()[4].encode().decode("unicode_escape")
            if point != "/" and not point.startswith(tuple(p + "/" for p in PSEUDO)) and point not in PSEUDO:
                points.append(point)
    return points


def _graft(point, target):
    """A further file system of the machine: readable under the new root, not writable."""
    try:
        if os.path.isdir(point):
            os.makedirs(target, exist_ok=True)
        elif not os.path.exists(target):
            return
        kernel.mount(point, target, None, kernel.MS_BIND)
        kernel.mount(None, target, None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY)
    except OSError:
        pass        # a mount this process may not see; a program that needs it will name the path
