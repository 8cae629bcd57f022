#!/usr/bin/python3
"""Security associations of several nodes in their kernels: how they come, change and go. Epochs and documents are carried by the test
(keys.Courier), so that it can hold them back; managers do the same in test_keys.py."""
import base64
import os
import socket
import threading
import time

from lab import *

from .keys import Courier, association_key, associations, in_memory_of, private_key, public_key, sending
from .test_keys import agree, cluster_of

ROTATIONS = int(os.environ.get("FAIRLEAD_ROTATIONS", "6"))
RESTARTS = int(os.environ.get("FAIRLEAD_RESTARTS", "6"))
PORT = 4790
NETWORK = {"apiVersion": 1, "name": "appnet", "vni": 4097, "subnets": ["10.32.0.0/16"], "encryption": "ipsec"}


class World:
    def __init__(self, lab, count=2):
        self.lab = lab
        wire = lab.segment("wire")
        self.nodes = [lab.host(f"n{i}", wire) for i in range(1, count + 1)]
        for node in self.nodes:
            node.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": node.name})
            node.write("/var/lib/fairlead/networks/appnet.json", NETWORK)
        self.courier = Courier(self.nodes)
        self.courier.introduce()
        self.agents = [node.start_agent() for node in self.nodes]
        for node in self.nodes:
            eventually(lambda node=node: node.exists("/run/fairlead/keys.json"), 5, f"{node.name} has keys")
        self.courier.introduce()

    def pairs(self):
        return [(a, b) for a in self.nodes for b in self.nodes if a is not b]

    def sees(self, a, b, there=None):
        """The SPI a sends to b with, when both kernels hold it with one key; else None."""
        there = there or {node: associations(node) for node in (a, b)}
        spi = sending(a, b)
        direction = (a.address(4), b.address(4))
        key = there[a].get(direction, {}).get(spi)
        return spi if key and there[b].get(direction, {}).get(spi) == key else None

    def joined(self, epoch=None):
        """Whether all send to all, and in this epoch."""
        for a, b in self.pairs():
            document = a.read_json(f"/run/fairlead/associations/{b.name}.json") if a.exists(f"/run/fairlead/associations/{b.name}.json") else {}
            if not document.get("sending") or epoch and document["send"]["epoch"] != epoch:
                return False
        there = {node: associations(node) for node in self.nodes}
        return all(self.sees(a, b, there) for a, b in self.pairs())

    def only_one_each(self):
        there = {node: associations(node) for node in self.nodes}
        return all(len(there[node].get((a.address(4), b.address(4)), {})) == 1 for a, b in self.pairs() for node in (a, b))


class Stream:
    """Numbered datagrams from one node to another's encrypted port; what did not arrive."""

    def __init__(self, sender, receiver, pause=0.01):
        self.receiver = receiver.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.receiver.bind((receiver.address(4), PORT))
        self.receiver.settimeout(0.2)
        self.sender = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.to, self.pause = (receiver.address(4), PORT), pause
        self.sent, self.got = 0, set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True), threading.Thread(target=self._receive, daemon=True)]

    def _send(self):
        while not self._stop.wait(self.pause):
            try:
                self.sender.sendto(b"%d" % self.sent, self.to)
            except OSError:     # no association: EPERM, and the datagram is lost
                pass
            self.sent += 1

    def _receive(self):
        while not self._stop.is_set() or self.sent > len(self.got):
            try:
                data = self.receiver.recv(100)
                if data.strip(b"\0"):      # else an agent's probe
                    self.got.add(int(data))
            except TimeoutError:
                if self._stop.is_set():
                    return

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def finish(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.sender.close(), self.receiver.close()

    def lost(self):
        return sorted(set(range(self.sent)) - self.got)


@needs("esp")
@limit(200 + 30 * ROTATIONS)
def test_ENC_11_13_15_rotations_lose_no_packet_and_every_association_has_its_own_key(lab):
    world = World(lab, 3)
    n1, n2, n3 = world.nodes
    keys = {}
    with world.courier:
        epoch = world.courier.rotate()
        eventually(lambda: world.joined(epoch), 20, "everybody sends to everybody")
        lab.say("the keys are those of the document")
        for a, b in world.pairs():
            offer = a.read_json(f"/run/fairlead/associations/{b.name}.json")
            entry = [e for e in b.read_json(f"/run/fairlead/associations/{a.name}.json")["receive"] if e["spi"] == offer["sending"]][0]
            wanted = association_key(world.courier.secrets[epoch], epoch, a.name, b.name, base64.b64decode(offer["send"]["instance"]),
                                     base64.b64decode(entry["nonce"]), entry["spi"], private_key(a), public_key(b))
            equal(associations(b)[a.address(4), b.address(4)][entry["spi"]], wanted.hex(), f"{a.name} to {b.name}")
        with Stream(n1, n2) as there, Stream(n2, n1) as back, n1.capture("eth0") as wire:
            for i in range(ROTATIONS):
                epoch = world.courier.rotate()
                eventually(lambda epoch=epoch: world.joined(epoch), 20, f"rotation {i}")
                for node in world.nodes:
                    for direction, found in associations(node).items():
                        true(len(found) <= 2, f"{node.name} {direction}: {found}")
                        for spi, key in found.items():
                            equal(keys.setdefault(key, (direction, spi)), (direction, spi), "a key belongs to one association")
            there.finish(), back.finish()
            true(there.sent > 100 and back.sent > 100, "there was traffic")
            equal((there.lost(), back.lost()), ([], []), "lost datagrams")
            true(wire.count(lambda p: p.proto == "esp") >= there.sent, "encrypted")
            equal(wire.packets(lambda p: p.proto == "udp" and p.dport == PORT), [], "in the clear")
        eventually(world.only_one_each, 10, "what was replaced is gone")
        lab.say("what is over is not in memory either")
        for agent in world.agents:
            true(in_memory_of(agent.pid, world.courier.secrets[epoch]) > 0, "the newest epoch's secret is: the search finds what is there")
            over = [secret for old, secret in world.courier.secrets.items() if old not in world.courier.listed]
            equal(in_memory_of(agent.pid, *over), 0, f"secrets of {len(over)} epochs that are over")
            equal(in_memory_of(agent.pid, *(bytes.fromhex(key)[:32] for key in keys)), 0, "keys of associations")
        equal(world.agents[0].metric("fairlead_agent_ipsec_peers_sending"), 2, "the metrics say how many can be sent to")
        true(len(keys) >= 6 * ROTATIONS, f"{len(keys)} keys")
        lab.say("somebody goes")
        for node in (n1, n2):
            node.remove(f"/var/lib/fairlead/nodes/{n3.name}.json")
            eventually(lambda node=node: not any(n3.address(4) in pair for pair in associations(node)) and not sending(node, n3), 10,
                       f"{node.name} has no association with who is gone")


@needs("esp")
@limit(200 + 5 * RESTARTS)
def test_ENC_10_12_restarts_keep_what_is_in_use_and_who_was_away_catches_up(lab):
    world = World(lab)
    n1, n2 = world.nodes
    with world.courier:
        epoch = world.courier.rotate()
        eventually(lambda: world.joined(epoch), 20, "they send")
        before = (associations(n1), associations(n2))
        with Stream(n1, n2) as stream:
            for _ in range(RESTARTS):
                world.agents[0].kill9()
                world.agents[0].start()
            world.agents[1].restart()
            time.sleep(3)
            stream.finish()
            equal(stream.lost(), [], "restarts of agents lose nothing")
        equal((associations(n1), associations(n2)), before, "and change no association")
        lab.say("everything flushed: made anew, never put back")
        old = {spi for found in associations(n1).values() for spi in found}
        for command in ("ip xfrm state flush", "ip xfrm state flush"):
            n1.must(command)
            eventually(lambda: world.sees(n1, n2) and world.sees(n2, n1), 15, "repaired")
            now = {spi for found in associations(n1).values() for spi in found}
            equal(old & now, set(), "no SPI a second time")
            old |= now
        lab.say("n2 is away for two rotations")
        world.courier.away.add("n2")
        world.courier.rotate()
        world.courier.rotate()
        with Stream(n1, n2) as stream:
            time.sleep(3)
            stream.finish()
            equal(stream.lost(), [], "what was there is used meanwhile")
        world.courier.away.clear()
        world.courier.bring(n2)
        eventually(lambda: world.joined(world.courier.listed[0]), 15, "n2 has caught up")
        lab.say("n1's machine starts again: nothing of before is used")
        spis = {spi for found in associations(n2).values() for spi in found}
        n1.must("ip xfrm state flush")
        n1.must("ip xfrm policy flush")
        world.agents[0].kill9()
        for name in ("associations", "remote/associations", "remote/keys"):
            for file in n1.listdir(f"/run/fairlead/{name}"):
                n1.remove(f"/run/fairlead/{name}/{file}")
        world.agents[0].start()
        world.courier.bring(n1)
        world.courier.forget(n1)
        eventually(lambda: world.sees(n1, n2) and world.sees(n2, n1), 15, "both directions")
        true(sending(n1, n2) not in spis, "n1 sends with a new one")
        key = {key for found in associations(n1).values() for key in found.values()}
        for found in before:
            equal(key & {k for pair in found.values() for k in pair.values()}, set(), "and no key of before")


@needs("esp")
@limit(120)
def test_ENC_14_an_association_is_replaced_before_it_is_used_up(lab):
    world = World(lab)
    n1, n2 = world.nodes
    for node in world.nodes:
        node.write("/var/lib/fairlead/node.json", {"apiVersion": 1, "name": node.name, "keyPackets": 400})
    with world.courier:
        epoch = world.courier.rotate()
        eventually(lambda: world.joined(epoch), 20, "they send")
        first, other = sending(n1, n2), sending(n2, n1)
        with Stream(n1, n2, pause=0.02) as stream:
            eventually(lambda: sending(n1, n2) != first, 40, "another association, without a rotation")
            time.sleep(1)
            stream.finish()
            equal(stream.lost(), [], "nothing lost")
            true(stream.sent >= 390, f"after {stream.sent} packets")
        equal(sending(n2, n1), other, "the other direction is not concerned")


@needs("esp")
@limit(240)
def test_ENC_11_21_with_managers_a_network_is_all_it_takes(lab):
    nodes = cluster_of(lab, "n1", "n2", network=NETWORK)
    n1, n2 = nodes
    world = World.__new__(World)
    world.nodes = nodes
    first = agree(nodes, 60)[0]
    eventually(lambda: world.joined(first), 30, "a network is all it takes")
    second = n1.ctl_json("cluster rotate keys", timeout=60)["epoch"]
    with Stream(n1, n2) as stream:
        eventually(lambda: world.joined(second), 30, "and again, in the new epoch")
        stream.finish()
        equal(stream.lost(), [], "without a loss")
    eventually(lambda: "older epoch" not in n1.ctl_ok("cluster status", timeout=60), 20, "nobody lags behind")
    contains(n1.ctl_ok("cluster status", timeout=60), second, "which one it is")
    n1.ctl_ok("cluster evict n2", timeout=60)
    eventually(lambda: associations(n1) == {} and not sending(n1, n2), 20, "n1 has nothing for who was evicted")
