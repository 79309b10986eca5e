"""A slow line: two network namespaces, a TUN device in each, and a thread that carries the packets between them, later,
and not all of them. It needs nothing of the kernel but TUN (`tc netem` is not everywhere)."""

import fcntl, heapq, os, random, select, struct, subprocess, threading, time

NEAR, FAR = "198.18.7.1", "198.18.7.2"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Line:
    """Call `stop` when done."""

    def __init__(self, round_trip, loss, seed=1):
        self.delay, self.loss, self.random = round_trip / 2, loss, random.Random(seed)
        self.namespaces = [subprocess.Popen(["unshare", "--net", "sleep", "1000000"]) for _ in range(2)]
        self.count()
        self.running = True
        # Until unshare has made it, the namespace is still ours.
        for space in self.namespaces:
            while os.readlink(f"/proc/{space.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                time.sleep(0.01)
        self.ends = [self.end(0, NEAR, FAR), self.end(1, FAR, NEAR)]
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def inside(self, end):
        """What starts a command at the near end (0) or the far end (1)."""
        return ["nsenter", f"--net=/proc/{self.namespaces[end].pid}/ns/net"]

    def end(self, number, address, other):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        name = f"rst{os.getpid() % 100000}.{number}"
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        run = lambda *words: subprocess.run(words, check=True)
        run("ip", "link", "set", name, "netns", str(self.namespaces[number].pid))
        inside = self.inside(number)
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "address", "add", address, "peer", other, "dev", name)
        run(*inside, "ip", "link", "set", name, "up", "txqueuelen", "10000")
        return device

    def count(self):
        """Begins to count anew."""
        self.packets = self.dropped = 0

    def carry(self):
        under_way, number = [], 0
        while self.running:
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                _, _, way, packet = heapq.heappop(under_way)
                try:
                    os.write(self.ends[1 - way], packet)
                except OSError:
                    self.dropped += 1
            patience = min(under_way[0][0] - now if under_way else 0.2, 0.2)
            for device in select.select(self.ends, [], [], max(patience, 0))[0]:
                way = self.ends.index(device)
                for _ in range(64):
                    try:
                        packet = os.read(device, 65536)
                    except OSError:
                        break
                    self.packets += 1
                    if self.random.random() < self.loss:
                        self.dropped += 1
                        continue
                    number += 1
                    heapq.heappush(under_way, (time.monotonic() + self.delay, number, way, packet))

    def stop(self):
        self.running = False
        self.thread.join()
        for end in self.ends:
            os.close(end)
        for space in self.namespaces:
            space.kill()
            space.wait()
