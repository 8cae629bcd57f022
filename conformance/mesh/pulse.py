"""Datagrams that never stop, so that what a fault costs can be counted."""
import socket
import threading
import time

from lab import equal, true
from lab.check import SLOW

WAIT = 2.0      # seconds an answer may take


class Pulse:
    """Twenty datagrams a second along each of some ways, each answered by the lab's UDP server at the other end. A way is known by its name
    and the nodes it needs."""

    def __init__(self, pause=0.05):
        self._ways, self._pause, self._number = {}, pause, 0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, name, place, address, port, nodes=()):
        sock = place.udp_socket(address, port).sock
        sock.setblocking(False)
        with self._lock:
            self._ways[name] = (sock, set(nodes), {})

    def _run(self):
        while not self._stop.wait(self._pause):
            with self._lock:
                self._number += 1
                for sock, _, sent in self._ways.values():
                    self._listen(sock, sent)
                    sent[self._number] = False
                    try:
                        sock.send(b"%d\n" % self._number)
                    except OSError:
                        pass        # counted as lost

    @staticmethod
    def _listen(sock, sent):
        while True:
            try:
                number = int(sock.recv(2048).split()[-1])
            except BlockingIOError:
                return
            except (OSError, ValueError, IndexError):
                continue        # an ICMP error of an earlier one
            if number in sent:
                sent[number] = True

    def _counted(self, without):
        """Ways that need none of these nodes: (lost, answered)."""
        with self._lock:
            for sock, _, sent in self._ways.values():
                self._listen(sock, sent)
            return {name: ([number for number, answered in sent.items() if not answered], sum(sent.values()))
                    for name, (_, nodes, sent) in self._ways.items() if not nodes & set(without)}

    def unharmed(self, without=(), why="what need not be interrupted was not", at_most=0):
        """No more than so many of each way's datagrams since the last call have had no answer; then the count begins anew."""
        begin, upto = time.monotonic(), self._number + 2
        while time.monotonic() < begin + WAIT * SLOW:
            time.sleep(self._pause)
            counted = self._counted(without)
            if self._number > upto and all(not lost or min(lost) > upto for lost, _ in counted.values()):
                break
        for name, (lost, answered) in counted.items():
            early = [n for n in lost if n <= upto]
            true(answered > 0, f"{name}: it does go")
            equal(early[:20] if len(early) > at_most else [], [], f"{why}: {name}: {len(early)} of {len(early) + answered} lost")
        self.again(upto)

    def again(self, upto=None):
        """The count begins anew (of what was sent after this one)."""
        with self._lock:
            for _, _, sent in self._ways.values():
                for number in [n for n in sent if upto is None or n <= upto]:
                    del sent[number]

    def stop(self):
        self._stop.set()
        self._thread.join()
