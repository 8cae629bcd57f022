"""Podman 4 with its CNI backend."""
import json

from lab import *
from .podman import Podman
from .world import IMAGE, WEB, World, seen_from


def defaults(output):
    return [" ".join(line.split()) for line in output.splitlines() if line.startswith("default")]


def servers(resolv_conf):
    return [line.split()[1] for line in resolv_conf.splitlines() if line.startswith("nameserver")]


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_20_podman_container_name_alias_and_id_resolve(lab):
    w = World(lab, networks=("appnet", "other"))
    podman = Podman(w, "appnet", "other")
    ident = podman.run("web-1", "--network", "appnet", "--network-alias", "www", "--network-alias", "shared")
    podman.run("web_2", "--network", "appnet", "--network-alias", "shared")
    podman.run("stranger", "--network", "other", "--dns", "10.41.0.1")
    one, two = w.endpoint("web-1"), w.endpoint("web_2")
    for name in ("web-1", "www", ident[:12], ident[:12] + ".appnet"):
        w.resolves(name, one["addresses"][0])
    w.resolves("web_2", two["addresses"][0])
    eventually(lambda: sorted(w.client().dns("shared").addresses) == sorted([one["addresses"][0], two["addresses"][0]]), 2, "a shared alias is both")
    resolv_conf = podman.exec("web_2", "cat", "/etc/resolv.conf").out
    contains(resolv_conf, "search appnet.fairlead.internal fairlead.internal\n", "our search domains")
    equal(servers(resolv_conf)[:2], ["10.40.0.1", "fd40::1"], "our servers stand first")
    equal(servers(podman.exec("stranger", "cat", "/etc/resolv.conf").out), ["10.41.0.1"], "--dns replaces ours and the host's")
    contains(podman.exec("web_2", "nslookup", "www.appnet.fairlead.internal").out, one["addresses"][0], "a container resolves with the file Podman made")
    lacks(podman.exec("stranger", "nslookup", "www.appnet.fairlead.internal").out, one["addresses"][0], "one of another network does not")
    podman.must("rm", "-f", "-t", "0", "web-1", "web_2")
    w.nothing_left()
    equal(w.client().dns("web-1").addresses, [], "the name is gone with it")


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_21_podman_published_port_keeps_the_clients_address(lab):
    w = World(lab, lb=True)
    podman = Podman(w, "appnet")
    podman.run("web-1", "--network", "appnet", "-p", "8000:8080", "-p", "8100-8101:8080-8081", "-e", "DEMO_NAME=web-1", command=WEB)
    for version in (4, 6):
        eventually(lambda: seen_from(w.outside, w.node.address(version), 8000) == ("web-1", w.outside.address(version)), 5,
                   f"the port answers outside by IPv{version}, and the container sees who asked")
    equal(seen_from(w.outside, w.node.address(4), 8100)[0], "web-1", "so does the first of a range")
    second = podman("run", "-d", "--cgroup-parent", w.cgroup, "--name", "web-2", "--network", "appnet", "-p", "8000:8080", IMAGE, *WEB)
    true(second.rc != 0, "a port that is taken is refused")
    contains(second.err, "8000", "and the message says which")
    equal(w.endpoint("web-2"), None, "the one that was refused is not attached")
    equal(seen_from(w.outside, w.node.address(4), 8000)[0], "web-1", "the one that has it keeps it")
    podman.must("rm", "-f", "-t", "0", "web-1", "web-2")
    w.nothing_left()
    refused(lambda: w.outside.tcp_request(w.node.address(4), 8000), "the port is gone with the container")


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_22_podman_addresses_stay_over_reload_and_restart(lab):
    w = World(lab)
    podman = Podman(w, "appnet")
    podman.run("web-1", "--network", "appnet", "--ip", "10.40.0.77", "--mac-address", "02:aa:bb:cc:dd:01")
    podman.run("free", "--network", "appnet")

    def shape(name="web-1"):
        attached = podman.inspect(name, "appnet")
        return attached["IPAddress"], attached["MacAddress"], attached["Gateway"]

    wanted = ("10.40.0.77", "02:aa:bb:cc:dd:01", "10.40.0.1")
    equal(shape(), wanted, "the address and the MAC that were asked for")
    contains(podman.exec("web-1", "ip", "address", "show", "eth0").out, "link/ether 02:aa:bb:cc:dd:01", "the interface has them")
    before = shape("free")
    # reload is DEL and ADD with MAC= and every address twice, without a prefix length.
    podman.must("network", "reload", "--all")
    equal(shape(), wanted, "reload keeps them")
    equal(shape("free")[:2], before[:2], "also where nothing was asked for")
    w.resolves("web-1", "10.40.0.77")
    true(w.client().ping("10.40.0.77") is not None, "it is reached")
    podman.must("restart", "-t", "0", "web-1")
    equal(shape(), wanted, "restart keeps them")
    podman.must("stop", "-t", "0", "web-1")
    eventually(lambda: w.endpoint("web-1") is None, 5, "a stopped container is not attached")
    podman.must("start", "web-1")
    equal(shape(), wanted, "start brings it back as it was")
    podman.must("kill", "free")
    eventually(lambda: w.endpoint("free") is None, 5, "nor is one whose process was killed")
    podman.must("rm", "-f", "-t", "0", "web-1", "free")
    w.nothing_left()


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_23_podman_two_networks_and_their_default_routes(lab):
    w = World(lab, networks=("appnet", "backnet"), lb=True)
    podman = Podman(w, "appnet", "backnet")
    first, second = "default via 10.40.0.1 dev eth0 onlink", "default via 10.41.0.1 dev eth1 metric 1025 onlink"
    # Podman attaches in the order of a hash table, and numbers the interfaces so, unless it is told their names.
    networks = ("--network", "appnet:interface_name=eth0", "--network", "backnet:interface_name=eth1")
    for number in range(4):
        name = f"web-{number}"
        podman.run(name, *networks, "-p", f"{8000 + number}:8080", "-e", f"DEMO_NAME={name}", command=WEB)
        equal(defaults(podman.exec(name, "ip", "route").out), [first, second], "eth0's network has the default route, eth1's comes after it")
        for network in ("appnet", "backnet"):
            w.resolves(name, w.endpoint(name, network)["addresses"][0], network)
            true(w.client(network).ping(w.endpoint(name, network)["addresses"][0]) is not None, f"{name} is reached on {network}")
        eventually(lambda: seen_from(w.outside, w.node.address(4), 8000 + number) == (name, w.outside.address(4)), 5,
                   f"the published port of {name}, by whichever network, answers with the client's address")
    w.outside.serve_http(7000)
    out_there = ("timeout", "5", "wget", "-q", "-O", "-", f"http://{w.outside.address(4)}:7000/")
    contains(podman.exec("web-0", *out_there).out, w.node.address(4), "the world is reached by eth0, as the node")
    podman.must("network", "disconnect", "appnet", "web-0")
    equal(defaults(podman.exec("web-0", "ip", "route").out), [second], "without eth0 the default route is eth1's")
    contains(podman.exec("web-0", *out_there).out, w.node.address(4), "and the world is still reached")
    equal(w.endpoint("web-0"), None, "the name is gone from the network it left")
    eventually(lambda: seen_from(w.outside, w.node.address(4), 8000) == ("web-0", w.outside.address(4)), 5, "the published port answers by the other network")
    podman.must("network", "connect", "--alias", "again", "appnet", "web-0")     # the first name that is free: eth0
    equal(defaults(podman.exec("web-0", "ip", "route").out), [first, second], "back again, it is the first as before")
    w.resolves("again", w.endpoint("web-0")["addresses"][0])
    podman.must("rm", "-f", "-t", "0", "web-0", "web-1", "web-2", "web-3")
    for network in ("appnet", "backnet"):
        w.nothing_left(network)


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_24_podman_pod_has_one_name_and_one_address(lab):
    w = World(lab, lb=True)
    podman = Podman(w, "appnet")
    podman.must("pod", "create", "--cgroup-parent", w.cgroup, "--name", "shop", "--network", "appnet", "--network-alias", "store", "-p", "8000:8080",
                "--infra-image", IMAGE, "--infra-command", "sleep 3600")
    podman.must("run", "-d", "--pod", "shop", "--name", "web", "-e", "DEMO_NAME=web", IMAGE, *WEB)
    podman.must("run", "-d", "--pod", "shop", "--name", "side", IMAGE, "sleep", "3600")
    endpoint = w.endpoint("shop")
    equal(len(w.node.endpoints("appnet")), 1, "a pod is one endpoint")
    for name in ("shop", "store"):
        w.resolves(name, endpoint["addresses"][0])
    eventually(lambda: seen_from(w.outside, w.node.address(4), 8000) == ("web", w.outside.address(4)), 5, "the pod's port leads to its container")
    contains(podman.exec("side", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/cgi-bin/who").out, "web", "its containers share it")
    podman.must("pod", "rm", "-f", "-t", "0", "shop")
    w.nothing_left()


@needs("program:podman", "program:runc")
@limit(120)
def test_RT_25_podman_hands_on_what_CNI_ARGS_say(lab):
    w = World(lab)
    w.node.ctl_ok("service create web --network appnet --port 80:8080")
    podman = Podman(w, "appnet")
    run = ("podman", "run", "-d", "--cgroup-parent", w.cgroup, "--network", "appnet")
    w.node.must(*run, "--name", "web-1", IMAGE, "sleep", "3600", env={"CNI_ARGS": "FAIRLEAD_SERVICES=web;FAIRLEAD_ALIASES=www"})
    endpoint = w.endpoint("web-1")
    equal((endpoint["services"], "www" in endpoint["aliases"]), (["web"], True), "the variable of the command reaches the plugin")
    w.resolves("tasks.web", endpoint["addresses"][0])
    bad = w.node.run(*run, "--name", "web-2", IMAGE, "sleep", "3600", env={"CNI_ARGS": "FAIRLEAD_SERVICES=No"})
    true(bad.rc != 0, "what is wrong there fails the container")
    contains(bad.err, 'service name "No"', "with the reason")
    equal(w.endpoint("web-2"), None, "and nothing is left of it")
    podman.must("rm", "-f", "-t", "0", "web-1")
    # A network that is not Fairlead's on the same host is none of our business.
    equal(json.loads(podman.must("network", "inspect", "appnet"))[0]["driver"], "fairlead", "Podman lists the network with its plugin as driver")
