#!/usr/bin/python3
"""fairleadctl status: what runs and what is there."""
from lab import *

from .test_network import node_of


def test_CTL_040_status_tells_running_daemons_from_those_that_are_not(lab):
    node = node_of(lab)
    node.ctl_ok("network create appnet")
    down = node.ctl_json("status")
    equal({name: daemon["running"] for name, daemon in down["daemons"].items()},
          {"fairlead-agent": False, "fairlead-dns": False, "fairlead-lb": False}, "nothing runs")
    agent = node.start_agent()
    up = node.ctl_json("status")
    true(up["daemons"]["fairlead-agent"]["running"], "the agent runs")
    equal(up["networks"], 1, "networks")
    contains(node.ctl_ok("status"), "running", "for people")
    agent.kill9()
    equal(node.ctl_json("status")["daemons"]["fairlead-agent"]["running"], False, "a socket left behind is no daemon")


def test_CTL_041_a_document_of_a_network_that_does_not_exist_is_a_problem(lab):
    node = node_of(lab)
    node.write("/var/lib/fairlead/services/ghost/web.json", {"apiVersion": 1, "network": "ghost", "name": "web"})
    problems = node.ctl_json("status")["problems"]
    equal(len(problems), 1, "problems")
    contains(problems[0], "services/ghost/web.json", "names the document")
