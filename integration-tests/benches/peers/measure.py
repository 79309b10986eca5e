"""What is measured, section by section."""

import subprocess, sys, time

from .line import FAR, NEAR, Line
from .load import CountingSink, etrn, fill, idle_sessions, one_stream, pour, size_up, time_of
from .process import free_port
from .servers import ASKED, DOMAINS, Ceiling, Exim, Postfix, Restante, Sendmail
from .table import Row, above, against_best, against_ceiling, against_postfix, below

KIB, MIB = 1024, 1 << 20
#: Of each size: messages at most with 1, 20 and 100 connections; fewer where they take a server longer than `SECONDS`.
FULL = {KIB: (2000, 8000, 8000), 8 * KIB: (2000, 8000, 8000), 256 * KIB: (200, 600, 600), 10 * MIB: (8, 20, 100)}
QUICK = {KIB: (100, 2000, 2000), 8 * KIB: (100, 2000, 2000), 256 * KIB: (8, 40, 100), 10 * MIB: (2, 20)}
SECONDS = 1.5


def words(octets):
    return f"{octets // MIB} MiB" if octets >= MIB else f"{octets // KIB} KiB"


def intake(servers, options, table):
    """Messages a second, by size, by connections, kept and new."""
    for size, counts in (QUICK if options.quick else FULL).items():
        all_servers = [*servers, Ceiling(options.root, ("127.0.0.1", 0))]
        for server in all_servers:
            server.fresh()
        rows, written = [], 0
        for sessions, count in zip((1, 20, 100), counts):
            for keep in (True, False):
                goals = [against_best()]
                if size == 8 * KIB and keep and sessions > 1:
                    goals = [against_postfix(15), against_best(6), against_ceiling()]
                name = f"intake {words(size)}, {sessions} {'kept' if keep else 'new'}"
                row = Row(name, "messages/s", True, goals)
                if written > 1 << 30:
                    written = 0
                    for server in servers:
                        server.stop()
                        server.fresh()
                shares = {one.name: size_up(one, sessions, count, size, keep, SECONDS) for one in all_servers}
                for _ in range(options.rounds):
                    for server in all_servers:
                        row.add(server.name, pour(server, sessions, shares[server.name], size, keep))
                        server.settle()
                written += options.rounds * count * size
                rows.append(row)
        for server in all_servers:
            server.stop()
        table.section(f"Intake, {words(size)}: durable before the 250; smtp-sink throws it away", rows)


def idle(servers, options, table):
    """Memory of a session that was greeted and is silent."""
    row = Row("private memory per idle session", "KiB", False, [below(8, "< 8 KiB"), against_best()])
    row.note = "restante: 1000 sessions; the peers, with a process for each: 90 (Postfix's default limit is 100)"
    for _ in range(options.rounds):
        for server in servers:
            # What sessions have left would be taken again by the next.
            server.fresh()
            row.add(server.name, idle_sessions(server, 1000 if server.name == "restante" else 90) / KIB)
            server.stop()
    table.section("Idle", [row])


def held(servers, options, table):
    """Everything about much mail held: memory, throughput, lists, ETRN, start-up."""
    others, asked = (2000, 200) if options.quick else (50_000, 1000)
    ms = lambda what, goals: Row(what, "ms", False, goals)
    memory = Row(f"resident memory per held message ({others})", "octets", False)
    memory.note = "with so few, the caches that fill up weigh most; the goal is for 1,000,000"
    pace = Row(f"intake with {others} held against empty", "ratio", True, [above(0.9, ">= 0.9")])
    lists = ms(f"list of {others} (postqueue -j, exim -bp, mailq, list --json)", [against_best()])
    counts = ms("counts of all domains (restante status)", [])
    answer = ms("ETRN: the answer", [below(2, "< 2 ms"), against_best()])
    first = ms("ETRN: the first message at the sink", [against_best()])
    last = ms(f"ETRN: the last of {asked}", [against_postfix(5), against_best()])
    clean = ms(f"start with {others} held, after a clean stop", [against_best()])
    killed = ms(f"start with {others} held, after kill -9", [against_best()])
    for server in servers:
        server.fresh()
    empty = {server.name: pace_of(server, options) for server in servers}
    for server in servers:
        before = server.memory()[0]
        total, _ = fill(server, others, DOMAINS[:40], 8 * KIB)
        memory.add(server.name, max(server.memory()[0] - before, 0) / total)
        now = pace_of(server, options)
        pace.add(server.name, now / empty[server.name] if now and empty[server.name] else None)
    for _ in range(options.rounds):
        for server in servers:
            lists.add(server.name, time_of(server.listing())[0])
        counts.add("restante", time_of(servers[0].counts())[0])
    given_up = set()
    for _ in range(options.rounds):
        for server in servers:
            if server.name in given_up:
                continue
            if not pour(server, 20, asked, 8 * KIB, to=f"u@{ASKED}"):
                given_up.add(server.name)
                continue
            time.sleep(2)
            sink = CountingSink(server.sink[1])
            figures = etrn(server, ASKED, asked, sink, 30 if options.quick else 60)
            sink.stop()
            for row, figure in zip((answer, first, last), figures):
                row.add(server.name, figure)
            if figures[2] is None:
                print(f"  {server.name}: only {len(sink.times)} of {asked} came in time", file=sys.stderr)
                given_up.add(server.name)
    for _ in range(options.rounds):
        for server in servers:
            for row, end in ((clean, server.stop), (killed, server.kill)):
                end()
                began = time.monotonic()
                server.start()
                row.add(server.name, (time.monotonic() - began) * 1000)
    for server in servers:
        server.stop()
    table.section(f"With {others} messages held", [memory, pace, lists, counts, answer, first, last, clean, killed])


def pace_of(server, options):
    """The middle of three."""
    count = 500 if server.name != "restante" else 4000 if options.quick else 8000
    paces = sorted(filter(None, (pour(server, 20, count // (4 if options.quick else 1), 8 * KIB) for _ in range(3))))
    return paces[len(paces) // 2] if paces else None


def large(options, table):
    """Restante alone, with a million."""
    many = 1000 if options.large >= 1_000_000 else 100
    domains = DOMAINS + [f"m{number:04}.test" for number in range(many)]
    server = Restante(options.root, ("127.0.0.1", free_port()), domains=domains, mark="-large")
    server.fresh()
    empty = [pour(server, 20, 8000, 8 * KIB) for _ in range(5)]
    server.stop()
    server.fresh()
    before = server.memory()[0]
    total, filling = fill(server, options.large, domains[len(DOMAINS) :], 512)
    time.sleep(6)
    label = f"{total:,}"
    memory = Row(f"resident memory per held message ({label})", "octets", False, [below(100, "< 100")])
    memory.add("restante", (server.memory()[0] - before) / total)
    speed = Row(f"filling with 512 octets each ({label})", "messages/s", True)
    speed.add("restante", filling)
    pace = Row(f"intake with {label} held against empty", "ratio", True, [above(0.9, ">= 0.9")])
    counts = Row(f"status over {label} in {many} domains", "ms", False, [below(100, "< 100 ms")])
    answer = Row(f"ETRN with {label} others: the answer", "ms", False, [below(2, "< 2 ms")])
    last = Row(f"ETRN with {label} others: the last of 1000", "ms", False)
    for figure in empty:
        now = pour(server, 20, 8000, 8 * KIB)
        pace.add("restante", now / figure if now and figure else None)
    for _ in range(options.rounds):
        counts.add("restante", time_of(server.counts())[0])
        pour(server, 20, 1000, 8 * KIB, to=f"u@{ASKED}")
        sink = CountingSink(server.sink[1])
        figures = etrn(server, ASKED, 1000, sink, 60)
        sink.stop()
        answer.add("restante", figures[0])
        last.add("restante", figures[2])
    clean = Row(f"start with {label} held, after a clean stop", "ms", False, [below(2000, "< 2 s")])
    killed = Row(f"start with {label} held, after kill -9", "ms", False, [below(5000, "< 5 s")])
    for _ in range(options.rounds):
        for row, end in ((clean, server.stop), (killed, server.kill)):
            pour(server, 20, 1000, 8 * KIB)
            end()
            began = time.monotonic()
            server.start()
            row.add("restante", (time.monotonic() - began) * 1000)
    server.stop()
    table.section(f"Restante with {label} messages held", [memory, speed, pace, counts, answer, last, clean, killed])


def far_away(options, table):
    """Draining over a slow and a lossy line; the figures are round trips' worth of time."""
    for round_trip, loss in ((0.6, 0.0), (0.6, 0.02)):
        line_rows, packet_rows, growth = [], [], {}
        sizes = (10, 100) if options.quick or loss else (10, 100, 1000)
        for messages in sizes:
            row = Row(f"drain of {messages}, 1 KiB each", "round trips of time", False)
            packets = Row(f"drain of {messages}: on the line", "packets", False)
            for number in range(options.rounds):
                # Exim and sendmail say one message after the other, each in turns of its own: many would take an hour.
                for kind in (Restante, Postfix, Exim, Sendmail) if messages == sizes[0] else (Restante, Postfix):
                    taken, carried = drain(kind, options, round_trip, loss, messages, number + 1)
                    row.add(kind.name, taken and taken / round_trip)
                    packets.add(kind.name, carried)
                line = Line(round_trip, loss, number + 1)
                stream = one_stream(free_port(), FAR, line.inside(0), line.inside(1), messages * 1300)
                line.stop()
                row.add("smtp-sink", stream / round_trip)
            row.goals.append(against_best())
            growth[messages] = row.median("restante"), row.median("smtp-sink")
            line_rows.append(row)
            packet_rows.append(packets)
        (few, stream_few), (many, stream_many) = growth[sizes[0]], growth[sizes[-1]]
        if loss == 0 and few and many:
            # What the window of TCP needs to open is no turn of the conversation; what one stream takes longer is given.
            opening = stream_many - stream_few
            goal = f"from {sizes[0]} to {sizes[-1]} at most what TCP's slow start adds to one stream ({opening:.1f}), and 2"
            line_rows[-1].goals.append((goal, lambda row, grew=many - few, opening=opening: grew <= opening + 2))
        line_rows[-1].note = (
            "the last column is one TCP stream of as many octets; all drain into a restante (CHUNKING, PIPELINING)"
        )
        title = f"A line with {round_trip * 1000:.0f} ms round trip" + (f" and {loss:.0%} loss" if loss else "")
        table.section(title, line_rows + packet_rows)


#: A client that says ETRN.
ASK = """import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
reader = client.makefile("rb")
reader.readline()
client.sendall(b"ETRN " + sys.argv[3].encode() + b"\\r\\n")
sys.exit(not reader.readline().startswith(b"2"))
"""


def drain(kind, options, round_trip, loss, messages, seed):
    """Seconds from ETRN to the last message at the far end, and the packets that took."""
    line, patience = Line(round_trip, loss, seed), 60 if options.quick else 300
    far = Restante(options.root, ("127.0.0.1", 1), inside=line.inside(1), address=FAR, mark="-far")
    # One that greets with our own name would be taken for ourselves.
    far.hostname = "primary.lab.test"
    near = kind(options.root, (FAR, far.port), inside=line.inside(0), address=NEAR)
    far.fresh()
    near.fresh()
    try:
        time.sleep(1.5)
        if not pour(near, 10, messages, KIB, to=f"u@{ASKED}"):
            return None, None
        time.sleep(1.5)
        line.count()
        began = time.monotonic()
        asked = [sys.executable, "-c", ASK, NEAR, str(near.port), ASKED]
        subprocess.run([*near.inside, *asked], check=True, stdout=subprocess.DEVNULL)
        while (came := accepted(far)) < messages and time.monotonic() < began + patience:
            time.sleep(0.02)
        taken = time.monotonic() - began
        if came < messages:
            print(f"  {near.name}: only {came} of {messages} crossed the line in {patience} s", file=sys.stderr)
            return None, None
        return taken, line.packets
    finally:
        near.stop()
        far.stop()
        line.stop()


def accepted(server):
    with open(server.log, "rb") as file:
        return file.read().count(b'"accepted"')
