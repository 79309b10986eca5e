"""The load: smtp-source, sinks that count, sessions that are silent."""

import os, socket, subprocess, sys, threading, time

from .process import Smtp


def pour(server, sessions, messages, size, keep=True, to="user@d01.test", patience=600):
    """Messages a second that smtp-source gets rid of; None when it fails."""
    command = [*server.inside, "smtp-source", *(["-d"] if keep else []), "-s", str(sessions), "-m", str(messages)]
    command += ["-l", str(size), "-f", "sender@example.org", "-t", to, "-M", "client.lab.test"]
    started = time.monotonic()
    try:
        done = subprocess.run(
            [*command, f"inet:{server.address}:{server.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=patience
        )
    except subprocess.TimeoutExpired:
        print(f"  {server.name}: over {patience} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"  {server.name}: smtp-source: {done.stderr.decode().strip()[-160:]}", file=sys.stderr)
        return None
    return messages / (time.monotonic() - started)


def size_up(server, sessions, most, size, keep, seconds):
    """How many messages take this server about so long, at most `most`; nobody is made to wait for the slowest."""
    few = min(most, max(sessions, 2 if size > 1 << 20 else 20))
    if few == most:
        return most
    pace = pour(server, sessions, few, size, keep)
    server.settle()
    return min(most, max(few, int(pace * seconds))) if pace else few


def fill(server, messages, domains, size):
    """Holds that many, spread evenly; messages a second."""
    started = time.monotonic()
    share = messages // len(domains)
    for domain in domains:
        if not pour(server, min(20, share), share, size, to=f"u@{domain}"):
            raise RuntimeError(f"{server.name} does not take the mail that it is to hold")
    return share * len(domains), share * len(domains) / (time.monotonic() - started)


class CountingSink:
    """smtp-sink that counts; notes when each message came."""

    def __init__(self, port, address="127.0.0.1", inside=()):
        self.times = []
        command = [*inside, "smtp-sink", "-c", "-u", "nobody", "-m", "1000", f"{address}:{port}", "1024"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        threading.Thread(target=self.read, daemon=True).start()
        time.sleep(0.3)

    def read(self):
        rest = b""
        while block := os.read(self.process.stdout.fileno(), 65536):
            now = time.monotonic()
            *lines, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
            for word in (word for line in lines for word in line.split() if word.startswith(b"mesg=")):
                self.times += [now] * (int(word[5:]) - len(self.times))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def etrn(server, domain, messages, sink, patience):
    """Milliseconds until the answer, the first and the last message at the sink; None for what never came."""
    client = Smtp(server.port)
    started = time.monotonic()
    client.say(f"ETRN {domain}")
    answer = time.monotonic()
    while len(sink.times) < messages and time.monotonic() < started + patience:
        time.sleep(0.005)
    client.close()
    arrived = list(sink.times)
    at = lambda count: (arrived[count - 1] - started) * 1000 if len(arrived) >= count else None
    return (answer - started) * 1000, at(1), at(messages)


def idle_sessions(server, sessions):
    """Private octets that each silent session takes."""
    before = server.memory()[1]
    clients = []
    for _ in range(sessions):
        client = Smtp(server.port)
        client.say("EHLO client.lab.test")
        clients.append(client)
    time.sleep(1)
    after = server.memory()[1]
    for client in clients:
        client.close()
    return (after - before) / sessions


def time_of(command):
    """Milliseconds that a command takes, and how many lines it writes."""
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return (time.monotonic() - started) * 1000, done.stdout.count(b"\n")


def one_stream(port, address, inside, far, octets):
    """Seconds in which one TCP connection carries that many octets and brings back a word: what any protocol needs."""
    program = (
        "import socket,sys\nlistener=socket.create_server((sys.argv[1],int(sys.argv[2])))\nprint(flush=True)\n"
        "peer,_=listener.accept()\nleft=int(sys.argv[3])\n"
        "while left>0: left-=len(peer.recv(65536))\npeer.sendall(b'ok')\npeer.recv(1)\n"
    )
    client = (
        "import socket,sys,time\nstarted=time.monotonic()\n"
        "line=socket.create_connection((sys.argv[1],int(sys.argv[2])))\nline.sendall(bytes(int(sys.argv[3])))\nline.recv(2)\n"
        "print(time.monotonic()-started)\n"
    )
    words = [address, str(port), str(octets)]
    sink = subprocess.Popen([*far, sys.executable, "-c", program, *words], stdout=subprocess.PIPE)
    sink.stdout.readline()
    done = subprocess.run([*inside, sys.executable, "-c", client, *words], stdout=subprocess.PIPE, check=True)
    sink.wait(30)
    return float(done.stdout)
