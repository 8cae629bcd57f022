"""The frequency of this machine's time stamp counter, which is also an emulated CPU's.

A guest measures it against the emulated PIT; on a busy machine that goes wrong.
"""
import ctypes
import mmap
import os
import time

_RDTSC = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"       # rdtsc; shl rdx,32; or rax,rdx; ret
SAMPLES, INTERVAL = 20, 0.1


def kilohertz():
    """None on a machine without one."""
    if os.uname().machine != "x86_64":
        return None
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_RDTSC)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def sample():
        """(nanoseconds, ticks) of the least disturbed reading."""
        readings = []
        for _ in range(SAMPLES):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            ticks = read()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            readings.append((after - before, (after + before) // 2, ticks))
        return min(readings)[1:]

    first = sample()
    time.sleep(INTERVAL)
    last = sample()
    return (last[1] - first[1]) * 1_000_000 // (last[0] - first[0])
