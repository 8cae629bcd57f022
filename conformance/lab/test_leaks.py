"""Nothing outlives a test, however it ends; copies do not meet."""
import os
import signal
import time

from lab import *
from lab import kernel, netlink
from lab.lab import isolated


def busy_lab(report):
    """A lab with everything in it; reports its process ids and waits to be killed."""
    lab = Lab()
    wire = lab.segment("wire")
    one, two = lab.host("h1", wire), lab.host("h2", wire)
    container = one.container("c")
    held = two.container("c", pid_holding=True)
    one.popen("sh -c 'sleep 1000 & sleep 1000 & wait'")
    container.serve_tcp(80)
    held.serve_http(80)
    two.must("ip link add left type veth peer name right")
    one.must("mount -t tmpfs none /mnt")
    time.sleep(0.1)
    os.write(report, f"{one.pid} {two.pid} {wire._fd} {container._net_fd} {one._net_fd} {held._net_fd}\n".encode())
    time.sleep(1000)


def processes():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def net_namespaces_in_use():
    found = set()
    for pid in processes():
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
    return found


def start_busy(under_a_runner):
    """→ (pid to kill, pid of the lab's process, its descriptors of network namespaces)"""
    reader, writer = os.pipe()
    if under_a_runner:
        first = os.fork()
        if first == 0:
            kernel.die_with_parent()
            isolated(lambda: busy_lab(writer))
            time.sleep(1000)
            os._exit(1)
    else:
        first = isolated(lambda: busy_lab(writer))
    os.close(writer)
    with os.fdopen(reader) as stream:
        fields = stream.readline().split()
    true(len(fields) == 6, "the lab was made")
    lab_pid = first
    if under_a_runner:
        with open(f"/proc/{first}/task/{first}/children") as file:
            lab_pid = int(file.read().split()[0])
    return first, lab_pid, [int(field) for field in fields[2:]]


def ends_without_a_trace(lab, under_a_runner):
    before, mounts = processes(), open("/proc/self/mountinfo").read()
    namespaces = net_namespaces_in_use()
    victim, lab_pid, descriptors = start_busy(under_a_runner)
    true(len(processes() - before) >= 8, f"it has processes: {processes() - before}")
    true(len(net_namespaces_in_use() - namespaces) >= 3, "and namespaces")
    # One end of a cable in each of its namespaces: our end vanishes when the namespace is really gone.
    for number, descriptor in enumerate(descriptors):
        fd = os.open(f"/proc/{lab_pid}/fd/{descriptor}", os.O_RDONLY)
        netlink.add_veth(f"tell{number}", f"tale{number}", fd)
        os.close(fd)
    equal(told(), 4, "our ends of the cables")
    lab.say(f"kill -9 {victim}")
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    eventually(lambda: processes() <= before | reap(), 5, "all its processes are gone")
    eventually(lambda: not told(), 5, "all its namespaces are gone")
    equal(net_namespaces_in_use() - namespaces, set(), "nobody is left in one")
    equal(open("/proc/self/mountinfo").read(), mounts, "no mount came out of it")


def told():
    with open("/proc/net/dev") as file:
        return sum("tell" in line for line in file)


def reap():
    """This process is pid 1 here, so orphans become its children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return set()


def test_LAB_020_kill_9_of_a_test_leaves_nothing(lab):
    ends_without_a_trace(lab, under_a_runner=False)


def test_LAB_021_kill_9_of_the_runner_leaves_nothing(lab):
    ends_without_a_trace(lab, under_a_runner=True)


def test_LAB_022_copies_with_the_same_names_do_not_meet(lab):
    def copy(number):
        mine = Lab()
        wire = mine.segment("wire")
        one, two = mine.host("h1", wire), mine.host("h2", wire)
        container = one.container("c")
        one.write("/run/fairlead/mark", str(number))
        two.serve_tcp(80, name=f"copy{number}")
        container.serve_tcp(80, name=f"container{number}")
        for _ in range(50):
            equal(one.tcp_request(two.address(4), 80).name, f"copy{number}", "its own server")
            equal(container.tcp_request("127.0.0.1", 80).name, f"container{number}", "its own container")
            equal(one.must("cat /run/fairlead/mark"), str(number), "its own file")
        return 0

    children = [isolated(lambda number=number: copy(number)) for number in range(3)]
    equal([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], [0, 0, 0], "all copies pass")
