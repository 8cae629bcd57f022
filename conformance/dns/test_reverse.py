#!/usr/bin/python3
"""Reverse names (DNS-023 to DNS-026)."""
from lab import *
from .world import DOMAIN, World, negative, reverse

VIP = "10.5.255.1"


def test_DNS_023_reverse_names_of_containers_tasks_and_VIPs_lead_back(lab):
    w = World(lab)
    w.service("web", vips=[VIP, "fd05::ffff:1"])
    task, db = w.task("web.1.x7k", "web"), w.container("db")
    for address, kind in ((db.ip, "A"), (db.ip6, "AAAA"), (task.ip, "A"), (VIP, "A"), ("fd05::ffff:1", "AAAA")):
        answer = w.client.dns(reverse(address), "PTR")
        equal([r.type for r in answer.answers], ["PTR"], f"one name for {address}")
        equal(w.client.dns(answer.answers[0].data, kind).addresses, [address], f"{answer.answers[0].data} leads back")
    equal(w.client.dns(reverse(db.ip), "PTR").answers[0].data, f"db.net1.{DOMAIN}", "the container's name")
    w.not_upstream(reverse(db.ip), reverse(db.ip6), reverse(VIP))


def test_DNS_024_reverse_names_of_local_subnets_are_not_forwarded(lab):
    w = World(lab, networks=("net1", "net2"))
    other = w.container("hidden", "net2")
    inside = w.container("inside", "net2")
    equal(inside.dns(reverse(other.ip), "PTR").answers[0].data, f"hidden.net2.{DOMAIN}", "control: net2 knows it")
    for address in ("10.5.77.77", other.ip, "fd05::77"):
        negative(w.client.dns(reverse(address), "PTR"), "NXDOMAIN", f"PTR of {address}")
    for partial in ("5.10.in-addr.arpa", "7.5.10.in-addr.arpa", "6.10.in-addr.arpa"):
        negative(w.client.dns(partial, "PTR"), "NOERROR", partial)
    w.not_upstream(*map(reverse, ("10.5.77.77", other.ip, "fd05::77")), "5.10.in-addr.arpa", "7.5.10.in-addr.arpa")


def test_DNS_025_other_reverse_names_are_forwarded(lab):
    w = World(lab)
    for name in (reverse("192.0.2.1"), reverse("2001:db8::1"), "10.in-addr.arpa"):
        answer = w.client.dns(name, "PTR")
        equal([r.data for r in answer.answers], ["host.upstream"], name)
        equal(len(w.upstream.queries(name)), 1, f"{name} went to the resolver")


def test_DNS_026_odd_reverse_names_get_some_answer(lab):
    w = World(lab)
    odd = ["x.5.10.in-addr.arpa", "300.0.5.10.in-addr.arpa", "1.2.0.5.10.in-addr.arpa", "01.0.5.10.in-addr.arpa", "in-addr.arpa",
           "a.b.c.d.in-addr.arpa", "-1.0.5.10.in-addr.arpa", "ip6.arpa", "g." + reverse("fd05::2"), "1." + reverse("fd05::2"),
           "zz." + ".".join(reverse("fd05::2").split(".")[1:]), "5.10.in-addr.arpa.in-addr.arpa"]
    for name in odd:
        true(w.client.dns(name, "PTR").rcode in ("NOERROR", "NXDOMAIN"), f"{name} is answered")
    w.not_upstream(*(name for name in odd if "5.10.in-addr" in name and not name.endswith("arpa.in-addr.arpa")))
    equal(w.client.dns("client").addresses, [w.client.ip], "and the server goes on")
