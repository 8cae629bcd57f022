#!/usr/bin/python3
"""Who may see and ask what (DNS-014, 015, 031, 032, 097 to 099, 102)."""
import socket

from lab import *
from lab import dnsmessage
from .world import DOMAIN, World, exchange, negative, reverse


def mentions(answer, prefix):
    return [r for r in answer.answers + answer.authority + answer.additional if str(r.data).startswith(prefix)]


def test_DNS_014_names_of_another_network_do_not_resolve_in_any_form(lab):
    w = World(lab, networks=("net1", "net2"))
    other = w.container("other", "net2")
    secret = w.container("secret", "net2", aliases=["hush"])
    w.service("backend", "net2", vips=["10.6.255.1"])
    equal(other.dns("secret").addresses, [secret.ip], "control: in net2 it resolves")
    for name in ("secret", "hush", "backend", secret.id[:12]):
        for form in (name, f"{name}.net2", f"{name}.net2.{DOMAIN}", f"{name}.net1", f"{name}.net1.{DOMAIN}", f"tasks.{name}"):
            for kind in ("A", "AAAA", "ANY", "SRV"):
                answer = w.client.dns(form, kind)
                equal(mentions(answer, "10.6."), [], f"{form} {kind} tells nothing of net2")
    for form in (f"secret.net2.{DOMAIN}", f"tasks.backend.net2.{DOMAIN}", f"net2.{DOMAIN}"):
        equal(w.client.dns(form).rcode, "NXDOMAIN", form)


def test_DNS_015_one_name_in_two_networks(lab):
    w = World(lab, networks=("net1", "net2"))
    one, two = w.container("shared1", "net1", aliases=["shared"]), w.container("shared2", "net2", aliases=["shared"])
    inside = w.container("inside", "net2")
    both = w.container("both", "net1")
    w.container("both", "net2", ifname="eth1")
    equal(w.client.dns("shared").addresses, [one.ip], "net1's client gets net1's")
    equal(inside.dns("shared").addresses, [two.ip], "net2's client gets net2's")
    equal(both.dns("shared", server="10.5.0.1").addresses, [one.ip], "in both: the network whose gateway is asked wins")
    equal(both.dns("shared", server="10.6.0.1").addresses, [two.ip], "the other gateway, the other one")
    equal(both.dns("shared.net2", server="10.5.0.1").addresses, [two.ip], "both names can be told apart")
    equal(both.dns(f"shared.net2.{DOMAIN}", server="10.5.0.1").addresses, [two.ip], "in full, too")
    equal(w.client.dns(f"shared.net2.{DOMAIN}").rcode, "NXDOMAIN", "not for net1's client")


def test_DNS_031_names_that_collide(lab):
    w = World(lab, networks=("net1",))
    w.node.write("/var/lib/fairlead/networks/com.json", {
        "apiVersion": 1, "name": "com", "vni": 0x2001, "subnets": ["10.8.0.0/16"], "encryption": "none", "internal": False, "mtu": 0})
    member = w.container("member", "com")
    w.service("example", "com", vips=["10.8.255.1"])
    for number, name in enumerate(("net1", "tasks", "7", "client")):
        w.service(name, vips=[f"10.5.255.{number + 1}"])
        w.task(f"task{number}", name)
        equal(w.client.dns(name).addresses, [f"10.5.255.{number + 1}"], f"a service named {name}")
        equal(w.client.dns(f"{name}.net1.{DOMAIN}").addresses, [f"10.5.255.{number + 1}"], f"{name} in full")
        equal(w.client.dns(f"tasks.{name}").addresses, [w.node.containers[f"task{number}"].ip], f"tasks.{name}")
    equal(w.client.dns("tasks.net1").addresses, [w.node.containers["task0"].ip],
          "short forms: a name of the network before NAME.NETWORK, so these are the tasks of the service net1")
    equal(w.client.dns("7.net1").addresses, ["10.5.255.3"], "a number is a name like any other")
    equal(w.client.dns(w.client.id[:12]).addresses, [w.client.ip], "a container hidden by a service keeps its id")
    equal(member.dns("example.com").addresses, ["10.8.255.1"], "members of network com chose to have example.com")
    equal(w.client.dns("example.com").addresses, ["198.51.100.1"], "nobody else's example.com is touched")
    equal(member.dns("other.com").addresses, ["198.51.100.1"], "and the rest of com stays public")


def test_DNS_032_the_source_address_decides_and_cannot_be_forged(lab):
    w = World(lab, networks=("net1", "net2"))
    victim, secret = w.container("victim", "net2"), w.container("secret", "net2")
    equal(victim.dns("secret").addresses, [secret.ip], "control: the victim may ask")
    with w.client.inside():
        w.client.must("ip", "address", "add", f"{victim.ip}/32", "dev", "eth0")
    query = dnsmessage.query("secret")
    for server in ("10.5.0.1", "10.6.0.1"):
        with w.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((victim.ip, 0))
            sock.settimeout(0.5)
            sock.sendto(query, (server, 53))
            silent(lambda: sock.recv(512), f"a forged source is not answered by {server}")
    router = w.node.router("net1")
    equal(router.dns("client", server="10.5.0.1").rcode, "REFUSED", "an address that is no container's is refused")
    equal(w.client.dns("client").addresses, [w.client.ip], "control: the container itself is answered")


def test_DNS_097_internal_networks_are_never_forwarded(lab):
    w = World(lab, networks=("net1", "closed"))
    locked = w.container("locked", "closed")
    equal(locked.dns("locked").addresses, [locked.ip], "local names resolve")
    names = ["www.example.com", "single", reverse("192.0.2.7"), "dGhlIHNlY3JldA.evil.example"]
    for name in names:
        negative(locked.dns(name, "PTR" if name.endswith("arpa") else "A"), "NXDOMAIN", name)
        negative(locked.dns(name, tcp=True), "NXDOMAIN", f"{name} by TCP")
    w.not_upstream(*names)
    w.container("locked", "net1", ifname="eth1")
    equal(locked.dns("www.example.com", server="10.7.0.1").addresses, ["198.51.100.1"], "with a normal network beside: forwarded")
    locked.detach()
    w.settle()
    equal(locked.dns("after.example.com", server="10.7.0.1").rcode, "NXDOMAIN", "without it: not any more")
    w.not_upstream("after.example.com")


def test_DNS_098_nothing_local_leaks(lab):
    w = World(lab)
    w.service("web", vips=["10.5.255.1"], ports=[{"protocol": "tcp", "port": 80}])
    w.task("web-1", "web")
    names = [f"{prefix}.{DOMAIN}" for prefix in ("x", "web", "web.net1", "x.web.net1", "net1", "wpad", "_ldap._tcp")]
    names += ["web", "web.net1", "tasks.web", "x.web.net1", "_http._tcp.web", "_http._tcp.web.net1", "client", "client.net1",
              reverse(w.client.ip), reverse("10.5.99.99"), reverse(w.client.ip6), reverse("fd05::9999")]
    for name in names:
        for kind in ("A", "AAAA", "MX", "TXT", "SRV", "PTR", "HTTPS", "ANY", 65280):
            w.client.dns(name, kind)
            w.client.dns(name.upper(), kind, tcp=True)
    w.not_upstream(*names)


def test_DNS_099_single_labels_by_switch(lab):
    w = World(lab)
    equal(w.client.dns("printer").addresses, ["198.51.100.1"], "forwarded by default, as Docker does")
    w.network("net1", forwardSingleLabels=False)
    negative(w.client.dns("scanner"), "NXDOMAIN", "switched off")
    equal(w.client.dns("scanner.lan").addresses, ["198.51.100.1"], "names with dots go on")
    w.not_upstream("scanner")


def test_DNS_102_not_an_open_resolver(lab):
    w = World(lab)
    equal(w.client.dns("www.example.com").addresses, ["198.51.100.1"], "control: containers are served")
    listeners = w.node.must("ss", "-Hnltu").split("\n")
    equal([line for line in listeners if ":53 " in line], [], "nothing listens in the host's namespace")
    w.resolver.must("ip", "route", "add", "10.5.0.0/16", "via", w.node.address())
    query = dnsmessage.query("client")
    for target in (w.node.address(), "10.5.0.1"):
        equal(exchange(w.resolver, query, server=target, timeout=0.5), None, f"{target} does not answer the outside")
