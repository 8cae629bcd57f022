"""runc alone: the caller makes the namespace, drives the plugin, and hands the namespace to the container."""
import io
import tarfile

from demo import image
from lab import *
from .podman import Podman
from .containerd import Containerd
from .template import cni_list
from .world import WEB, World, seen_from, tmpfs


def bundle(world, name, netns, *command):
    """A folder with a root file system of Debian's busybox and a config.json that joins the namespace."""
    host, folder = world.node, f"/run/bundles/{name}"
    if not host.exists("/run/bundles"):
        tmpfs(host, "/run/bundles")
    host.must("mkdir", "-p", f"{folder}/rootfs")
    with tarfile.open(fileobj=io.BytesIO(image.make_layer())) as archive:
        archive.extractall(host.path(f"{folder}/rootfs"))
    host.must("runc", "spec", "--bundle", folder)
    spec = host.read_json(f"{folder}/config.json")
    spec["process"].update(terminal=False, args=list(command), env=["PATH=/bin", f"DEMO_NAME={name}"])
    del spec["process"]["rlimits"]
    spec["root"]["readonly"] = False
    spec["linux"]["cgroupsPath"] = f"{world.cgroup}/{name}"
    for namespace in spec["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = netns
    host.write(f"{folder}/config.json", spec)
    return folder


@needs("program:runc")
@limit(120)
def test_RT_40_runc_joins_an_attached_namespace(lab):
    w = World(lab)
    place = w.node.container("web-1")
    place.attach(cni_list("appnet"), args={"FAIRLEAD_NAME": "web-1", "FAIRLEAD_ALIASES": "www"})
    folder = bundle(w, "web-1", place.netns, *WEB)
    w.node.write(f"{folder}/rootfs/etc/resolv.conf", f"nameserver {w.gateway()}\nsearch appnet.fairlead.internal\n")
    w.node.popen("runc", "run", "--bundle", folder, "web-1")
    for name in ("web-1", "www"):
        w.resolves(name, place.ip)
    eventually(lambda: seen_from(w.client(), place.ip, 8080) == ("web-1", w.client().ip), 10, "the container answers at its address")
    contains(w.node.must("runc", "exec", "web-1", "nslookup", "client-appnet.appnet.fairlead.internal"), w.client().ip, "and resolves others")
    contains(w.node.must("runc", "exec", "web-1", "ip", "route"), "default via 10.40.0.1 dev eth0", "with the network's default route")
    w.node.must("runc", "delete", "--force", "web-1")
    true(place.ping(w.gateway()) is not None, "the namespace outlives the container: it is the caller's to delete")
    place.detach()
    w.nothing_left()


@needs("program:runc", "program:containerd", "program:podman")
@limit(120)
def test_RT_50_containers_of_three_runtimes_share_a_network(lab):
    w = World(lab, lb=True)
    w.node.ctl_ok("service create web --network appnet --port 80:8080")
    containerd = Containerd(w, "appnet", cri=True)
    podman = Podman(w, "appnet")
    cri = containerd.cri
    config = cri.sandbox_config("by-containerd", dns=[w.gateway()], annotations={"fairlead.service": "web"})
    pod = cri.run_pod(config)
    container = cri.run_container(pod, config, "httpd", *WEB, env={"DEMO_NAME": "by-containerd"})
    w.node.must("podman", "run", "-d", "--cgroup-parent", w.cgroup, "--name", "by-podman", "--network", "appnet", "-e", "DEMO_NAME=by-podman",
                "docker.io/fairlead/demo:1", *WEB, env={"CNI_ARGS": "FAIRLEAD_SERVICES=web"})
    place = w.node.container("by-runc")
    place.attach(cni_list("appnet", services=["web"]), args={"FAIRLEAD_NAME": "by-runc"})
    w.node.popen("runc", "run", "--bundle", bundle(w, "by-runc", place.netns, *WEB), "by-runc")
    vip = w.node.ctl_json("service inspect web --network appnet")["vips"][0]
    asks = {"containerd": lambda name: cri.exec(container, "timeout", "5", "wget", "-q", "-O", "-", f"http://{name}:8080/cgi-bin/who")[1],
            "podman": lambda name: podman.exec("by-podman", "timeout", "5", "wget", "-q", "-O", "-", f"http://{name}:8080/cgi-bin/who").out}
    for asker, ask in asks.items():
        for name in ("by-containerd", "by-podman", "by-runc"):
            eventually(lambda: ask(f"{name}.appnet.fairlead.internal").startswith(name), 5, f"a container of {asker} finds {name}")
    eventually(lambda: {seen_from(w.client(), vip, 80)[0] for _ in range(6)} == {"by-containerd", "by-podman", "by-runc"}, 5,
               "one service has replicas of all three")
    tasks = sorted(w.endpoint(name)["addresses"][0] for name in ("by-containerd", "by-podman", "by-runc"))
    equal(sorted(w.client().dns("tasks.web").addresses), tasks, "and its tasks are theirs")
    cri.stop_pod(pod)
    podman.must("rm", "-f", "-t", "0", "by-podman")
    w.node.must("runc", "delete", "--force", "by-runc")
    place.detach()
    w.nothing_left()
