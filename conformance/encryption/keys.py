"""Keys as an outsider sees them: sealed copies opened and associations' keys derived with PyNaCl and hashlib, not with our code."""
import base64
import hashlib
import json
import os
import re

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


def in_memory_of(pid, secret):
    """How often the raw bytes are in a process."""
    count = 0
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not match or "[v" in line:
                continue
            begin, end = (int(part, 16) for part in match.groups())
            try:
                memory.seek(begin)
                count += memory.read(end - begin).count(secret)
            except (OSError, ValueError, OverflowError):
                pass
    return count


def what_it_says(node):
    """Everything this node's programs show to people and to monitoring."""
    said = [node.ctl_ok(command, timeout=20) for command in ("cluster status", "cluster status --json", "status", "status --json", "network ls")]
    agent = node.daemons["fairlead-agent"]
    said += [agent.log(), json.dumps(agent.status()), agent.metrics() if isinstance(agent.metrics(), str) else str(agent.metrics())]
    for name in ("cmdline", "environ"):
        with open(f"/proc/{agent.pid}/{name}", "rb") as file:
            said.append(file.read().decode("latin-1"))
    return "\n".join(said).encode("latin-1", "replace")
