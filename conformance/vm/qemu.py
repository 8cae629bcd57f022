"""One boot: QEMU's command line, the program's output as it comes, its exit status by an end marker.

Failure: without the marker "exit N" from inside, the run has failed, whatever QEMU's own status was.
"""
import ctypes
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import tsc
from .cpio import Archive
from .image import VmError, REPOSITORY

QEMU = "qemu-system-x86_64"
CONSOLE_LINES = 40
STATUS_DIED, STATUS_TIMEOUT = 125, 124
BOOT_LIMIT = 300        # seconds; 6 on an idle machine with two cores, 35 with a load of 20 on them
START = b"start\n"      # from init on the third port; then "exit N"
# Not microvm: it has neither PM timer nor PIT interrupts, so on a busy machine the guest measures its local APIC's timer
# wrongly (94 % were seen with a load of 30 on two CPUs) and sleeps too long or for ever. It boots no faster either.
MACHINE = "q35,hpet=off,usb=off,vmport=off,smbus=off,sata=off,graphics=off"
# Variables of the caller that mean something else (or nothing) inside.
NOT_PASSED = {"PWD", "OLDPWD", "SHLVL", "_", "NOTIFY_SOCKET", "TMPDIR", "XDG_RUNTIME_DIR"}


def job_archive(argv, modules, environment, cwd):
    """What init finds in /job; appended to the initramfs."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())
             if name.isidentifier() and name not in NOT_PASSED]
    # By env, because busybox' shell would prefer its own sh, ip, … to the machine's.
    lines += ["export FAIRLEAD_IN_VM=1", f"cd {shlex.quote(cwd)} || exit 126", "exec /usr/bin/env -- " + shlex.join(argv)]
    archive = Archive()
    archive.file("job/run", "\n".join(lines) + "\n")
    archive.file("job/modules", modules + "\n")
    return archive.bytes()


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def kvm_works(folder):
    """Only asked when FAIRLEAD_VM_KVM=1: some machines have a /dev/kvm that hangs. Boots for 3 s in a child that can be killed."""
    if os.environ.get("FAIRLEAD_VM_KVM") != "1" or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile() as console:
        argv = [QEMU, "-accel", "kvm", "-cpu", "host", "-nodefaults", "-no-user-config", "-display", "none", "-m", "256",
                "-kernel", f"{folder}/vmlinux", "-append", "console=ttyS0 panic=-1", "-serial", f"file:{console.name}"]
        probe = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 preexec_fn=_die_with_parent)
        time.sleep(3)
        probe.kill()
        # Not waited for without limit: a process stuck in the hypervisor cannot even be killed.
        try:
            probe.wait(2)
        except subprocess.TimeoutExpired:
            return False
        return b"Linux version" in console.read()


# Counted: one emulated CPU whose clock is the number of instructions it has executed, one a nanosecond, so that a time in the
# guest says how much was done and not how busy this machine was.
COUNTED_KILOHERTZ = 1_000_000


def kernel_arguments(kvm, counted=False):
    """Errors only on the console; a panic ends QEMU (-no-reboot)."""
    words = ["console=ttyS0", "panic=-1", "oops=panic", "mitigations=off", "random.trust_cpu=on",
             "apparmor=0", "audit=0", "no_timer_check"]     # a starved CPU sees too few ticks, and the check panics
    frequency = None if kvm else COUNTED_KILOHERTZ if counted else tsc.kilohertz()
    if frequency:
        words += [f"tsc_early_khz={frequency}", "tsc=reliable"]
    return " ".join(words)


def _accelerator(kvm, counted):
    if kvm:
        return ["-accel", "kvm", "-cpu", "host"]
    if counted:
        return ["-accel", "tcg,thread=single,tb-size=256", "-cpu", "max", "-icount", "shift=0"]
    return ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"]


def command_line(folder, initramfs, console, ports, cpus, memory, kvm, counted=False):
    accelerator = _accelerator(kvm, counted)
    argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", MACHINE, "-bios", "qboot.rom", *accelerator,
            "-smp", str(cpus), "-m", str(memory), "-kernel", f"{folder}/vmlinux", "-initrd", initramfs,
            "-append", kernel_arguments(kvm, counted),
            "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
            "-fsdev", "local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine", "-device", "virtio-serial-pci"]
    for number, port in enumerate(ports, 1):
        argv += ["-chardev", f"socket,id=port{number},fd={port}",
                 "-device", f"virtserialport,chardev=port{number},nr={number},name=vm{number}"]
    return argv


class Run:
    """One boot. run() returns the status to exit with."""

    def __init__(self, folder, argv, cpus, memory, timeout, environment=None, cwd=REPOSITORY, counted=False):
        self._folder, self._argv, self._timeout = folder, argv, timeout
        self._cpus, self._memory = cpus, memory
        self._environment = dict(os.environ) if environment is None else environment
        self._cwd, self._counted = cwd, counted
        self._end, self._started = b"", False

    def run(self):
        kvm = not self._counted and kvm_works(self._folder)
        environment = dict(self._environment)
        environment.setdefault("FAIRLEAD_LAB_SLOW", "1" if kvm else "4")
        modules = f"{self._folder}/lib/modules"
        # Files without a name, so that nothing is left whatever kills this process.
        with tempfile.TemporaryFile() as initramfs, tempfile.TemporaryFile() as console:
            with open(f"{self._folder}/initramfs", "rb") as base:
                initramfs.write(base.read() + job_archive(self._argv, modules, environment, self._cwd))
            initramfs.flush()
            return self._boot(initramfs.fileno(), console.fileno(), kvm)

    def _boot(self, initramfs, console, kvm):
        pairs = [socket.socketpair() for _ in range(3)]
        theirs = [pair[1].fileno() for pair in pairs]
        argv = command_line(self._folder, f"/proc/self/fd/{initramfs}", f"/proc/self/fd/{console}", theirs, 1 if self._counted else self._cpus,
                            self._memory, kvm, self._counted)
        theirs += [initramfs, console]
        try:
            qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                    pass_fds=theirs, preexec_fn=_die_with_parent)
        except FileNotFoundError:
            raise VmError(f"no {QEMU}: install qemu-system-x86 (`make deps`)") from None
        for _, far in pairs:
            far.close()
        try:
            in_time = self._pump([near for near, _ in pairs], qemu)
        finally:
            qemu.kill()
            complaint = qemu.stderr.read().decode(errors="replace").strip()
            qemu.wait()
        return self._verdict(in_time, console, complaint)

    def _pump(self, ports, qemu):
        """Copies the ports until QEMU closes them all. False when the time is over: first that of the boot, then the program's."""
        deadline = time.monotonic() + BOOT_LIMIT
        selector = selectors.DefaultSelector()
        for number, port in enumerate(ports):
            selector.register(port, selectors.EVENT_READ, number)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                try:
                    data = key.fileobj.recv(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == 2:
                    self._end += data
                    if not self._started and self._end.startswith(START):
                        self._started, self._end = True, self._end[len(START):]
                        deadline = time.monotonic() + self._timeout
                else:
                    stream = (sys.stdout, sys.stderr)[key.data].buffer
                    stream.write(data)
                    stream.flush()
        qemu.wait()
        return True

    def _verdict(self, in_time, console, complaint):
        words = self._end.decode(errors="replace").split()
        if len(words) == 2 and words[0] == "exit" and words[1].isdigit():
            return int(words[1])
        lines = os.pread(console, os.fstat(console).st_size, 0).decode(errors="replace").splitlines()
        late = f"not done after {self._timeout:g} s" if self._started else f"not booted after {BOOT_LIMIT} s"
        reason = "it ended without an end marker" if in_time else late
        if any("Kernel panic" in line for line in lines):
            reason = "kernel panic"
        print(f"run-in-vm: the VM failed: {reason}" + (f"; QEMU says: {complaint}" if complaint else ""), file=sys.stderr)
        if lines:
            print("run-in-vm: the last lines of its console:\n" + "\n".join("  | " + line for line in lines[-CONSOLE_LINES:]),
                  file=sys.stderr)
        else:
            print("run-in-vm: its console stayed silent", file=sys.stderr)
        return STATUS_TIMEOUT if not in_time else STATUS_DIED
