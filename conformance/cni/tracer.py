"""Runs a program up to its n-th system call and kills it there (ptrace(2)); the way to be sure that nothing was forgotten."""
import ctypes
import os
import signal

TRACEME, CONT, SETOPTIONS, SYSCALL = 0, 7, 0x4200, 24
OPTIONS = 1 | 0x00100000        # SYSGOOD: system call stops are SIGTRAP|0x80; EXITKILL: the tracee ends with us
SYSCALL_STOP = signal.SIGTRAP | 0x80

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request, pid, data=0):
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace({request}, {pid}): {os.strerror(number)}")


def trace_me():
    """To be called in the child before exec."""
    _ptrace(TRACEME, 0)


def run_until(pid, limit):
    """pid is a child that called trace_me() and exec'ed. Kills it before its limit-th system call (counting from exec; only
    its first thread is traced). → (killed, system calls begun, threads seen)"""
    os.waitpid(pid, 0)
    _ptrace(SETOPTIONS, pid, OPTIONS)
    begun, inside, pass_on, threads = 0, False, 0, 1
    while True:
        _ptrace(SYSCALL, pid, pass_on)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return False, begun, threads
        stop, pass_on = os.WSTOPSIG(status), 0
        if stop != SYSCALL_STOP:
            pass_on = stop
            continue
        inside = not inside
        begun += inside
        threads = max(threads, len(os.listdir(f"/proc/{pid}/task")))
        if inside and begun >= limit:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True, begun, threads
