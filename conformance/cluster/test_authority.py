#!/usr/bin/python3
"""The cluster's authority is exchanged."""
from lab import *

from .world import (found, host, in_step, join, networks, not_a_member, one_line, status, synced, token, try_join)

PKI = "/var/lib/fairlead/pki"


def roots(node):
    return node.read(f"{PKI}/ca.pem").count("BEGIN CERTIFICATE")


def root(node):
    return node.must(f"openssl x509 -noout -fingerprint -sha256 -in {PKI}/ca.pem").strip()


def manager_says(node, manager, pem):
    """What the manager answers to who comes with this certificate: empty when it lets him in."""
    answer = node.run(f"openssl s_client -connect {manager.address(4)}:7310 -tls1_3 -cert {pem} -key {pem} -ign_eof",
                      input="GET / HTTP/1.1\r\n\r\n")  # no message: the manager hangs up
    return [line for line in (answer.out + answer.err).splitlines() if "alert" in line]


@limit(150)
def test_CLU_50_the_authority_is_exchanged_and_no_request_fails_meanwhile(lab):
    wire = lab.segment("wire")
    n1, n2, n3, n4, guest, late, later = nodes = [host(lab, wire, name) for name in
                                                  ("n1", "n2", "n3", "n4", "guest", "late", "later")]
    members = [n1, n2, n3, n4, guest]
    found(n1, "--certificate-life 15s --lease 2s")
    for node, role in ((n2, "manager"), (n3, "node"), (n4, "node"), (guest, "viewer")):
        join(node, n1, role)
    count = 0

    def change():
        """A network made on a manager is on a node."""
        nonlocal count
        count += 1
        maker = (n1, n2)[count % 2]
        maker.ctl_ok(f"network create w{count} --subnet 10.{count}.0.0/24", timeout=20)
        eventually(lambda: f"w{count}.json" in networks(n3), 5, f"network {count} is on n3")

    old_root, old_token = root(n1), token(n1)
    n3.must(f"cp {PKI}/node.pem /root/old.pem")
    equal(manager_says(n3, n1, "/root/old.pem"), [], "a certificate of the old authority is good")
    change()
    n4.agent.stop()   # who is away is waited for
    one_line(n3.ctl("cluster rotate ca", timeout=20), "the role manager is needed")
    n1.ctl_ok("cluster rotate ca", timeout=20)
    one_line(n2.ctl("cluster rotate ca", timeout=20), "already")
    for _ in range(6):
        change()
    eventually(lambda: status(n2)["exchange"]["waiting"] == ["n4"], 12, "all others have new certificates")
    contains(n1.ctl_ok("cluster status", timeout=20), "without a new certificate: n4", "and one can see who has not")
    equal([roots(node) for node in (n1, n2, n3, guest)], [2] * 4, "both authorities are trusted")
    equal(try_join(late, n2, old_token).rc, 0, "a token from before is still good")
    change()
    n4.agent.start()
    for node in (*members, late):
        eventually(lambda node=node: roots(node) == 1 and root(node) != old_root, 25, f"{node.name} trusts the new one only")
        change()
    equal(len({root(node) for node in (*members, late)}), 1, "all trust the same one")
    for node in (*members, late):
        synced(node)
        node.must(f"openssl verify -CAfile {PKI}/ca.pem {PKI}/node.pem")
        lacks(node.run("ls", PKI).out, "previous", "the old key is gone")
    true("exchange" not in status(n1), "the exchange is over")
    one_line(try_join(later, n1, old_token), "another cluster")
    not_a_member(later)
    join(later, n2)
    contains("".join(manager_says(n3, n1, "/root/old.pem")), "unknown ca", "a certificate of the old authority is nothing")
    equal(manager_says(n3, n1, f"{PKI}/node.pem"), [], "one of the new one is")
    change()
    in_step(n1)
