"""Stands in for a network between two hosts that speak TLS over TCP, and may cut it.

tcp_link.py PORT CONTROL     prints the port at which it listens, and passes on what comes to PORT of this host

CONTROL is the beginning of the names of two files. CONTROL.cut holds two numbers, read at each connection: after so many records of TLS to the
other side, or from it, the connection is cut, as by a network that dies: nothing more is passed on, and both sides find it closed.
0 is never. A third word, "breaks", has the network stay away: while CONTROL.down exists, nobody gets through. CONTROL.records gets the numbers of
records that went there and back.
"""
import os, socket, sys, threading


def exactly(source, count):
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def serve(near, port, control):
    try:
        with open(control + ".cut") as file:
            words = file.read().split()
    except OSError:
        words = ["0", "0"]
    limits = [int(words[0]), int(words[1])]
    far = socket.create_connection(("127.0.0.1", port))
    counts = [0, 0]
    is_over = threading.Lock()

    def end():
        if not is_over.acquire(blocking=False):
            return
        with open(control + ".records.new", "w") as file:
            print(*counts, file=file)
        os.rename(control + ".records.new", control + ".records")
        for end in (near, far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def carry(which, source, target):
        try:
            while True:
                header = exactly(source, 5)
                if header is None:
                    break
                body = exactly(source, int.from_bytes(header[3:], "big"))
                if body is None:
                    break
                counts[which] += 1
                if limits[which] and counts[which] > limits[which]:
                    if "breaks" in words:
                        open(control + ".down", "w").close()
                    break
                target.sendall(header + body)
        except OSError:
            pass
        end()

    threading.Thread(target=carry, args=(0, near, far), daemon=True).start()
    carry(1, far, near)


def main():
    port, control = int(sys.argv[1]), sys.argv[2]
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        near, _ = server.accept()
        if os.path.exists(control + ".down"):
            near.close()
            continue
        threading.Thread(target=serve, args=(near, port, control), daemon=True).start()


main()
