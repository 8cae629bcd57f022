"""A daemon of a host: start until ready, stop, kill -9, restart, its log and its socket."""
import os
import signal
import socket
import subprocess
import time

SOCKETS = {"fairlead-agent": "agent.sock", "fairlead-lb": "lb.sock", "fairlead-dns": "dns.sock"}


class Daemon:
    """Ready means READY=1 on its NOTIFY_SOCKET. Errors: AssertionError with the end of its log."""

    def __init__(self, host, program, args=(), env=None):
        self.host, self.program, self.args = host, program, list(args)
        self._environment = dict(env or {})
        self.socket_path = "/run/fairlead/" + SOCKETS.get(os.path.basename(program), os.path.basename(program) + ".sock")
        self._process = None

    @property
    def pid(self):
        """As the test process sees it."""
        return self._process.pid

    def start(self, wait=True, timeout=5.0):
        notify = f"/run/.lab-notify-{os.path.basename(self.program)}"
        path = self.host.path(notify)
        if os.path.lexists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notified:
            notified.bind(path)
            os.chmod(path, 0o777)
            environment = dict(self._environment, NOTIFY_SOCKET=notify)
            self._process = self.host.popen([self.host.lab.binary(self.program), *self.args], env=environment)
            if wait:
                self._wait_ready(notified, timeout * self.host.lab.slow)
        return self

    def _wait_ready(self, notified, timeout):
        deadline = time.monotonic() + timeout
        notified.settimeout(0.05)
        while time.monotonic() < deadline:
            try:
                if b"READY=1" in notified.recv(4096).split(b"\n"):
                    self.host.lab.transcript.say(f"{self.host.name}: {self.program} is ready")
                    return
            except TimeoutError:
                pass
            if not self.alive():
                raise AssertionError(f"{self.program} on {self.host.name} ended with status {self._process.wait()} "
                                     f"before it was ready:\n{self.log()}")
        raise AssertionError(f"{self.program} on {self.host.name} is not ready after {timeout:g} s:\n{self.log()}")

    def alive(self):
        return self._process is not None and self._process.alive()

    def log(self):
        """stdout and stderr since the last start."""
        return self._process.output()

    def stop(self, timeout=5):
        """SIGTERM; a clean end is exit status 0 in time."""
        self._process.signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.program} ignores SIGTERM for {timeout} s:\n{self.log()}") from None
        if status != 0:
            raise AssertionError(f"{self.program} ended with {status} on SIGTERM:\n{self.log()}")

    def kill9(self):
        self._process.kill()

    def restart(self):
        if self.alive():
            self.stop()
        return self.start()

    def signal(self, number):
        self._process.signal(number)

    def get(self, target):
        return self.host.unix_get(self.socket_path, target)

    def metrics(self):
        """{'name{label="value"}': number}"""
        status, body = self.get("/metrics")
        if status != 200:
            raise AssertionError(f"{self.program} GET /metrics: {status} {body}")
        lines = [line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def metric(self, name, **labels):
        """Sum over all series of that name that carry the labels; 0 when there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == name and all(label in series for label in wanted))

    def status(self):
        status, body = self.get("/status")
        if status != 200:
            raise AssertionError(f"{self.program} GET /status: {status} {body}")
        return body

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
