"""The second part of the demo: an encrypted network between two machines, what is on the wire, and keys that change under traffic.
Needs a kernel with ESP; `run` puts it into a VM with Debian's where this machine's has none."""
import re
import secrets
import time

import containers
from lab.check import eventually
from story import tell
from three_hosts import WEB, Demo

GATEWAYS = {"open": "10.42.0.1", "secret": "10.41.0.1"}


class Encrypted(Demo):
    def __init__(self):
        super().__init__(("n1", "n2"))
        self.peers = {}

    def found(self):
        self.step("Two machines, one cluster; an open network and an encrypted one, a web server on n2 and a client on n1 in each")
        for node in self.nodes:
            node.set_resolv_conf()
            node.start_agent()
        self.ctl(self.n1, f"cluster init --advertise {self.n1.address(4)}")
        self.join(self.n2, "node")
        for network in GATEWAYS:
            encryption = "--encryption ipsec " if network == "secret" else ""
            self.ctl(self.n1, f"network create {network} {encryption}--subnet {GATEWAYS[network][:-1]}0/24")
        for node in self.nodes:
            self.runtimes[node.name] = containers.Namespaces(node)
        for network, gateway in GATEWAYS.items():
            eventually(lambda: network in self.n2.ctl_ok("network ls"), 20, f"n2 knows {network}")
            self.runtimes["n2"].run(f"web-{network}", network, gateway, command=WEB)
            self.runtimes["n1"].run(f"client-{network}", network, gateway)
            self.peers[network] = self.endpoint(self.n2, f"web-{network}")["addresses"][0]
        for network in GATEWAYS:
            eventually(lambda: self.fetch(network).rc == 0, 60, f"the client on {network} reaches its server")
        self.show("n1", "fairleadctl network ls", self.n1.ctl_ok("network ls"))

    def fetch(self, network, word="who"):
        return self.runtimes["n1"].exec(f"client-{network}", f"timeout 5 wget -q -O - 'http://{self.peers[network]}:8080/cgi-bin/who?{word}'")

    def spis(self):
        return sorted(set(re.findall(r"spi (0x[0-9a-f]+)", self.n1.must("ip xfrm state list nokeys"))))

    def watched(self, network):
        """Asks with a random word, watching the wire → (VXLAN packets, ESP packets, packets with the word)."""
        word = secrets.token_hex(32)
        with self.n2.capture("eth0") as capture:
            answer = self.fetch(network, word)
            time.sleep(0.5)
            packets = capture.packets()
        self.expect(answer.rc == 0, f"the client on {network} asked n2 with a random word, and got its answer")
        vxlan = sum(1 for p in packets if p.proto == "udp" and p.dport in (4789, 4790))
        return vxlan, sum(1 for p in packets if p.proto in ("esp", 50)), sum(1 for p in packets if word.encode() in p.raw)

    def on_the_wire(self):
        self.step("What is on the wire between them: of the open network everything, of the encrypted one ESP and nothing else")
        vxlan, esp, words = self.watched("open")
        self.expect(vxlan > 0 and words > 0, f"open: {vxlan} VXLAN packets, the word is in {words} of them")
        vxlan, esp, words = self.watched("secret")
        self.expect(vxlan == 0 and words == 0 and esp > 0, f"secret: {esp} ESP packets, {vxlan} VXLAN packets, the word in {words}")

    def rotated(self):
        self.step("The keys are changed while packets flow")
        before = self.spis()
        ping = self.n1.popen("ip", "netns", "exec", "client-secret", "busybox", "ping", "-q", "-i", "0.05", "-w", "8", self.peers["secret"])
        time.sleep(1)
        self.ctl(self.n1, "cluster rotate keys")
        eventually(lambda: not set(before) & set(self.spis()), 30, "all keys are new")
        self.show("n1", "ip xfrm state list nokeys | grep spi   # before, and now", " ".join(before) + "\n" + " ".join(self.spis()))
        ping.wait(60)
        summary = next(line for line in ping.output().splitlines() if "packets transmitted" in line)
        sent, received = map(int, re.match(r"(\d+) packets transmitted, (\d+)", summary).groups())
        self.expect(sent == received > 50, f"of {sent} packets meanwhile {sent - received} were lost")

    def flushed(self):
        self.step("Somebody throws away all keys and policies of n1: nothing leaves in the clear, and the agent makes new ones")
        old = self.spis()
        word = secrets.token_hex(32)
        with self.n2.capture("eth0") as capture:
            self.n1.must("sh", "-c", "ip xfrm state flush; ip xfrm policy flush")
            self.show("n1", "ip xfrm state flush; ip xfrm policy flush", "")
            begin = time.monotonic()
            eventually(lambda: self.fetch("secret", word).rc == 0, 30, "the encrypted network works again")
            took = time.monotonic() - begin
            packets = capture.packets()
        clear = sum(1 for p in packets if p.proto == "udp" and p.dport == 4790 or word.encode() in p.raw)
        self.expect(clear == 0, f"no packet in the clear; the client has its answer after {took:.1f} s")
        self.expect(not set(old) & set(self.spis()), "with keys that were never used before")


def show():
    demo = Encrypted()
    return tell(demo, (demo.found, demo.on_the_wire, demo.rotated, demo.flushed))
