#!/usr/bin/python3
"""A service's VIP: who is behind it, and in which order (LB-01 to LB-05, LB-23 to LB-26, LB-35, LB-47)."""
from lab import *
from .world import VIP, VIP6, World, both


@both
def test_LB_01_every_task_of_the_service_and_no_other_is_behind_the_vip(lab, balancer):
    w = World(lab, balancer)
    w.service()
    w.add_tasks(3)
    stranger = w.container("stranger", ["other"])
    stranger.serve_tcp(8080)
    w.ready(3)
    equal(set(w.ask(12)), {"t1", "t2", "t3"}, "who answers at the VIP")
    equal(set(w.ask(12, VIP6)), {"t1", "t2", "t3"}, "who answers at the IPv6 VIP")
    equal(w.client.tcp_request(VIP, 80).peer, w.client.ip, "the backend sees the caller's own address")
    equal(w.client.tcp_request(VIP6, 80).peer, w.client.ip6, "the backend sees the caller's own IPv6 address")
    true(w.client.ping(VIP), "the VIP answers pings")


@both
def test_LB_02_round_robin_is_exact(lab, balancer):
    w = World(lab, balancer)
    w.service(scheduler="rr")
    w.add_tasks(3)
    w.ready(3)
    equal(sorted(w.ask(30).values()), [10, 10, 10], "30 connections over 3 tasks")
    equal(sorted(w.ask(30, VIP6).values()), [10, 10, 10], "30 IPv6 connections over 3 tasks")
