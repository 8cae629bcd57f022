"""The Kubernetes container runtime interface, as much of it as the tests say: messages by hand (protocol buffers' wire format; field numbers
of runtime/v1/api.proto), calls through cri_client.py."""
import json
import os
import subprocess

from .world import IMAGE

PROTOCOLS = {"tcp": 0, "udp": 1, "sctp": 2}


class CriError(AssertionError):
    """What the runtime answered instead."""


# -- protocol buffers: varints (0) and what has a length (2) ----------------------------------------------
def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def message(*fields):
    """(number, value) each: int, str, bytes (a message), dict (a map) or a list of these; None and empty ones are left out."""
    out = b""
    for number, value in fields:
        if isinstance(value, dict):
            value = [message((1, key), (2, text)) for key, text in value.items()]
        for one in value if isinstance(value, list) else [value]:
            if one is None or one == 0 or one == "":
                continue
            if isinstance(one, int):
                out += varint(number << 3) + varint(one)
            else:
                data = one.encode() if isinstance(one, str) else one
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def fields(data):
    """{number: [values]}; numbers as int, everything else as bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 2:
            size = number()
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def text(found, number):
    return found.get(number, [b""])[0].decode()


class Cri:
    """The caller's side: what kubelet says to a runtime."""

    def __init__(self, world, socket):
        self.world, self.host = world, world.node
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cri_client.py")
        self._client = self.host._spawn(["python3", program, socket], None, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, method, request=b"", timeout=30):
        order = {"method": method, "request": request.hex(), "timeout": timeout * self.host.lab.slow}
        self._client.stdin.write(json.dumps(order).encode() + b"\n")
        self._client.stdin.flush()
        answer = json.loads(self._client.stdout.readline())
        self.host.lab.transcript.say(f"{self.host.name}: CRI {method} → {answer.get('error') or 'done'}")
        if "error" in answer:
            raise CriError(f"{method}: {answer['error']}")
        return fields(bytes.fromhex(answer["response"]))

    # -- pods ----------------------------------------------------------------------------------------------
    def sandbox_config(self, name, namespace="shop", ports=(), dns=(), searches=(), annotations=None, labels=None):
        """ports: (host port, container port[, protocol])."""
        mappings = [message((1, PROTOCOLS[(p[2:] or ("tcp",))[0]]), (2, p[1]), (3, p[0])) for p in ports]
        dns_config = message((1, list(dns)), (2, list(searches))) if dns else None
        return message((1, message((1, name), (2, f"uid-{name}"), (3, namespace))), (2, name), (3, f"/tmp/logs/{name}"), (4, dns_config),
                       (5, mappings), (6, labels or {}), (7, annotations or {}), (8, message((1, f"{self.world.cgroup}/{name}"))))

    def run_pod(self, config):
        return text(self.call("RuntimeService/RunPodSandbox", message((1, config))), 1)

    def stop_pod(self, pod):
        self.call("RuntimeService/StopPodSandbox", message((1, pod)))

    def remove_pod(self, pod):
        self.call("RuntimeService/RemovePodSandbox", message((1, pod)))

    def pod_addresses(self, pod):
        status = fields(self.call("RuntimeService/PodSandboxStatus", message((1, pod)))[1][0])
        network = fields(status.get(5, [b""])[0])
        return [text(network, 1)] + [text(fields(more), 1) for more in network.get(2, [])]

    def ready(self):
        """{condition: (holds, message)}"""
        status = fields(self.call("RuntimeService/Status")[1][0])
        conditions = [fields(condition) for condition in status.get(1, [])]
        return {text(c, 1): (bool(c.get(2, [0])[0]), text(c, 4)) for c in conditions}

    # -- containers in them ------------------------------------------------------------------------------
    def run_container(self, pod, config, name, *command, env=None):
        envs = [message((1, key), (2, value)) for key, value in (env or {}).items()]
        container = message((1, message((1, name))), (2, message((1, IMAGE))), (3, list(command)), (6, envs), (11, f"{name}.log"))
        ident = text(self.call("RuntimeService/CreateContainer", message((1, pod), (2, container), (3, config))), 1)
        self.call("RuntimeService/StartContainer", message((1, ident)))
        return ident

    def exec(self, container, *command):
        """(exit status, output)"""
        answer = self.call("RuntimeService/ExecSync", message((1, container), (2, list(command)), (3, 20)))
        return answer.get(3, [0])[0], text(answer, 1) + text(answer, 2)
