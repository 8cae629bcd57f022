"""The CNI_ variables: presence, grammar, and what must not happen with them."""
from .judge import check

ADD_VARIABLES = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")


@check("CNI-001", "no CNI_COMMAND at all", "SPEC §2 Parameters, Errors; skel")
def no_command(t):
    answer = t.call(None, t.conf())
    if answer.rc == 0:      # skel prints an about line to stderr instead: tolerated
        assert answer.out == "" and answer.err.strip(), f"neither an error nor an about line; {answer}"
        return
    answer.fails(4, names=("CNI_COMMAND",))


@check("CNI-002", "unknown CNI_COMMAND", "SPEC §2; error code 4")
def unknown_command(t):
    pod, before = t.pod(), t.state()
    for command in ("FOO", "add", "ADD ", "UPDATE"):
        pod.call(command).fails(4, why=f"command {command!r} does not exist")
    t.unchanged(before, "an unknown command has no side effect")


@check("CNI-003", "required variables of ADD", "SPEC §2 ADD, required parameters; error code 4")
def required_of_add(t):
    pod, before = t.pod(), t.state()
    for name in ADD_VARIABLES:
        pod.call("ADD", env={name: None}).fails(4, names=(name,))
    pod.call("ADD", env=dict.fromkeys(ADD_VARIABLES)).fails(4, names=ADD_VARIABLES)
    t.unchanged(before, "a call that lacks a variable has no side effect")


@check("CNI-004", "an empty variable is a missing variable", "libcni exports all six variables always; skel")
def empty_is_missing(t):
    pod = t.pod()
    for name in ADD_VARIABLES:
        pod.call("ADD", env={name: ""}).fails(4, names=(name,))


@check("CNI-005", "CNI_ARGS empty or absent is fine", "SPEC §2, optional parameters")
def no_args(t):
    for value in ("", None):
        pod = t.pod()
        pod.add(env={"CNI_ARGS": value}).ok()
        pod.delete(env={"CNI_ARGS": value}).silent()


@check("CNI-006", "required variables of DEL and CHECK", "SPEC §2 DEL, CHECK")
def required_of_del_and_check(t):
    pod = t.pod()
    pod.attach()
    for name in ("CNI_CONTAINERID", "CNI_IFNAME"):
        pod.delete(env={name: ""}).fails(4, names=(name,))
    for name in ADD_VARIABLES:
        pod.check(env={name: ""}).fails(4, names=(name,))
    assert pod.has(), "the attachment stays"


@check("CNI-007", "CNI_CONTAINERID grammar, rejected values", "SPEC §2, §3; utils.ValidateContainerID")
def bad_container_ids(t):
    pod, before = t.pod(), t.state()
    t.file("/run/victim", "here")
    for value in ("../../../run/victim", "-a", ".hidden", "_x", "a/b", "a b", "a\n", "\u00e4", "a;b", "a\\b"):
        for command in ("ADD", "CHECK", "DEL"):
            prev = {"cniVersion": "1.0.0"} if command == "CHECK" else None
            pod.call(command, env={"CNI_CONTAINERID": value}, prev=prev).fails(4, why=f"{command} with id {value!r}")
    assert t.host.exists("/run/victim"), "no path outside the plugin's folders is touched"
    t.unchanged(before, "an id that is refused has no side effect")


@check("CNI-008", "CNI_CONTAINERID grammar, accepted values", "SPEC §2: no upper length")
def good_container_ids(t):
    for number, value in enumerate(("a", "A.b_c-9", "0" * 64, "x" * 255, "y" * 300, "z" * 1000)):
        pod = t.pod(f"id{number}", identity=value)
        pod.add().ok(f"an id of {len(value)} bytes")
        pod.delete().silent()


@check("CNI-009", "CNI_IFNAME grammar, rejected values", "SPEC §2; utils.ValidateInterfaceName; dev_valid_name")
def bad_interface_names(t):
    pod, before = t.pod(), t.state()
    for value in ("sixteenbyteslong", ".", "..", "a/b", "a:b", "a b", "a\tb"):
        pod.call("ADD", ifname=value).fails(4, why=f"interface name {value!r}")
    t.unchanged(before, "a name that is refused has no side effect")


@check("CNI-010", "CNI_IFNAME grammar, accepted values", "SPEC §2")
def good_interface_names(t):
    for value in ("fifteen-bytes15", "eth0.100", "0", "a-b_c"):
        pod = t.pod()
        pod.add(ifname=value).ok(f"interface name {value!r}")
        assert pod.has(value), f"exactly {value} is made"
        pod.delete(ifname=value).silent()


@check("CNI-011", "CNI_IFNAME with percent", "SPEC §2: must use this name or fail", tags=("should",))
def interface_name_template(t):
    before = t.baseline()
    pod = t.pod()
    links = set(pod.place.links())
    answer = pod.add(ifname="eth%d")
    if answer.rc == 0:
        assert pod.has("eth%d"), f"neither an error nor that name: {sorted(pod.place.links())}"
        return
    answer.fails()
    assert set(pod.place.links()) == links, f"nothing is left in the container: {sorted(pod.place.links())}"
    t.unchanged(before, "the refused name leaves nothing")


@check("CNI-012", "CNI_IFNAME is lo", "SPEC §2 ADD: an existing name is an error")
def interface_name_lo(t):
    before = t.baseline()
    pod = t.pod()
    lo = pod.place.ip_json("address", "show", "dev", "lo")
    pod.add(ifname="lo").fails()
    assert pod.place.ip_json("address", "show", "dev", "lo") == lo, "lo is as it was"
    t.unchanged(before, "nothing is left")
