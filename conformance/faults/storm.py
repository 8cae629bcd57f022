"""Containers come and go while their calls are killed at random moments: the work of one process inside the node."""
import json
import os
import random
import signal
import subprocess
import time


class Worker:
    """One after the other: ADD, sometimes killed; DEL, sometimes killed and repeated, sometimes never called."""

    def __init__(self, name, seed, plugin, document, path):
        self.name, self.plugin, self.document, self.path = name, plugin, document, path
        self.dice = random.Random(seed)
        self.count = {"calls": 0, "kills": 0, "attached": 0, "forgotten": 0}
        self.failures = []
        self.usual = 0.01       # seconds a call takes
        self.netns, self.serial = None, 0

    def call(self, command, container, kill):
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{self.netns}", "CNI_IFNAME": "eth0",
               "CNI_PATH": self.path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.count["calls"] += 1
        start = time.monotonic()
        process = subprocess.Popen([self.plugin], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.stdin.write(self.document)
        process.stdin.close()
        if kill:
            time.sleep(self.dice.uniform(0, self.usual * 1.2))
            process.send_signal(signal.SIGKILL)
        text = process.stdout.read().decode(errors="replace")
        status = process.wait()
        if not kill:
            self.usual = self.usual * 0.8 + (time.monotonic() - start) * 0.2
        self.count["kills"] += status == -signal.SIGKILL
        if status not in (0, -signal.SIGKILL):
            self.failures.append(f"{self.name} {command} {container}: exit {status}: {text[:300]}")
        return status == 0

    def new_netns(self):
        self.serial += 1
        self.netns = f"{self.name}n{self.serial}"
        subprocess.run(["ip", "netns", "add", self.netns], check=True)

    def drop_netns(self):
        subprocess.run(["ip", "netns", "del", self.netns], check=True)
        self.netns = None

    def one(self, number):
        if not self.netns:
            self.new_netns()
        container = f"{self.name}c{number}"
        attached = self.call("ADD", container, self.dice.random() < 0.5)
        self.count["attached"] += attached
        if self.dice.random() < 0.15:
            self.count["forgotten"] += 1
            return self.drop_netns()        # nobody calls DEL
        while not self.call("DEL", container, self.dice.random() < 0.4) and len(self.failures) < 5:
            if self.dice.random() < 0.1:    # nor again
                self.count["forgotten"] += 1
                return self.drop_netns()
        return None

    def run(self, calls):
        number = 0
        while self.count["calls"] < calls and len(self.failures) < 5:
            self.one(number)
            number += 1
        if self.netns:
            self.drop_netns()
        return self.count, self.failures


def run(plugin, document, path, calls, workers, seed):
    """Forks workers; → ({what: number}, failures, seconds). To be called by place.call()."""
    start = time.monotonic()
    pipes = []
    for number in range(workers):
        reader, writer = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.close(reader)
                count, failures = Worker(f"w{number}", seed * 1000 + number, plugin, document, path).run(calls // workers)
                with os.fdopen(writer, "w") as file:
                    json.dump((count, failures), file)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        pipes.append(reader)
    total, failures = {}, []
    for reader in pipes:
        with os.fdopen(reader) as file:
            text = file.read()
        count, failed = json.loads(text) if text else ({}, ["a worker died"])
        failures += failed
        for key, value in count.items():
            total[key] = total.get(key, 0) + value
    for _ in pipes:
        os.wait()
    return total, failures, time.monotonic() - start
