#!/usr/bin/env python3
"""Servers of Debian, unmodified, that are dumped and restored three times while their clients work through TCP. The clients
stay where they are, in the network namespace of this program, and must not notice: no request may fail and no byte differ.

    unshare --net --mount --pid --fork --kill-child --mount-proc python3 tcp_servers.py APUS FOLDER SERVER

Prints OK, or what went wrong, and ends with 0 or 1.
"""
import asyncio
import glob
import hashlib
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time

apus, folder, wanted = sys.argv[1:4]
rounds = 3
here = "127.0.0.1"


def fail(what):
    print("FAIL", what, flush=True)
    os._exit(1)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **more)
    if done.returncode:
        fail(f"{' '.join(command)}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def path(name):
    return f"{folder}/{name}"


def write(name, content):
    with open(path(name), "w") as file:
        file.write(content)
    return path(name)


def unprivileged(user):
    """The command that runs another as a user."""
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]


class Server:
    """A server in a session of its own, and what is done to it."""

    def __init__(self, *command, port, user=None):
        with open(path("server.log"), "w") as log:
            self.process = subprocess.Popen(
                ["setsid", *(unprivileged(user) if user else []), *command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=folder)
        for _ in range(600):
            try:
                socket.create_connection((here, port), 5).close()
                return
            except OSError:
                time.sleep(0.02)
            if self.process.poll() is not None:
                break
        fail(f"the server does not start: {open(path('server.log')).read()}")

    def bury(self):
        """This program is the first of its pid namespace: whoever ends without a parent is its to wait for."""
        for stat in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = open(stat).read().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(stat.split("/")[2])
            if fields[0] == "Z" and int(fields[1]) == os.getpid() and pid not in clients:
                try:
                    os.waitpid(pid, 0)
                except ChildProcessError:
                    pass

    def carry(self, number):
        """One dump and restore."""
        images = path(f"images-{number}")
        os.mkdir(images)
        pid = str(self.process.pid)
        for attempt in range(5):
            done = subprocess.run(
                [apus, "dump", "-t", pid, "-D", images, "--tcp-established"], capture_output=True, text=True, timeout=60)
            # What was under way for a moment.
            if done.returncode == 0 or "error[under-way]" not in done.stderr:
                break
        if done.returncode:
            fail(f"dump {number}: {done.stderr}")
        self.bury()
        run(apus, "restore", "-d", "-D", images, "--tcp-established")

    def carry_thrice(self, pause=0.8):
        for number in range(rounds):
            time.sleep(pause)
            self.carry(number)


clients = set()


def start(*command, **more):
    """A client."""
    process = subprocess.Popen(
        command, stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        **more)
    clients.add(process.pid)
    return process


def finish(process, seconds=60):
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        fail(f"{process.args} does not end: {run('ss', '-tinm')}")
    if process.returncode:
        fail(f"{process.args}: {process.returncode} {output}")
    return output


def digest(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).digest()


def nginx():
    for name in "logs", "temp", "site":
        os.mkdir(path(name))
    with open(path("site/large"), "wb") as file:
        file.write(os.urandom(6_000_000))
    write("site/index.html", "hello\n")
    temporary = "".join(f"{kind}_temp_path temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = write("nginx.conf", f"""
        daemon off; user root; worker_processes 2; pid nginx.pid; error_log logs/error.log;
        events {{ worker_connections 256; }}
        http {{ access_log off; sendfile on; keepalive_requests 100000000; {temporary}
            server {{ listen {here}:8080; root {folder}/site; }} }}""")
    server = Server("nginx", "-p", folder, "-c", configuration, port=8080)
    slow = start("curl", "-s", "--limit-rate", "1M", "-o", path("slow"), f"http://{here}:8080/large")
    load = start("wrk", "-t2", "-c20", "-d7s", "--timeout", "20s", f"http://{here}:8080/") if has("wrk") else None
    server.carry_thrice()
    finish(slow)
    if digest(path("slow")) != digest(path("site/large")):
        fail("the slow download differs")
    if load:
        output = finish(load)
        if "Socket errors" in output or "Non-2xx" in output or not re.search(r"[1-9]\d* requests in", output):
            fail(output)


def redis():
    server = Server("redis-server", "--port", "6379", "--bind", here, "--save", "", "--daemonize", "no", port=6379)
    load = [
        start("redis-benchmark", "-h", here, "-c", "20", "-n", "400000", "-q", "INCR", "counter"),
        start("redis-benchmark", "-h", here, "-c", "5", "-n", "100000", "-q", "LPUSH", "list", "x" * 100)]
    server.carry_thrice(0.5)
    for one in load:
        if "rror" in (output := finish(one)):
            fail(output)
    counted = [run("redis-cli", "-h", here, *question).strip() for question in (["get", "counter"], ["llen", "list"])]
    if counted != ["400000", "100000"]:
        fail(f"counted {counted}")


def postgresql():
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    os.chmod(folder, 0o755)
    os.mkdir(path("base"))
    user = pwd.getpwnam("postgres")
    os.chown(path("base"), user.pw_uid, user.pw_gid)
    run(*unprivileged("postgres"), f"{programs}/initdb", "--no-sync", "-A", "trust", "-D", path("base"))
    server = Server(
        f"{programs}/postgres", "-D", path("base"), "-k", "", "-c", f"listen_addresses={here}", "-c", "fsync=off",
        port=5432, user="postgres")
    question = [f"{programs}/psql", "-h", here, "-U", "postgres", "-X", "-q", "-t", "-A"]
    for _ in range(200):
        if subprocess.run([*question, "-c", "select 1"], capture_output=True).returncode == 0:
            break
        time.sleep(0.05)
    bench = [f"{programs}/pgbench", "-h", here, "-U", "postgres", "postgres"]
    run(*bench, "-i", "-q")
    load = start(*bench, "-n", "-c", "4", "-T", "7")
    server.carry_thrice()
    output = finish(load)
    if not re.search(r"number of failed transactions: 0 ", output) or not re.search(r"processed: [1-9]", output):
        fail(output)
    sums = run(*question, "-c", "select (select sum(abalance) from pgbench_accounts),"
               " (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers),"
               " (select sum(delta) from pgbench_history), (select count(*) from pgbench_history)").strip().split("|")
    done = re.search(r"processed: (\d+)", output)[1]
    if len(set(sums[:4])) != 1 or sums[4] != done:
        fail(f"sums {sums}, {done} transactions")


def memcached():
    server = Server("memcached", "-u", "root", "-l", here, "-p", "11211", port=11211)
    over = threading.Event()
    counts = [0] * 8

    def client(number):
        with socket.create_connection((here, 11211), 60) as connection:
            answers = connection.makefile("rb")
            while not over.is_set():
                value = os.urandom(2000).hex().encode()
                connection.sendall(b"set k%d 0 0 %d\r\n%s\r\nget k%d\r\n" % (number, len(value), value, number))
                got = [answers.readline() for _ in range(4)]
                if got != [b"STORED\r\n", b"VALUE k%d 0 %d\r\n" % (number, len(value)), value + b"\r\n", b"END\r\n"]:
                    fail(f"client {number}: {got}")
                counts[number] += 1

    work_beside(server, client, counts, over)


def work_beside(server, client, counts, over):
    """Clients that are threads: each has to get on after the last restore."""
    threads = [threading.Thread(target=client, args=[number]) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    server.carry_thrice()
    before = list(counts)
    for _ in range(1000):
        if all(now > then for now, then in zip(counts, before)):
            break
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join(30)
    if not all(now > then for now, then in zip(counts, before)):
        fail(f"some do not get on: {before}, {counts}, {run('ss', '-tinm')}")


CHAT = f"""
import asyncio
rooms = set()
async def talk(reader, writer):
    rooms.add(writer)
    while line := await reader.readline():
        for other in rooms:
            other.write(line)
        await asyncio.gather(*(other.drain() for other in rooms))
    rooms.discard(writer)
    writer.close()
async def main():
    server = await asyncio.start_server(talk, "{here}", 7000)
    await server.serve_forever()
asyncio.run(main())
"""


def chat():
    server = Server("python3", "-c", CHAT, port=7000)
    people, lines = 6, 1500

    async def person(number, all_here):
        reader, writer = await asyncio.open_connection(here, 7000)
        all_here[number].set()
        for one in all_here:
            await one.wait()
        # The server has to know of all.
        await asyncio.sleep(0.3)
        heard = [0] * people

        async def say():
            for count in range(lines):
                writer.write(b"%d %d %s\n" % (number, count, b"word " * 50))
                await writer.drain()
                await asyncio.sleep(0.003)

        speaking = asyncio.create_task(say())
        while min(heard) < lines:
            who, count, _ = (await asyncio.wait_for(reader.readline(), 40)).split(b" ", 2)
            if int(count) != heard[int(who)]:
                fail(f"{number} hears {int(count)} of {int(who)} after {heard[int(who)]}")
            heard[int(who)] += 1
        await speaking
        writer.close()

    async def party():
        all_here = [asyncio.Event() for _ in range(people)]
        await asyncio.gather(*(person(number, all_here) for number in range(people)))

    over = threading.Event()

    def talk():
        asyncio.run(party())
        over.set()

    threading.Thread(target=talk, daemon=True).start()
    server.carry_thrice()
    if not over.wait(60):
        fail(f"the talk does not end: {run('ss', '-tinm')}")


def sshd():
    run("mount", "-t", "tmpfs", "none", "/run")
    os.mkdir("/run/sshd", 0o755)
    for key in "host", "own":
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(key))
    configuration = write("sshd_config", f"""
        ListenAddress {here}\nPort 2222\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/own.pub\nStrictModes no
        UsePAM no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\nPrintMotd no\n""")
    server = Server("/usr/sbin/sshd", "-D", "-e", "-f", configuration, port=2222)
    options = ["-i", path("own"), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR"]
    with open(path("large"), "wb") as file:
        file.write(os.urandom(4_000_000))
    session = start(
        "ssh", *options, "-p", "2222", f"root@{here}", "while read line; do echo \"heard $line\"; done; echo over",
        stdin=subprocess.PIPE)
    # 8 megabits a second.
    batch = write("batch", f"get {folder}/large {folder}/fetched\nput {folder}/fetched {folder}/returned\n")
    transfer = start("sftp", "-q", "-l", "16000", "-b", batch, *options, "-P", "2222", f"root@{here}")
    # Both have to be in before the first dump: who authenticates is in a sandbox.
    for name in "large", "session":
        session.stdin.write(f"{name}\n")
        session.stdin.flush()
        if session.stdout.readline() != f"heard {name}\n":
            fail("the session hears nothing")
    for _ in range(500):
        if os.path.exists(path("fetched")):
            break
        time.sleep(0.02)
    for number in range(rounds):
        time.sleep(0.5)
        server.carry(number)
        session.stdin.write(f"round {number}\n")
        session.stdin.flush()
        if session.stdout.readline() != f"heard round {number}\n":
            fail(f"the session does not go on after round {number}")
    if finish(session) != "over\n":
        fail("the session does not end")
    finish(transfer)
    if not digest(path("large")) == digest(path("fetched")) == digest(path("returned")):
        fail("the files differ")


def iperf3():
    server = Server("iperf3", "-s", "-B", here, "-p", "5201", port=5201)
    load = start("iperf3", "-c", here, "-p", "5201", "-t", "9", "-i", "0.5", "-J", "--bidir")
    server.carry_thrice(0.5)
    report = json.loads(finish(load))
    if "error" in report:
        fail(report["error"])
    # What a client has sent in vain it repeats after a pause that doubles each time: that may take as long as the server was away.
    for way in "sum", "sum_bidir_reverse":
        if sum(interval[way]["bytes"] for interval in report["intervals"][-4:]) == 0:
            fail(f"nothing goes on: {[interval[way]['bytes'] for interval in report['intervals']]}")


def has(name):
    return any(os.access(f"{place}/{name}", os.X_OK) for place in os.environ["PATH"].split(":"))


def main():
    os.makedirs(folder, exist_ok=True)
    run("ip", "link", "set", "lo", "up")
    {"nginx": nginx, "redis": redis, "postgresql": postgresql, "memcached": memcached, "chat": chat, "sshd": sshd,
     "iperf3": iperf3}[wanted]()
    print("OK", flush=True)
    # The clients have gone, and the servers go with this namespace.
    os._exit(0)


main()
