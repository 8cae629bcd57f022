"""A container image from Debian's static busybox, as the archive `docker save` makes and every runtime imports."""
import hashlib
import io
import json
import subprocess
import tarfile

BUSYBOX = "/bin/busybox"
# The page of the demo's web server: who answers, and whom it sees asking.
PAGE = """#!/bin/sh
echo "Content-Type: text/plain"
echo
echo "$DEMO_NAME sees $REMOTE_ADDR"
"""


def _add(archive, name, content=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.linkname = len(content), mode, kind, link
    archive.addfile(entry, io.BytesIO(content))


def make_layer():
    """A tar archive of the root file system."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "www", "www/cgi-bin"):
            _add(archive, folder, kind=tarfile.DIRTYPE)
        with open(BUSYBOX, "rb") as file:
            _add(archive, "bin/busybox", file.read())
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                _add(archive, f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox")
        _add(archive, "www/cgi-bin/who", PAGE.encode())
        _add(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
        _add(archive, "etc/resolv.conf", b"", 0o644)
    return buffer.getvalue()


def archive(name, command=("/bin/sh",), layer=None):
    """The bytes of an image archive whose only image is called name; layer: its only layer, from make_layer()."""
    layer = layer or make_layer()
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as outer:
        _add(outer, "layer.tar", layer, 0o644)
        _add(outer, config_name, config, 0o644)
        _add(outer, "manifest.json", manifest, 0o644)
    return buffer.getvalue()
