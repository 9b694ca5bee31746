#!/usr/bin/env python3
"""How long a program takes to move over a link: links.py APUS [--size 256] [--links pipe,veth,1gbit,100mbit] [--ways none,lz4,zstd,auto]
                                                         [--channels 1] [--rounds 3] [--rate MIB]

A program with so many megabytes of memory (a quarter each of zeros and of noise, half of it the text of python's own library) moves into
another pid namespace of this machine: over a pipe, or by ssh over a pair of network devices (veth) between two network namespaces, as fast
as it is or held to a rate (tc-tbf(8)). Each way (--compress) and each number of connections (--channels) is measured in turns with the others;
medians, and the ratio to the first of the time in
which memory was sent. As root, on a machine that has nothing else to do. sshd is started for it, with keys of its own.
"""
import argparse, json, os, signal, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument("apus")
parser.add_argument("--size", type=int, default=256)
parser.add_argument("--links", default="pipe,veth,1gbit,100mbit")
parser.add_argument("--ways", default="none,lz4,zstd,auto")
parser.add_argument("--channels", default="1")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--rate", type=int, default=0, help="the program of migration.py, which writes so many megabytes a second all over its memory")
given = parser.parse_args()
apus = os.path.abspath(given.apus)
HERE, THERE = "10.99.77.1", "10.99.77.2"

PROGRAM = """
import glob, mmap, os, sys, time
size = int(sys.argv[1]) << 20
text = b"".join(open(name, "rb").read() for name in sorted(glob.glob(os.path.dirname(os.__file__) + "/*.py")))
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
place, kind = 0, 0
while place < size:
    # 64 KiB of each in turns.
    end = min(place + 65536, size)
    start = place // 4 % (len(text) - 65536)
    memory[place:end] = (bytes(65536), text[start:start + 65536], os.urandom(65536), text[start:start + 65536])[kind][:end - place]
    place, kind = end, (kind + 1) % 4
del text
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Target:
    """A pid namespace whose pids are free, and a network namespace with sshd in it."""

    def __init__(self, folder, link):
        self.folder, self.link, self.sshd = folder, link, None
        self.process = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
             "echo 30000 >/proc/sys/kernel/ns_last_pid; while :; do sleep 0.2; done"])
        time.sleep(0.5)
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        self.inner = found.stdout.split()[0]
        if link != "pipe":
            self.connect()

    def inside(self, *command):
        return ["nsenter", "-t", self.inner, "-p", "-m", "-n", "--", *command]

    def connect(self):
        run("ip", "link", "add", "apus-here", "type", "veth", "peer", "name", "apus-there", "netns", self.inner)
        run("ip", "address", "add", HERE + "/24", "dev", "apus-here")
        run("ip", "link", "set", "apus-here", "up")
        for command in (("address", "add", THERE + "/24", "dev", "apus-there"), ("link", "set", "apus-there", "up"), ("link", "set", "lo", "up")):
            run(*self.inside("ip", *command))
        if self.link != "veth":
            run("tc", "qdisc", "add", "dev", "apus-here", "root", "tbf", "rate", self.link, "burst", "256kb", "latency", "50ms")
        key = os.path.join(self.folder, "key")
        if not os.path.exists(key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        config = os.path.join(self.folder, "sshd_config")
        with open(config, "w") as file:
            file.write(f"HostKey {key}\nAuthorizedKeysFile {key}.pub\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPidFile none\n"
                       f"ListenAddress {THERE}\nMaxStartups 100\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.sshd = subprocess.Popen(self.inside("/usr/sbin/sshd", "-D", "-e", "-f", config), stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def options(self):
        if self.link == "pipe":
            script = os.path.join(self.folder, "link")
            with open(script, "w") as file:
                file.write('#!/bin/sh\nshift\nexec ' + " ".join(self.inside()) + ' "$@"\n')
            os.chmod(script, 0o755)
            return ["there", "--ssh-command", script]
        key = os.path.join(self.folder, "key")
        return ["root@" + THERE, "--ssh-command",
                f"ssh -F none -T -e none -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"]

    def plain(self, size):
        """Seconds that so many megabytes take."""
        host, _, shell = self.options()
        start = time.monotonic()
        subprocess.run(
            f"dd if=/dev/zero bs=1M count={size} status=none | {shell} {host} dd of=/dev/null bs=1M iflag=fullblock status=none", shell=True, check=True)
        return time.monotonic() - start

    def end(self):
        for process in (self.sshd, self.process):
            if process:
                process.send_signal(signal.SIGKILL)
                process.wait()
        subprocess.run(["ip", "link", "delete", "apus-here"], stderr=subprocess.DEVNULL)


def move(folder, link, way, channels):
    target = Target(folder, link)
    program = None
    try:
        command = [sys.executable, "-c", PROGRAM, str(given.size)]
        if given.rate:
            command = [os.path.join(folder, "writer"), str(given.size), str(given.rate)]
        program = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=open(os.path.join(folder, "out"), "w"),
            stderr=subprocess.DEVNULL, start_new_session=True)
        while "ready" not in open(os.path.join(folder, "out")).read():
            time.sleep(0.05)
        moved = subprocess.run(
            [apus, "migrate", str(program.pid), *target.options(), "--remote-apus", apus, "--json", "--compress", way, "--channels", channels,
             "--state-dir", os.path.join(folder, "state"), "--timeout", "300"], capture_output=True, text=True)
        if moved.returncode:
            sys.exit(moved.stdout + moved.stderr)
        summary = json.loads(moved.stdout.splitlines()[-1])
        summary["sending_ns"] = sum(one["time_ns"] for one in summary["rounds"])
        # The same over the link, by dd.
        summary["plain_ns"] = target.plain(given.size) * 1e9
        return summary
    finally:
        target.end()
        if program:
            program.kill()
            program.wait()


with tempfile.TemporaryDirectory() as folder:
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run(["cc", "-O2", "-o", os.path.join(folder, "writer"), os.path.join(here, "writer.c")], check=True)
    print("| link | way | connections | sending memory, ms | of the first | in all, ms | memory, MiB | sent, MiB | pause, ms | the same by dd, ms | compressed by |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    for link in given.links.split(","):
        cases = [(way, channels) for way in given.ways.split(",") for channels in given.channels.split(",")]
        results = {case: [] for case in cases}
        for _ in range(given.rounds):
            for case in cases:
                results[case].append(move(folder, link, *case))
        middle = lambda case, name: statistics.median(result[name] for result in results[case])
        for case in cases:
            ratio = statistics.median(
                one["sending_ns"] / first["sending_ns"] for one, first in zip(results[case], results[cases[0]]))
            ways = {}
            for result in results[case]:
                for one in result["compression"]:
                    ways[one["name"]] = ways.get(one["name"], 0) + one["bytes"]
            shares = ", ".join(f"{name} {100 * size // max(sum(ways.values()), 1)} %" for name, size in sorted(ways.items(), key=lambda item: -item[1]))
            print(
                f"| {link} | {case[0]} | {case[1]} | {middle(case, 'sending_ns') / 1e6:.0f} | {ratio:.2f} | {middle(case, 'total_ns') / 1e6:.0f} | {middle(case, 'memory_bytes') / 2**20:.0f}"
                f" | {middle(case, 'sent_bytes') / 2**20:.0f} | {middle(case, 'pause_ns') / 1e6:.0f} | {middle(case, 'plain_ns') / 1e6:.0f} | {shares} |", flush=True)
