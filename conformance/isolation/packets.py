"""Frames made by hand, for what no honest program sends."""
import contextlib
import ipaddress
import socket
import struct

from lab.traffic import checksum

GATEWAY_MAC = "02:57:ff:ff:ff:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
ETH_P_ALL = 3
CRC32C = 0x82F63B78


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(payload, ethertype, src, dst=GATEWAY_MAC):
    return mac(dst) + mac(src) + struct.pack(">H", ethertype) + payload


def packed(address):
    return ipaddress.ip_address(address).packed


def ip(src, dst, proto, payload, ttl=64, options=b"", ident=0x5757, flags=0, offset=0):
    """An IP packet of the addresses' family; options, ident, flags and offset (in bytes) for IPv4 only."""
    if ipaddress.ip_address(dst).version == 6:
        return struct.pack(">IHBB", 6 << 28, len(payload), proto, ttl) + packed(src) + packed(dst) + payload
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4
    header = struct.pack(">BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(payload), ident, flags << 13 | offset // 8, ttl,
                         proto, 0) + packed(src) + packed(dst) + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ethertype_of(address):
    return 0x86DD if ipaddress.ip_address(address).version == 6 else 0x0800


def _with_checksum(src, dst, proto, segment, at):
    if ipaddress.ip_address(dst).version == 6:
        pseudo = packed(src) + packed(dst) + struct.pack(">II", len(segment), proto)
    else:
        pseudo = packed(src) + packed(dst) + struct.pack(">BBH", 0, proto, len(segment))
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack(">H", value) + segment[at + 2:]


def udp(src, dst, sport, dport, payload=b"spoof"):
    segment = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return _with_checksum(src, dst, 17, segment, 6)


def tcp(src, dst, sport, dport, flags=2, seq=1, ack=0):
    """flags: 2 SYN, 4 RST, 16 ACK."""
    return _with_checksum(src, dst, 6, struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0), 16)


def icmp6(src, dst, kind, body, code=0):
    return _with_checksum(src, dst, 58, struct.pack(">BBH", kind, code, 0) + body, 2)


def icmp4(kind, body, code=0):
    message = struct.pack(">BBH", kind, code, 0) + body
    return message[:2] + struct.pack(">H", checksum(message)) + message[4:]


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + mac(sender_mac) + packed(sender) + mac(target_mac) + packed(target)


def sctp_init(sport, dport):
    """An INIT chunk with its CRC32c (RFC 9260 section 3.3.2): connection tracking refuses less."""
    chunk = struct.pack(">BBHIIHHI", 1, 0, 20, 0x57575757, 65536, 1, 1, 1)
    packet = struct.pack(">HHII", sport, dport, 0, 0) + chunk
    crc = 0xFFFFFFFF
    for byte in packet:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC32C if crc & 1 else 0)
    return packet[:8] + struct.pack("<I", crc ^ 0xFFFFFFFF) + packet[12:]


@contextlib.contextmanager
def wire(place, ifname="eth0"):
    """send(frame) on an interface of a place."""
    with place.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        with place.inside():
            sock.bind((ifname, ETH_P_ALL))
        yield sock.send


def send_ip(place, src, dst, proto, payload, ifname="eth0", src_mac=None, dst_mac=GATEWAY_MAC, count=1, **header):
    """IP packets with any source, as a container with CAP_NET_RAW can send them."""
    own = src_mac or place.links()[ifname]["address"]
    frame = ethernet(ip(src, dst, proto, payload, **header), ethertype_of(dst), own, dst_mac)
    with wire(place, ifname) as send:
        for _ in range(count):
            send(frame)


def send_udp(place, src, dst, dport=7000, sport=5757, payload=b"spoof", **options):
    send_ip(place, src, dst, 17, udp(src, dst, sport, dport, payload), **options)
