"""depmod and a load order, from the .modinfo section of the modules: kmod need not be installed."""
import os
import struct


def _sections(data):
    """{name: bytes} of a 64-bit little-endian ELF object."""
    offset = struct.unpack_from("<Q", data, 40)[0]
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
    text = headers[names][4]
    return {data[text + h[0]:data.index(b"\0", text + h[0])].decode(): data[h[4]:h[4] + h[5]] for h in headers}


def modinfo(path):
    """[(key, value)] of a module file."""
    with open(path, "rb") as file:
        section = _sections(file.read()).get(".modinfo", b"")
    return [tuple(entry.decode(errors="replace").split("=", 1)) for entry in section.split(b"\0") if b"=" in entry]


class Modules:
    """All modules below lib/modules/VERSION: names as in lsmod (underscores)."""

    def __init__(self, folder):
        self.folder = folder
        self.path, self.depends, self.aliases = {}, {}, []
        self._providers = {}
        for parent, _, files in os.walk(folder):
            for file in files:
                if file.endswith(".ko"):
                    self._add(os.path.relpath(os.path.join(parent, file), folder))
        for alias, name in self.aliases:
            self._providers.setdefault(alias.replace("-", "_"), []).append(name)

    def _add(self, path):
        name = os.path.basename(path)[:-3].replace("-", "_")
        self.path[name] = path
        self.depends[name] = []
        for key, value in modinfo(os.path.join(self.folder, path)):
            if key in ("depends", "softdep"):
                words = value.replace("pre:", "").split("post:")[0].replace(",", " ").split()
                self.depends[name] += [word.replace("-", "_") for word in words]
            elif key == "alias":
                self.aliases.append((value, name))

    def closure(self, names):
        """Paths of these modules and all they need, dependencies first. KeyError for an unknown one."""
        ordered = []

        def visit(name, top):
            if name not in self.path:
                # A soft dependency may name an algorithm ("crc32c"); the generic one runs on every CPU.
                name = min(self._providers.get(name, [name]), key=lambda n: not n.endswith("_generic"))
            if name not in self.path:
                if top:
                    raise KeyError(f"no module {name} in {self.folder}")
                return           # built into the kernel
            if self.path[name] in ordered:
                return
            for needed in self.depends[name]:
                visit(needed, False)
            ordered.append(self.path[name])

        for name in names:
            visit(name, True)
        return ordered

    def write_index(self):
        """modules.dep, modules.alias, modules.symbols as modprobe reads them."""
        with open(f"{self.folder}/modules.dep", "w") as file:
            for name, path in sorted(self.path.items()):
                needed = [p for p in self.closure([name]) if p != path]
                file.write(f"{path}: {' '.join(reversed(needed))}".rstrip() + "\n")
        with open(f"{self.folder}/modules.alias", "w") as file:
            file.writelines(f"alias {alias} {name}\n" for alias, name in self.aliases)
        open(f"{self.folder}/modules.symbols", "w").close()
