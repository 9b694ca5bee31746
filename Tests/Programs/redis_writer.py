#!/usr/bin/env python3
"""A client of Redis that writes without pause and one that asks each millisecond, through a move of the server.

redis_writer.py ADDRESS PORT SECONDS RATE: prints what it saw as one line of JSON. Every write that was answered has to be
there at the end, every answer has to be the right one, and no connection may break: else it ends with status 1.
RATE is how many values of 1 KiB are written each second.
"""

import json
import os
import socket
import sys
import threading
import time

address, port, seconds, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
KEYS = 20_000
problems = []


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((address, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        request = b"*%d\r\n" % len(words)
        for word in words:
            request += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(request)

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server has closed the connection")
        if line[:1] == b"$":
            size = int(line[1:])
            return None if size < 0 else self.file.read(size + 2)[:-2]
        if line[:1] == b"-":
            raise ConnectionError(line.decode())
        return line[1:-2]


def value(key, number):
    return (b"%d:%d:" % (key, number)).ljust(1024, b"x")


answered = [0] * KEYS
written = 0


def write(end):
    """Writes batch by batch; what was answered counts."""
    global written
    connection = Connection()
    batch = max(1, rate // 200)
    number, key, due = 0, 0, time.monotonic()
    while time.monotonic() < end:
        keys = []
        for _ in range(batch):
            key = (key + 7919) % KEYS
            number += 1
            connection.send(b"SET", b"moved:%d" % key, value(key, number))
            keys.append((key, number))
        for one, its in keys:
            if connection.answer() != b"OK":
                raise ConnectionError("a write was refused")
            answered[one] = its
            written += 1
        due += batch / rate
        time.sleep(max(0.0, due - time.monotonic()))


gaps = []


def ping(end):
    connection = Connection()
    while time.monotonic() < end:
        start = time.monotonic()
        connection.send(b"PING")
        if connection.answer() != b"PONG":
            raise ConnectionError("a wrong answer to PING")
        gaps.append(time.monotonic() - start)
        time.sleep(0.001)


def guarded(work, end):
    try:
        work(end)
    except Exception as error:  # Whatever it is, the move was seen.
        problems.append(f"{work.__name__}: {type(error).__name__}: {error}")


end = time.monotonic() + seconds
threads = [threading.Thread(target=guarded, args=(work, end)) for work in (write, ping)]
for thread in threads:
    thread.start()
print("ready", flush=True)
for thread in threads:
    thread.join()
try:
    connection, lost = Connection(), 0
    for key, number in enumerate(answered):
        if number:
            connection.send(b"GET", b"moved:%d" % key)
            if connection.answer() != value(key, number):
                lost += 1
    if lost:
        problems.append(f"{lost} writes were answered and are lost")
except Exception as error:
    problems.append(f"the look at the end: {error}")
gaps.sort()
print(
    json.dumps(
        {
            "longest_ms": round(1000 * gaps[-1], 1) if gaps else None,
            "second_ms": round(1000 * gaps[-2], 1) if len(gaps) > 1 else None,
            "median_ms": round(1000 * gaps[len(gaps) // 2], 3) if gaps else None,
            "pings": len(gaps),
            "written": written,
            "problems": problems,
        }
    )
)
sys.exit(1 if problems else 0)
