#!/usr/bin/python3
"""What an ADD costs does not grow with what is there: counted in system calls, not in time."""
import ipaddress
import os
import signal

from lab import *
from lab.lab import REPOSITORY
from cni import tracer
from .world import NET, OURS, add, configuration, delete, environment, node_of
import json

STATE, RUN = "/var/lib/fairlead", "/run/fairlead"


def system_calls(node, container, conf=None):
    """of one ADD that succeeds"""
    path = f"/run/stdin-{container}"
    node.write(path, json.dumps(conf or configuration()))
    with open(node.path(path), "rb") as stdin:
        process = node.popen([OURS], env=environment("ADD", container), stdin=stdin, preexec=tracer.trace_me)
    killed, begun, _ = tracer.run_until(process.pid, 100000)
    true(not killed and "ips" in process.output(), f"the ADD succeeds: {process.output()}")
    return begun


def settled(node, prefix, conf=None):
    """The fewest of a few ADDs: how a lease's text is split into writes and reads does not matter, nor what is made once."""
    return min(system_calls(node, f"{prefix}{n}", conf) for n in range(3))


def fill_leases(node, first, count):
    for folder in ("leases", "lease-owners"):
        os.makedirs(node.path(f"{RUN}/{folder}/{NET}"), exist_ok=True)
    for number in range(count):
        address = str(ipaddress.ip_address(first) + number)
        owner = node.path(f"{RUN}/lease-owners/{NET}/x{number}@eth0")
        with open(owner, "w", encoding="utf-8") as file:
            json.dump({"apiVersion": 1, "container": f"x{number}", "ifname": "eth0", "tried": [[address]]}, file)
        os.link(owner, node.path(f"{RUN}/leases/{NET}/{address}"))


@limit(120)
def test_IPM_030_the_ten_thousandth_endpoint_costs_what_the_first_did(lab):
    node = node_of(lab, "10.32.0.0/16")
    add(node, "first")
    fill_leases(node, "10.32.100.0", 10)
    few = settled(node, "a")
    fill_leases_from = "10.32.128.0"
    os.rename(node.path(f"{RUN}/lease-owners/{NET}"), node.path(f"{RUN}/lease-owners/kept"))
    os.rename(node.path(f"{RUN}/leases/{NET}"), node.path(f"{RUN}/leases/kept"))
    fill_leases(node, fill_leases_from, 10000)
    add(node, "second")
    many = settled(node, "b")
    equal(many, few, "system calls of an ADD with 10,000 leases and with 10")
    equal(len(node.listdir(f"{RUN}/leases/{NET}")), 10004, "they are there")


@limit(120)
def test_IPM_031_neither_do_reservations_nor_blocks_of_others(lab):
    node = node_of(lab, "10.32.0.0/16")
    os.makedirs(node.path(f"{STATE}/reservations/{NET}"))
    os.makedirs(node.path(f"{STATE}/blocks/{NET}"))

    def reserve(begin, end):
        for number in range(begin, end):
            with open(node.path(f"{STATE}/reservations/{NET}/name{number}.json"), "w", encoding="utf-8") as file:
                json.dump({"apiVersion": 1, "network": NET, "name": f"name{number}", "addresses": [f"10.32.{128 + number // 250}.{number % 250}"]}, file)

    def block(owner, *blocks):
        with open(node.path(f"{STATE}/blocks/{NET}/{owner}.json"), "w", encoding="utf-8") as file:
            json.dump({"apiVersion": 1, "network": NET, "node": owner, "blocks": list(blocks)}, file)
    block("n1", "10.32.0.0/18")
    block("n2", "10.32.64.0/26")
    reserve(0, 10)
    add(node, "warm")
    few = settled(node, "a")
    reserve(10, 10000)
    for number in range(1, 1000):
        block(f"m{number}", f"10.32.{64 + number // 256}.{number % 256}/32")
    add(node, "warm2")      # the index is made again once
    many = settled(node, "b")
    equal(many, few, "system calls of an ADD with 10,000 reservations and 1,000 blocks of others, and with few")
    delete(node, "warm2")
