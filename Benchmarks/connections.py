#!/usr/bin/env python3
"""How long a dump and a restore of a server with many established TCP connections take, by phases.

    unshare --net --pid --fork --kill-child --mount-proc python3 connections.py APUS FOLDER [COUNT] [ROUNDS]

The server is one process with COUNT connections (10,000), 100 bytes waiting unread in each; its clients are another, which is not
dumped. Afterwards each connection is used in both directions. Prints the phases that the log tells of, in milliseconds.
"""
import os
import re
import resource
import socket
import subprocess
import sys
import time

apus, folder = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3

SERVER = f"""
import resource, selectors, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", 7000), backlog=1000)
print("ready", flush=True)
every = selectors.DefaultSelector()
connections = [listener.accept()[0] for _ in range({count})]
print("all", flush=True)
signal = connections[0]
while signal.recv(1) == b"x":
    pass
# The word to go on, after the bytes that waited.
for one in connections:
    rest = 100 if one is not signal else 0
    while rest:
        rest -= len(one.recv(rest))
    one.sendall(b"y")
print("over", flush=True)
while True:
    if not signal.recv(100):
        break
"""


def run(*command):
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return time.monotonic() - began


def phases(log):
    found = re.findall(r"phase ([^:]+): (\d+) us", open(log).read())
    return ", ".join(f"{name} {int(time) / 1000:.0f}" for name, time in found if int(time) >= 1000)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.makedirs(folder)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    output = folder + "/output"
    server = subprocess.Popen(
        ["setsid", sys.executable, "-c", SERVER], stdin=subprocess.DEVNULL, stdout=open(output, "w"),
        stderr=subprocess.STDOUT)

    def wait_for(word):
        while word not in open(output).read():
            time.sleep(0.02)

    wait_for("ready")
    clients = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(count)]
    wait_for("all")
    for client in clients:
        client.sendall(b"x" * 100)
    for number in range(rounds):
        images = f"{folder}/images-{number}"
        os.mkdir(images)
        dump = run(
            *os.environ.get("UNDER", "").split(), apus, "dump", "-t", str(server.pid), "-D", images, "--tcp-established", "--timeout", "0",
            "-v4", "-o", "dump.log")
        # Whoever ends without a parent is this program's to wait for.
        os.waitpid(server.pid, 0)
        print(f"{count} connections: dump {dump:.2f} s ({phases(images + '/dump.log')})", flush=True)
        restore = run(
            apus, "restore", "-d", "-D", images, "--tcp-established", "-v4", "-o", "restore.log")
        print(f"{count} connections: restore {restore:.2f} s"
              f" ({phases(images + '/restore.log')})", flush=True)
    clients[0].sendall(b"z")
    for client in clients:
        if client.recv(1) != b"y":
            sys.exit("a connection does not go on")
    wait_for("over")
    print("all connections go on")


main()
