"""Just enough rtnetlink to lay cables: links, addresses, routes. Works in the calling thread's network namespace.

In the emulated VM an exec of `ip` costs tens of milliseconds, this a fraction of one.
"""
import contextlib
import ipaddress
import os
import socket
import struct

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 20, 24
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
NLM_F_REPLACE = 0x100
NETLINK_EXT_ACK, NETLINK_CAP_ACK, SOL_NETLINK = 11, 10, 270
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFLA_BR_MCAST_SNOOPING = 23
NETLINK_XFRM, XFRM_MSG_NEWSA, XFRMA_ALG_AEAD = 6, 16, 18
IFF_UP = 1
IFA_F_NODAD = 2
NLA_F_NESTED = 0x8000


def attr(kind, data):
    if isinstance(data, str):
        data = data.encode() + b"\0"
    elif isinstance(data, int):
        data = struct.pack("=I", data)
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nested(kind, *attributes):
    return attr(kind | NLA_F_NESTED, b"".join(attributes))


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def _request(kind, flags, body, what, protocol=0):
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)) as sock:
        sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        flags |= NLM_F_REQUEST | NLM_F_ACK
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = sock.recv(65536)
    error = -struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(error, f"{what}: {os.strerror(error)} {_ext_ack(answer)}")


def _ext_ack(answer):
    offset = 36
    while offset + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, offset)
        if length < 4:
            break
        if kind & 0x7FFF == 1:
            return "(" + answer[offset + 4:offset + length].rstrip(b"\0").decode(errors="replace") + ")"
        offset += (length + 3) & ~3
    return ""


def _ifinfo(index=0, flags=0, change=0):
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


def add_bridge(name, mtu=1500):
    body = _ifinfo() + attr(IFLA_IFNAME, name) + attr(IFLA_MTU, mtu)
    # Snooping would eat neighbour solicitations until it has learnt who listens.
    options = attr(IFLA_BR_MCAST_SNOOPING, b"\0")
    body += nested(IFLA_LINKINFO, attr(IFLA_INFO_KIND, "bridge"), nested(IFLA_INFO_DATA, options))
    _request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add bridge {name}")


def add_link(name, kind, options=b""):
    """A link without a peer: dummy, wireguard, vxlan (options: its encoded attributes)."""
    data = [nested(IFLA_INFO_DATA, options)] if options else []
    body = _ifinfo() + attr(IFLA_IFNAME, name) + nested(IFLA_LINKINFO, attr(IFLA_INFO_KIND, kind), *data)
    _request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add {kind} {name}")


def add_veth(name, peer, peer_namespace_fd, mtu=1500, master=None, peer_mac=None):
    """A veth here, its peer in the other namespace; this end is brought up, the peer is not."""
    far = _ifinfo() + attr(IFLA_IFNAME, peer) + attr(IFLA_MTU, mtu) + attr(IFLA_NET_NS_FD, peer_namespace_fd)
    if peer_mac:
        far += attr(IFLA_ADDRESS, _mac(peer_mac))
    body = _ifinfo(0, IFF_UP, IFF_UP) + attr(IFLA_IFNAME, name) + attr(IFLA_MTU, mtu)
    if master is not None:
        body += attr(IFLA_MASTER, socket.if_nametoindex(master))
    body += nested(IFLA_LINKINFO, attr(IFLA_INFO_KIND, "veth"), nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, far)))
    _request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add veth {name} with peer {peer}")


def set_link(name, up=None, mtu=None):
    flags = change = 0
    if up is not None:
        flags, change = (IFF_UP if up else 0), IFF_UP
    body = _ifinfo(socket.if_nametoindex(name), flags, change)
    if mtu:
        body += attr(IFLA_MTU, mtu)
    _request(RTM_NEWLINK, 0, body, f"set link {name}")


def delete_link(name):
    _request(RTM_DELLINK, 0, _ifinfo(socket.if_nametoindex(name)), f"delete link {name}")


def add_address(ifname, address):
    """address is "A.B.C.D/N" or an IPv6 one, which is usable at once (no duplicate address detection)."""
    interface = ipaddress.ip_interface(address)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    flags = IFA_F_NODAD if interface.version == 6 else 0
    body = struct.pack("=BBBBi", family, interface.network.prefixlen, flags, 0, socket.if_nametoindex(ifname))
    body += attr(1, interface.ip.packed) + attr(2, interface.ip.packed)
    if interface.version == 4 and interface.network.prefixlen < 31:
        body += attr(4, interface.network.broadcast_address.packed)
    _request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, f"add address {address} to {ifname}")


def add_route(destination, via=None, ifname=None):
    """destination is a prefix or "default" (then of the family of `via`)."""
    if destination == "default":
        destination = "0.0.0.0/0" if ipaddress.ip_address(via).version == 4 else "::/0"
    network = ipaddress.ip_network(destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = 253 if via is None and network.version == 4 else 0
    body = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 254, 4, scope, 1, 0)
    if network.prefixlen:
        body += attr(1, network.network_address.packed)
    if via:
        body += attr(5, ipaddress.ip_address(via).packed)
    if ifname:
        body += attr(4, socket.if_nametoindex(ifname))
    _request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, f"add route {destination} via {via} dev {ifname}")


def add_esp_sa(key):
    """An ESP transport SA with AES-GCM (RFC 4106; key: 36 bytes with the salt), from and to a documentation address."""
    destination = ipaddress.ip_address("192.0.2.250").packed + bytes(12)
    selector = bytes(40) + struct.pack("=H", socket.AF_INET) + bytes(14)
    ident = destination + struct.pack(">IB3x", 0x4D2, socket.IPPROTO_ESP)
    lifetime = b"\xff" * 32 + bytes(32)        # no limits by bytes and packets
    body = selector + ident + destination + lifetime + bytes(32 + 12 + 8)
    body += struct.pack("=HBBB7x", socket.AF_INET, 0, 0, 0)
    algorithm = b"rfc4106(gcm(aes))".ljust(64, b"\0") + struct.pack("=II", len(key) * 8, 128) + key
    body += attr(XFRMA_ALG_AEAD, algorithm)
    _request(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, body, "add an ESP SA", NETLINK_XFRM)
