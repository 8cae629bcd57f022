"""Does the floor ask the kernel for the same things as fairlead? Compared by what a container sees afterwards and by
what appeared in its router."""
import collections
import json
import subprocess

import sandbox


def difference(ctx, floor, fairlead):
    """What one has and the other has not, as text; empty when the work is the same."""
    states = {}
    for attacher in (floor, fairlead):
        container = attacher.container()
        ctx.launcher.serial([attacher.add(container)])
        states[attacher.name] = _container_state(attacher.netns(container)) + _router_state(attacher.router())
        ctx.launcher.serial([attacher.delete(container)])
    answer = []
    for name, other in [("floor", "fairlead"), ("fairlead", "floor")]:
        answer += [f"only {name}: {entry} ×{count}" for entry, count in (states[name] - states[other]).items()]
    return answer


def _ip(netns, *argv):
    with sandbox.inside(netns):
        done = subprocess.run(["ip", "-j", "-d", *argv], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def _container_state(netns):
    found = collections.Counter()
    for link in _ip(netns, "addr"):
        ours = {k: link.get(k) for k in ["ifname", "mtu"]} if link["ifname"] != "lo" else {"ifname": "lo"}
        found[f"link {ours} mode {link.get('inet6_addr_gen_mode')}"] += 1
        for address in link["addr_info"]:
            found[f"address {link['ifname']} {address['family']}/{address['prefixlen']} {address['scope']}"] += 1
    for family in ("-4", "-6"):
        for route in _ip(netns, family, "route"):
            to = "default" if route["dst"] == "default" else "address"
            found[f"route {family} {to} {'via' if 'gateway' in route else ''} {sorted(route['flags'])}"] += 1
        for neighbour in _ip(netns, family, "neigh", "show", "nud", "permanent"):
            found[f"neighbour {family} {neighbour['dev']}"] += 1
    for key in ["accept_ra", "autoconf", "accept_redirects", "disable_ipv6"]:
        with sandbox.inside(netns), open(f"/proc/sys/net/ipv6/conf/eth0/{key}", encoding="ascii") as file:
            found[f"sysctl {key} {file.read().strip()}"] += 1
    return found


def _router_state(netns):
    """What belongs to container links (c…), by kind."""
    found = collections.Counter()
    for link in _ip(netns, "addr"):
        if link["ifname"].startswith("c"):
            found[f"router link {link.get('mtu')} {link.get('address')} mode {link.get('inet6_addr_gen_mode')} "
                  f"addresses {len(link['addr_info'])}"] += 1
    for family in ("-4", "-6"):
        for route in _ip(netns, family, "route"):
            if route.get("dev", "").startswith("c"):
                found[f"router route {family} {route.get('protocol')} {route.get('scope', '')}"] += 1
        for neighbour in _ip(netns, family, "neigh", "show", "nud", "permanent"):
            if neighbour["dev"].startswith("c"):
                found[f"router neighbour {family}"] += 1
    return found
