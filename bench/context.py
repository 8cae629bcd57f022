"""What every part gets: where the programs are, how thorough to be, and the launcher."""
import os
import shutil

import sandbox
from launcher import Launcher
from rows import Samples


class Context:
    """bin: our executables; tools: the programs of bench/. Both are copies, as an installation makes them: a file the linker
    wrote lies in the page cache in small pieces, and a start from it costs 0.2 ms more (measured; CPU, page faults)."""

    def __init__(self, build, quick):
        self.quick = quick
        self.folder = "/run/bench"
        os.makedirs(self.folder, exist_ok=True)
        staged = f"{build}/bench/staged"
        shutil.rmtree(staged, ignore_errors=True)
        self.bin = _copy_programs(f"{build}/bin", f"{staged}/bin")
        self.tools = _copy_programs(f"{build}/bench", f"{staged}/tools")
        program = f"{self.tools}/bench_launch"
        if not os.path.exists(program):
            raise SystemExit(f"bench/run: {build}/bench/bench_launch is not there; `make build` makes it")
        self.launcher = Launcher(program, self.folder)
        self._numbers = iter(range(1, 250))

    def number(self):
        """A number for one network; it makes its subnet, its names and its bridge unique in this run."""
        return next(self._numbers)

    def rounds(self, thorough, quick):
        return quick if self.quick else thorough

    def prepare_router(self, netns, gateways):
        """A namespace that forwards and has the gateway addresses, as fairlead's routers (the floor has no agent)."""
        with sandbox.inside(netns):
            sandbox.link_up("lo")
            for gateway in gateways:
                sandbox.add_address("lo", gateway)
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/addr_gen_mode"]:
                with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
                    file.write("1")


def _copy_programs(source, target):
    os.makedirs(target)
    for name in os.listdir(source) if os.path.isdir(source) else []:
        path = f"{source}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            shutil.copy(path, f"{target}/{name}")
    return target


def interleaved(contestants, rounds, measure):
    """Calls measure(contestant) for each in every round, in rotating order, so that no one always follows the same."""
    for number in range(rounds):
        shift = number % len(contestants)
        for contestant in contestants[shift:] + contestants[:shift]:
            measure(contestant)


class Book:
    """Samples by key, made when first used."""

    def __init__(self, unit="ms"):
        self._unit, self._samples = unit, {}

    def add(self, key, value):
        self._samples.setdefault(key, Samples(self._unit)).values.append(value)

    def get(self, key):
        return self._samples.get(key)
