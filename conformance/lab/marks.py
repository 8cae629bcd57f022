"""Marks of a test function: what it needs of the kernel, how long it may take, variants."""
import os
import shutil

from . import kernel, netlink


def needs(*things):
    """ "ipvs", "esp", "wireguard", "vxlan", "nft", "program:NAME" """
    def mark(function):
        function.needs = getattr(function, "needs", ()) + things
        return function
    return mark


def limit(seconds):
    def mark(function):
        function.limit = seconds
        return function
    return mark


def alone(function):
    function.alone = True
    return function


def variants(**values):
    """variants(backend=["ipvs", "nft"]): one test per value, passed as an argument of that name. A value may be a pair
    (value, needs), e.g. ("ipvs", "ipvs"). Several decorators multiply."""
    def mark(function):
        function.variants = {**getattr(function, "variants", {}), **values}
        return function
    return mark


def missing(thing):
    """Why this kernel or machine lacks it; None when it is there. To be called in an isolated process."""
    if thing.startswith("program:"):
        name = thing.removeprefix("program:")
        return None if shutil.which(name) else f"no program {name}"
    probe = _PROBES.get(thing)
    if probe is None:
        raise ValueError(f"@needs({thing!r}): not one of {sorted(_PROBES)} or program:NAME")
    return probe()


def _ipvs():
    return None if os.path.exists("/proc/net/ip_vs") else "the kernel has no IPVS"


def _link(kind, data=b""):
    def probe():
        with kernel.net_namespace(kernel.new_net_namespace()):
            try:
                netlink.add_link("probe0", kind, data)
            except OSError as error:
                return f"the kernel has no {kind} ({error.strerror})"
        return None
    return probe


def _esp():
    with kernel.net_namespace(kernel.new_net_namespace()):
        try:
            netlink.add_esp_sa(bytes(36))
        except OSError as error:
            return f"the kernel has no ESP with AES-GCM ({error})"
    return None


_PROBES = {"ipvs": _ipvs, "esp": _esp, "wireguard": _link("wireguard"),
           "vxlan": _link("vxlan", netlink.attr(1, 1) + netlink.attr(15, b"\x12\xb5")), "dummy": _link("dummy")}
