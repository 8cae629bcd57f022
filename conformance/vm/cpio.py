"""An initramfs archive in cpio's newc format, which the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format)."""
import stat


class Archive:
    """Add files, then bytes(). Folders of a path are made as needed."""

    def __init__(self):
        self._parts, self._folders, self._count = [], set(), 0

    def _entry(self, path, mode, data, device=(0, 0)):
        self._count += 1
        name = path.encode() + b"\0"
        fields = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def folder(self, path):
        if path and path not in self._folders:
            self.folder(path.rpartition("/")[0])
            self._folders.add(path)
            self._entry(path, stat.S_IFDIR | 0o755, b"")

    def file(self, path, data, mode=0o644):
        self.folder(path.rpartition("/")[0])
        self._entry(path, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def device(self, path, major, minor):
        self.folder(path.rpartition("/")[0])
        self._entry(path, stat.S_IFCHR | 0o600, b"", (major, minor))

    def bytes(self):
        self._entry("TRAILER!!!", 0, b"")
        data = b"".join(self._parts)
        return data + b"\0" * (-len(data) % 512)
