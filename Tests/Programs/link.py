"""Stands in for ssh and sshd between two worlds, and may cut the link.

link.py serve SOCKET COMMAND...            for each connection runs COMMAND and what the other side asks for
link.py connect SOCKET OUT IN HOST WHAT... runs WHAT there, joined to the standard input and output

Frames (docs/protocol.md) are passed on in both directions. After OUT frames to the other side, or IN frames from it, the link is cut, as
by a network that dies: nothing more is passed on, and both sides find it closed. 0 is never. LINK_LOG names a file for the
numbers of frames. While LINK_DOWN names a file that exists, nothing can be reached. LINK_RATE is how many bytes go to the other side each
second, at the most.
"""
import json, os, socket, subprocess, sys, threading, time


def exactly(read, count):
    data = b""
    while len(data) < count:
        more = read(count - len(data))
        if not more:
            return None
        data += more
    return data


def serve(path, prefix):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(8)
    while True:
        connection, _ = server.accept()
        size = exactly(connection.recv, 4)
        asked = json.loads(exactly(connection.recv, int.from_bytes(size, "little")))
        variables = [f"{name}={value}" for name, value in json.loads(os.environ.get("LINK_THERE", "{}")).items()]
        with open(path + ".log", "ab") as log:
            program = subprocess.Popen(prefix + ["env"] + variables + asked, stdin=connection, stdout=connection, stderr=log)
        connection.close()
        threading.Thread(target=program.wait, daemon=True).start()


def connect(path, limits, command):
    if os.path.exists(os.environ.get("LINK_DOWN", "")):
        sys.exit(255)
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    text = json.dumps(command).encode()
    link.sendall(len(text).to_bytes(4, "little") + text)
    counts = [0, 0]
    rate = int(os.environ.get("LINK_RATE", "0"))

    def end():
        with open(os.environ.get("LINK_LOG", "/dev/null"), "w") as file:
            print(*counts, file=file)
        link.close()
        os._exit(0)

    def carry(which, read, write):
        try:
            while True:
                header = exactly(read, 8)
                if header is None:
                    break
                size = int.from_bytes(header[4:8], "little")
                body = exactly(read, size) if size else b""
                # Signs of life come when they like: they do not count.
                if header[2] != 16:
                    counts[which] += 1
                    if limits[which] and counts[which] > limits[which]:
                        link.shutdown(socket.SHUT_RDWR)
                        if os.environ.get("LINK_BREAKS"):
                            open(os.environ["LINK_DOWN"], "w").close()
                        end()
                write(header + body)
                if rate and which == 0:
                    time.sleep((8 + size) / rate)
        except OSError:
            pass
        if which == 0:
            try:
                link.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def out(data):
        while data:
            data = data[os.write(1, data):]

    threading.Thread(target=carry, args=(0, lambda n: os.read(0, n), link.sendall), daemon=True).start()
    carry(1, link.recv, out)
    end()


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3:])
else:
    connect(sys.argv[2], (int(sys.argv[3]), int(sys.argv[4])), sys.argv[6:])
