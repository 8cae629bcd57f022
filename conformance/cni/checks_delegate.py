"""What the main plugin gives to its IPAM plugin, and what it makes of the answer."""
import json
import os

from lab import eventually
from .judge import Skipped, check
from .trial import STUB


def calls(t, command):
    return [call for call in t.stub_log() if call["command"] == command]


@check("CNI-054", "rollback when a later step fails", "SPEC §4: an ADD failure is followed by DEL", tags=("delegates",))
def rollback(t):
    before = t.baseline()
    conf = t.stub(ADD={"stdout": '{"cniVersion":"1.0.0","code":105,"msg":"stub has none","details":"d"}', "rc": 1})
    pod = t.pod()
    pod.add(conf, env=t.stub_env()).fails(105, names=("stub has none",))
    assert not pod.has(), "no link is left in the container"
    t.unchanged(before, "nor on the host")


@check("CNI-055", "delegated ADD failure is followed by a delegated DEL", "SPEC §4", tags=("delegates", "strict"))
def add_then_del(t):
    conf = t.stub(ADD={"stdout": '{"cniVersion":"1.0.0","code":105,"msg":"stub has none"}', "rc": 1})
    t.pod().add(conf, env=t.stub_env()).fails(105)
    log = t.stub_log()
    assert [c["command"] for c in log] == ["ADD", "DEL"], f"ADD, then DEL: {[c['command'] for c in log]}"
    assert log[0]["stdin"] == log[1]["stdin"], "with the same stdin"


@check("CNI-058", "no descriptor or namespace leaks into children", "robustness", tags=("delegates",))
def no_leaks(t):
    pod = t.pod()
    pod.add(t.stub(), env=t.stub_env(), wrap='exec 7</dev/null 8>/dev/null; exec "$0"').ok()
    call = calls(t, "ADD")[0]
    assert set(call["fds"]) <= {0, 1, 2}, f"only descriptors 0 to 2: {call['fds']}"
    assert call["netns"] == os.readlink(t.host.path("/proc/1/ns/net")), f"in the runtime's namespace: {call['netns']}"


@check("CNI-140", "delegated IPAM has the same environment and complete stdin", "SPEC §4", tags=("delegates",))
def environment_and_stdin(t):
    pod = t.pod()
    conf = t.stub()
    env = {**t.stub_env(), "SOME_OTHER_VARIABLE": "kept", "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=x"}
    pod.add(conf, env=env).ok()
    call = calls(t, "ADD")[0]
    wanted = {**env, "CNI_COMMAND": "ADD", "CNI_CONTAINERID": pod.id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0"}
    different = {key: call["env"].get(key) for key, value in wanted.items() if call["env"].get(key) != value}
    assert not different, f"all variables identical; these are not: {different}"
    stdin = json.loads(call["stdin"])
    missing = {key for key in conf if stdin.get(key) != conf[key]}
    assert not missing, f"the whole configuration; differs in {missing}"


def _version(conf_version, result_version):
    def body(t):
        result = t.stub_result(result_version or conf_version)
        if not result_version:
            del result["cniVersion"]
        pod = t.pod()
        out = pod.add(dict(t.stub(ADD={"stdout": json.dumps(result)}), cniVersion=conf_version), env=t.stub_env()).ok()
        assert out["cniVersion"] == conf_version, f"output in the configuration's version: {out}"
        text = json.dumps(out)
        assert t.target.address(9) in text, f"with the IPAM's address: {text}"
        assert any(a.startswith(t.target.address(9) + "/") for a in pod.addresses()), f"which is on the link: {pod.addresses()}"
    return body


for _number, (_conf, _result) in enumerate((("0.2.0", "0.2.0"), ("0.3.1", "0.3.1"), ("1.0.0", "1.0.0"), ("1.0.0", None), ("1.0.0", "0.4.0"))):
    check(f"CNI-141.{_number}", f"delegated result, configuration {_conf}, result {_result or 'without version'}",
          "types converters; invoke.fixupResultVersion", tags=("delegates",))(_version(_conf, _result))


def _bad_add(t, behaviour, why):
    """An ADD whose IPAM misbehaves must fail and leave nothing. → the answer"""
    pod = t.pod()
    before = len(t.stub_log())
    answer = pod.add(t.stub(ADD=behaviour), env=t.stub_env())
    answer.fails(why=why)
    assert not pod.has(), f"{why}: no link is left in the container"
    return answer, [c["command"] for c in t.stub_log()[before:]]


@check("CNI-142", "delegated result without ips", "bridge", tags=("delegates",))
def without_ips(t):
    before = t.baseline()
    _, commands = _bad_add(t, {"stdout": '{"cniVersion":"1.0.0","ips":[]}'}, "no address")
    assert commands == ["ADD", "DEL"], f"the IPAM's DEL is called: {commands}"
    t.unchanged(before, "no link is left")


@check("CNI-143", "delegated plugin prints garbage, nothing, or only stderr", "invoke.pluginErr", tags=("delegates",))
def garbage(t):
    before = t.baseline()
    _bad_add(t, {"stdout": "<html>"}, "garbage")
    _bad_add(t, {"stdout": ""}, "nothing")
    _bad_add(t, {"stdout": "<html>", "rc": 1}, "garbage and failure")
    _bad_add(t, {"stderr": "only here", "rc": 1}, "only stderr")
    t.unchanged(before, "no link is left")


@check("CNI-144", "delegated plugin not found", "SPEC §3 lookup, §4", tags=("delegates",))
def not_found(t):
    before = t.baseline()
    pod = t.pod()
    pod.add(t.conf(ipam={"type": "no-such-ipam"})).fails(names=("no-such-ipam",))
    t.stub()
    log = len(t.stub_log())
    for name in ("../stub/stub-ipam", f"{STUB}/stub-ipam"):
        pod.add(t.conf(ipam={"type": name}), env={"CNI_PATH": "/run/none:" + t.target.path}).fails(why=f"type {name}")
    assert len(t.stub_log()) == log, "a type with a path separator runs nothing"
    assert not pod.has(), "no link is left"
    t.unchanged(before, "nor on the host")


@check("CNI-145", "CNI_PATH search", "SPEC §2 CNI_PATH", tags=("delegates",))
def path_search(t):
    conf = t.stub()
    os.makedirs(t.host.path("/run/first/stub-ipam"))
    t.file("/run/third/stub-ipam", "#!/bin/sh\nexit 9\n", 0o755)
    pod = t.pod()
    pod.add(conf, env={"CNI_PATH": f"/run/none:/run/first:{STUB}:/run/third:{t.target.path}"}).ok("the first regular file wins")
    assert len(calls(t, "ADD")) == 1


@check("CNI-146", "delegated stderr reaches our stderr", "SPEC §4", tags=("delegates",))
def stderr_passes(t):
    conf = t.stub(ADD={"stdout": json.dumps(t.stub_result()), "stderr": "hello from the stub\n"})
    answer = t.pod().add(conf, env=t.stub_env())
    answer.ok()
    assert "hello from the stub" in answer.err, f"on success too; {answer}"
    conf = t.stub(ADD={"stdout": '{"code":105,"msg":"no"}', "stderr": "and goodbye\n", "rc": 1})
    answer = t.pod().add(conf, env=t.stub_env())
    answer.fails(105)
    assert "and goodbye" in answer.err, f"on failure; {answer}"


@check("CNI-147", "IPAM interoperability", "any IPAM", tags=("delegates",), seconds=90)
def other_ipams(t):
    if not all(os.access(f"/usr/lib/cni/{name}", os.X_OK) for name in ("host-local", "static")):
        raise Skipped("host-local and static are not installed")
    v4, v6 = t.target.subnet(4), t.target.subnet(6)
    both = [v for v in (v4, v6) if v]
    peer = t.pod()
    peer.attach(t.conf(ipam={"type": "host-local", "ranges": [[{"subnet": str(n), "rangeStart": str(n[150])}] for n in both],
                             "routes": [{"dst": "0.0.0.0/0"}] + ([{"dst": "::/0"}] if v6 else [])}))
    for number, conf in enumerate((
            {"type": "host-local", "subnet": str(v4), "rangeStart": str(v4[30]), "routes": [{"dst": "0.0.0.0/0"}]},
            {"type": "static", "addresses": [{"address": f"{v4[40]}/{v4.prefixlen}", "gateway": str(v4[1])}],
             "routes": [{"dst": "0.0.0.0/0"}]})):
        pod = t.pod()
        pod.attach(t.conf(ipam=conf))
        pod.check().silent(f"CHECK with {conf['type']}")
        eventually(lambda pod=pod: pod.place.ping(peer.ips(4)[0], timeout=1) is not None, 2, f"{conf['type']} {number}: reaches its peer")
        pod.detach()


@check("CNI-147.1", "IPAM dhcp works, or is refused by name", "any IPAM; SPEC code 2", tags=("delegates",))
def dhcp(t):
    """Without a DHCP daemon nobody can use it; a plugin whose containers have no broadcast domain has to say so at once."""
    before = t.baseline()
    pod = t.pod()
    answer = pod.add(t.conf(ipam={"type": "dhcp"}))
    answer.fails(why="ADD with ipam.type dhcp and no daemon")
    if answer.code == 2:
        answer.fails(2, names=("ipam.type", "dhcp"))
        pod.delete().silent("DEL after it")
    assert not pod.has(), "no link is left"
    t.unchanged(before, "nothing is left")
