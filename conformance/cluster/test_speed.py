#!/usr/bin/python3
"""Many documents at once."""
import json
import os
import time

from lab import *

from .world import NETWORK, attach, cluster_of, networks, remote

COUNT = 1000


@limit(90)
def test_CLU_30_a_thousand_endpoints_of_one_node_are_known_on_another_soon(lab):
    n1, n2 = cluster_of(lab, "n1", "n2")
    n1.ctl_ok(f"network create {NETWORK} --subnet 10.32.0.0/16", timeout=20)
    eventually(lambda: networks(n2), 5, "the network is there")
    attach(n1, "witness")
    folder = n2.path(f"/run/fairlead/endpoints/{NETWORK}")
    os.makedirs(folder, exist_ok=True)
    for i in range(COUNT):
        document = {"apiVersion": 1, "network": NETWORK, "container": f"c{i}", "ifname": "eth0", "netns": "/run/netns/none",
                    "node": "", "addresses": [f"10.32.{i // 250 + 1}.{i % 250 + 1}"], "mac": "02:00:00:00:00:01"}
        with open(f"{folder}/.tmp-{i}", "w") as file:
            json.dump(document, file)
        os.rename(f"{folder}/.tmp-{i}", f"{folder}/c{i}-eth0.json")
    began = time.monotonic()
    eventually(lambda: len(remote(n1, n2)) == COUNT, 15, "n1 knows all of them")
    lab.say(f"{COUNT} endpoints after {time.monotonic() - began:.2f} s")
    os.rename(folder, folder + "-away")
    began = time.monotonic()
    eventually(lambda: not remote(n1, n2), 45, "and that they are gone")
    lab.say(f"{COUNT} endpoints gone after {time.monotonic() - began:.2f} s")
