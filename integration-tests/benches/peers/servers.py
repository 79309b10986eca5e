"""Each server as a backup MX in a private directory: takes mail for the lab's domains, holds it, releases it by ETRN."""

import os, shutil, signal, subprocess, time

from . import configurations
from .process import ROOT, alive, family, free_port, kill_all, memory, quiet, settled, until_it_answers

DOMAINS = [f"d{number:02}.test" for number in range(1, 51)]
ASKED, EMPTY = "d50.test", "d49.test"


class Server:
    """What the measurements do with a server; `inside` is a command that starts others in a namespace."""

    #: Those that were started, for an end in disorder.
    started = []

    def __init__(self, root, sink, inside=(), address="127.0.0.1", domains=DOMAINS, mark=""):
        self.dir = os.path.join(root, self.name + mark)
        self.port, self.sink, self.inside, self.address = free_port(), sink, list(inside), address
        self.domains = domains

    def fresh(self):
        """Starts it with nothing held."""
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.configure()
        self.start()

    def start(self):
        Server.started.append(self)
        self.launch()
        if not self.inside:
            until_it_answers(self.port, EMPTY, self.lives)

    def lives(self):
        return any(map(alive, self.processes()))

    def memory(self):
        return memory(self.processes())

    def settle(self):
        settled(self.processes)

    def kill(self):
        """As kill -9 of everything it consists of."""
        kill_all(self.processes())

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path


class Restante(Server):
    name = "restante"
    hostname = "mx2.lab.test"
    program = os.environ.get("RESTANTE_PROGRAM", f"{ROOT}/target/release/restante")

    def configure(self):
        self.config = self.write("restante.toml", configurations.restante(self))

    def launch(self):
        self.log = f"{self.dir}/log"
        with open(self.log, "a") as log:
            command = [*self.inside, self.program, "serve", "--config", self.config]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def processes(self):
        return [self.process.pid]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def listing(self):
        return [self.program, "list", "--json", "--config", self.config]

    def counts(self):
        return [self.program, "status", "--json", "--config", self.config]


class Postfix(Server):
    name = "postfix"

    def configure(self):
        for name in ("etc", "queue", "data"):
            os.makedirs(f"{self.dir}/{name}", mode=0o755)
        shutil.chown(f"{self.dir}/data", "postfix")
        configurations.postfix(self)

    def launch(self):
        quiet([*self.inside, "postfix", "-c", f"{self.dir}/etc", "start"], check=True)

    def processes(self):
        with open(f"{self.dir}/queue/pid/master.pid") as file:
            return family(int(file.read()))

    def stop(self):
        processes = self.processes()
        quiet(["postfix", "-c", f"{self.dir}/etc", "stop"])
        for _ in range(1000):
            if not any(os.path.exists(f"/proc/{process}") for process in processes):
                return
            time.sleep(0.01)
        kill_all(processes)

    def listing(self):
        return ["postqueue", "-c", f"{self.dir}/etc", "-j"]


class Unpacked(Server):
    """A server whose packages are unpacked, and lie over /usr and /etc in a mount namespace of its own: nothing of the
    machine's is changed, and the packages, which would remove Postfix, are not installed."""

    script = """set -e
hostname mx2.lab.test
mount -t overlay overlay -o lowerdir="$1:/etc" /etc
mount -t overlay overlay -o lowerdir="$2/usr:/usr" /usr
shift 2
exec "$@"
"""

    def unpack(self):
        """Fetches what is missing; raises where this machine does not let us."""
        self.packages = f"{ROOT}/target/peers/{self.name}"
        if os.path.exists(f"{self.packages}/complete"):
            return
        downloads = f"{self.packages}/downloads"
        os.makedirs(downloads, exist_ok=True)
        names = [*self.wanted, *missing_libraries(self.wanted)]
        subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", *names], cwd=downloads, check=True)
        for name in sorted(os.listdir(downloads)):
            subprocess.run(["dpkg", "-x", f"{downloads}/{name}", self.packages], check=True)
        for name in ("lib", "lib64", "bin", "sbin"):
            place = f"{self.packages}/{name}"
            if os.path.isdir(place) and not os.path.islink(place):
                subprocess.run(["cp", "-a", f"{place}/.", f"{self.packages}/usr/{name}/"], check=True)
        open(f"{self.packages}/complete", "w").close()

    def configure(self):
        self.unpack()
        with open("/etc/passwd") as file:
            users = file.read()
        with open("/etc/group") as file:
            groups = file.read()
        for number, user in enumerate(self.users, 64990):
            if f"\n{user}:" not in users:
                users += f"{user}:x:{number}:{number}::/nonexistent:/bin/false\n"
            if f"\n{user}:" not in groups:
                groups += f"{user}:x:{number}:\n"
        self.write("system/passwd", users)
        self.write("system/group", groups)
        self.write("system/hosts", "127.0.0.1 mx2.lab.test mx2 localhost\n")
        self.prepare()

    def inside_it(self, *command):
        """The command with the packages in place."""
        first = [*self.inside, "unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", self.script, "sh"]
        return [*first, f"{self.dir}/system", self.packages, *command]

    def processes(self):
        with open(f"{self.dir}/pid") as file:
            return family(int(file.readline()))

    def stop(self):
        processes = self.processes()
        os.kill(int(open(f"{self.dir}/pid").readline()), signal.SIGTERM)
        for _ in range(1000):
            if not any(os.path.exists(f"/proc/{process}") for process in processes):
                break
            time.sleep(0.01)
        kill_all(processes)
        if os.path.exists(f"{self.dir}/pid"):
            os.unlink(f"{self.dir}/pid")

    def kill(self):
        super().kill()
        os.unlink(f"{self.dir}/pid")

    def beside(self, *command):
        """The command in the running server's namespaces."""
        return ["nsenter", "-m", "-t", open(f"{self.dir}/pid").readline().strip(), *command]

    def launch(self):
        subprocess.run(self.inside_it(*self.daemon()), check=True, stdout=subprocess.DEVNULL)
        for _ in range(3000):
            if os.path.exists(f"{self.dir}/pid") and os.path.getsize(f"{self.dir}/pid"):
                return
            time.sleep(0.01)
        raise RuntimeError(f"{self.name} did not start")


class Exim(Unpacked):
    name = "exim"
    wanted = ["exim4-daemon-light", "exim4-base", "exim4-config"]
    users = ["Debian-exim"]

    def prepare(self):
        configurations.exim(self)
        # Debian's Exim keeps its rights only with a configuration that is listed here.
        self.write("system/exim4/trusted_configs", f"{self.dir}/exim.conf\n")
        quiet(self.inside_it("chown", "-R", "Debian-exim:Debian-exim", f"{self.dir}/spool", f"{self.dir}/logs"), check=True)

    def daemon(self):
        return ["/usr/sbin/exim4", "-C", f"{self.dir}/exim.conf", "-bd"]

    def listing(self):
        return self.beside("/usr/sbin/exim4", "-C", f"{self.dir}/exim.conf", "-bp")


class Sendmail(Unpacked):
    name = "sendmail"
    wanted = ["sendmail-bin", "sendmail-base", "sendmail-cf", "m4"]
    users = ["smmta", "smmsp"]

    def prepare(self):
        configurations.sendmail(self)
        made = subprocess.run(
            self.inside_it("sh", "-c", f"cd /usr/share/sendmail/cf/m4 && m4 -D_CF_DIR_=/usr/share/sendmail/cf/ cf.m4 {self.dir}/lab.mc"),
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.write("sendmail.cf", made.stdout.decode())

    def daemon(self):
        return ["/usr/libexec/sendmail/sendmail", "-C", f"{self.dir}/sendmail.cf", "-bd"]

    def listing(self):
        return self.beside("/usr/libexec/sendmail/sendmail", "-C", f"{self.dir}/sendmail.cf", "-bp")


class Ceiling(Server):
    """`smtp-sink`, which throws the mail away."""

    name = "smtp-sink"

    def configure(self):
        pass

    def launch(self):
        self.process = subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "1024"])

    def processes(self):
        return [self.process.pid]

    def start(self):
        Server.started.append(self)
        self.launch()
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def missing_libraries(packages):
    """What the packages link to and is not installed here."""
    flags = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
    command = ["apt-cache", "depends", "--recurse", *(f"--no-{flag}" for flag in flags), *packages]
    names = {line for line in subprocess.run(command, capture_output=True, text=True).stdout.split("\n") if line[:3] == "lib"}
    names = {name for name in names if not name.endswith("-perl")}
    installed = quiet(["true"]) and subprocess.run(["dpkg-query", "-Wf", "${Package}\n"], capture_output=True, text=True)
    return sorted(names - set(installed.stdout.split()))


def end_all():
    """Ends what is still there."""
    for server in Server.started:
        try:
            if server.lives():
                server.kill()
        except (OSError, AttributeError, ValueError):
            pass
