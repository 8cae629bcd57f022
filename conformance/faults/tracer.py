"""Runs a program, and what it starts, up to the n-th system call of all of them together, and kills there (ptrace(2)).

Unlike conformance/cni/tracer.py, which judges any plugin, this one follows threads and children: a network's first ADD
is `fairlead` and the `fairlead-agent realise` it runs."""
import collections
import ctypes
import os
import signal

TRACEME, CONT, GETREGS, SETOPTIONS, SYSCALL, GETEVENTMSG = 0, 7, 12, 0x4200, 24, 0x4201
# SYSGOOD (a system call stop is SIGTRAP|0x80), FORK, VFORK, CLONE, EXEC, EXITKILL
OPTIONS = 1 | 2 | 4 | 8 | 16 | 0x00100000
SYSCALL_STOP = signal.SIGTRAP | 0x80
WALL = 0x40000000       # __WALL: threads, too
ORIG_RAX = 15 * 8       # struct user_regs_struct
REGISTERS = 27 * 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

# killed: whether it came to that (or to the action). calls: system calls begun. kinds: numbers of system calls, in their order.
Outcome = collections.namedtuple("Outcome", "killed calls kinds")


def _ptrace(request, pid, data=0):
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace({request}, {pid}): {os.strerror(number)}")


def trace_me():
    """To be called in the child before exec."""
    _ptrace(TRACEME, 0)


def _call_number(pid):
    registers = ctypes.create_string_buffer(REGISTERS)
    _ptrace(GETREGS, pid, ctypes.addressof(registers))
    return int.from_bytes(registers.raw[ORIG_RAX:ORIG_RAX + 8], "little")


def _process_of(thread):
    with open(f"/proc/{thread}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))


class Tree:
    """A traced program and its descendants."""

    def __init__(self, pid, limit, everyone, action):
        self.pid, self.limit, self.everyone, self.action = pid, limit, everyone, action
        self.alive = {pid}              # thread ids
        self.inside = set()             # in a system call
        self.processes = {pid: pid}     # thread → process
        self.kinds, self.killed = [], False

    def kill(self, thread):
        """The process that was about to make the call; with everyone, all of them."""
        self.killed = True
        for process in set(self.processes.values()) if self.everyone else {self.processes[thread]}:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def reached(self, thread):
        if not self.action:
            return self.kill(thread)
        self.killed = True
        self.action()
        return self.resume(thread)

    def resume(self, thread, pass_on=0):
        try:
            _ptrace(SYSCALL, thread, pass_on)
        except OSError:     # it was killed meanwhile
            pass

    def stopped(self, thread, status):
        stop = os.WSTOPSIG(status)
        if thread not in self.alive:    # a new one's first stop
            self.alive.add(thread)
            self.processes[thread] = _process_of(thread)
            return self.resume(thread)
        event = status >> 16
        if event:
            return self.resume(thread)
        if stop != SYSCALL_STOP:
            return self.resume(thread, 0 if stop == signal.SIGSTOP else stop)
        if thread in self.inside:
            self.inside.discard(thread)
        else:
            self.inside.add(thread)
            if not self.killed:
                self.kinds.append(_call_number(thread))
            if not self.killed and len(self.kinds) >= self.limit:
                return self.reached(thread)
        return self.resume(thread)

    def run(self):
        os.waitpid(self.pid, 0)
        _ptrace(SETOPTIONS, self.pid, OPTIONS)
        self.resume(self.pid)
        while self.alive:
            try:
                thread, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                break
            if os.WIFSTOPPED(status):
                try:
                    self.stopped(thread, status)
                except (OSError, StopIteration):     # killed between two of our calls
                    self.resume(thread)
            else:
                self.alive.discard(thread)
                self.inside.discard(thread)
        return Outcome(self.killed, len(self.kinds), self.kinds)


def run_until(pid, limit=1 << 30, everyone=False, action=None):
    """pid is a child that called trace_me() and exec'ed; nothing else of the caller's children may end meanwhile.
    Kills before the limit-th system call (counting from exec): the process that was about to make it, or all.
    action: called there instead, without arguments; then the program goes on."""
    return Tree(pid, limit, everyone, action).run()


def choose(kinds, most):
    """Numbers of boundaries (from 1) to kill at: the first and the last of every kind of system call, then as many more,
    spread evenly, as most allows; all of them with FAIRLEAD_FAULTS=all."""
    total = len(kinds)
    if os.environ.get("FAIRLEAD_FAULTS") == "all" or total <= most:
        return list(range(1, total + 1))
    first, last = {}, {}
    for number, kind in enumerate(kinds, 1):
        first.setdefault(kind, number)
        last[kind] = number
    chosen = set(first.values()) | set(last.values())
    stride = next_prime(max(2, total // max(1, most - len(chosen))))
    return sorted(chosen | set(range(1, total + 1, stride)))


def next_prime(number):
    while any(number % d == 0 for d in range(2, int(number ** 0.5) + 1)):
        number += 1
    return number
