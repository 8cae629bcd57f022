"""The story of the demo: three machines become a cluster; a service whose replicas run on two of them is one service for
everybody, whatever is killed or cut."""
import collections
import json
import time

import containers
from lab.check import eventually
from lab.lab import Lab
from story import Story, tell

WEB = "httpd -f -p 8080 -h /www"
ASK = "timeout 5 wget -q -O - http://web/cgi-bin/who"
GATEWAY = {"appnet": "10.32.0.1", "other": "10.33.0.1"}


def seer(answer):
    """The address a replica says it was asked from; its dual-stack socket shows IPv4 as ::ffff:a.b.c.d."""
    return answer.split()[-1].strip("[]").removeprefix("::ffff:")


class Demo(Story):
    def __init__(self, names=("n1", "n2", "n3")):
        super().__init__()
        self.lab = Lab()
        self.wire = self.lab.segment("wire")
        self.nodes = [self.lab.host(name, self.wire) for name in names]
        self.n1, self.n2, self.n3 = (self.nodes + [None])[:3]
        self.client = self.lab.outside(self.wire)
        self.runtimes = {}

    def ctl(self, node, command, **options):
        result = node.ctl(command, timeout=40, **options)
        self.show(node.name, f"fairleadctl {command}", result.out + result.err)
        self.expect(result.rc == 0, "done")
        return result.out

    def join(self, node, role):
        token = self.n1.ctl_ok(f"cluster token {role}", timeout=20)
        result = node.ctl(f"cluster join {self.n1.address(4)}", input=token, timeout=60)
        self.show(node.name, f"ssh n1 fairleadctl cluster token {role} | fairleadctl cluster join {self.n1.address(4)}",
                  result.out + result.err)
        self.expect(result.rc == 0, "joined")

    def run(self, node, name, network="appnet", services=(), command="sleep 3600"):
        self.runtimes[node.name].run(name, network, GATEWAY[network], services, command)

    def ask(self, node, name, command, times=1):
        runtime = self.runtimes[node.name]
        outputs = [runtime.exec(name, command).out.strip() for _ in range(times)]
        self.show(node.name, runtime.shown(name, command) + (f"   # {times} times" if times > 1 else ""), "\n".join(outputs))
        return outputs

    def asked(self, times=4):
        """Who answered the client; "" where nobody did."""
        outputs = [self.runtimes["n3"].exec("client", ASK).out for _ in range(times)]
        return collections.Counter((output.split() or [""])[0] for output in outputs)

    def answers_from(self, who, within, what):
        """Until all these replicas and no others answer the client. → seconds it took"""
        begin = time.monotonic()
        eventually(lambda: set(self.asked()) == set(who), within, what)
        return time.monotonic() - begin

    def curl(self, node, version=4):
        address = node.address(version)
        answer = self.client.http_get(address, 8000, "/cgi-bin/who").body.strip()
        self.show("outside", f"curl http://{'[' + address + ']' if version == 6 else address}:8000/cgi-bin/who", answer)
        return answer

    def endpoint(self, node, name):
        return next(e for e in node.ctl_json("endpoint ls") if e["container"].endswith(name) or name in e.get("names", []))

    # -- the steps -------------------------------------------------------------------------------------------
    def found(self):
        self.step("Three machines become a cluster: one founds it, two join as managers")
        for node in self.nodes:
            node.set_resolv_conf(self.client.address(4))
            node.start_agent()
            node.start_lb()
            node.start_dns()
        self.ctl(self.n1, f"cluster init --advertise {self.n1.address(4)}")
        for node in (self.n2, self.n3):
            self.join(node, "manager")

        def has_vote(name):
            return any(f"manager {name} has its vote" in node.daemons["fairlead-agent"].log() for node in self.nodes)
        eventually(lambda: has_vote("n2") and has_vote("n3"), 30, "all three have their votes")
        self.show("n1", "fairleadctl cluster status", self.n1.ctl_ok("cluster status", timeout=20))
        balancer = json.loads(self.n1.daemons["fairlead-lb"].status()).get("balancer", "?")
        self.note(f"balancer: {balancer}" + ("; this kernel has no IPVS, `make test` shows it in a VM with Debian's kernel"
                                             if balancer == "nft" else ""))

    def networks(self):
        self.step("Two networks, and a service with a virtual address and a published port; every machine learns of them")
        self.ctl(self.n1, "network create appnet --subnet 10.32.0.0/16 --subnet fd32::/64")
        self.ctl(self.n2, "network create other --subnet 10.33.0.0/16")
        self.ctl(self.n3, "service create web --network appnet --port 80:8080 --publish 8000:8080 --health http:8080/cgi-bin/who")

    def replicas(self):
        for node, runtime in ((self.n1, containers.Containerd), (self.n2, containers.Podman), (self.n3, containers.Containerd)):
            self.runtimes[node.name] = containers.start(node, runtime)
        kinds = {name: runtime.kind for name, runtime in self.runtimes.items()}
        self.step(f"A replica on n1 ({kinds['n1']}) and on n2 ({kinds['n2']}); a client, and a stranger on the other network, on n3")
        self.run(self.n1, "web-1", services=["web"], command=WEB)
        self.run(self.n2, "web-2", services=["web"], command=WEB)
        self.run(self.n3, "client")
        self.run(self.n3, "stranger", "other")
        eventually(lambda: len(self.n3.ctl_json("endpoint ls")) == 4, 15, "n3 knows all four")
        self.show("n3", "fairleadctl endpoint ls", self.n3.ctl_ok("endpoint ls"))
        self.answers_from({"web-1", "web-2"}, 20, "both replicas answer")
        self.show("n3", "fairleadctl service ls", self.n3.ctl_ok("service ls"))

    def by_name(self):
        self.step("The client on n3 asks for the service by name: one virtual address, the replicas of n1 and n2 in turn")
        name, = self.ask(self.n3, "client", "nslookup web.appnet.fairlead.internal 10.32.0.1")
        vip = self.n3.ctl_json("service inspect web --network appnet")["vips"][0]
        self.expect(vip in name, f"the name is the virtual address {vip}")
        answers = self.ask(self.n3, "client", ASK, times=6)
        count = collections.Counter(answer.split()[0] for answer in answers if answer)
        self.expect(count == {"web-1": 3, "web-2": 3}, f"three answers from each machine: {dict(count)}")
        seen = seer(answers[0])
        self.expect(seen in self.endpoint(self.n3, "client")["addresses"], f"the replicas see the client's own address {seen}")

    def published(self):
        self.step("From outside, by the published port of n3, which has no replica: the client's own address arrives")
        answers = [self.curl(self.n3), self.curl(self.n3), self.curl(self.n3, 6)]
        self.expect({a.split()[0] for a in answers[:2]} == {"web-1", "web-2"}, "both replicas answer through n3")
        self.expect(all(seer(a) == self.client.address(4) for a in answers[:2]), f"they see {self.client.address(4)}")
        self.expect(seer(answers[2]) == self.client.address(6), f"and by IPv6 {self.client.address(6)}")

    def walls(self):
        self.step("The other network cannot reach in, by name or by address")
        web = self.endpoint(self.n3, "web-1")["addresses"][0]
        ask = f"timeout 3 wget -q -O - http://{web}:8080/cgi-bin/who || echo no answer"
        reached, = self.ask(self.n3, "client", ask)
        self.expect(reached.startswith("web-1"), "the client reaches web-1 on n1 by its address (so there is something to reach)")
        blocked, = self.ask(self.n3, "stranger", ask)
        self.expect("no answer" in blocked and "web-1" not in blocked, "the stranger does not")
        name, = self.ask(self.n3, "stranger", "nslookup web.appnet.fairlead.internal 10.33.0.1 || true")
        self.expect("NXDOMAIN" in name and "10.32" not in name, "nor does it learn the address: names are those of its own networks")

    def manager_killed(self):
        self.step("A manager is killed: nothing happens but that there are two")
        self.n1.daemons["fairlead-agent"].kill9()
        self.show("n1", "pkill -9 fairlead-agent   # its etcd dies with it", "")
        count = self.asked(times=8)
        self.expect(set(count) == {"web-1", "web-2"}, f"all requests are answered: {dict(count)}")
        eventually(lambda: self.n2.ctl("network create third --subnet 10.34.0.0/16", timeout=20).rc == 0, 30, "n2 creates a network")
        self.show("n2", "fairleadctl network create third --subnet 10.34.0.0/16", "")
        self.expect(True, "the two others go on deciding")
        self.n1.daemons["fairlead-agent"].start()
        eventually(lambda: "third" in self.n1.ctl_ok("network ls"), 30, "n1 knows the network")
        self.show("n1", "fairlead-agent &   # started again", "")
        self.answers_from({"web-1", "web-2"}, 20, "both replicas answer")
        self.expect(True, "it has caught up, and both replicas answer")

    def partition(self):
        self.step("n2 is cut off: its replica leaves every balancer; containers come and go there meanwhile; then it is back")
        self.wire.cut(self.n2)
        took = self.answers_from({"web-1"}, 30, "only web-1 answers")
        self.show("n2", "ip link set eth0 down   # somebody pulls the cable", "")
        self.expect(True, f"{took:.1f} s later only web-1 is asked, by name and through n3: {self.curl(self.n3).split()[0]}")
        self.run(self.n2, "alone")
        self.expect(True, "n2 attaches a new container without a manager: its addresses are its own")
        self.wire.heal(self.n2)
        took = self.answers_from({"web-1", "web-2"}, 30, "both replicas answer")
        self.expect(True, f"healed: {took:.1f} s later both replicas answer")
        alone = self.endpoint(self.n2, "alone")["addresses"]
        eventually(lambda: any(e["addresses"] == alone for e in self.n3.ctl_json("endpoint ls")), 15, "n3 knows the new container")
        self.expect(True, f"and the others know the container that came meanwhile, {alone[0]}")

    def replica_killed(self):
        self.step("A replica is killed; the traffic moves on")
        killed = time.monotonic()
        self.show("n1", self.runtimes["n1"].kill("web-1"), "")
        self.answers_from({"web-2"}, 10, "only web-2 answers")
        self.note(f"only web-2 answers {time.monotonic() - killed:.1f} s after the kill, four requests included")
        answers = self.ask(self.n3, "client", ASK, times=4)
        self.expect(all(a.startswith("web-2") for a in answers), "every request is answered, by web-2")
        self.expect(self.curl(self.n3).startswith("web-2"), "from outside, too")

    def drift(self):
        self.step("Somebody flushes the firewall of n3 and deletes the route to n2; the agent puts them back")
        router = self.n3.router("appnet")
        self.expect("policy drop" in router.must("nft", "list", "table", "inet", "fairlead"), "the router's table is there")
        route = next(line for line in router.must("ip", "route").splitlines() if "dev vx" in line and "via" in line)
        router.must("nft", "flush", "ruleset")
        router.must("ip", "route", "flush", "dev", "vx")
        self.show("n3", f"ip netns exec {self.n3.router_name('appnet')} sh -c 'nft flush ruleset; ip route flush dev vx'", "")
        begin = time.monotonic()
        eventually(lambda: "policy drop" in router.run("nft", "list", "table", "inet", "fairlead").out and
                   route.split()[0] in router.must("ip", "route") and set(self.asked(2)) == {"web-2"}, 5, "drift is repaired")
        self.expect(True, f"repaired after {time.monotonic() - begin:.1f} s, and the service answers")


def show():
    demo = Demo()
    return tell(demo, (demo.found, demo.networks, demo.replicas, demo.by_name, demo.published, demo.walls, demo.manager_killed,
                       demo.partition, demo.replica_killed, demo.drift))
