#!/usr/bin/env python3
"""What a dump does to the network, in a network namespace of its own: locks that stay and are removed, connections that are asked
for meanwhile, sockets that come back at another address.

    unshare --net --pid --fork --kill-child --mount-proc python3 tcp_locks.py APUS FOLDER CASE

Prints OK, or what went wrong, and ends with 0 or 1.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

apus, folder, wanted = sys.argv[1:4]
here = "127.0.0.1"

ECHO = """
import socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
# With the number of the device of a link-local address.
address = socket.getaddrinfo(sys.argv[1], 7000, family, socket.SOCK_STREAM)[0][4]
listener = socket.create_server(address, family=family, backlog=128)
print("ready", flush=True)
def serve(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
"""


def fail(what):
    print("FAIL", what, flush=True)
    os._exit(1)


def expect(condition, what):
    if not condition:
        fail(what)


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if status is not None and done.returncode != status:
        fail(f"{' '.join(command)}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class Echo:
    """A server of which each test may have one at a time."""

    def __init__(self, address=here):
        output = f"{folder}/output"
        self.process = subprocess.Popen(
            ["setsid", sys.executable, "-c", ECHO, address], stdin=subprocess.DEVNULL, stdout=open(output, "w"),
            stderr=subprocess.STDOUT)
        while "ready" not in (told := open(output).read()):
            expect(self.process.poll() is None, f"the server has ended: {told}")
            time.sleep(0.02)
        self.pid = str(self.process.pid)

    def dump(self, name, *options, status=0):
        images = f"{folder}/{name}"
        os.makedirs(images, exist_ok=True)
        told = run(apus, "dump", "-t", self.pid, "-D", images, "--tcp-established", *options, status=status)
        if status == 0:
            os.waitpid(self.process.pid, 0)
        return told

    def end(self):
        os.kill(self.process.pid, signal.SIGKILL)
        os.waitpid(self.process.pid, 0)


def restore(name, *options, status=0):
    return run(apus, "restore", "-d", "-D", f"{folder}/{name}", "--tcp-established", *options, status=status)


def locks():
    told = json.loads(run(apus, "recover", "--json"))
    return told["locks"]


def echoes(connection):
    connection.settimeout(30)
    connection.sendall(b"hello")
    return connection.recv(5) == b"hello"


def recover():
    expect(locks() == [] and "No dump has left" in run(apus, "recover"), "there are locks already")
    server = Echo()
    # Without a connection as well: whoever asks for one meanwhile asks again.
    server.dump("none yet")
    (lock,) = locks()
    expect(lock["about"] == f"new TCP connections of process {server.pid}", f"{lock}")
    restore("none yet")
    expect(locks() == [], "the restore leaves the lock of a server without connections")
    client = socket.create_connection((here, 7000))
    expect(echoes(client), "no echo")
    server.dump("first")
    (lock,) = locks()
    expect(
        lock["images"] == f"{folder}/first" and lock["about"] == f"1 TCP connection of process {server.pid}"
        and not lock["inUse"], f"{lock}")
    expect(lock["name"] in run(apus, "recover") and len(locks()) == 1, "a list removes something")
    # Neither does what has nothing to do with it.
    os.makedirs(f"{folder}/none")
    run(apus, "recover", "-D", f"{folder}/nowhere", status=1)
    expect("has left no lock" in run(apus, "recover", "-D", f"{folder}/none"), "images without a lock")
    expect(len(locks()) == 1, "the lock of another dump is removed")
    # A dump under way, and a restore, keep theirs.
    restore("first")
    expect(echoes(client) and locks() == [], "the restore leaves its lock, or breaks the connection")
    report = f"{folder}/report"
    server.dump(
        "second", "--action-script",
        f'[ "$CRTOOLS_SCRIPT_ACTION" != post-dump ] || {apus} recover --all --json >{report}')
    (lock,) = json.load(open(report))["locks"]
    expect(lock["inUse"] and not lock["removed"] and len(locks()) == 1, f"a dump under way: {lock}")
    restore(
        "second", "--action-script",
        f'[ "$CRTOOLS_SCRIPT_ACTION" != pre-resume ] || {apus} recover --all --json >{report}')
    (lock,) = json.load(open(report))["locks"]
    expect(lock["inUse"] and not lock["removed"], f"a restore under way: {lock}")
    expect(echoes(client) and locks() == [], "the second restore")
    # By the directory.
    server.dump("third")
    expect("removed: " in run(apus, "recover", "-D", f"{folder}/third") and locks() == [], "not removed by its images")
    # Its images can still be restored; nobody has told the client of anything, as it has said nothing.
    restore("third")
    expect(echoes(client), "a restore without the lock")
    # Images that are gone.
    server.dump("fourth")
    shutil.rmtree(f"{folder}/fourth")
    expect("(gone)" in run(apus, "recover"), "it is not said that the images are gone")
    server = Echo()
    client = socket.create_connection((here, 7000))
    told = server.dump("fifth", "--leave-running", "-v", "--network-lock", "iptables", status=None)
    expect("are not there any more" in told, f"no reminder: {told}")
    expect(echoes(client), "the connection after a dump that let it run")
    expect("removed: " in run(apus, "recover", "--all") and locks() == [], "not removed by --all")
    # By a directory that is gone.
    server.dump("sixth")
    shutil.rmtree(f"{folder}/sixth")
    expect("removed: " in run(apus, "recover", "-D", f"{folder}/../{os.path.basename(folder)}/sixth"), "not by what is gone")
    expect(locks() == [], "the lock of the images that are gone")


def bundle():
    """A lock knows the bundle of its dump, and a bundle its lock."""
    server = Echo()
    client = socket.create_connection((here, 7000))
    expect(echoes(client), "no echo")
    first, moved, second = (f"{folder}/{name}.apus" for name in ("first", "moved", "second"))

    def dump(path):
        run(apus, "dump", "-t", str(server.pid), "--tcp-established", "-o", path)
        os.waitpid(server.process.pid, 0)
        (lock,) = locks()
        expect(lock["images"] == path, f"{lock}")
        expect("(gone)" not in run(apus, "recover"), "it is said to be gone")

    dump(first)
    told = run(apus, "check", first, "--tcp-established")
    expect("are not there any more" not in told, f"the lock of the bundle itself: {told}")
    os.rename(first, moved)
    told = run(apus, "check", moved, "--tcp-established")
    expect("are not there any more" not in told, f"the lock of the bundle that was moved: {told}")
    run(apus, "restore", moved, "-d", "--tcp-established")
    expect(echoes(client) and locks() == [], "the restore of the bundle")
    dump(second)
    alias = f"{folder}/alias"
    os.symlink(second, alias)
    expect("removed: " in run(apus, "recover", "-D", alias) and locks() == [], "not removed by its bundle")
    run(apus, "restore", second, "-d", "--tcp-established")
    expect(echoes(client), "a restore without the lock")
    server.end()


def newcomers():
    """Clients that come and go all the time: none may be refused or broken off."""
    server = Echo()
    done, over = [0] * 6, threading.Event()

    def knock(number):
        while not over.is_set():
            try:
                with socket.create_connection((here, 7000), timeout=40) as connection:
                    connection.sendall(b"x" * 1000)
                    got = 0
                    while got < 1000:
                        piece = connection.recv(1000)
                        if not piece:
                            raise OSError("the end")
                        got += len(piece)
            except OSError as error:
                if not over.is_set():
                    fail(f"client {number} after {done[number]}: {error}")
            done[number] += 1

    for number in range(len(done)):
        threading.Thread(target=knock, args=[number], daemon=True).start()
    for number in range(3):
        time.sleep(0.5)
        server.dump(f"images-{number}")
        time.sleep(0.2)
        restore(f"images-{number}")
    before = list(done)
    for _ in range(1500):
        if all(now > then for now, then in zip(done, before)):
            break
        time.sleep(0.02)
    over.set()
    expect(all(now > then for now, then in zip(done, before)), f"some get no connection any more: {before}, {done}")


def rebind():
    for address in "10.1.0.1/32", "10.1.0.2/32", "fd00::2/128":
        run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    server = Echo("10.1.0.1")
    server.dump("images")
    run("ip", "address", "del", "10.1.0.1/32", "dev", "lo")
    expect("10.1.0.1:7000" in restore("images", status=1), "the missing address is not named")
    for bad in "10.1.0.1", "10.1.0.1=", "10.1.0.1=fd00::2", "10.1.0.1:0=10.1.0.2", "10.1.0.1:x=10.1.0.2", "=":
        expect("--tcp-rebind takes" in restore("images", "--tcp-rebind", bad, status=1), f"{bad} is taken")
    for other in "10.1.0.3=10.1.0.2", "10.1.0.1:7001=10.1.0.2:7001", "fd00::1=fd00::2":
        expect("no socket" in restore("images", "--tcp-rebind", other, status=1), f"{other} is taken")
    expect("10.1.0.2:7070" in restore("images", "--dry-run", "--tcp-rebind", "10.1.0.1:7000=10.1.0.2:7070"), "the plan")
    restore("images", "--tcp-rebind", "10.1.0.1=10.1.0.2")
    client = socket.create_connection(("10.1.0.2", 7000))
    expect(echoes(client), "the server does not answer at its new address")
    # The connection cannot go anywhere else, which is told beforehand.
    for options in [], ["--tcp-established"]:
        told = json.loads(run(apus, "explain", server.pid, "--json", *options, status=None))
        expect(told["tcp_addresses"] == ["10.1.0.2"] and told["ok"] == bool(options), f"explain: {told}")
    expect("10.1.0.2: its TCP connections need them" in run(apus, "explain", server.pid, "--tcp-established"), "explain")
    told = server.dump("again", "-v4", "-o", "dump.log", "--json")
    expect(json.loads(told)["statistics"]["tcp_addresses"] == ["10.1.0.2"], f"dump: {told}")
    expect("addresses that they lead from: 10.1.0.2" in open(f"{folder}/again/dump.log").read(), "no word of the address")
    told = run(apus, "check", f"{folder}/again", "--tcp-established")
    expect("can be restored here" in told and "need these addresses on this host: 10.1.0.2." in told, told)
    run("ip", "address", "del", "10.1.0.2/32", "dev", "lo")
    run("ip", "address", "add", "10.1.0.3/32", "dev", "lo")
    told = run(apus, "check", f"{folder}/again", "--tcp-established", "--tcp-rebind", "10.1.0.2=10.1.0.3", status=1)
    expect("has not the address 10.1.0.2:7000 of the TCP connection" in told, told)
    told = restore("again", "--tcp-rebind", "10.1.0.2=10.1.0.3", status=1)
    expect("has not the address 10.1.0.2:7000 of the TCP connection" in told, told)
    run("ip", "address", "add", "10.1.0.2/32", "dev", "lo")
    restore("again", "--tcp-rebind", "10.1.0.2=10.1.0.3")
    expect(echoes(client), "the connection at its old address")
    expect(echoes(socket.create_connection(("10.1.0.3", 7000))), "the server at its third address")
    server.end()
    server = Echo("fd00::2")
    server.dump("six")
    run("ip", "address", "add", "fd00::3/128", "dev", "lo", "nodad")
    restore("six", "--tcp-rebind", "[fd00::2]:7000=[fd00::3]:7007")
    expect(echoes(socket.create_connection(("fd00::3", 7007))), "the server of IPv6")
    server.end()


def scoped():
    """Addresses that are unique on their device only."""
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    for device, address in ("v0", "fe80::1"), ("v1", "fe80::2"):
        run("ip", "address", "add", address + "/64", "dev", device, "nodad")
        run("ip", "link", "set", device, "up")
    server = Echo("fe80::1%v0")
    client = socket.create_connection(("fe80::1%v0", 7000))
    for number in range(3):
        expect(echoes(client), f"no echo in round {number}")
        server.dump(f"images-{number}")
        restore(f"images-{number}")
    expect(echoes(client), "no echo after the last restore")
    expect(echoes(socket.create_connection(("fe80::1%v0", 7000))), "no new connection")
    server.end()


def main():
    os.makedirs(folder, exist_ok=True)
    run("ip", "link", "set", "lo", "up")
    {"recover": recover, "bundle": bundle, "newcomers": newcomers, "rebind": rebind, "scoped": scoped}[wanted]()
    print("OK", flush=True)
    os._exit(0)


main()
