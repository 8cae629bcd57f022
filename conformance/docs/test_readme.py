#!/usr/bin/python3
"""What README.md shows is what happens: its console blocks are typed on a fresh host and the answers compared."""
import os
import re
import secrets

from lab import *
from lab.lab import REPOSITORY

PROMPT = "# "


def read_blocks():
    """[(command, [answer lines])]; a command runs on over here-documents."""
    with open(f"{REPOSITORY}/README.md", encoding="utf-8") as file:
        blocks = re.findall(r"^```console\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
    steps = []
    for block in blocks:
        lines = block.splitlines()
        while lines:
            line = lines.pop(0)
            if not line.startswith(PROMPT):
                steps[-1][1].append(line)
                continue
            command = line[len(PROMPT):]
            if "<<END" in command:
                while lines[0] != "END":
                    command += "\n" + lines.pop(0)
                command += "\n" + lines.pop(0)
            steps.append((command, []))
    return steps


def matches(said, expected):
    """Line by line; "…" stands for any text, alone in its line for any lines."""
    pattern = ""
    for line in expected:
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + r"\n"
    return re.fullmatch(pattern, said) is not None


class Shell:
    """A shell on the host, as the reader has one: functions, variables and background jobs stay."""

    def __init__(self, lab, node):
        self.lab, self.seen = lab, 0
        reader, self.keyboard = os.pipe()
        self.process = node.popen(["sh"], stdin=reader, env={"PATH": f"{lab.binaries}:{os.environ['PATH']}", "HOME": "/root"})
        os.close(reader)

    def type(self, command, within=20):
        """What it answers, stdout and stderr, and the exit status."""
        mark = f"== {secrets.token_hex(8)} "
        os.write(self.keyboard, f"{command}\necho '{mark}'$?\n".encode())
        answer = eventually(lambda: re.search(re.escape(mark) + r"(\d+)\n", self.process.output()[self.seen:]), within,
                            f"the shell has done: {command}")
        said = self.process.output()[self.seen:self.seen + answer.start()]
        self.seen += answer.end()
        self.lab.say(f"# {command}\n{said}")
        return said, int(answer[1])


def test_DOC_001_the_walk_of_the_readme_happens_as_it_is_written(lab):
    node = lab.host("node", lab.segment("wire"))
    node.must("mkdir -p /root /var/log")
    shell = Shell(lab, node)
    shell.type("cd /root")
    steps = read_blocks()
    true(len(steps) >= 15, "the walk was found")
    for command, expected in steps:
        said, _ = shell.type(command)
        true(matches(said, expected), f"README says after '{command}':\n" + "\n".join(expected) + f"\nbut it was:\n{said}")
