"""A container: a plain network namespace of a host, attached the way libcni does it."""
import collections
import hashlib
import json
import os
import signal

from . import kernel, netlink
from .place import Place

CNI_PATH_OF_DEBIAN = "/usr/lib/cni"
CniOutcome = collections.namedtuple("CniOutcome", "rc out err json")


class CniError(AssertionError):
    """A plugin said no: code, msg, details of its error object (code None: it printed none)."""

    def __init__(self, what, outcome):
        error = outcome.json if isinstance(outcome.json, dict) else {}
        self.code, self.msg, self.details = error.get("code"), error.get("msg", ""), error.get("details", "")
        self.outcome = outcome
        super().__init__(f"{what}: exit {outcome.rc}, code {self.code}: {self.msg} {self.details} "
                         f"{outcome.err if not error else ''}")


def conflist(network, version="1.0.0", subnets=None, plugins=(), **keys):
    """One fairlead plugin with fairlead-ipam; keys go into it; `plugins` are chained behind it."""
    plugin = {"type": "fairlead", "network": network,
              "capabilities": {"portMappings": True, "aliases": True, "ips": True, "mac": True, "dns": True},
              "ipam": {"type": "fairlead-ipam"}}
    if subnets is not None:
        plugin["subnets"] = list(subnets)
    plugin.update(keys)
    return {"cniVersion": version, "name": network, "plugins": [plugin, *plugins]}


class Container(Place):
    """netns: the path given as CNI_NETNS; id: CNI_CONTAINERID. ip, ip6, gateway, gateway6, mac: of the last ADD's result."""

    def __init__(self, host, name, pid_holding=False):
        self.host = host
        self.id = hashlib.sha256(f"{host.name}/{name}".encode()).hexdigest()
        super().__init__(host.lab, name, kernel.new_net_namespace(), host)
        with self.inside():
            netlink.set_link("lo", up=True)
        self._conf, self._holder = None, None
        self._pin = f"/run/netns/{name}"
        if pid_holding:
            self._holder = Place.popen(self, "sleep", "infinity")
            self.netns = f"/proc/{self._pid_in_host(self._holder.pid)}/ns/net"
        else:
            self.netns = self._pin
            # The child's /proc is the host's, where it has a pid of its own; the descriptor is inherited.
            host.call(_pin, self._net_fd, self._pin)
        host.containers[name] = self
        self.lab.transcript.say(f"{host.name}: container {name} {self.id[:12]} {self.netns}")

    @staticmethod
    def _pid_in_host(pid):
        with open(f"/proc/{pid}/status") as file:
            return next(line.split()[-1] for line in file if line.startswith("NSpid:"))

    # -- CNI ---------------------------------------------------------------------------------------------
    def cni(self, command, conf, ifname="eth0", args=None, plugin=None, stdin=None, timeout=20, **environment):
        """One plugin call. environment: further variables, e.g. CNI_NETNS=""; None removes one. → rc out err json"""
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": self.id, "CNI_NETNS": self.netns, "CNI_IFNAME": ifname,
               "CNI_ARGS": cni_args(args), "CNI_PATH": f"{self.lab.binaries}:{CNI_PATH_OF_DEBIAN}"}
        env.update(environment)
        program = self._plugin(plugin or conf["type"])
        document = stdin if stdin is not None else json.dumps(conf)
        self.lab.transcript.say(f"{self.name}: CNI {command} {ifname} {conf if isinstance(document, str) else '(bytes)'}"
                                + (f" {environment}" if environment else ""))
        result = self.host.run([program], input=document, env=env, timeout=timeout)
        try:
            parsed = json.loads(result.out) if result.out.strip() else None
        except ValueError:
            parsed = None
        return CniOutcome(result.rc, result.out, result.err, parsed)

    def _plugin(self, name):
        for folder in (self.lab.binaries, CNI_PATH_OF_DEBIAN):
            if os.access(f"{folder}/{name}", os.X_OK):
                return f"{folder}/{name}"
        raise AssertionError(f"no CNI plugin {name} in {self.lab.binaries} or {CNI_PATH_OF_DEBIAN}")

    def attach(self, conf, ifname="eth0", args=None, capabilities=None):
        """ADD of a list (or single plugin conf). Raises CniError; like libcni it undoes nothing then."""
        result = None
        for plugin_conf in prepared(conf, capabilities):
            if result is not None:
                plugin_conf["prevResult"] = result
            outcome = self.cni("ADD", plugin_conf, ifname, args)
            if outcome.rc != 0 or outcome.json is None:
                raise CniError(f"ADD {self.name} {ifname} {plugin_conf['type']}", outcome)
            result = outcome.json
        self._conf = (conf, ifname, args, capabilities)
        self.attachment = result
        return result

    def detach(self, conf=None, ifname=None, netns=None):
        """DEL in reverse order with prevResult, of the last attachment unless told otherwise."""
        self._each("DEL", conf, ifname, reverse=True, **({} if netns is None else {"CNI_NETNS": netns}))
        self.attachment = None

    def check(self, conf=None, ifname=None):
        self._each("CHECK", conf, ifname)

    def _each(self, command, conf, ifname, reverse=False, **environment):
        if not self._conf and not conf:
            raise AssertionError(f"{self.name} was never attached: say which configuration")
        last_conf, last_ifname, args, capabilities = self._conf or (conf, "eth0", None, None)
        confs = prepared(conf or last_conf, capabilities)
        for plugin_conf in reversed(confs) if reverse else confs:
            if self.attachment is not None and plugin_conf.get("cniVersion", "0.1.0") >= "0.4.0":
                plugin_conf["prevResult"] = self.attachment
            outcome = self.cni(command, plugin_conf, ifname or last_ifname, args, **environment)
            if outcome.rc != 0:
                raise CniError(f"{command} {self.name} {plugin_conf['type']}", outcome)

    # -- what it got -------------------------------------------------------------------------------------
    def _ips(self, version):
        found = [entry for entry in (self.attachment or {}).get("ips", []) if (":" in entry["address"]) == (version == 6)]
        return found[0] if found else {}

    @property
    def ip(self):
        return self._ips(4).get("address", "").split("/")[0] or None

    @property
    def ip6(self):
        return self._ips(6).get("address", "").split("/")[0] or None

    @property
    def gateway(self):
        return self._ips(4).get("gateway")

    @property
    def gateway6(self):
        return self._ips(6).get("gateway")

    @property
    def mac(self):
        return next((i["mac"] for i in (self.attachment or {}).get("interfaces", []) if i.get("sandbox")), None)

    def kill(self):
        """The namespace goes away as when a runtime crashed: no DEL. (Sockets a test still holds keep it alive.)"""
        self.lab.transcript.say(f"{self.name}: its namespace is removed without DEL")
        if self._holder:
            self._holder.signal(signal.SIGKILL)
            self._holder.wait()
        else:
            self.host.call(_unpin, self._pin)
        os.close(self._net_fd)
        self._net_fd = -1


def prepared(conf, capabilities):
    """The stdin documents of the plugins of a list, as libcni makes them."""
    plugins = conf.get("plugins", [conf])
    documents = []
    for plugin in plugins:
        document = dict(plugin, name=conf["name"])
        if "cniVersion" in conf:
            document["cniVersion"] = conf["cniVersion"]
        wanted = {key: value for key, value in (capabilities or {}).items() if plugin.get("capabilities", {}).get(key)}
        if wanted:
            document["runtimeConfig"] = wanted
        documents.append(document)
    return documents


def cni_args(args):
    """{"K8S_POD_NAME": "x"} → "IgnoreUnknown=1;K8S_POD_NAME=x"; text stays."""
    if not args:
        return ""
    if isinstance(args, str):
        return args
    return ";".join(f"{key}={value}" for key, value in {"IgnoreUnknown": "1", **args}.items())


def _pin(fd, path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    kernel.mount(f"/proc/self/fd/{fd}", path, None, kernel.MS_BIND)


def _unpin(path):
    kernel.umount(path, kernel.MNT_DETACH)
    os.unlink(path)
