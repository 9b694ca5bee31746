#!/usr/bin/env python3
"""Two hosts and a client, each a network namespace, on one bridge. A server on the first is dumped while the client sends
to it and reads, and restored on the second, which has taken over the address. The client's connection has to go on, each
byte in its place, and nobody may have been told of a reset.

    unshare --net --pid --fork --kill-child --mount-proc python3 two_hosts.py APUS FOLDER

The client is in the namespace of this program. Prints OK, or what went wrong, and ends with 0 or 1.
"""
import os
import socket
import subprocess
import sys
import threading
import time

apus, folder = sys.argv[1:3]
images = folder + "/images"
address, port = "10.9.0.1", 7000

SERVER = f"""
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("{address}", {port}))
s.listen(5)
print("ready", flush=True)
c, _ = s.accept()
while True:
    b = c.recv(65536)
    if not b:
        break
    c.sendall(b)
"""


def run(*command, host=None, check=True):
    if host:
        command = ("nsenter", f"--net=/proc/{host.pid}/ns/net") + command
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done


def fail(what):
    print("FAIL", what, flush=True)
    os._exit(1)


def host(name):
    """A network namespace, which lasts as long as a process in it; its end of a cable is eth0, ours is on the bridge."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "300"], stdin=subprocess.DEVNULL)
    own = os.stat("/proc/self/ns/net").st_ino
    while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == own:
        time.sleep(0.01)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    run("ip", "link", "set", name, "master", "bridge", "up")
    run("ip", "link", "set", "lo", "up", host=holder)
    run("ip", "link", "set", "eth0", "up", host=holder)
    return holder


resets = []


def capture():
    """Counts the segments with RST that pass the bridge."""
    everything = 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything)) as seen:
        seen.bind(("bridge", 0))
        while True:
            frame = seen.recv(65536)
            if frame[12:14] == b"\x08\x00" and frame[23] == 6:
                header = 14 + 4 * (frame[14] & 15)
                if frame[header + 13] & 4:
                    resets.append(frame)


def dump(server, first):
    done = run(apus, "dump", "-t", str(server.pid), "-D", images, "--tcp-established", host=first, check=False)
    if done.returncode:
        fail(f"dump: {done.stderr}")
    server.wait(5)


def restore(second, *options):
    return run(apus, "restore", "-d", "-D", images, "--tcp-established", *options, host=second, check=False)


def main():
    os.makedirs(images)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "address", "add", "10.9.0.3/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")
    first, second = host("first"), host("second")
    run("ip", "address", "add", address + "/24", "dev", "eth0", host=first)
    run("ip", "address", "add", "10.9.0.2/24", "dev", "eth0", host=second)
    threading.Thread(target=capture, daemon=True).start()
    server = subprocess.Popen(
        ["nsenter", f"--net=/proc/{first.pid}/ns/net", "setsid", "python3", "-c", SERVER],
        stdin=subprocess.DEVNULL, stdout=open(folder + "/server.out", "w"), stderr=subprocess.STDOUT)
    while "ready" not in open(folder + "/server.out").read():
        time.sleep(0.05)

    client = socket.create_connection((address, port), timeout=30)
    data = os.urandom(1 << 16)
    sent, over = [0], threading.Event()

    def send():
        while not over.is_set():
            client.sendall(data)
            sent[0] += len(data)
            time.sleep(0.001)
        client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    received = [0]

    def receive():
        while True:
            piece = client.recv(65536)
            if not piece:
                return
            at = received[0] % len(data)
            if (data + data)[at:at + len(piece)] != piece:
                fail(f"wrong bytes after {received[0]}")
            received[0] += len(piece)

    receiver = threading.Thread(target=receive)
    sender.start()
    receiver.start()
    time.sleep(0.5)
    dump(server, first)
    run("ip", "address", "del", address + "/24", "dev", "eth0", host=first)
    refused = restore(second)
    if refused.returncode == 0 or address not in refused.stderr:
        fail(f"a restore without the address: {refused.returncode} {refused.stderr}")
    # The script runs when the restore has locked the network: no segment comes to a host that has no socket for it. The
    # address itself has to be there before, so the cable is pulled until then.
    run("ip", "link", "set", "second", "nomaster")
    run("ip", "address", "add", address + "/24", "dev", "eth0", host=second)
    plug = f"nsenter --net=/proc/{os.getpid()}/ns/net ip link set second master bridge"
    script = f"[ $CRTOOLS_SCRIPT_ACTION != network-lock ] || {plug}"
    run("ip", "neighbour", "flush", "all")
    done = restore(second, "--action-script", script)
    if done.returncode:
        fail(f"restore: {done.stderr}")
    at_restore = received[0]
    time.sleep(1.5)
    over.set()
    for thread in sender, receiver:
        thread.join(20)
        if thread.is_alive():
            fail(f"the connection does not go on: sent {sent[0]}, received {received[0]}, at the restore {at_restore}")
    if sent[0] != received[0] or received[0] <= at_restore:
        fail(f"sent {sent[0]}, received {received[0]}, at the restore {at_restore}")
    if resets:
        fail(f"{len(resets)} resets")
    print("OK", flush=True)
    os._exit(0)


main()
