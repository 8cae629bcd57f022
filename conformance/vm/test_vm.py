"""The VM ring itself: a status is passed on, a death is told as one, nothing is left of it. Runs on the machine, not in the VM."""
import hashlib
import os
import signal
import subprocess
import time

from lab import *
from lab import runner

VM = f"{runner.CONFORMANCE}/vm/run-in-vm"
ENVIRONMENT = {"FAIRLEAD_IN_VM": "0", "FAIRLEAD_VM_TEST": "a 'quoted' $value"}


def run(lab, script, *options):
    lab.say(f"in the VM: {script}")
    done = subprocess.run([VM, *options, "--", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, env={**os.environ, **ENVIRONMENT})
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    lab.say(f"→ {done.returncode}\n{out}\n{err}")
    return done.returncode, out, err


@limit(400)
def test_VM_001_success_and_what_the_program_finds(lab):
    marker = f"/vm-test-{os.getpid()}-{time.time_ns()}"
    status, out, err = run(lab, f"uname -r; pwd; echo $FAIRLEAD_IN_VM; echo \"$FAIRLEAD_VM_TEST\"; echo to-stderr >&2; "
                                f"touch {marker} && ls {marker}; stat -f -c %T /run; cat /proc/self/cgroup; nproc")
    lines = out.splitlines()
    equal((status, err), (0, "to-stderr\n"), "status and stderr")
    true(lines[0].endswith("-amd64") and lines[0] != os.uname().release, "Debian's kernel, not this one")
    equal(lines[1:4], [runner.REPOSITORY, "1", "a 'quoted' $value"], "directory and environment")
    equal(lines[4:], [marker, "tmpfs", "0::/", "2"], "a writable root, /run, cgroup v2, two CPUs")
    true(not os.path.exists(marker), "what it wrote did not reach the machine")


@limit(400)
def test_VM_002_a_status_is_passed_on_and_output_is_whole(lab):
    script = ("i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; echo exit 0; "
              "sleep 1000 & echo back >&2; exit 7")
    status, out, err = run(lab, script)
    equal(status, 7, "the program's status, although it printed what looks like the end marker")
    equal(hashlib.sha256(out.encode()).hexdigest(),
          hashlib.sha256(("".join(f"line-{i}\n" for i in range(20000)) + "exit 0\n").encode()).hexdigest(), "every line")
    equal(err, "back\n", "stderr by itself")


@limit(400)
def test_VM_003_a_program_ended_by_a_signal_is_no_success(lab):
    equal(run(lab, "kill -9 $$")[0], 137, "128 + signal")


@limit(400)
def test_VM_004_a_kernel_panic_is_told(lab):
    status, out, err = run(lab, "echo before; echo 1 > /proc/sys/kernel/sysrq; sleep 0.5; echo c > /proc/sysrq-trigger; echo after")
    equal((status, out), (125, "before\n"), "a failure, whatever was said before")
    contains(err, "kernel panic", "what it was")
    contains(err, "sysrq", "the console's last lines")


@limit(400)
def test_VM_005_a_hang_is_told(lab):
    status, out, err = run(lab, "echo before; sleep 1000", "--timeout", "5")
    equal((status, out), (124, "before\n"), "a failure")
    contains(err, "not done after 5 s", "what it was")


@limit(400)
def test_VM_006_an_end_without_a_word_is_a_failure(lab):
    status, _, err = run(lab, "/run/vm/busybox poweroff -f; sleep 1000")
    equal(status, 125, "powered off from inside")
    contains(err, "without an end marker", "what it was")


@limit(400)
def test_VM_007_a_program_that_is_not_there_is_a_failure(lab):
    done = subprocess.run([VM, "--", "/no/such/program"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    equal(done.returncode, 127, "as a shell says it")
    contains(done.stderr, "/no/such/program", "which")


@limit(400)
def test_VM_008_the_kernel_has_what_the_suites_need(lab):
    script = """set -e
      ipvsadm -A -t 192.0.2.1:80 -s mh; ipvsadm -Ln
      ip link add wg0 type wireguard; ip link add vx0 type vxlan id 1 dstport 4789; ip link add d0 type dummy
      ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport replay-window 32 flag esn \
        aead 'rfc4106(gcm(aes))' 0x$(printf %072d 1) 128
      nft -f - <<'N'
      table inet t { flowtable f { hook ingress priority 0; devices = { lo }; }
        map m { type ipv4_addr : ipv4_addr; }
        chain c { type nat hook prerouting priority dstnat; fib daddr type local meta l4proto tcp \
                  dnat ip to numgen inc mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }; }
        chain p { type nat hook postrouting priority srcnat; masquerade; }
        chain f { type filter hook forward priority 0; policy drop; ct state established accept; flow add @f; \
                  limit rate 1/second log; meta secpath exists accept; reject; }
        chain s { type filter hook prerouting priority mangle; socket transparent 1 accept; }
      }
N
      ss -tln; echo complete"""
    status, out, _ = run(lab, script)
    equal((status, out.splitlines()[-1]), (0, "complete"), "IPVS, WireGuard, VXLAN, ESP, nftables")


@limit(400)
def test_VM_009_kill_9_leaves_no_emulator(lab):
    victim = subprocess.Popen([VM, "--", "sh", "-c", "echo up; sleep 1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    equal(victim.stdout.readline(), b"up\n", "it runs")
    with open(f"/proc/{victim.pid}/task/{victim.pid}/children") as file:
        emulators = file.read().split()
    equal(len(emulators), 1, "one child")
    contains(open(f"/proc/{emulators[0]}/cmdline").read(), "qemu", "the emulator")
    victim.send_signal(signal.SIGKILL)
    victim.wait()

    def gone():
        try:
            os.waitpid(int(emulators[0]), os.WNOHANG)       # an orphan becomes the child of this process, pid 1 here
        except ChildProcessError:
            pass
        return not os.path.exists(f"/proc/{emulators[0]}")

    eventually(gone, 5, "the emulator is gone")
