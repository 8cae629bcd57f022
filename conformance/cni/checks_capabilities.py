"""runtimeConfig, args and CNI_ARGS."""
from lab import eventually
from .judge import Skipped, check


@check("CNI-061", "capability mac", "CONVENTIONS mac", needs=("cap:mac",))
def capability_mac(t):
    before = t.baseline()
    pod = t.pod()
    mac = "02:aa:bb:cc:dd:01"
    result = pod.attach(t.conf(runtimeConfig={"mac": mac}))
    assert pod.place.links()["eth0"]["address"] == mac, f"the link has it: {pod.place.links()['eth0']['address']}"
    assert [i["mac"] for i in result["interfaces"] if i.get("sandbox")] == [mac], f"the result, too: {result['interfaces']}"
    pod.detach()
    for bad in ("x", "02:aa:bb:cc:dd", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02-aa-bb"):
        t.pod().add(t.conf(runtimeConfig={"mac": bad})).fails(why=f"mac {bad}")
    t.unchanged(before, "a MAC that is refused leaves nothing")


@check("CNI-062", "capability ips", "CONVENTIONS ips", needs=("cap:ips",), seconds=120)
def capability_ips(t):
    before = t.baseline()
    for wanted in ([t.target.address(50)], [f"{t.target.address(51)}/{t.target.subnet(4).prefixlen}"]):
        pod = t.pod()
        pod.attach(t.conf(runtimeConfig={"ips": wanted}))
        assert pod.ips(4) == [wanted[0].split("/")[0]], f"exactly {wanted}: {pod.ips(4)}"
        pod.detach()
    net = t.target.subnet(4)
    owner = t.pod()
    owner.attach(t.conf(runtimeConfig={"ips": [t.target.address(52)]}))
    held = t.state()
    for bad in ("192.168.200.5", t.target.gateway(), str(net.network_address), str(net.broadcast_address), t.target.address(52), "10.77.0.300", "x"):
        pod = t.pod()
        pod.add(t.conf(runtimeConfig={"ips": [bad]})).fails(why=f"requested address {bad}")
        assert not pod.has(), f"{bad}: no link in the container"
    t.unchanged(held, "an address that is refused leaves nothing")
    owner.detach()
    t.unchanged(before, "and all is clean at last")


@check("CNI-063", "requested address already taken", "host-local", needs=("cap:ips",))
def requested_taken(t):
    owner, late = t.pod(), t.pod()
    conf = t.conf(runtimeConfig={"ips": [t.target.address(60)]})
    owner.attach(conf)
    held = t.state()
    late.add(conf).fails()
    assert not late.has(), "no link in the second container"
    t.unchanged(held, "the first owner is unaffected")
    assert t.target.address(60) in owner.ips(4) and owner.addresses(), "and keeps its address"


@check("CNI-064", "args.cni.ips", "CONVENTIONS args ips")
def args_ips(t):
    pod = t.pod()
    pod.attach(t.conf(args={"cni": {"ips": [t.target.address(70)]}}))
    assert pod.ips(4) == [t.target.address(70)], pod.ips(4)


@check("CNI-065", "CNI_ARGS IP", "CONVENTIONS CNI_ARGS (deprecated)")
def cni_args_ip(t):
    length = t.target.subnet(4).prefixlen
    for text in (t.target.address(80), f"{t.target.address(81)}/{length}"):
        pod = t.pod()
        pod.add(env={"CNI_ARGS": f"IgnoreUnknown=1;IP={text}"}).ok(f"IP={text}")
        assert pod.ips(4) == [text.split("/")[0]], pod.ips(4)


@check("CNI-066", "args beats CNI_ARGS", "CONVENTIONS: CNI_ARGS is ignored where args says the same", tags=("strict",))
def args_beats_cni_args(t):
    pod = t.pod()
    pod.add(t.conf(args={"cni": {"ips": [t.target.address(82)]}}), env={"CNI_ARGS": f"IgnoreUnknown=1;IP={t.target.address(83)}"}).ok()
    assert pod.ips(4) == [t.target.address(82)], f"only .82: {pod.ips(4)}"


@check("CNI-067", "capability ipRanges", "CONVENTIONS ipRanges", needs=("cap:ipRanges",), tags=("should",))
def capability_ip_ranges(t):
    net = t.target.subnet(4)
    part = {"subnet": str(net), "rangeStart": t.target.address(100), "rangeEnd": t.target.address(103)}
    conf = t.conf(runtimeConfig={"ipRanges": [[part]]})
    conf["ipam"].pop("ranges", None)        # host-local refuses what overlaps its own
    for key in ("subnet", "rangeStart", "rangeEnd"):
        conf["ipam"].pop(key, None)
    pod = t.pod()
    result = pod.attach(conf)
    first = result["ips"][0]["address"].split("/")[0]
    assert first in [t.target.address(n) for n in range(100, 104)], f"from the range: {result['ips']}"
    pod.detach()


@check("CNI-070", "capability dns", "CONVENTIONS dns {servers, searches, options}", needs=("cap:dns",))
def capability_dns(t):
    for keys in (("servers", "searches", "options"), ("Servers", "Searches", "Options")):
        values = (["192.0.2.53"], ["x.example"], ["ndots:2"])
        conf = t.conf(dns={"nameservers": ["192.0.2.1"]}, runtimeConfig={"dns": dict(zip(keys, values))})
        dns = t.pod().attach(conf)["dns"]
        assert (dns.get("nameservers"), dns.get("search"), dns.get("options")) == values, f"replaces the configuration's: {dns}"


@check("CNI-071.0", "capability aliases, both shapes and refused values", "CONVENTIONS (list); Podman's dnsname (object)", needs=("cap:aliases",))
def capability_aliases(t):
    before = t.baseline()
    for aliases in (["db", "db-1"], {"confnet": ["db"], "other": ["x"]}, {"other": ["x"]}, []):
        pod = t.pod()
        pod.add(t.conf(runtimeConfig={"aliases": aliases})).ok(f"aliases {aliases}")
        pod.detach()
    for bad in (["a b"], ["x" * 64], ["-", ""], {"confnet": "text"}, "text"):
        t.pod().add(t.conf(runtimeConfig={"aliases": bad})).fails(7, why=f"aliases {bad!r}")
    t.unchanged(before, "what is refused leaves nothing")


def resolved(pod, name):
    """Addresses of a name as the container's resolver would ask for it: with each search domain, then as it is."""
    dns = pod.result["dns"]
    for full in [f"{name}.{domain}" for domain in dns.get("search", [])] + [name]:
        answer = pod.place.dns(full, server=dns["nameservers"][0])
        if answer.addresses:
            return sorted(answer.addresses)
    return []


@check("CNI-071.1", "an alias resolves in its network, only there, and only while its container is there", "CONVENTIONS aliases; dnsname",
       needs=("cap:aliases",), beside=True)
def aliases_resolve(t):
    asker, stranger = t.pod(), t.pod()
    asker.attach()
    stranger.attach(t.target.other_subnets(t.target.conf(network="othernet"), 78))
    for aliases in (["db", "db-1"], {"confnet": ["db", "db-1"], "othernet": ["no"]}):
        pods = [t.pod(), t.pod()]
        for pod in pods:
            pod.attach(t.conf(runtimeConfig={"aliases": aliases}))
        both = sorted(pod.ips(4)[0] for pod in pods)
        for name in ("db", "db-1"):
            eventually(lambda name=name, both=both: resolved(asker, name) == both, 3, f"{name} of {aliases} is both containers' addresses")
            assert not resolved(stranger, name), f"{name} is nothing in another network"
        assert not resolved(asker, "no"), "nor is another network's alias here"
        pods[0].detach()
        eventually(lambda both=both, pods=pods: resolved(asker, "db") == [pods[1].ips(4)[0]], 3, "the alias goes with its container")
        pods[1].detach()
        eventually(lambda: not resolved(asker, "db"), 3, "and with the last one altogether")


@check("CNI-072", "capabilities that cannot be honoured", "CONVENTIONS: should return an error if it cannot act", tags=("should",))
def capabilities_refused(t):
    before = t.baseline()
    for key, value in (("infinibandGUID", "c2:11:22:33:44:55:66:77"), ("deviceID", "0000:04:00.5")):
        t.pod().add(t.conf(runtimeConfig={key: value})).fails(2, names=(key, value))
    t.unchanged(before, "nothing is left")
    t.pod().attach(t.conf(runtimeConfig={"cgroupPath": "/sys/fs/cgroup/x"}))


@check("CNI-073", "unsupported field error text", "SPEC: code 2 must contain key and value", tags=("should",))
def unsupported_field_text(t):
    answer = t.pod().add(t.conf(runtimeConfig={"deviceID": "0000:04:00.6"}))
    if answer.rc == 0:
        raise Skipped("the plugin takes deviceID")
    if answer.code == 2:
        answer.fails(2, names=("deviceID", "0000:04:00.6"))
