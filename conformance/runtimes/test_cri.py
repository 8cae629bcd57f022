"""containerd's CRI plugin, asked as kubelet asks it."""
from lab import *
from .containerd import Containerd
from .cri import CriError
from .world import WEB, World, seen_from


def refusal(cri, name, **keys):
    """What the caller reads when the pod is not started."""
    try:
        cri.run_pod(cri.sandbox_config(name, **keys))
    except CriError as error:
        return str(error)
    raise AssertionError(f"pod {name} was started")


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_10_cri_pod_has_address_names_and_port(lab):
    w = World(lab, lb=True)
    w.node.ctl_ok("service create web --network appnet --port 80:8080")
    containerd = Containerd(w, "appnet", cri=True)
    cri = containerd.cri
    notes = {"fairlead.service": "web", "fairlead.alias": "www", "example.com/other": "{}", "kubernetes.io/egress-bandwidth": "100M"}
    config = cri.sandbox_config("web-0", ports=[(8000, 8080)], dns=[w.gateway()], searches=["appnet.fairlead.internal"], annotations=notes)
    pod = cri.run_pod(config)
    endpoint = w.endpoint("web-0")
    address = endpoint["addresses"][0]
    equal(cri.pod_addresses(pod), endpoint["addresses"], "the caller is told both addresses")
    equal(endpoint["services"], ["web"], "the annotation fairlead.service makes it a task")
    lacks(str(endpoint), "example.com", "other annotations are not kept")
    equal(endpoint["bandwidth"]["egressRate"], 100_000_000, "the limit kubelet's annotation asks for, which containerd makes a capability of")
    for name in ("web-0", "web-0.shop", "www", pod[:12], "tasks.web"):
        w.resolves(name, address)
    container = cri.run_container(pod, config, "httpd", *WEB, env={"DEMO_NAME": "web-0"})
    eventually(lambda: seen_from(w.outside, w.node.address(4), 8000) == ("web-0", w.outside.address(4)), 5,
               "the port mapping answers outside, and the container sees who asked")
    equal(seen_from(w.outside, w.node.address(6), 8000), ("web-0", w.outside.address(6)), "by IPv6, too")
    w.client().serve_tcp(9000)
    status, out = cri.exec(container, "nslookup", "client-appnet.appnet.fairlead.internal")
    contains(out, w.client().ip, f"the pod resolves others with the resolv.conf of its dns_config (exit {status})")
    vip = w.node.ctl_json("service inspect web --network appnet")["vips"][0]
    eventually(lambda: w.client().http_get(vip, 80, "/cgi-bin/who").body.startswith("web-0"), 5, "its service has it behind the VIP")
    # kubelet stops what it stops twice, and removes it: the 2nd and the 3rd DEL have an empty netns.
    cri.stop_pod(pod)
    w.nothing_left()
    equal(w.client().dns("web-0").addresses, [], "the name is gone with it")
    cri.stop_pod(pod)
    cri.remove_pod(pod)
    refused(lambda: w.outside.tcp_request(w.node.address(4), 8000), "and the port")


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_11_cri_says_why_a_pod_cannot_be_attached(lab):
    w = World(lab, lb=True)
    cri = Containerd(w, "appnet", cri=True).cri
    contains(refusal(cri, "bad", annotations={"fairlead.service": "No Name"}), 'service name "No Name"', "the caller reads which value is wrong")
    w.nothing_left()
    good = cri.run_pod(cri.sandbox_config("bad"))
    true(w.endpoint("bad"), "mended, it starts")
    cri.stop_pod(good)
    w.nothing_left()


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_12_cri_pod_outlives_containerd(lab):
    w = World(lab, lb=True)
    containerd = Containerd(w, "appnet", cri=True)
    cri = containerd.cri
    config = cri.sandbox_config("web-0", ports=[(8000, 8080)])
    pod = cri.run_pod(config)
    cri.run_container(pod, config, "httpd", *WEB, env={"DEMO_NAME": "web-0"})
    address = w.endpoint("web-0")["addresses"][0]
    answers = lambda: seen_from(w.outside, w.node.address(4), 8000)[0] == "web-0"   # noqa: E731
    eventually(answers, 5, "the pod answers")
    containerd.kill9()
    true(answers(), "containerd was killed, the pod is not concerned")
    w.resolves("web-0", address)
    containerd.start()
    eventually(lambda: cri.pod_addresses(pod)[0] == address, 10, "the new containerd knows it, with its address")
    true(answers(), "the pod still answers")
    cri.stop_pod(pod)
    cri.remove_pod(pod)
    w.nothing_left()
    again = cri.run_pod(config)
    true(w.endpoint("web-0"), "another pod of this name can be started")
    cri.stop_pod(again)
    w.nothing_left()


@needs("program:containerd", "program:runc")
@limit(120)
def test_RT_13_cri_attaches_several_networks_in_any_order(lab):
    w = World(lab, networks=("appnet", "backnet"))
    containerd = Containerd(w, "appnet", "backnet", cri=True, max_conf_num=2)
    cri = containerd.cri
    for number in range(4):
        config = cri.sandbox_config(f"pod-{number}")
        pod = cri.run_pod(config)
        container = cri.run_container(pod, config, "sh", "sleep", "3600")
        routes = cri.exec(container, "ip", "route")[1]
        equal([" ".join(line.split()) for line in routes.splitlines() if line.startswith("default")],
              ["default via 10.40.0.1 dev eth0 onlink", "default via 10.41.0.1 dev eth1 metric 1025 onlink"],
              "eth0's network has the default route, whoever was attached first")
        for network in ("appnet", "backnet"):
            w.resolves(f"pod-{number}", w.endpoint(f"pod-{number}", network)["addresses"][0], network)


@needs("program:containerd", "program:runc")
def test_RT_14_cri_port_that_is_taken_fails_the_pod(lab):
    w = World(lab, lb=True)
    cri = Containerd(w, "appnet", cri=True).cri
    first = cri.run_pod(cri.sandbox_config("first", ports=[(8000, 80)]))
    contains(refusal(cri, "second", ports=[(8000, 80)]), "8000", "the caller reads which port is taken")
    equal(w.endpoint("second"), None, "the one that was refused is not there")
    true(w.endpoint("first"), "the one that has it keeps it")
    cri.stop_pod(first)
    w.nothing_left()
    second = cri.run_pod(cri.sandbox_config("second", ports=[(8000, 80)]))
    true(w.endpoint("second"), "it is free again")
    cri.stop_pod(second)
