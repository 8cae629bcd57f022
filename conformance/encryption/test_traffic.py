#!/usr/bin/python3
"""Containers on an encrypted network while keys change: the agents' own associations, from the first packet to the last."""
import os
import threading

from lab import *
from mesh.cluster import reaches

from .keys import Courier
from .world import *

ROTATIONS = int(os.environ.get("FAIRLEAD_ROTATIONS", "4"))


class Echoes(threading.Thread):
    """Asks again and again, as fast as answers come; what did not come."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.asked, self.lost, self._stop_it = ask, 0, 0, threading.Event()
        self.start()

    def run(self):
        while not self._stop_it.wait(0.01):
            self.asked += 1
            try:
                self.lost += self.ask() is None
            except OSError:
                self.lost += 1

    def finish(self):
        self._stop_it.set()
        self.join()
        return self.lost


@needs("esp", "vxlan")
@limit(240 + 15 * ROTATIONS)
def test_ENC_01_11_containers_talk_on_while_keys_change_and_never_in_the_clear(lab):
    cluster = Encrypted(lab, "ipsec")
    courier = Courier(cluster.nodes)
    for node in cluster.nodes:
        eventually(lambda node=node: node.exists("/run/fairlead/keys.json"), 5, f"{node.name} has keys")
    courier.introduce()
    a, b = cluster.pair()
    secret = marker()
    with courier, cluster.wires(secret) as wires:
        equal(a.ping(b.ip, timeout=0.5), None, "nothing gets through while there is no epoch")
        epoch = courier.rotate()
        eventually(lambda: courier.agreed(epoch), 15, "the agents have agreed")
        eventually(lambda: reaches(a, b), 5, "containers reach one another")
        datagrams = a.udp_socket(b.ip, 7000)
        stream = a.tcp_connect(b.ip, 7000)
        flows = [Echoes(lambda: a.ping(b.ip)), Echoes(lambda: datagrams.ask(secret.decode())), Echoes(lambda: stream.ask(secret.decode()))]
        for i in range(ROTATIONS):
            epoch = courier.rotate()
            eventually(lambda epoch=epoch: courier.agreed(epoch), 15, f"rotation {i}")
        equal([flow.finish() for flow in flows], [0, 0, 0], "echoes, datagrams and requests that were lost")
        true(all(flow.asked > ROTATIONS for flow in flows), [flow.asked for flow in flows])
        true(wires.esp() > sum(flow.asked for flow in flows), "all of it in ESP")
        lab.say("somebody flushes associations: made anew within seconds")
        for node in cluster.nodes:
            node.must("ip xfrm state flush")
            eventually(lambda: reaches(a, b), 5, f"repaired after a flush on {node.name}")
