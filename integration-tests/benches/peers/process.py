"""Ports, processes, memory."""

import os, signal, socket, subprocess, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Smtp:
    """A client that says one line at a time."""

    def __init__(self, port, host="127.0.0.1", patience=30):
        self.socket = socket.create_connection((host, port), patience)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        while True:
            line = self.reader.readline()
            if not line:
                raise OSError("closed")
            if line[3:4] != b"-":
                return line.decode("latin1").strip()

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.reader.close()
        self.socket.close()


def until_it_answers(port, domain, lives, patience=600):
    """Waits until the server takes ETRN for a queue in which nothing is; raises when it never does or is gone."""
    end = time.monotonic() + patience
    answer = "nobody listens"
    while time.monotonic() < end and lives():
        try:
            client = Smtp(port)
            answer = client.say(f"ETRN {domain}")
            client.close()
            if answer.startswith("2"):
                return
        except OSError:
            pass
        time.sleep(0.005)
    raise RuntimeError(f"port {port}: {answer}")


def family(process):
    """The process and all that come from it."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, grew = {process}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found


def memory(processes):
    """Resident and private octets of all of them together."""
    resident = private = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                sizes = {line.split(":")[0]: int(line.split()[1]) for line in list(file)[1:]}
        except OSError:
            continue
        resident += sizes["Pss"]
        private += sizes["Private_Clean"] + sizes["Private_Dirty"]
    return resident * 1024, private * 1024


def settled(processes, patience=5):
    """Waits until they have next to nothing to do: nobody is to be measured beside what another left to be done."""
    os.sync()
    end, before = time.monotonic() + patience, None
    while time.monotonic() < end:
        ticks = sum(map(ticks_of, processes()))
        if before is not None and ticks - before <= 1:
            return
        before = ticks
        time.sleep(0.15)


def ticks_of(process):
    """Processor time that it took so far, in hundredths of a second."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:15]))
    except OSError:
        return 0


def kill_all(processes):
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    end = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{process}/exe") and alive(process) for process in processes):
        if time.monotonic() > end:
            raise RuntimeError("killed, and still there")
        time.sleep(0.01)


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def quiet(command, **options):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
