#!/usr/bin/env python3
"""Sockets with TCP Fast Open through a dump and a restore, in a network namespace of their own:

    unshare --net --pid --fork --kill-child --mount-proc python3 fast_open.py APUS FOLDER

One process listens, with a queue for fast open and a key of its own, and holds both ends of a connection that was made so. The
options have to be as before, the connection goes on, and a client with a cookie of before sends its data in its first segment.
A connection whose first segment has come with data, and of which the other end has not been heard again, is refused by name.
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

apus, folder = sys.argv[1:3]
TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE = 23, 30, 33, 34
MSG_FASTOPEN = 0x20000000

SERVER = """
import signal, socket, sys
key = bytes(range(32))
listener = socket.create_server(("192.0.2.10", 7000))
listener.setsockopt(6, 23, 5)
listener.setsockopt(6, 33, key)
open_to_all = socket.create_server(("192.0.2.10", 7001))
open_to_all.setsockopt(6, 23, 7)
open_to_all.setsockopt(6, 34, 1)
def connect(text):
    client = socket.socket()
    client.setsockopt(6, 30, 1)
    client.connect(("192.0.2.10", 7000))
    client.sendall(text)
    return client, listener.accept()[0]
# The first is given a cookie; the second uses it.
connect(b"first")
client, server = connect(b"second")
fresh = socket.socket()
fresh.setsockopt(6, 30, 1)
accepted = []
def check(*_):
    bad = []
    def want(what, found, wanted):
        if found != wanted:
            bad.append(f"{what}: {found}, not {wanted}")
    want("queue", listener.getsockopt(6, 23), 5)
    want("key", listener.getsockopt(6, 33, 32), key)
    want("queue without cookies", open_to_all.getsockopt(6, 23), 7)
    want("no cookies", open_to_all.getsockopt(6, 34), 1)
    want("wish to connect so", fresh.getsockopt(6, 30), 1)
    want("data of the first segment", server.recv(99), b"second")
    server.sendall(b"answer")
    want("answer", client.recv(99), b"answer")
    client.sendall(b"second")
    other, end = connect(b"third")
    # TCPI_OPT_SYN_DATA of struct tcp_info.
    want("sent in the first segment", bool(other.getsockopt(6, 11, 104)[5] & 32), True)
    want("received in the first segment", end.recv(99), b"third")
    print("\\n".join(bad + ["BAD"]) if bad else "OK", flush=True)
signal.signal(signal.SIGUSR1, check)
signal.signal(signal.SIGUSR2, lambda *_: accepted.append(open_to_all.accept()[0]))
print("ready", flush=True)
while True:
    signal.pause()
"""


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def first_segment(source, target, data):
    """What a client sends that nobody hears of again."""
    (there, port), (here, own) = target, source
    head = struct.pack("!HHIIHHHH", own, port, 1000, 0, 5 << 12 | 2, 65535, 0, 0)
    pseudo = socket.inet_aton(here) + socket.inet_aton(there) + struct.pack("!HH", 6, len(head) + len(data))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 6, 0) + socket.inet_aton(here) + socket.inet_aton(there)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(ip + head + data, (there, 0))


def main():
    os.makedirs(folder, exist_ok=True)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "192.0.2.10/32", "dev", "lo")
    # Of an address that nobody has the kernel hears nothing, not even that there is nobody.
    run("ip", "route", "add", "192.0.2.0/24", "dev", "lo")
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as file:
        file.write("3")
    output = folder + "/output"
    server = subprocess.Popen(
        ["setsid", sys.executable, "-c", SERVER], stdin=subprocess.DEVNULL, stdout=open(output, "w"),
        stderr=subprocess.STDOUT)

    def wait_for(words, what):
        for _ in range(500):
            text = open(output).read()
            if text.split("\n")[:-1] == words:
                return
            if "BAD" in text or "Error" in text:
                break
            time.sleep(0.02)
        sys.exit(f"{what}: {open(output).read()}")

    wait_for(["ready"], "start")
    words = ["ready"]
    for number in range(3):
        images = f"{folder}/images-{number}"
        os.mkdir(images)
        run(apus, "dump", "-t", str(server.pid), "-D", images, "--tcp-established")
        # A child at first, and adopted since: this process is the first of its namespace.
        os.waitpid(server.pid, 0)
        run(apus, "restore", "-d", "-D", images, "--tcp-established")
        os.kill(server.pid, signal.SIGUSR1)
        words.append("OK")
        wait_for(words, f"round {number}")
    first_segment(("192.0.2.99", 9), ("192.0.2.10", 7001), b"data")
    time.sleep(0.3)
    os.kill(server.pid, signal.SIGUSR2)
    time.sleep(0.3)
    images = folder + "/refused"
    os.mkdir(images)
    said = " ".join(run(apus, "dump", "-t", str(server.pid), "-D", images, "--tcp-established", status=1).split())
    if "a TCP connection is being made by fast open" not in said:
        sys.exit(f"not refused by name: {said}")
    print("OK")


main()
