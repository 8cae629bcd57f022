#!/usr/bin/python3
"""docs/state-directory.md against a node that runs: every file that is there is in the table of paths."""
import os
import re

from lab import *
from lab.lab import REPOSITORY

PARTS = {"NETWORK": "[a-z0-9._-]+", "SERVICE": "[a-z0-9._-]+", "ATTACHMENT": "[^/]+", "ADDRESS": "[0-9a-f.:]+",
         "CONTAINER": "[^/@]+", "IFNAME": "[^/]+", "NUMBER": "[0-9]+", "NODE": "[a-z0-9._-]+",
         "NAME": "[a-z0-9._-]+", "DAEMON": "agent|dns|lb"}
FOLDERS = {"state": "/var/lib/fairlead", "run": "/run/fairlead"}


def documented():
    """A pattern for each path in the first column of the table "Every path"."""
    with open(f"{REPOSITORY}/docs/state-directory.md", encoding="utf-8") as file:
        section = file.read().split("## Every path", 1)[1].split("\n## ", 1)[0]
    patterns = []
    for path in re.findall(r"^\| `([^`]+)`", section, re.MULTILINE):
        pieces = re.split("(" + "|".join(PARTS) + ")", path)
        patterns.append("".join(f"(?:{PARTS[piece]})" if piece in PARTS else re.escape(piece) for piece in pieces))
    return patterns


def present(node):
    """Every file below both folders, as the document writes it."""
    found = []
    for name, folder in FOLDERS.items():
        top = node.path(folder)
        for place, _, files in os.walk(top):
            found += [f"{name}/{os.path.relpath(os.path.join(place, file), top)}" for file in files]
    return sorted(found)


def test_DOC_002_every_file_of_a_running_node_is_documented(lab):
    node = lab.host("node", lab.segment("wire"))
    node.start_agent()
    node.start_dns()
    node.start_lb()
    node.ctl_ok("network create appnet --subnet 10.32.0.0/16 --subnet fd32::/64")
    node.ctl_ok("service create web --network appnet --port 80 --publish 8000:80 --health tcp --health-interval 100ms")
    container = node.container("web-1")
    container.attach(conflist("appnet", services=["web"], ipam={"type": "fairlead-ipam", "sticky": True}), args={"K8S_POD_NAME": "web-1"})
    node.ctl_ok("reservation create db --network appnet --address 10.32.0.50")
    node.wait_file("/run/fairlead/health/appnet/web.json", within=5)
    files = present(node)
    for kind in ("state/reservations/appnet/db.json", "run/reserved/appnet/10.32.0.50", "state/sticky/appnet/names/web-1.json",
                 "state/networks/appnet.json", "state/services/appnet/web.json", "run/routers/appnet.json", "run/host.json",
                 "run/agent.sock", "run/health/appnet/web.json"):
        contains(files, kind, "the node uses its folders")
    true(any(file.startswith("run/leases/appnet/") for file in files), "leases, too")
    patterns = documented()
    equal([file for file in files if not any(re.fullmatch(pattern, file) for pattern in patterns)], [],
          "files docs/state-directory.md does not know")
