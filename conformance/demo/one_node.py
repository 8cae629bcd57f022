"""The story of the demo on one node (design: name → VIP → replicas, a replica killed, a published port with the
client's address, networks as walls)."""
import collections
import json
import time

import containers
from lab.check import eventually
from lab.lab import Lab

WEB = "httpd -f -p 8080 -h /www"
ASK = "timeout 5 wget -q -O - http://web/cgi-bin/who"


def seer(answer):
    """The address a replica says it was asked from; its dual-stack socket shows IPv4 as ::ffff:a.b.c.d."""
    return answer.split()[-1].strip("[]").removeprefix("::ffff:")


class Wrong(Exception):
    pass


class Story:
    def __init__(self):
        self.begin, self.number = time.monotonic(), 0

    def step(self, title):
        self.number += 1
        print(f"\n{self.number}. {title}", flush=True)

    def show(self, where, command, output):
        print(f"   {where}$ {command}")
        for line in output.strip().splitlines()[:14]:
            print(f"     {line}")
        print(end="", flush=True)

    def expect(self, good, what):
        print(f"   {'ok' if good else 'WRONG'}: {what}", flush=True)
        if not good:
            raise Wrong(what)


class Demo(Story):
    def __init__(self):
        super().__init__()
        self.lab = Lab()
        wire = self.lab.segment("wire")
        self.node = self.lab.host("n1", wire)
        self.client = self.lab.outside(wire)
        self.runtime = None

    def ctl(self, command):
        result = self.node.ctl(command)
        self.show("n1", f"fairleadctl {command}", result.out + result.err)
        self.expect(result.rc == 0, "done")
        return result.out

    def ask(self, name, command, times=1):
        outputs = [self.runtime.exec(name, command).out.strip() for _ in range(times)]
        self.show("n1", self.runtime.shown(name, command) + (f"   # {times} times" if times > 1 else ""),
                  "\n".join(outputs))
        return outputs

    def serving(self):
        services = json.loads(self.node.daemons["fairlead-lb"].status())["services"]
        return next(s["serving"] for s in services if s["name"] == "web")

    def addresses(self, name):
        return next(e["addresses"] for e in self.node.ctl_json("endpoint ls") if e["container"].endswith(name))

    # -- the steps -------------------------------------------------------------------------------------------
    def start(self):
        self.step("A machine starts Fairlead's daemons; it has no networks yet")
        self.node.start_agent()
        self.node.start_lb()
        self.node.start_dns()
        self.show("n1", "fairleadctl status", self.node.ctl_ok("status"))
        balancer = json.loads(self.node.daemons["fairlead-lb"].status()).get("balancer", "?")
        print(f"   (balancer: {balancer}" +
              ("; this kernel has no IPVS, `make test` shows it in a VM with Debian's kernel)" if balancer == "nft" else ")"))

    def networks(self):
        self.step("Two networks, and a service with a virtual address and a published port")
        self.ctl("network create appnet --subnet 10.32.0.0/16 --subnet fd32::/64")
        self.ctl("network create other --subnet 10.33.0.0/16")
        self.ctl("service create web --network appnet --port 80:8080 --publish 8000:8080 "
                 "--health http:8080/cgi-bin/who")

    def replicas(self):
        self.runtime = containers.start(self.node)
        self.step(f"Two replicas and a client on appnet, a stranger on the other network: {self.runtime.kind}")
        for name, network, services, command in (("web-1", "appnet", ["web"], WEB), ("web-2", "appnet", ["web"], WEB),
                                                 ("client", "appnet", [], "sleep 3600"),
                                                 ("stranger", "other", [], "sleep 3600")):
            gateway = "10.32.0.1" if network == "appnet" else "10.33.0.1"
            self.runtime.run(name, network, gateway, services, command)
        self.show("n1", "fairleadctl endpoint ls", self.node.ctl_ok("endpoint ls"))
        eventually(lambda: self.serving() == 2, 10, "both replicas are healthy")
        self.show("n1", "fairleadctl service ls", self.node.ctl_ok("service ls"))

    def by_name(self):
        self.step("The client asks for the service by name: one virtual address, both replicas in turn")
        name, = self.ask("client", "nslookup web.appnet.fairlead.internal 10.32.0.1")
        vip = self.node.ctl_json("service inspect web --network appnet")["vips"][0]
        self.expect(vip in name, f"the name is the virtual address {vip}")
        eventually(lambda: self.runtime.exec("client", ASK).rc == 0, 5, "the service answers")
        answers = self.ask("client", ASK, times=6)
        count = collections.Counter(answer.split()[0] for answer in answers if answer)
        self.expect(count == {"web-1": 3, "web-2": 3}, f"three answers from each replica: {dict(count)}")
        seen = seer(answers[0])
        self.expect(seen in self.addresses("client"), f"the replicas see the client's own address {seen}")

    def published(self):
        self.step("From outside, by the published port: the client's own address arrives")
        address = self.node.address(4)
        answers = [self.client.http_get(address, 8000, "/cgi-bin/who").body.strip() for _ in range(2)]
        answers += [self.client.http_get(self.node.address(6), 8000, "/cgi-bin/who").body.strip()]
        self.show("outside", f"curl http://{address}:8000/cgi-bin/who   # twice, then by IPv6", "\n".join(answers))
        self.expect(all(seer(a) == self.client.address(4) for a in answers[:2]),
                    f"the replicas see {self.client.address(4)}")
        self.expect(seer(answers[2]) == self.client.address(6), f"and by IPv6 {self.client.address(6)}")

    def killed(self):
        self.step("One replica is killed; the traffic moves on")
        self.runtime.kill("web-1")
        killed = time.monotonic()
        self.show("n1", "ctr task kill --signal SIGKILL web-1", "")

        def moved():
            return all(self.runtime.exec("client", ASK).out.startswith("web-2") for _ in range(4))
        eventually(moved, 10, "only web-2 answers")
        print(f"   (only web-2 answers {time.monotonic() - killed:.1f} s after the kill, four requests included)")
        answers = self.ask("client", ASK, times=4)
        self.expect(all(a.startswith("web-2") for a in answers), "every request is answered, by web-2")
        answer = self.client.http_get(self.node.address(4), 8000, "/cgi-bin/who").body.strip()
        self.show("outside", f"curl http://{self.node.address(4)}:8000/cgi-bin/who", answer)
        self.expect(answer.startswith("web-2"), "from outside, too")

    def walls(self):
        self.step("The other network cannot reach in, by name or by address")
        web = self.addresses("web-2")[0]
        ask = f"timeout 3 wget -q -O - http://{web}:8080/cgi-bin/who || echo no answer"
        reached, = self.ask("client", ask)
        self.expect(reached.startswith("web-2"), "the client reaches web-2 by its address (so there is something to reach)")
        blocked, = self.ask("stranger", ask)
        self.expect("no answer" in blocked and "web-2" not in blocked, "the stranger does not")
        name, = self.ask("stranger", "nslookup web.appnet.fairlead.internal 10.33.0.1 || true")
        self.expect("NXDOMAIN" in name and "10.32" not in name, "nor does it learn the address: names are those of its own networks")
        own, = self.ask("stranger", "nslookup default-stranger.other.fairlead.internal 10.33.0.1 || true")
        address = self.addresses("stranger")[0]
        self.expect(f"Address: {address}" in own, f"while its own name is answered with {address}")

    def drift(self):
        self.step("Somebody flushes the firewall and deletes a route; the agent puts them back")
        router = self.node.router("appnet")
        before = router.must("nft", "list", "table", "inet", "fairlead")
        self.expect("policy drop" in before, "the router's table is there")
        web = self.addresses("web-2")[0]
        router.must("nft", "flush", "ruleset")
        router.must("ip", "route", "del", web)
        self.show("n1", f"ip netns exec {self.node.router_name('appnet')} sh -c 'nft flush ruleset; ip route del {web}'", "")
        begin = time.monotonic()
        eventually(lambda: "policy drop" in router.run("nft", "list", "table", "inet", "fairlead").out and
                   web in router.must("ip", "route") and self.runtime.exec("client", ASK).out.startswith("web-2"),
                   5, "drift is repaired")
        self.expect(True, f"repaired after {time.monotonic() - begin:.1f} s, and the service answers")


def show():
    demo = Demo()
    try:
        for step in (demo.start, demo.networks, demo.replicas, demo.by_name, demo.published, demo.killed, demo.walls,
                     demo.drift):
            step()
    except (Wrong, AssertionError) as error:
        print(f"\nThe demo stopped: {error}")
        print(demo.lab.logs()[-6000:])
        return 1
    print(f"\nEvery step was as it should be ({time.monotonic() - demo.begin:.0f} s).")
    return 0
