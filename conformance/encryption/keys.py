"""Keys as an outsider sees them: sealed copies opened and associations' keys derived with PyNaCl and hashlib, not with our code."""
import base64
import contextlib
import hashlib
import json
import os
import re
import threading

import nacl.bindings
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

STATE, RUN = "/var/lib/fairlead", "/run/fairlead"
EPOCHS = f"{RUN}/remote/epochs.json"


def private_key(node, name="seal"):
    return base64.b64decode(node.read(f"{STATE}/keys/{name}.key"), validate=False)


def public_key(node, name="seal"):
    return nacl.bindings.crypto_scalarmult_base(private_key(node, name))


def fingerprint(key):
    return hashlib.blake2b(key, digest_size=32).hexdigest()[:16]


def epochs(node):
    """Ids, newest first."""
    return [e["id"] for e in node.read_json(EPOCHS)["epochs"]] if node.exists(EPOCHS) else []


def copies(node):
    folder = f"{RUN}/remote/keys"
    return sorted(name[:-5] for name in node.listdir(folder) if name.endswith(".json")) if node.exists(folder) else []


def sealed(node, epoch):
    return node.read_json(f"{RUN}/remote/keys/{epoch}.json")["sealed"]


def opened(key, epoch, text):
    """The epoch's secret; None when it is not for this key."""
    try:
        content = SealedBox(PrivateKey(key)).decrypt(base64.b64decode(text))
    except CryptoError:
        return None
    head = b"\1" + epoch.encode()
    assert content.startswith(head) and len(content) == len(head) + 32, content[:20]
    return content[len(head):]


def secret_of(node, epoch):
    return opened(private_key(node), epoch, sealed(node, epoch))


def seal(epoch, secret, public):
    return base64.b64encode(SealedBox(PublicKey(public)).encrypt(b"\1" + epoch.encode() + secret)).decode()


def association_key(secret, epoch, sender, receiver, instance, nonce, spi, own_private, peer_public):
    """36 bytes: the AES key and the salt (docs/encryption.md)."""
    parts = [epoch.encode(), sender.encode(), receiver.encode(), instance, nonce, spi.to_bytes(4, "big"),
             nacl.bindings.crypto_scalarmult(own_private, peer_public)]
    text = b"fairlead-esp-v1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.blake2b(text, key=secret, digest_size=36).digest()


def forms(secret):
    """As which bytes a secret could show up somewhere."""
    return [secret, base64.b64encode(secret)[:-2], secret.hex().encode(), secret.hex().upper().encode()]


def found_in(data, secrets):
    return any(form in data for secret in secrets for form in forms(secret))


def files_with(folder, secrets):
    """Files below a folder of the test process in which a secret is."""
    names = []
    for where, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if found_in(file.read(), secrets):
                        names.append(path)
    return sorted(names)


def in_memory_of(pid, *secrets):
    """How often the raw bytes of any of them are in a process."""
    count = 0
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not match or "[v" in line:
                continue
            begin, end = (int(part, 16) for part in match.groups())
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue
            count += sum(data.count(secret) for secret in secrets)
    return count


def what_it_says(node):
    """Everything this node's programs show to people and to monitoring."""
    said = [node.ctl_ok(command, timeout=20) for command in ("cluster status", "cluster status --json", "status", "status --json", "network ls",
                                                             *(f"network inspect {name[:-5]}{json}" for json in ("", " --json")
                                                               for name in node.listdir(f"{STATE}/networks") if name.endswith(".json")))]
    agent = node.daemons["fairlead-agent"]
    said += [agent.log(), json.dumps(agent.status()), agent.metrics() if isinstance(agent.metrics(), str) else str(agent.metrics())]
    for name in ("cmdline", "environ"):
        with open(f"/proc/{agent.pid}/{name}", "rb") as file:
            said.append(file.read().decode("latin-1"))
    return "\n".join(said).encode("latin-1", "replace")


class Courier:
    """Carries documents between nodes as managers would, and makes epochs: a cluster without managers."""

    def __init__(self, nodes):
        self.nodes, self.number, self.secrets, self.listed = nodes, 0, {}, []
        self.away = set()       # names of nodes nothing comes to and nothing goes from
        self.history = []       # (sender, receiver, document) as they were carried
        self._stop, self._thread, self._carried = threading.Event(), None, {}

    def introduce(self, family=4):
        """Every node's document with its public keys, on every node."""
        for number, node in enumerate(self.nodes, 1):
            document = {"apiVersion": 1, "name": node.name, "number": number, "address": node.address(family)}
            if node.exists(f"{RUN}/keys.json"):
                document.update({key: value for key, value in node.read_json(f"{RUN}/keys.json").items() if key.endswith("Key")})
            for other in self.nodes:
                other.write(f"{STATE}/nodes/{node.name}.json", document)

    def rotate(self):
        self.number += 1
        epoch = f"{self.number}-{os.urandom(4).hex()}"
        self.secrets[epoch] = os.urandom(32)
        self.listed = [epoch] + self.listed[:1]
        for node in self.nodes:
            if node.name not in self.away:
                self.bring(node)
        return epoch

    def bring(self, node):
        """The listed epochs to one node: first the copies, then the list, then what is over goes."""
        document = {"apiVersion": 1, "interval": 43200,
                    "epochs": [{"id": epoch, "number": int(epoch.split("-")[0]), "created": 1790000000} for epoch in self.listed]}
        number = self.nodes.index(node) + 1
        for epoch in self.listed:
            if epoch not in copies(node):
                public = public_key(node)
                node.write(f"{RUN}/remote/keys/{epoch}.json", {
                    "apiVersion": 1, "epoch": epoch, "sealed": seal(epoch, self.secrets[epoch], public), "key": fingerprint(public),
                    "number": number}, mode=0o600)
        node.write(EPOCHS, document)
        for epoch in copies(node):
            if epoch not in self.listed:
                node.remove(f"{RUN}/remote/keys/{epoch}.json")

    def carry(self):
        """What nodes say about their associations, to those it is for."""
        for sender in self.nodes:
            for receiver in self.nodes:
                place = f"{RUN}/associations/{receiver.name}.json"
                if sender is receiver or {sender.name, receiver.name} & self.away or not sender.exists(place):
                    continue
                text = sender.read(place)
                if self._carried.get((sender.name, receiver.name)) != text:
                    receiver.write(f"{RUN}/remote/associations/{sender.name}.json", text)
                    self._carried[sender.name, receiver.name] = text
                    self.history.append((sender.name, receiver.name, json.loads(text)))

    def agreed(self, epoch):
        """Whether every node says that it sends to every other one in this epoch."""
        for sender in self.nodes:
            for receiver in self.nodes:
                place = f"{RUN}/associations/{receiver.name}.json"
                if sender is not receiver:
                    said = sender.read_json(place) if sender.exists(place) else {}
                    if not said.get("sending") or said["send"]["epoch"] != epoch or not any(
                            entry["spi"] == said["sending"] and entry["epoch"] == epoch
                            for entry in receiver.read_json(f"{RUN}/associations/{sender.name}.json")["receive"]):
                        return False
        return True

    def forget(self, node):
        """It has lost everything it was told: tell it again."""
        self._carried = {pair: text for pair, text in self._carried.items() if pair[1] != node.name}

    def _run(self):
        while not self._stop.wait(0.05):
            with contextlib.suppress(FileNotFoundError):
                self.carry()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def associations(node):
    """The kernel's, as `ip xfrm state` tells them: (source, destination) → {SPI: key with salt, hex}."""
    found = {}
    text = node.must("ip xfrm state")
    for part in re.split(r"(?m)^(?=src )", text):
        head = re.match(r"src (\S+) dst (\S+)\s+proto esp spi 0x([0-9a-f]+) reqid 5700", part)
        key = re.search(r"aead rfc4106\(gcm\(aes\)\) 0x([0-9a-f]{72}) 128", part)
        if head and key:
            found.setdefault((head[1], head[2]), {})[int(head[3], 16)] = key[1]
    return found


def sending(node, to):
    """The SPI the node's policy for a peer is pinned to; None without one."""
    text = node.must(f"ip xfrm policy list dst {to.address(4)}/32 dir out")
    spi = re.search(r"proto esp spi 0x([0-9a-f]+) reqid 5700", text)
    return int(spi[1], 16) if spi else None
