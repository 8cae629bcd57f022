from lab import *
import sys; sys.path.insert(0, "/work/main/conformance/agent")
from test_drift import Scene
Scene.settle = lambda self: None
def test_ZZ_01_x(lab):
    s = Scene(lab)
    with s.node.capture("eth0") as w, s.node.capture("ul1001") as u:
        try: s.a.tcp_request(s.outside.address(4), 81, timeout=0.6)
        except OSError as e: lab.say(repr(e))
        lab.say(str(w.packets())); lab.say(str(u.packets()))
    s.node.must("nft list ruleset"); s.node.router("appnet").must("nft list ruleset")
    s.node.must("sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.ul1001.rp_filter")
    s.node.must("cat /proc/net/nf_conntrack")
    raise AssertionError("x")
