"""VERSION, and the result's format in every version."""
import json

from .judge import check

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
NEW_INTERFACE_KEYS = {"mtu", "socketPath", "pciID"}
NEW_ROUTE_KEYS = {"mtu", "advmss", "priority", "table", "scope"}


@check("CNI-030", "VERSION result", "SPEC §2 VERSION, §5")
def version_result(t):
    result = t.call("VERSION", {"cniVersion": "1.0.0"}).ok()
    assert isinstance(result.get("cniVersion"), str), result
    missing = set(SUPPORTED) - set(result["supportedVersions"])
    assert not missing, f"not supported: {sorted(missing)}"


@check("CNI-031", "VERSION lists 1.1.0 and what is listed works", "SPEC §5 Version", tags=("v1.1",))
def version_lists_newest(t):
    versions = t.supported()
    assert "1.1.0" in versions, f"1.1.0 is not listed: {versions}"
    for version in versions:
        pod = t.pod()
        pod.attach(t.conf(version))
        pod.detach()


@check("CNI-032", "VERSION echoes the input cniVersion", "SPEC §5: the value specified on input", tags=("strict",))
def version_echoes(t):
    for version in ("0.4.0", "1.0.0"):
        result = t.call("VERSION", {"cniVersion": version}).ok()
        assert result["cniVersion"] == version, f"{version} went in, {result['cniVersion']} came out"


@check("CNI-033", "VERSION as libcni calls it", "libcni GetVersionInfo")
def version_of_libcni(t):
    answer = t.call("VERSION", {"cniVersion": "1.0.0"}, {"CNI_NETNS": "dummy", "CNI_IFNAME": "dummy", "CNI_PATH": "dummy"})
    assert answer.ok()["supportedVersions"]


@check("CNI-034", "VERSION without stdin, unprivileged, without state", "skel reads no stdin for VERSION")
def version_unprivileged(t):
    before = t.files()
    nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \"$0\""
    for wrap in ("exec \"$0\" </dev/null", "exec \"$0\" <&-", nobody):
        answer = t.call("VERSION", {}, stdin="", wrap=wrap)
        assert answer.ok(wrap)["supportedVersions"]
        assert answer.seconds < 1.0 * t.lab.slow, f"{wrap}: {answer.seconds:.3f} s"
    assert t.files() == before, "VERSION writes no file"


def _old(version):
    def body(t):
        pod = t.pod()
        result = pod.attach(t.conf(version))
        assert result.get("cniVersion", "0.1.0") in ((version,) if version != "0.1.0" else ("0.1.0", "0.2.0")), result
        assert not {"ips", "interfaces", "routes"} & result.keys(), f"no newer keys: {result}"
        found = set()
        for key in ("ip4", "ip6"):
            if key in result:
                assert isinstance(result[key]["ip"], str), result
                assert all(route.keys() <= {"dst", "gw"} for route in result[key].get("routes", [])), result
                found.add(result[key]["ip"])
        assert "ip4" in result, f"the IPv4 address is told: {result}"
        assert found <= pod.addresses(), f"{found} are on the link, which has {pod.addresses()}"
        pod.detach()
    return body


for _number, _version in enumerate(("0.1.0", "0.2.0")):
    check(f"CNI-041.{_number}", f"result format {_version}", "SPEC 0.2.0; types/020")(_old(_version))


def _middle(version):
    def body(t):
        pod = t.pod()
        result = pod.attach(t.conf(version))
        assert result["cniVersion"] == version, result
        for ip in result["ips"]:
            assert ip["version"] == ("6" if ":" in ip["address"] else "4"), f"version is a string and right: {ip}"
        for interface in result["interfaces"]:
            assert not NEW_INTERFACE_KEYS & interface.keys(), interface
        pod.detach()
    return body


for _number, _version in enumerate(("0.3.0", "0.3.1", "0.4.0")):
    check(f"CNI-042.{_number}", f"result format {_version}", "SPEC 0.3.0 to 0.4.0; types/040")(_middle(_version))


@check("CNI-043", "result format 1.0.0", "SPEC 1.0.0; types/100")
def format_1_0_0(t):
    result = t.pod().attach(t.conf("1.0.0"))
    assert result["cniVersion"] == "1.0.0", result
    assert all("version" not in ip for ip in result["ips"]), f"ips[].version is gone: {result['ips']}"
    newer = [i for i in result["interfaces"] if NEW_INTERFACE_KEYS & i.keys()]
    newer += [r for r in result.get("routes", []) if NEW_ROUTE_KEYS & r.keys()]
    assert not newer, f"keys of 1.1.0: {newer}"


@check("CNI-044", "result format 1.1.0", "SPEC §5", tags=("v1.1",))
def format_1_1_0(t):
    pod = t.pod()
    result = pod.attach(t.newest())
    assert result["cniVersion"] == "1.1.0", result
    inside = [i for i in result["interfaces"] if i.get("sandbox")]
    assert inside and all(i["mtu"] == pod.place.links()[i["name"]]["mtu"] for i in inside), \
        f"mtu is the link's: {json.dumps(inside)}, {pod.place.links()['eth0']['mtu']}"
    for route in result.get("routes", []):
        assert all(isinstance(route[key], int) for key in NEW_ROUTE_KEYS & route.keys()), f"numbers: {route}"
