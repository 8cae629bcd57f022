#!/usr/bin/python3
"""ENC-07.1, ENC-17: what this kernel cannot protect is refused, with the reason, and never attached unprotected. Where the kernel has
ESP the same requests are granted: each kernel is the control of the other."""
from lab import *
from lab.marks import missing
from .world import PORTS, policies

WHY = "encryption ipsec is not possible on this node"


def test_ENC_07_1_a_kernel_without_esp_is_told_everywhere(lab):
    node = lab.host("n1", lab.segment("wire"))
    agent = node.start_agent()
    container = node.container("c")
    before = node.snapshot()
    able = missing("esp") is None
    conf = conflist("secret", subnets=["10.32.0.0/16"], encryption="ipsec")
    status = container.cni("STATUS", dict(conf["plugins"][0], name="secret", cniVersion="1.1.0"))
    equal(0 if status.rc == 0 else status.json["code"], 0 if able else 50, f"CNI STATUS: {status.out}")
    if able:
        container.attach(conf)
        equal(node.ctl_json("status")["problems"], [], "nothing to complain about")
        equal(container.ip_json("link", "show", "eth0")[0]["mtu"], 1408, "room for ESP")
        contains(node.ctl_ok("network inspect secret"), "ipsec", "and said to be so")
        return
    try:
        container.attach(conf)
    except CniError as error:
        contains(str(error), WHY, "ADD says why")
    else:
        raise AssertionError("attached to a network that cannot be encrypted")
    equal(container.links().keys() - {"lo"}, set(), "and the container has no interface")
    result = node.run("fairlead-agent realise secret")
    true(result.rc == 1 and WHY in result.err and "CONFIG_INET_ESP" in result.err, f"realise says why: {result.err}")
    eventually(lambda: any(WHY in p for p in node.ctl_json("status")["problems"]), 3, "fairleadctl status says why")
    equal(node.snapshot(), before, "nothing was left in the kernel")
    node.ctl_ok("network rm secret")
    eventually(lambda: node.ctl_json("status")["problems"] == [], 3, "with the network the complaint goes")
    true(agent.alive(), "the agent goes on")


def test_ENC_16_1_a_port_belongs_to_one_kind_of_encryption(lab):
    node = lab.host("n1", lab.segment("wire"))
    node.start_agent()
    container = node.container("c")
    container.attach(conflist("plain", subnets=["10.32.0.0/16"], vxlanPort=8472))
    for name, keys, whose in (("secret", {"encryption": "ipsec", "vxlanPort": 8472}, "network plain"),
                              ("usual", {"encryption": "ipsec", "vxlanPort": 4789}, "networks with encryption none"),
                              ("open", {"vxlanPort": PORTS["ipsec"]}, "networks with encryption ipsec")):
        try:
            container.attach(conflist(name, subnets=["10.33.0.0/16"], **keys), ifname="eth1")
        except CniError as error:
            contains(str(error), "UDP port", name)
            contains(str(error), whose, name)
        else:
            raise AssertionError(f"{name} was attached")
        true(not node.exists(f"/var/lib/fairlead/networks/{name}.json"), "and no document was made")
    node.write("/var/lib/fairlead/networks/byhand.json", {"apiVersion": 1, "name": "byhand", "vni": 77, "subnets": ["10.34.0.0/16"], "vxlanPort": 4790})
    eventually(lambda: any("byhand" in p and "UDP port 4790" in p for p in node.ctl_json("status")["problems"]), 3, "one written by hand is complained about")
    try:
        container.attach(conflist("byhand"), ifname="eth1")
        raise AssertionError("attached")
    except CniError as error:
        contains(str(error), "UDP port 4790", "and not attached to")
    equal(container.ping(container.gateway) is not None, True, "the other network goes on")
