"""What the kernel of every node must hold by the documents, and what it does hold: routes, neighbours, forwarding entries, rules, links,
VIPs and backends of every network. Computed here from the documents, with none of our programs, so that what these got wrong shows, and
what they forgot to take away."""
import ipaddress

from lab import eventually

STATE, RUN = "/var/lib/fairlead", "/run/fairlead"
PORTS = {"none": 4789, "ipsec": 4790, "wireguard": 4791}
MARK, TABLE = 0x57000000, 0x570000      # of a node whose published port was asked, and the way back to it: + its number


def documents(node, folder):
    return [node.read_json(f"{folder}/{name}") for name in node.listdir(folder) if name.endswith(".json") and not name.startswith(".")]


def mac(number):
    return f"02:57:00:00:{number >> 8:02x}:{number & 255:02x}"


def gateway(version, number):
    return str(ipaddress.ip_address("169.254.128.0" if version == 4 else "fd57:128::") + number)


def uplink_mac(side, index):
    return f"02:57:{side}:00:{index >> 8:02x}:{index & 255:02x}"


def version_of(text):
    return ipaddress.ip_network(text).version


def short(prefix):
    """As `ip` prints it."""
    network = ipaddress.ip_network(prefix)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


class Truth:
    """The documents: what the managers decided as the first of the nodes has it, and what each node says of its own containers."""

    def __init__(self, nodes):
        first = nodes[0]
        self.networks = {d["name"]: d for d in documents(first, f"{STATE}/networks")}
        self.members = {d["name"]: d for d in documents(first, f"{STATE}/nodes")}
        self.blocks = {name: {d["node"]: d["blocks"] for d in documents(first, f"{STATE}/blocks/{name}")} for name in self.networks}
        self.services = {name: documents(first, f"{STATE}/services/{name}") for name in self.networks}
        self.endpoints = {name: {n.name: documents(n, f"{RUN}/endpoints/{name}") for n in nodes} for name in self.networks}
        self.sick = {(d["network"], d["service"], attachment) for name in self.networks for n in nodes
                     for d in documents(n, f"{RUN}/health/{name}") for attachment in d["unhealthy"]}

    def tasks(self, network, service):
        """Addresses a service is balanced over."""
        return {address for found in self.endpoints[network].values() for e in found for address in e["addresses"]
                if service in e["services"] and e["state"] == "ready" and (network, service, f"{e['container']}-{e['ifname']}") not in self.sick}


def wanted_router(truth, node, name):
    """Of one network on one node."""
    network, members = truth.networks[name], truth.members
    router = node.read_json(f"{RUN}/routers/{name}.json")
    own = members[node.name]["number"]
    peers = {n: d["number"] for n, d in members.items() if n != node.name}
    versions = [version_of(s) for s in network["subnets"]]
    local = truth.endpoints[name][node.name]
    routes, neighbours, rules = set(), set(), set()
    for subnet in network["subnets"]:
        routes.add(("main", subnet, "unreachable", ""))
        version = version_of(subnet)
        if not network["internal"]:
            routes.add(("main", f"default{version}", router[f"host{version}"], "ul"))
        neighbours.add((router[f"host{version}"], "ul", uplink_mac("fe", router["index"])))
        for number in peers.values():
            routes.add((str(TABLE + number), f"default{version}", gateway(version, number), "vx"))
            neighbours.add((gateway(version, number), "vx", mac(number)))
            rules.add((version, 100, f"{MARK + number:#x}", str(TABLE + number)))
        if peers:
            rules.add((version, 99, "0/0xffff0000", "main"))
    for peer, number in peers.items():
        for block in truth.blocks[name].get(peer, []):
            if version_of(block) in versions:
                routes.add(("main", short(block), gateway(version_of(block), number), "vx"))
    for endpoint in local:
        for address in endpoint["addresses"]:
            routes.add(("main", address, "", endpoint["hostIfname"]))
            neighbours.add((address, endpoint["hostIfname"], endpoint["mac"]))
    backends = set()
    for service in truth.services[name]:
        fronts = [(vip, port, port["port"]) for port in service["ports"] for vip in service["vips"]]
        # What the host was asked for comes in at the router's end of the uplink.
        fronts += [(router[f"router{version}"], port, port["published"]) for port in service["ports"] if port.get("published")
                   for version in versions]
        for address, port, number in fronts:
            backends |= {(address, port.get("protocol", "tcp"), number, task, port["targetPort"])
                         for task in truth.tasks(name, service["name"]) if version_of(task) == version_of(address)}
        routes |= {("local", vip, "local", "lo") for vip in service["vips"]}
    wireguard = network["encryption"] == "wireguard"
    underlay = {n: gateway(4, d["number"]) if wireguard else d["address"] for n, d in members.items()}
    return {
        "routes": routes, "neighbours": neighbours, "rules": rules, "backends": backends,
        "links": {"lo", "ul", "vx"} | {e["hostIfname"] for e in local},
        "device": (network["vni"], underlay[node.name], network.get("vxlanPort") or PORTS[network["encryption"]], mac(own), False),
        "forwarding": {(mac(number), underlay[peer]) for peer, number in peers.items()},
        "routers its firewall knows": {mac(number) for number in peers.values()},
    }


def found_routes(place):
    found = set()
    for version in (4, 6):
        for route in place.ip_json(f"-{version}", "route", "show", "table", "all"):
            if route.get("protocol") in ("kernel", "ra"):
                continue
            kind = route.get("type", "unicast")
            dst = f"default{version}" if route["dst"] == "default" else route["dst"]
            found.add((route.get("table", "main"), dst, route.get("gateway", "") if kind == "unicast" else kind,
                       "" if kind == "unreachable" else route["dev"]))
    return found


def set_of(right):
    """The right side of a comparison in nft's JSON."""
    return set(right["set"]) if isinstance(right, dict) else {right}


def compared(rules, comment):
    """What the rule with this comment compares with."""
    for rule in rules:
        if rule.get("comment") == comment:
            return next(set_of(e["match"]["right"]) for e in rule["expr"] if "match" in e and e["match"]["op"] == "!=")
    return set()


def targets(expression):
    """(address, port) of every dnat below an expression."""
    if isinstance(expression, dict) and "dnat" in expression:
        dnat = expression["dnat"]
        if isinstance(dnat["addr"], str):
            return {(dnat["addr"], dnat["port"])}
        return {tuple(pair[1]["concat"]) for pair in dnat["addr"]["map"]["data"]["set"]}
    parts = expression.values() if isinstance(expression, dict) else expression if isinstance(expression, list) else ()
    return set().union(*(targets(part) for part in parts))


def found_backends(place, ruleset):
    """(address, protocol, port, backend, its port): what nft or IPVS gives new connections to."""
    found = set()
    for rule in (r for r in ruleset if r["table"] == "fairlead_lb" and r["chain"][:2] in ("f_", "b_")):
        address, protocol, port = rule["chain"][2:].split("_")[:3]
        front = (str(ipaddress.ip_address(bytes.fromhex(address))), protocol, int(port))
        found |= {front + target for target in targets(rule["expr"])}
    if not found:
        for line in place.run("ipvsadm -Sn").out.splitlines():
            words = line.split()
            if words[0] != "-a" or words[1] not in ("-t", "-u") or words[words.index("-w") + 1] == "0":
                continue
            front, real = (part.rsplit(":", 1) for part in (words[2], words[4]))
            found.add((front[0].strip("[]"), "tcp" if words[1] == "-t" else "udp", int(front[1]), real[0].strip("[]"), int(real[1])))
    return found


def found_router(node, name):
    place = node.router(name)
    links = place.links()
    device = links["vx"]["linkinfo"]["info_data"]
    ruleset = [item["rule"] for item in place.nft_list() if "rule" in item]
    neighbours = [n for version in (4, 6) for n in place.ip_json(f"-{version}", "neigh", "show", "nud", "permanent")]
    rules = [(version, r["priority"], r.get("fwmark", "") + ("/" + r["fwmask"] if "fwmask" in r else ""), r["table"])
             for version in (4, 6) for r in place.ip_json(f"-{version}", "rule") if r["priority"] not in (0, 32766, 32767)]
    return {
        "routes": found_routes(place), "neighbours": {(n["dst"], n["dev"], n["lladdr"]) for n in neighbours}, "rules": set(rules),
        "backends": found_backends(place, ruleset), "links": set(links),
        "device": (device["id"], device.get("local") or device.get("local6"), device["port"], links["vx"]["address"], device["learning"]),
        "forwarding": {(f["mac"], f["dst"]) for f in place.bridge_json("fdb show dev vx")},
        "routers its firewall knows": compared([r for r in ruleset if r["table"] == "fairlead"], "not a router of this network"),
    }


def used(truth, node):
    """Networks with a router on the node: from their first container there until they are removed."""
    return [name for name in truth.networks if truth.endpoints[name][node.name] or node.exists(f"{RUN}/routers/{name}.json")]


def wanted_host(truth, node):
    here = [truth.networks[name] for name in used(truth, node)]
    routers = {f"fl-{d['vni']:x}" for d in here}
    members = {d["address"] for d in truth.members.values()}
    encryptions = {d["encryption"] for d in here}
    tunnels = {("main", gateway(4, d["number"]), "", "fl-wg") for n, d in truth.members.items() if n != node.name and d.get("wireguardKey")}
    return {"routers": routers, "uplinks": {f"ul{name[3:]}" for name in routers},
            "nodes its firewall knows": members if encryptions & {"none"} else set(), "tunnels": tunnels if "wireguard" in encryptions else set()}


def found_host(node):
    rules = [item["rule"] for item in node.nft_list() if "rule" in item and item["rule"]["table"] == "fairlead_host"]
    return {"routers": {name for name in node.netns_list() if name.startswith("fl-")},
            "uplinks": {name for name in node.links() if name.startswith("ul")},
            "nodes its firewall knows": compared(rules, "not from a node"),
            "tunnels": {r for r in found_routes(node) if r[3].startswith("fl-")}}


def differences(where, wanted, found):
    lines = []
    for what, right in wanted.items():
        there = found[what]
        if right == there:
            continue
        if isinstance(right, set):
            lines += [f"{where}: {what}: missing {item}" for item in sorted(right - there, key=str)]
            lines += [f"{where}: {what}: stale {item}" for item in sorted(there - right, key=str)]
        else:
            lines.append(f"{where}: {what}: {there} instead of {right}")
    return lines


def look(nodes):
    """What is missing and what is stale in the kernels of these nodes; containers of others count as gone."""
    truth, lines = Truth(nodes), []
    for node in nodes:
        lines += differences(node.name, wanted_host(truth, node), found_host(node))
        for name in used(truth, node):
            lines += differences(f"{node.name} {name}", wanted_router(truth, node, name), found_router(node, name))
    return lines


def kernels_agree(nodes, within=15):
    """Every kernel holds what the documents say, nothing less and nothing more of ours."""
    def agree():
        lines = look(nodes)
        if lines:
            raise AssertionError("\n".join(lines))
        return True
    eventually(agree, within, "the kernels are as the documents say", every=0.3)
