#!/usr/bin/python3
"""ENC-07 to ENC-09: what is not from one of our associations is not delivered: plaintext with a peer's address, forged ESP,
replayed ESP. Each with a control in the same test that shows that it would have been seen."""
import os
import socket
import struct

from isolation import packets
from lab import *
from mesh.cluster import reaches
from mesh.test_overlay import frame
from .world import *

PORT = PORTS["ipsec"]


def hand_over(place, node, src, proto, payload):
    """An IP packet with that source, put on the wire to the node."""
    packets.send_ip(place, src, node.address(4), proto, payload, dst_mac=node.links()["eth0"]["address"])


def plaintext(one, two, inner):
    return packets.udp(one.address(4), two.address(4), 50000, PORT, vxlan(4097, inner))


@needs("esp")
@limit(90)
def test_ENC_07_plaintext_with_a_peers_address_is_not_delivered(lab):
    cluster = Encrypted(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    agent = cluster.agents[1]
    forged = frame("02:57:00:00:00:01", "02:57:00:00:00:02", a.ip, b.ip)

    def inject(seen, why, delivered=False):
        seen.clear()
        with two.capture("eth0") as wire:
            for source in (one, cluster.outside):
                hand_over(cluster.outside, two, source.address(4), 17, plaintext(source, two, forged))
            wire.wait(lambda p: p.proto == "udp" and p.dport == PORT, at_least=2)
        if delivered:
            return seen.wait(b"forged")
        never(lambda: seen.count(b"forged"), 0.3, why)

    with b.capture("eth0") as seen:
        inject(seen, "before there is any association")
        cluster.associate()
        eventually(lambda: reaches(a, b), 5, "both families")
        inject(seen, "with associations")
        two.must("nft add table inet admin")
        two.must("nft add chain inet admin input { type filter hook input priority -100 ; }")
        two.must(f"nft add rule inet admin input udp dport {PORT} accept")
        inject(seen, "with an accept of the administrator's before ours")
        before = xfrm_stat(two)["XfrmInPolBlock"] + xfrm_stat(two)["XfrmInTmplMismatch"]
        agent.kill9()
        two.must("nft delete table inet fairlead_host")
        inject(seen, "only policies left")
        true(xfrm_stat(two)["XfrmInPolBlock"] + xfrm_stat(two)["XfrmInTmplMismatch"] > before, "they dropped it")
        agent.start()
        eventually(lambda: "not encrypted" in two.run("nft list table inet fairlead_host").out, 3, "rules are back")
        agent.kill9()
        two.must("ip xfrm policy flush")
        inject(seen, "only rules left")
        two.must("nft delete table inet fairlead_host")
        inject(seen, "the control: neither", delivered=True)
        agent.start()
        eventually(lambda: policies(two).count("action block") == 6, 3, "back")
        inject(seen, "with both again")


@needs("esp")
@limit(90)
def test_ENC_08_09_forged_and_replayed_esp_is_not_delivered(lab):
    secret = marker()
    cluster = Encrypted(lab)
    a, b = cluster.pair()
    one, two = cluster.nodes
    there = cluster.associate()[0]
    eventually(lambda: reaches(a, b), 5, "both families")

    def counted(kind, why, payload):
        before = xfrm_stat(two)[kind]
        hand_over(cluster.outside, two, one.address(4), 50, payload)
        eventually(lambda: xfrm_stat(two)[kind] > before, 1, f"{why}: {kind} rises")

    with two.capture("eth0") as wire, b.capture("eth0") as seen:
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(secret, (b.ip, 7001))
        seen.wait(secret)
        genuine = wire.wait(lambda p: p.proto == "esp" and p.src == one.address(4))[-1].payload
        equal(struct.unpack(">I", genuine[:4])[0], there.spi, "an ESP packet of ours")
        seen.clear()
        counted("XfrmInStateSeqError", "the same packet again", genuine)
        counted("XfrmInNoStates", "an SPI nobody has", struct.pack(">I", there.spi ^ 0x00FF00) + genuine[4:])
        sequence = struct.unpack(">I", genuine[4:8])[0]
        fresh = genuine[:4] + struct.pack(">I", sequence + 50)
        counted("XfrmInStateProtoError", "right SPI, wrong key", fresh + os.urandom(len(genuine) - 8))
        for at in (12, len(genuine) // 2, len(genuine) - 1):
            flipped = bytearray(fresh + genuine[8:])
            flipped[at] ^= 1
            counted("XfrmInStateProtoError", f"byte {at} flipped", bytes(flipped))
        before = sum(value for key, value in xfrm_stat(two).items() if key.startswith("XfrmIn"))
        for length in (8, 12, 20, 36, len(genuine) - 4):
            hand_over(cluster.outside, two, one.address(4), 50, genuine[:length])
        eventually(lambda: sum(v for k, v in xfrm_stat(two).items() if k.startswith("XfrmIn")) > before, 1, "truncated ones are counted")
        counted("XfrmInStateSeqError", "the same packet once more, later", genuine)
        never(lambda: seen.count(secret), 0.3, "delivered again")
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(secret, (b.ip, 7001))
        seen.wait(secret)
