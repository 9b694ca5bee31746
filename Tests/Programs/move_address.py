#!/usr/bin/env python3
"""Two hosts and a client on one segment, each a network namespace; a server moves by `apus migrate --move-address` while the
client's connections are busy. Each byte has to arrive in its place, and nobody may be told of a reset.

    unshare --net --pid --fork --kill-child --mount-proc python3 move_address.py APUS FOLDER 4|6 MODE

MODE: moves, refused, fails, source-killed, destination-killed. The client is in the namespace of this program. Prints OK, or
what went wrong, and ends with 0 or 1.
"""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

apus, folder, family, mode = sys.argv[1:5]
six = family == "6"
network = "fd09::" if six else "10.9.0."
address, secondary, client_address = network + "1", network + "11", network + "3"
length, port = "64" if six else "24", 7000
here = os.path.dirname(os.path.abspath(__file__))

# Echoes what comes. Who ends his direction is told so three seconds later. Connections are accepted late: some wait.
SERVER = f"""
import os, selectors, socket, time
s = socket.socket(socket.AF_INET6 if {six} else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("{address}", {port}))
s.listen(50)
print(os.getpid(), flush=True)
watched, ended = selectors.DefaultSelector(), []
watched.register(s, selectors.EVENT_READ)
while True:
    for key, _ in watched.select(0.05):
        if key.fileobj is s:
            watched.register(s.accept()[0], selectors.EVENT_READ)
            continue
        c = key.fileobj
        try:
            b = c.recv(65536)
            if b:
                c.setblocking(True)
                c.sendall(b)
                continue
            ended.append((time.monotonic() + 3, c))
        except OSError:
            c.close()
        watched.unregister(c)
    while ended and ended[0][0] < time.monotonic():
        c = ended.pop(0)[1]
        try:
            c.sendall(b"the end")
        except OSError:
            pass
        c.close()
"""


def fail(what):
    print("FAIL", what, flush=True)
    os._exit(1)


def run(*command, check=True, env=None):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, env={**os.environ, **(env or {})})
    if check and done.returncode:
        fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done


def until(what, condition, seconds=20):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            fail(what() if callable(what) else what)
        time.sleep(0.05)


class Host:
    """Namespaces for network, pids and mounts, which last as long as their init; its end of a cable is eth0."""

    def __init__(self, name, own):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sleep", "900"],
            stdin=subprocess.DEVNULL)
        path = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        until("no host", lambda: os.path.exists(path) and open(path).read().split())
        self.init = open(path).read().split()[0]
        until("no sleep", lambda: open(f"/proc/{self.init}/comm").read() == "sleep\n")
        self.prefix = ["nsenter", "-t", self.init, "-n", "-p", "-m"]
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", self.init)
        run("ip", "link", "set", name, "master", "bridge", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")
        self.hardware = json.loads(self.run("ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
        if own:
            self.give(own)

    def run(self, *command, check=True, env=None):
        return run(*self.prefix, *command, check=check, env=env)

    def give(self, own):
        self.run("ip", "address", "add", f"{own}/{length}", "dev", "eth0", *(["nodad"] if six else []))

    def addresses(self):
        """Those of eth0 with their lifetimes."""
        shown = json.loads(self.run("ip", "-j", "address", "show", "dev", "eth0").stdout)[0]["addr_info"]
        return {one["local"]: one["valid_life_time"] for one in shown}

    def has(self):
        return address in self.addresses()

    def runs(self, pid):
        """It is there, and not stopped."""
        status = self.run("cat", f"/proc/{pid}/status", check=False).stdout
        return bool(status) and "State:\tT" not in status and "State:\tZ" not in status


# The client's ports of the connections that must not be broken.
ports = set()
resets, replies = [], []


def capture():
    """Notes segments with RST that pass the bridge, and who says that he has the address."""
    everything, wanted = 3, socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything)) as seen:
        seen.bind(("bridge", 0))
        while True:
            frame = seen.recv(65536)
            kind = frame[12:14]
            start = 14 + 4 * (frame[14] & 15) if kind == b"\x08\x00" and frame[23] == 6 else 0
            if kind == b"\x86\xdd" and frame[20] == 6:
                start = 54
            if start and frame[start + 13] & 4:
                ends = struct.unpack("!HH", frame[start:start + 4])
                if ports & set(ends):
                    resets.append((frame[6:12].hex(":"), ends))
            if kind == b"\x08\x06" and frame[28:32] == wanted:
                replies.append(frame[22:28].hex(":"))
            if kind == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and frame[62:78] == wanted:
                replies.append(frame[6:12].hex(":"))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ask():
    """Asks the segment again and again who has the address, as a host does that does not know."""
    own = bytes.fromhex(json.loads(run("ip", "-j", "link", "show", "bridge").stdout)[0]["address"].replace(":", ""))
    if six:
        source, target = (socket.inet_pton(socket.AF_INET6, one) for one in (client_address, address))
        group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
        body = b"\x87\0\0\0\0\0\0\0" + target + b"\x01\x01" + own
        sum_ = checksum(source + group + struct.pack("!II", len(body), 58) + body)
        body = body[:2] + struct.pack("!H", sum_) + body[4:]
        frame = b"\x33\x33" + group[12:] + own + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255)
        frame += source + group + body
    else:
        source, target = (socket.inet_pton(socket.AF_INET, one) for one in (client_address, address))
        frame = b"\xff" * 6 + own + b"\x08\x06" + b"\0\1\x08\0\6\4\0\1" + own + source + b"\0" * 6 + target
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("bridge", 0))
        while True:
            out.send(frame)
            time.sleep(0.02)


class Connection:
    """Sends without end, and compares what comes back."""

    def __init__(self):
        self.socket = socket.create_connection((address, port), timeout=30)
        ports.add(self.socket.getsockname()[1])
        self.sent = self.received = 0
        self.over = threading.Event()
        self.data = os.urandom(1 << 16)
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.over.is_set():
            try:
                self.socket.sendall(self.data)
            except OSError as error:
                if not self.over.is_set():
                    fail(f"a connection is broken: {error}")
                return
            self.sent += len(self.data)
            time.sleep(0.002)

    def receive(self):
        while True:
            try:
                piece = self.socket.recv(65536)
            except OSError as error:
                if self.over.is_set():
                    return
                fail(f"a connection is broken: {error}")
            if not piece:
                if not self.over.is_set():
                    fail("a connection has ended")
                return
            at = self.received % len(self.data)
            if (self.data + self.data)[at:at + len(piece)] != piece:
                fail(f"wrong bytes after {self.received}")
            self.received += len(piece)

    def goes_on(self):
        before = self.received
        until(lambda: f"a connection does not go on: {self.sent} sent, {before} received",
              lambda: self.received > before + 4 * len(self.data))

    def end(self):
        self.over.set()
        ports.discard(self.socket.getsockname()[1])
        self.socket.close()


class Idle:
    """Says nothing until it is asked: a FIN or RST of the original would stand exactly where it is heeded."""

    def __init__(self):
        self.socket = socket.create_connection((address, port), timeout=20)
        ports.add(self.socket.getsockname()[1])
        self.check("at the start")

    def check(self, place):
        try:
            self.socket.sendall(b"there?")
            got = self.socket.recv(100)
        except OSError as error:
            fail(f"{place}: the idle connection: {error}")
        if got != b"there?":
            fail(f"{place}: the idle connection hears {got}")

    def end(self):
        ports.discard(self.socket.getsockname()[1])
        self.socket.close()


class World:
    def __init__(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", f"{client_address}/{length}", "dev", "bridge", *(["nodad"] if six else []))
        run("ip", "link", "set", "bridge", "up")
        self.first, self.second = Host("first", None), Host("second", network + "2")
        self.first.give(address)
        # Of the same network, and goes with it when it is taken away.
        self.first.give(secondary)
        self.first.run("ip", *(["-6"] if six else []), "route", "add", "default", "via", client_address)
        self.routes = self.shown_routes()
        # What moves has a pid that nobody has there.
        self.second.run("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
        remote = folder + "/remote"
        with open(remote, "w") as file:
            file.write(f"#!/bin/sh\nexec {apus} \"$@\" --state-dir {folder}/there -v4\n")
        os.chmod(remote, 0o755)
        self.link, self.serving = folder + "/link", None
        self.serve({})
        threading.Thread(target=capture, daemon=True).start()

    def shown_routes(self):
        return {self.first.run("ip", *kind, "route", "show", "default").stdout for kind in ([], ["-6"])}

    def serve(self, variables):
        if self.serving:
            self.serving.terminate()
            self.serving.wait()
            os.unlink(self.link)
        self.serving = subprocess.Popen(
            ["python3", here + "/link.py", "serve", self.link] + self.second.prefix,
            env={**os.environ, "LINK_THERE": json.dumps(variables)}, stdin=subprocess.DEVNULL)
        until("no link", lambda: os.path.exists(self.link))

    def start(self):
        """Starts the server on the first host; its pid there."""
        output = folder + "/server.out"
        self.server = subprocess.Popen(
            self.first.prefix + ["setsid", "python3", "-c", SERVER],
            stdin=subprocess.DEVNULL, stdout=open(output, "w"), stderr=subprocess.STDOUT)
        until("the server does not listen", lambda: open(output).read().endswith("\n"))
        return int(open(output).read().split()[0])

    def migrate(self, pid, *options, cut=(0, 0), env=None):
        connect = f"python3 {here}/link.py connect {self.link} {cut[0]} {cut[1]}"
        return self.first.run(
            apus, "migrate", str(pid), "there", "--tcp-established", "-v4", "-o", folder + "/migrate.log",
            "--state-dir", folder + "/here", "--ssh-command", connect, "--remote-apus", folder + "/remote", *options,
            check=False, env={"APUS_TEST_SETTLING_TIME": "2", "LINK_LOG": folder + "/frames", **(env or {})})

    def recover(self):
        return self.first.run(apus, "recover", "--state-dir", folder + "/here", check=False)

    def logs(self):
        there = open(self.link + ".log").read() if os.path.exists(self.link + ".log") else ""
        return there[-3000:] + open(folder + "/migrate.log").read()[-3000:]

    def check_first(self):
        """What the first host has besides is as it was."""
        if secondary not in self.first.addresses():
            fail(f"the first host has lost {secondary}: {self.first.addresses()}")
        if self.shown_routes() != self.routes:
            fail(f"the first host has lost its route: {self.shown_routes()}")


def moves(world):
    pid = world.start()
    connections = [Connection() for _ in range(8)]
    threading.Thread(target=ask, daemon=True).start()
    for one in connections:
        one.goes_on()
    # One that the client has ended on its side: the segment that says so is forged at the destination.
    half = socket.create_connection((address, port), timeout=30)
    half.sendall(b"hello")
    if half.recv(100) != b"hello":
        fail("no echo")
    half.shutdown(socket.SHUT_WR)
    done = world.migrate(pid, "--move-address", f"{address}@eth0", "--json")
    if done.returncode:
        fail(f"migrate: {done.stdout}{done.stderr}{world.logs()}")
    if json.loads(done.stdout.strip().splitlines()[-1])["addresses"] != [address]:
        fail(f"the summary: {done.stdout}")
    for one in connections:
        one.goes_on()
    if half.recv(100) != b"the end":
        fail("the connection that was ended on one side hears nothing")
    Connection().goes_on()
    if resets:
        fail(f"resets: {resets}")
    if world.first.has() or world.second.addresses().get(address) != 0xffffffff:
        fail(f"the address: {world.first.addresses()} {world.second.addresses()}")
    world.check_first()
    if world.second.runs(pid) is not True:
        fail("the server does not run")
    # Who has the address changes once.
    told = [who for index, who in enumerate(replies) if index == 0 or replies[index - 1] != who]
    if told != [world.first.hardware, world.second.hardware]:
        fail(f"who has the address: {told}, the hosts {world.first.hardware} {world.second.hardware}")


def refused(world):
    pid = world.start()
    one = Connection()
    one.goes_on()
    move = ("--move-address", f"{address}@eth0")

    def expect(words, *options):
        done = world.migrate(pid, *options)
        if done.returncode != 1 or words not in done.stderr:
            fail(f"{options}: {done}")
        one.goes_on()
        if not world.first.has() or world.second.has():
            fail(f"{options}: {world.first.addresses()} {world.second.addresses()}")

    # Without the option the host there lacks the address, and the message names the way out.
    expect("--move-address")
    expect("invalid-value", "--move-address", "fe80::1@eth0")
    expect("cannot be asked", "--move-address", f"{address}@eth9")
    expect("does not have the address", "--move-address", f"{network}77@eth0")
    expect("on there: the network device eth7", "--move-address", f"{address}@eth0:eth7")
    world.second.run("ip", "link", "add", "spare", "type", "veth", "peer", "name", "other")
    expect("is down", "--move-address", f"{address}@eth0:spare")
    for device in "spare", "other":
        world.second.run("ip", "link", "set", device, "up")
    world.second.run("ip", "address", "add", f"{address}/{'128' if six else '32'}", "dev", "spare")
    done = world.migrate(pid, *move)
    if done.returncode != 1 or "is there already, on spare" not in done.stderr:
        fail(f"there already: {done}")
    world.second.run("ip", "link", "del", "spare")
    # The connection between the hosts leads from the address itself.
    server = subprocess.Popen(
        ["python3", "-c",
         f"import socket; s = socket.create_server(('{client_address}', 7001),"
         f" family=socket.AF_INET{'6' if six else ''}); c = s.accept()[0]; c.recv(1)"])
    time.sleep(0.5)
    through = folder + "/through"
    with open(through, "w") as file:
        file.write(
            f"#!/usr/bin/env python3\nimport socket, subprocess, sys\n"
            f"c = socket.create_connection(('{client_address}', 7001), source_address=('{address}', 0))\n"
            f"sys.exit(subprocess.call(['python3', '{here}/link.py', 'connect', '{world.link}', '0', '0'] + sys.argv[1:]))\n")
    os.chmod(through, 0o755)
    expect("leads from the address", *move, "--ssh-command", through)
    server.kill()
    if resets:
        fail(f"resets: {resets}")


def settle(world, pid, connections, place):
    """One host has the address, and the tree runs there, after `apus recover` at the latest. Whether it has stayed."""
    def once():
        here_, there = world.first, world.second
        if here_.has() == there.has():
            return False
        return here_.runs(pid) and not there.runs(pid) if here_.has() else there.runs(pid) and not here_.runs(pid)

    records = folder + "/here/departures"
    limit = time.monotonic() + 3
    while not once() and time.monotonic() < limit:
        time.sleep(0.1)
    if not once() or os.path.exists(records) and any(name.endswith(".json") for name in os.listdir(records)):
        recovered = world.recover()
        if recovered.returncode:
            fail(f"{place}: recover: {recovered}")
    # What Apus had put there and could not take away goes by itself.
    until(lambda: f"{place}: {world.first.addresses()} {world.first.runs(pid)}, {world.second.addresses()}"
          f" {world.second.runs(pid)}\n{world.logs()}", once)
    one, idle = connections
    one.goes_on()
    idle.check(place)
    if resets:
        fail(f"{place}: resets: {resets}")
    world.check_first()
    return world.first.has()


def again(world, pid, connections):
    """A new server with new connections on the first host."""
    for one in connections:
        one.end()
    for host in (world.first, world.second):
        host.run("sh", "-c", f"kill -9 {pid}", check=False)
    until("the server stays", lambda: not world.first.runs(pid) and not world.second.runs(pid))
    if world.second.has():
        world.second.run("ip", "address", "del", f"{address}/{length}", "dev", "eth0")
    if not world.first.has():
        world.first.give(address)
        run("ip", "neighbour", "flush", "all")
    pid, connections = world.start(), (Connection(), Idle())
    connections[0].goes_on()
    return pid, connections


def broken(world, trials):
    """Migrates in many ways that break."""
    move = ("--move-address", f"{address}@eth0")
    pid, connections = again(world, 1 << 22, ())
    whole = world.migrate(pid, *move)
    if whole.returncode:
        fail(f"migrate: {whole.stderr}{world.logs()}")
    stayed = settle(world, pid, connections, "whole")
    if stayed:
        fail("it has stayed")
    for place, trial in trials(lambda **how: world.migrate(pid, *move, **how)):
        pid, connections = again(world, pid, connections) if not stayed else (pid, connections)
        done = trial(pid)
        stayed = settle(world, pid, connections, place)
        if stayed and done.returncode == 0:
            fail(f"{place}: {done}")


def fails(world):
    """The link is cut at each of the last frames."""
    def trials(_):
        out, back = map(int, open(folder + "/frames").read().split())
        for cut in [(count, 0) for count in range(out - 3, out)] + [(0, count) for count in range(back - 2, back)]:
            yield f"cut after {cut}", lambda pid, cut=cut: world.migrate(
                pid, "--move-address", f"{address}@eth0", cut=cut)
    broken(world, trials)


def source_killed(world):
    def trials(_):
        steps = count_steps(world, "here")
        for step in range(steps - 9, steps + 1):
            yield f"killed at step {step} of {steps}", lambda pid, step=step: world.migrate(
                pid, "--move-address", f"{address}@eth0", env={"APUS_TEST_KILL_AT_STEP": str(step)})
    os.environ["APUS_TEST_STEP_LOG"] = folder + "/steps-here"
    broken(world, trials)


def destination_killed(world):
    def trials(_):
        steps = count_steps(world, "there")
        for step in range(steps - 12, steps + 1):
            def trial(pid, step=step):
                world.serve({"APUS_TEST_KILL_AT_STEP": str(step)})
                done = world.migrate(pid, "--move-address", f"{address}@eth0")
                world.serve({})
                return done
            yield f"killed there at step {step} of {steps}", trial
    world.serve({"APUS_TEST_STEP_LOG": folder + "/steps-there"})
    broken(world, trials)


def count_steps(world, side):
    path = f"{folder}/steps-{side}"
    until("no number of steps", lambda: os.path.exists(path) and open(path).read().endswith("\n"))
    os.environ.pop("APUS_TEST_STEP_LOG", None)
    world.serve({})
    return int(open(path).read())


signal.alarm(280)
{"moves": moves, "refused": refused, "fails": fails, "source-killed": source_killed,
 "destination-killed": destination_killed}[mode](World())
print("OK", flush=True)
os._exit(0)
