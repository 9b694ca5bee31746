#!/usr/bin/env python3
"""Clients at another host, whose connections a server has not accepted yet, through a dump and a restore:

    unshare --net --pid --fork --kill-child --mount-proc python3 tcp_backlog.py APUS FOLDER CASE

The server accepts when it is told to, and no sooner. `same`: the host that it comes back at has the clock of before. `behind`: its
timestamps would go back, so it does without. `stranger`: the images ask for windows that the host does not have, and the one
connection is broken off, with a warning, while the server comes back. `moved`: it comes back at another
port, where its clients are not heard. Prints OK, or what went wrong, and ends with 0 or 1.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

apus, folder, wanted = sys.argv[1:4]
here = "10.97.0.1"

SERVER = """
import signal, socket
listener = socket.create_server(("10.97.0.1", 7000), backlog=16)
print("ready", flush=True)
def serve(*_):
    listener.settimeout(2)
    try:
        while True:
            one = listener.accept()[0]
            one.settimeout(10)
            text = b""
            while not text.endswith(b"."):
                text += one.recv(65536) or b"(cut off)."
            one.sendall(b"%d bytes." % len(text))
            print(len(text), one.getsockopt(6, 11, 104)[5] & 7, flush=True)
            one.close()
    except TimeoutError:
        print("all", flush=True)
signal.signal(signal.SIGUSR1, serve)
while True:
    signal.pause()
"""

CLIENT = """
import socket, sys
one = socket.create_connection(("10.97.0.1", 7000))
one.sendall(b"x" * int(sys.argv[1]))
print("sent", flush=True)
sys.stdin.readline()
one.settimeout(20)
one.sendall(b"more.")
text = b""
try:
    while part := one.recv(99):
        text += part
    print(text.decode(), flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""


def fail(what):
    print("FAIL", what, flush=True)
    os._exit(1)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        fail(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def wait_for(what, condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    fail(f"{what}: {open(folder + '/output').read()}")


def main():
    os.makedirs(folder, exist_ok=True)
    other = subprocess.Popen(["unshare", "--net", "sleep", "100"])
    wait_for("another namespace", lambda: os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
    run("ip", "link", "add", "here0", "type", "veth", "peer", "name", "there0", "netns", str(other.pid))
    there = ["nsenter", "-t", str(other.pid), "-n"]
    run("ip", "link", "set", "lo", "up")
    for command, address, device in [([], here, "here0"), (there, "10.97.0.2", "there0")]:
        run(*command, "ip", "address", "add", address + "/24", "dev", device)
        run(*command, "ip", "link", "set", device, "up")
    output = folder + "/output"
    server = subprocess.Popen(
        ["setsid", sys.executable, "-c", SERVER], stdin=subprocess.DEVNULL, stdout=open(output, "w"),
        stderr=subprocess.STDOUT)
    wait_for("start", lambda: "ready" in open(output).read())
    sizes = [0, 11, 30000]
    clients = []
    for size in sizes:
        client = subprocess.Popen(
            there + [sys.executable, "-c", CLIENT, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if client.stdout.readline() != "sent\n":
            fail("the client does not send")
        clients.append(client)
    time.sleep(0.2)
    images = folder + "/images"
    os.mkdir(images)
    run(apus, "dump", "-t", str(server.pid), "-D", images, "--tcp-established", "-v4", "-o", "dump.log")
    os.waitpid(server.pid, 0)
    supplement = images + "/supplement.json"
    told = open(supplement).read()
    if wanted in ["behind", "stranger"]:
        # Of the second connection: what it would have sent next is in the future; windows are counted otherwise.
        found = json.loads(told)
        streams = [streams for one in found["socket"].values() for streams in one.get("streams", [])]
        if wanted == "behind":
            streams[1]["timestamp"] = (streams[1]["timestamp"] + (1 << 30)) & 0xFFFFFFFF
        else:
            streams[1]["receiveScale"] = 14 if streams[1]["receiveScale"] != 14 else 13
        with open(supplement, "w") as file:
            json.dump(found, file)
        os.unlink(images + "/manifest.json")
    time.sleep(1)
    run(apus, "restore", "-d", "-D", images, "--tcp-established", "-v4", "-o", "restore.log",
        *(["--tcp-rebind", "10.97.0.1:7000=10.97.0.1:7001"] if wanted == "moved" else []))
    os.kill(server.pid, signal.SIGUSR1)
    for client in clients:
        client.stdin.write("go on\n")
        client.stdin.flush()
    wait_for("the end", lambda: "all" in open(output).read())
    answers = [client.communicate(timeout=30)[0].strip() for client in clients]
    expected = [f"{size + 5} bytes." for size in sizes]
    lines = [f"{size + 5} {3 & ~0 | 4}" for size in sizes]
    warnings = re.findall("broken off: .*", open(images + "/restore.log").read())
    if wanted == "behind":
        lines[1] = f"{sizes[1] + 5} 6"
    if wanted == "stranger":
        expected[1] = "ConnectionResetError"
        del lines[1]
    if wanted == "moved":
        (expected, lines) = (["ConnectionResetError"] * 3, [])
    if answers != expected:
        fail(f"{answers}, not {expected}")
    if open(output).read().split("\n") != ["ready"] + lines + ["all", ""]:
        fail(f"{open(output).read()}, not {lines}")
    if len(warnings) != {"stranger": 1, "moved": 3}.get(wanted, 0):
        fail(f"warnings: {warnings}")
    print("OK")
    other.kill()


main()
