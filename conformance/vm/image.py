"""Debian's kernel, downloaded and unpacked into a cache folder, never installed; with an initramfs of our own.

Promise: prepare() returns a complete folder or raises VmError; two runs at once share one download.
"""
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

from .cpio import Archive
from .modules import Modules

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
METAPACKAGE = "linux-image-amd64"
BUSYBOX = "/bin/busybox"
XZ_MAGIC = b"\xfd7zXZ\x00"

# What mounts the root, in the initramfs' first step.
ROOT_MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "virtio_console"]
# What the suites need; the rest is loaded on demand by the kernel calling modprobe.
LAB_MODULES = """ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_lblc ip_vs_lblcr ip_vs_dh ip_vs_sh ip_vs_sed ip_vs_nq
 ip_vs_fo ip_vs_ovf ip_vs_mh nf_conntrack nf_conntrack_netlink nf_nat nf_tables nfnetlink nft_ct nft_nat nft_masq nft_fib
 nft_fib_inet nft_hash nft_numgen nft_limit nft_log nft_reject_inet nft_redir nft_objref nft_chain_nat nft_xfrm nft_quota
 nft_flow_offload nft_tproxy nft_socket nf_flow_table_inet nft_compat x_tables ip_tables veth vxlan dummy bridge esp4 esp6
 xfrm_user gcm ghash_generic seqiv echainiv aesni_intel wireguard tun sctp macvlan ipvlan 8021q sch_netem inet_diag
 tcp_diag udp_diag unix_diag""".split()
# Modules that are not worth their space in the cache: sound, graphics, real hardware.
WANTED = re.compile(r"lib/modules/[^/]+/(modules\.|kernel/(net|crypto|lib|fs|arch|drivers/(net|virtio|char|block|crypto|md|"
                    r"tty|dax|ptp|pps)))|boot/vmlinuz")


class VmError(Exception):
    """One line for the person: what, why, what to do."""


def cache_folder():
    if os.environ.get("FAIRLEAD_VM_CACHE"):
        return os.environ["FAIRLEAD_VM_CACHE"]
    if os.environ.get("XDG_CACHE_HOME"):
        return os.environ["XDG_CACHE_HOME"] + "/fairlead-vm"
    return "/var/cache/fairlead-vm" if os.access("/var/cache", os.W_OK) else f"{REPOSITORY}/build/vm"


def _output(argv, what):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        raise VmError(f"{what}: no program {argv[0]}: run `make deps`") from None
    if done.returncode != 0:
        raise VmError(f"{what}: {' '.join(argv)} exited {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def kernel_package():
    """(package name, version) of the kernel image that linux-image-amd64 depends on now."""
    text = _output(["apt-cache", "depends", METAPACKAGE], "which kernel does Debian have")
    names = re.findall(r"Depends: (linux-image-[0-9]\S*-amd64)", text)
    if not names:
        raise VmError(f"apt-cache depends {METAPACKAGE} names no kernel: run `apt-get update`")
    policy = _output(["apt-cache", "policy", names[0]], "which version")
    version = re.search(r"Candidate: (\S+)", policy)
    if not version or version.group(1) == "(none)":
        raise VmError(f"{names[0]} has no candidate: run `apt-get update`")
    return names[0], version.group(1)


def _newest_cached(cache):
    """A kernel of an earlier run; used when apt knows none (offline)."""
    complete = [entry.path for entry in os.scandir(cache) if os.path.exists(f"{entry.path}/complete")]
    return max(complete, key=os.path.getmtime, default=None)


def prepare(say=lambda text: None):
    """→ folder with vmlinux, initramfs, lib/modules/VERSION."""
    cache = cache_folder()
    os.makedirs(cache, exist_ok=True)
    with open(f"{cache}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            package, version = kernel_package()
        except VmError:
            folder = _newest_cached(cache)
            if folder is None:
                raise
        else:
            folder = f"{cache}/{package}_{version.replace(':', '%3a')}"
            if not os.path.exists(f"{folder}/complete"):
                say(f"downloading {package} {version} to {cache}")
                _fetch(package, version, folder)
        _initramfs(folder)
    return folder


def _fetch(package, version, folder):
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as scratch:
        done = subprocess.run(["apt-get", "download", "-qq", f"{package}={version}"], cwd=scratch, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        debs = [name for name in os.listdir(scratch) if name.endswith(".deb")]
        if done.returncode != 0 or len(debs) != 1:
            raise VmError(f"apt-get download {package}={version} failed: {done.stderr.strip()[-500:]}: "
                          "run `apt-get update`, or set FAIRLEAD_VM_CACHE to a folder that has it")
        os.mkdir(f"{scratch}/x")
        unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", f"{scratch}/{debs[0]}"], stdout=subprocess.PIPE)
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                member.name = member.name.removeprefix("./")
                if member.isfile() and WANTED.match(member.name):
                    archive.extract(member, f"{scratch}/x")
        if unpack.wait() != 0:
            raise VmError(f"dpkg-deb cannot unpack {debs[0]}")
        boot = [name for name in os.listdir(f"{scratch}/x/boot") if name.startswith("vmlinuz-")]
        os.rename(f"{scratch}/x/boot/{boot[0]}", f"{scratch}/x/vmlinuz")
        _unpack_kernel(f"{scratch}/x")
        Modules(_modules_folder(f"{scratch}/x")).write_index()
        open(f"{scratch}/x/complete", "w").close()
        os.rename(f"{scratch}/x", folder)


def _unpack_kernel(folder):
    """vmlinux from vmlinuz: an emulated CPU needs seconds for what this one does in a fraction of one."""
    with open(f"{folder}/vmlinuz", "rb") as file:
        data = file.read()
    start = data.find(XZ_MAGIC)
    plain = lzma.LZMADecompressor().decompress(data[start:]) if start >= 0 else b""
    if plain.startswith(b"\x7fELF"):
        with open(f"{folder}/vmlinux", "wb") as file:
            file.write(plain)
    else:
        os.link(f"{folder}/vmlinuz", f"{folder}/vmlinux")     # compressed otherwise: it boots too, only slower


def _modules_folder(folder):
    return f"{folder}/lib/modules/{os.listdir(folder + '/lib/modules')[0]}"


def _initramfs(folder):
    """Made anew when the init script, the module lists or busybox changed."""
    with open(f"{HERE}/init", "rb") as file:
        init = file.read()
    try:
        with open(BUSYBOX, "rb") as file:
            busybox = file.read()
    except FileNotFoundError:
        raise VmError(f"no {BUSYBOX}: install busybox-static (`make deps`)") from None
    lists = " ".join(ROOT_MODULES + LAB_MODULES)
    digest = hashlib.sha256(init + busybox + lists.encode()).hexdigest()
    stamp = f"{folder}/initramfs.sha256"
    if os.path.exists(stamp) and open(stamp).read() == digest:
        return
    modules = Modules(_modules_folder(folder))
    archive = Archive()
    archive.folder("dev")
    archive.device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox, 0o755)
    archive.file("init", init, 0o755)
    first = modules.closure(ROOT_MODULES)
    second = [path for path in modules.closure(LAB_MODULES) if path not in first]
    for name, paths in (("first", first), ("second", second)):
        archive.file(f"modules/{name}", "".join(f"/modules/{os.path.basename(path)}\n" for path in paths))
        for path in paths:
            with open(f"{modules.folder}/{path}", "rb") as file:
                archive.file(f"modules/{os.path.basename(path)}", file.read())
    with open(f"{folder}/initramfs.new", "wb") as file:
        file.write(archive.bytes())
    os.rename(f"{folder}/initramfs.new", f"{folder}/initramfs")
    with open(stamp, "w") as file:
        file.write(digest)
