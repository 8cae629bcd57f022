"""stdin: JSON, names, versions, foreign keys; and the shape of errors."""
import json

from .judge import check


@check("CNI-013", "empty stdin", "SPEC error codes 5 and 6; skel")
def empty_stdin(t):
    t.pod().call("ADD", stdin="").fails(6, 5, 7)


@check("CNI-014", "stdin is not a JSON object", "SPEC error code 6")
def no_object(t):
    pod = t.pod()
    for text in ("[]", '"text"', "1", "true", "{", '{"name":}', "name: x"):
        pod.call("ADD", stdin=text).fails(6, why=f"stdin {text!r}")
    pod.call("ADD", stdin="null").fails(6, 7)


@check("CNI-015", "hostile stdin", "SPEC error code 6; robustness", seconds=90)
def hostile_stdin(t):
    pod, before = t.pod(), t.state()
    plain = json.dumps(t.conf())
    broken = {"a NUL byte": plain.encode() + b"\0", "an open string": plain[:-2], "bytes that are no UTF-8": b'{"\xff":1'}
    for what, text in broken.items():
        pod.call("ADD", stdin=text).fails(6, 7, why=f"stdin with {what}")
    t.unchanged(before, "what cannot be read has no side effect")
    # Valid by JSON's grammar, so that a plugin may take it; but then it must work, and soon.
    hostile = {"100,000 levels": plain[:-1] + ',"x":' + "[" * 100000 + "]" * 100000 + "}",
               "an 8 MiB string": plain[:-1] + ',"x":"' + "x" * (8 << 20) + '"}',
               "a lone surrogate": plain[:-1] + ',"x":"\\ud800"}'}
    for what, text in hostile.items():
        answer = pod.call("ADD", stdin=text)
        assert answer.seconds < 10 * t.lab.slow, f"{what} took {answer.seconds:.1f} s"
        if answer.rc == 0:
            pod.delete().silent()
        else:
            answer.fails(6, 7, why=f"stdin with {what}")


@check("CNI-016", "network name rules", "SPEC §1 name; utils.ValidateNetworkName")
def network_names(t):
    pod, before = t.pod(), t.state()
    for name in (None, "", "-x", ".x", "_x", "a/b", "../x", "a b", "a\n", "\u00e4"):
        conf = t.conf()
        conf["name"] = name
        if name is None:
            del conf["name"]
        pod.call("ADD", conf).fails(7, why=f"name {name!r}")
    for name in (7, [], {}):
        pod.call("ADD", dict(t.conf(), name=name)).fails(6, 7, why=f"name {name!r}")
    t.unchanged(before, "a name that is refused has no side effect")


@check("CNI-017", "unsupported cniVersion", "SPEC error code 1; version.Reconciler")
def unsupported_version(t):
    pod = t.pod()
    for version in ("9.9.9", "1.0", "v1.0.0", "0.9.0", "1.0.0 ", "01.0.0"):
        pod.call("ADD", t.conf(version)).fails(1, names=("0.4.0", "1.0.0"), why=f"cniVersion {version!r}")


@check("CNI-018", "cniVersion absent is 0.1.0", "types/create; spec-upgrades")
def absent_version(t):
    result = t.pod().add(t.conf(version="")).ok()
    assert result.get("cniVersion", "0.1.0") in ("0.1.0", "0.2.0"), f"an old result: {result}"
    assert "ip4" in result or "ip6" in result, f"ip4 or ip6: {result}"
    assert not {"ips", "interfaces", "routes"} & result.keys(), f"no newer keys: {result}"


@check("CNI-019", "cniVersion of the wrong type", "SPEC error code 6")
def version_of_wrong_type(t):
    pod = t.pod()
    for version in (1, ["1.0.0"], {"v": "1.0.0"}):
        pod.call("ADD", dict(t.conf(), cniVersion=version)).fails(6, why=f"cniVersion {version!r}")


@check("CNI-020", "malformed version with CHECK", "skel")
def malformed_version_with_check(t):
    pod = t.pod()
    pod.attach()
    pod.call("CHECK", dict(t.conf(), cniVersion="x"), prev=pod.result).fails(6, 1)


def _errors(t):
    """Errors of several kinds, with the cniVersion that was in use."""
    pod = t.pod()
    yield pod.call("ADD", t.conf("0.4.0"), env={"CNI_IFNAME": "a/b"}), None
    yield pod.call("ADD", t.conf("0.4.0", name="-x")), "0.4.0"
    yield pod.call("ADD", t.conf("0.3.1"), env={"CNI_NETNS": "/run/netns/none"}), "0.3.1"


@check("CNI-021", "error object shape", "SPEC §5 Error")
def error_shape(t):
    for answer, _ in _errors(t):
        answer.fails()
        extra = answer.json.keys() - {"cniVersion", "code", "msg", "details"}
        assert not extra, f"no other keys: {extra}; {answer}"
        assert answer.code > 0, f"code is a positive number; {answer}"


@check("CNI-022", "error object carries cniVersion", "SPEC §5 Error", tags=("strict",))
def error_carries_version(t):
    for answer, version in _errors(t):
        answer.fails()
        assert answer.json.get("cniVersion"), f"cniVersion is there; {answer}"
        assert version in (None, answer.json["cniVersion"]), f"the version in use, {version}; {answer}"


@check("CNI-023", "stdout carries only the result or the error", "SPEC §5: stderr is for unstructured output")
def stdout_only(t):
    pod = t.pod()
    pod.add().ok()
    pod.check().silent("CHECK prints nothing")
    pod.delete(prev=True).silent("DEL prints nothing")
    if "1.1.0" in t.supported():
        conf = t.conf("1.1.0")
        t.call("STATUS", conf).silent("STATUS prints nothing")
        t.call("GC", dict(conf, **{"cni.dev/valid-attachments": []})).silent("GC prints nothing")


@check("CNI-024", "foreign and reserved keys are tolerated", "SPEC §1, reserved keys; CONVENTIONS args")
def foreign_keys(t):
    conf = t.conf(args={"cni": {"labels": [{"key": "app", "value": "x"}], "unknown": 1}, "org.example": {"a": [1]}, "text": "x"},
                  unknownKey={"deep": [{"er": None}]}, **{"cni.dev/unknown": True, "example.com/x": "y"})
    conf["ipam"]["unknownKey"] = 1
    conf["runtimeConfig"] = {"io.kubernetes.cri.pod-annotations": {"a": "b"}, "unknown": [1]}
    pod = t.pod()
    pod.add(conf).ok()
    pod.delete().silent()


@check("CNI-025", "CNI_ARGS as sent by containerd and Podman", "types.LoadArgs; go-cni")
def args_of_runtimes(t):
    for text in ("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2",
                 "K8S_POD_UID=1-2;K8S_POD_NAME=web-0;IgnoreUnknown=true;K8S_POD_NAMESPACE=default", "IgnoreUnknown=1;K8S_POD_NAME=pod_x"):
        pod = t.pod()
        pod.add(env={"CNI_ARGS": text}).ok(f"CNI_ARGS {text}")
        pod.delete(env={"CNI_ARGS": text}).silent()


@check("CNI-026", "malformed CNI_ARGS never crashes", "types.LoadArgs", tags=("should",))
def malformed_args(t):
    before = t.baseline()
    for text in ("x", "=", ";", ";;;", "a=b=c", "=x", "a;b=c", "IgnoreUnknown=1;" + "k=v;" * 5000, "\u00e4=\u00f6", "IP=", "IP=;MAC="):
        pod = t.pod()
        answer = pod.add(env={"CNI_ARGS": text})
        if answer.rc != 0:
            answer.fails(why=f"CNI_ARGS {text[:40]!r}")
            assert answer.code in (2, 4, 7) or answer.code >= 100, f"code 2, 4, 7 or an own one; {answer}"
        pod.delete(env={"CNI_ARGS": text})
        pod.delete().silent("DEL without the arguments")
    t.unchanged(before, "nothing is left")
