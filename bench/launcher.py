"""bench_launch (launch.cc) as a Python object: starts plugins and brings back what each cost."""
import dataclasses
import subprocess


class PluginFailed(Exception):
    pass


@dataclasses.dataclass
class Job:
    name: str
    program: str
    stdin: str         # path
    environment: dict


@dataclasses.dataclass
class Cost:
    name: str
    wall_ms: float
    cpu_ms: float
    stdout: str


class Launcher:
    def __init__(self, program, folder):
        self._folder = folder
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def serial(self, jobs):
        return self._run(jobs, "serial")[0]

    def parallel(self, jobs):
        """(costs, makespan in ms); each wall time counts from the common start."""
        return self._run(jobs, "parallel")

    def _run(self, jobs, how):
        lines = []
        for number, job in enumerate(jobs):
            variables = [f"{key}={value}" for key, value in job.environment.items()]
            lines.append("\t".join(["job", job.name, job.stdin, self._output(number), job.program, *variables]))
        self._process.stdin.write("\n".join(lines + [how, ""]))
        self._process.stdin.flush()
        costs = [self._read_cost(number) for number in range(len(jobs))]
        word, makespan = self._fields()
        assert word == "end", word
        return costs, int(makespan) / 1e6

    def _output(self, number):
        return f"{self._folder}/out.{number}"

    def _fields(self):
        line = self._process.stdout.readline()
        if not line:
            raise PluginFailed(f"bench_launch ended with status {self._process.wait()}")
        return line.rstrip("\n").split("\t")

    def _read_cost(self, number):
        name, status, wall, cpu = self._fields()
        with open(self._output(number), encoding="utf-8", errors="replace") as file:
            text = file.read()
        if status != "0":
            raise PluginFailed(f"{name}: exit status {status}: {text.strip()[:2000]}")
        return Cost(name, int(wall) / 1e6, int(cpu) / 1e3, text)
