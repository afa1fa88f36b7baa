"""A TCP relay between a follower and its leader that can hold, delay, swallow and cut."""
import contextlib
import socket
import threading
import time

TO_LEADER, TO_FOLLOWER = 0, 1


class Proxy:
    """Follow proxy.address instead of the leader. Held bytes are kept and go on at release();
    swallowed ones are read and lost."""

    def __init__(self, world, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.links = []  # pairs of sockets
        self.lock = threading.Lock()
        self.flows = [threading.Event(), threading.Event()]
        for flow in self.flows:
            flow.set()
        self.delay_s = 0
        self.swallowed = set()
        self.is_cut = False
        world.at_end.append(self.end)
        threading.Thread(target=self.accept, daemon=True).start()

    # what a test does

    def hold(self, *directions):
        for d in directions or (TO_LEADER, TO_FOLLOWER):
            self.flows[d].clear()

    def release(self):
        for flow in self.flows:
            flow.set()

    def swallow(self, *directions):
        self.swallowed = set(directions)

    def cut(self):
        """End all links and take no new ones."""
        self.is_cut = True
        self.close_links()

    def mend(self):
        self.is_cut = False
        self.swallowed = set()
        self.release()

    # the work

    def accept(self):
        while True:
            try:
                follower, _ = self.listener.accept()
            except OSError:
                return
            if self.is_cut:
                reset(follower)
                continue
            try:
                host, port = self.target.rsplit(":", 1)
                leader = socket.create_connection((host, int(port)), 5)
                leader.settimeout(None)
                for s in (follower, leader):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                reset(follower)
                continue
            with self.lock:
                self.links.append((follower, leader))
            for source, sink, direction in ((follower, leader, TO_LEADER), (leader, follower, TO_FOLLOWER)):
                threading.Thread(target=self.relay, args=(source, sink, direction), daemon=True).start()

    def relay(self, source, sink, direction):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if direction in self.swallowed:
                    continue
                if self.delay_s:
                    time.sleep(self.delay_s)
                self.flows[direction].wait()
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close_links(self):
        with self.lock:
            links, self.links = self.links, []
        for pair in links:
            for s in pair:
                reset(s)

    def end(self):
        self.listener.close()
        self.release()
        self.close_links()


def reset(s):
    with contextlib.suppress(OSError):
        s.shutdown(socket.SHUT_RDWR)
    s.close()
