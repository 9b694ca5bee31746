#!/usr/bin/env python3
"""Measures how long Apus takes to dump and to restore, beside what the machine itself can do at best.

    bench.py APUS [--quick] [--directory DIR] [--output DIR] [--runs N]

Programs of growing size are dumped and restored: in memory, in processes, in threads, in mappings. For each the whole
time is measured here, from the start of Apus to its end; the time for which the program stood still, and the phases, are
what Apus says itself (--display-stats, -v4). Beside each stands what the machine needs at least (limits.c), measured in
turns with it: to write so much to a new file of the same file system and wait for the disk, to read it into new memory, to
fork so many processes. Tables go to the standard output; OUTPUT gets bench.svg, bench.md and bench.json.
"""
import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from chart import charts

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_CHILD_SUBREAPER = 36
TIMEOUT = "600"


class Failure(Exception):
    pass


class Bench:
    def __init__(self, apus, directory, runs):
        self.apus = apus
        self.runs = runs
        self.folder = tempfile.mkdtemp(prefix="apus-bench.", dir=directory)
        self.images = os.path.join(self.folder, "images")
        self.load = os.path.join(self.folder, "load")
        self.limits_program = os.path.join(self.folder, "limits")
        for program in ("load", "limits"):
            source = os.path.join(HERE, program + ".c")
            subprocess.run(
                ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", os.path.join(self.folder, program), source,
                 "-lpthread"], check=True)
        # What Apus leaves behind becomes a child of this program, which can wait for it: its pids must be free again.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.root = None

    def close(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The program that is dumped

    def start(self, kind, number):
        said = os.path.join(self.folder, "said")
        with open(said, "wb") as output:
            process = subprocess.Popen(
                [self.load, kind, str(number)], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
                start_new_session=True, close_fds=True)
        self.root = process.pid
        limit = time.monotonic() + 300
        while os.path.getsize(said) < 6:
            if process.poll() is not None or time.monotonic() > limit:
                self.root = None
                raise Failure(f"the program with {number} {kind} does not start")
            time.sleep(0.005)
        time.sleep(0.05)
        process.returncode = 0  # It is waited for by reap().

    def reap(self):
        """Waits for all that has ended or is about to end: whole trees become children of this program."""
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                time.sleep(0.001)
        raise Failure("processes are left over")

    def end(self):
        if self.root is None:
            return
        try:
            os.killpg(self.root, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.root = None
        self.reap()

    # Apus

    def run(self, *arguments):
        began = time.monotonic()
        done = subprocess.run(
            [self.apus, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, check=False)
        spent = (time.monotonic() - began) * 1e3
        if done.returncode != 0:
            raise Failure(f"apus {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        text = done.stdout + done.stderr
        frozen = re.search(r"^\s*Frozen time: (\d+) us", text, re.MULTILINE)
        phases = {name: int(time) / 1e3 for name, time in re.findall(r"phase ([a-z ]+): (\d+) us", text)}
        return spent, int(frozen[1]) / 1e3 if frozen else 0, phases

    def dump(self, *options):
        self.clear()
        return self.run(
            "dump", "-t", str(self.root), "-D", self.images, "-v4", "--display-stats", "--timeout", TIMEOUT, *options)

    def clear(self):
        shutil.rmtree(self.images, ignore_errors=True)
        os.mkdir(self.images, 0o700)

    def restore(self):
        return self.run("restore", "-D", self.images, "-d", "-v4")

    # Measurements

    def measure(self, kind, number, runs=None):
        """Dumps and restores one program, in turns with the limits; medians in milliseconds."""
        rows, phases, limits = [], [], []
        mebibytes = number if kind == "memory" else 64
        for _ in range(runs or self.runs):
            self.start(kind, number)
            try:
                row = {"explain": self.run("explain", str(self.root))[0]}
                self.clear()
                self.warm(mebibytes)
                row["left running"], row["frozen, left running"], live = self.dump("--leave-running")
                self.clear()
                self.warm(mebibytes)
                row["dump"], row["frozen"], dead = self.dump()
                row["image MiB"] = self.size_of_images()
                self.reap()
                self.warm(mebibytes)
                row["restore"], _, again = self.restore()
            finally:
                self.end()
            rows.append(row)
            phases.append({"left running": live, "dump": dead, "restore": again})
            # With the program gone: both of them and a file in memory may be more than there is.
            if kind in LIMITS:
                limits.append(self.limits(kind, number))
        result = medians(rows)
        result["number"] = number
        result["phases"] = {what: medians([phase[what] for phase in phases]) for what in phases[0]}
        if limits:
            result["limits"] = medians(limits)
        return result

    def warm(self, mebibytes):
        """A virtual machine gives back what is free, and what it gets again later costs ten times a page fault."""
        subprocess.run([self.limits_program, "warm", str(min(mebibytes, free_memory() * 4 // 5))], check=True)

    def size_of_images(self):
        total = 0
        for place, _, names in os.walk(self.images):
            total += sum(os.lstat(os.path.join(place, name)).st_blocks * 512 for name in names)
        return total / 2**20

    def limits(self, kind, number):
        arguments = [kind, str(number)]
        if kind == "memory":
            self.clear()
            self.warm(2 * number)
            arguments.append(os.path.join(self.images, "limit"))
        done = subprocess.run([self.limits_program, *arguments], check=True, text=True, stdout=subprocess.PIPE)
        return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}

    def start_up(self):
        return statistics.median(self.run("--version")[0] for _ in range(20))


def medians(rows):
    """Of rows of numbers, by name."""
    return {key: statistics.median(row[key] for row in rows if key in row) for key in rows[0]}


class MoreMappings:
    """Allows programs more mappings than the kernel's default of 65,530 (vm.max_map_count), for the time being."""

    path = "/proc/sys/vm/max_map_count"

    def __init__(self, wanted):
        self.wanted = wanted

    def __enter__(self):
        with open(self.path, encoding="ascii") as file:
            self.before = int(file.read())
        if self.before < self.wanted:
            self.write(self.wanted)

    def write(self, value):
        with open(self.path, "w", encoding="ascii") as file:
            file.write(str(value))

    def __exit__(self, *_):
        self.write(self.before)


SERIES = {
    # What grows, the numbers, those of a quick run.
    "memory": ([16, 64, 256, 1024, 2048, 4096, 8192], [16, 256, 1024]),
    "processes": ([1, 10, 100, 1000], [1, 100]),
    "threads": ([1, 10, 100, 1000, 5000], [1, 100]),
    "mappings": ([100, 1000, 10000, 100000], [1000, 10000]),
    "reserved": ([64], [64]),
}
UNITS = {
    "memory": "MiB", "processes": "processes", "threads": "threads", "mappings": "mappings",
    "reserved": "GiB reserved",
}


def free_memory():
    """In MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    return 0


def fits(bench, mebibytes):
    """The program, its images in the page cache, and as much again for the limits."""
    free_disk = shutil.disk_usage(bench.folder).free >> 20
    return mebibytes * 2.2 < free_memory() and mebibytes * 2.2 < free_disk


def collect(bench, quick):
    results = {"start-up": bench.start_up(), "series": {}, "left out": []}
    for kind, (numbers, few) in SERIES.items():
        rows = results["series"][kind] = []
        for number in few if quick else numbers:
            if kind == "memory" and not fits(bench, number):
                results["left out"].append(f"{number} MiB: there is not so much memory or room on the disk")
                continue
            print(f"{number} {UNITS[kind]} ...", file=sys.stderr, flush=True)
            try:
                with MoreMappings(number + 1000 if kind == "mappings" else 0):
                    rows.append(bench.measure(kind, number))
            except Failure as failure:
                results["left out"].append(f"{number} {UNITS[kind]}: {failure}")
    return results


COLUMNS = ["explain", "dump", "frozen", "left running", "frozen, left running", "restore"]
# What a dump and a restore are held against; the rest is shown.
LIMITS = {
    "memory": ("write", "read", ["fork", "copy", "touch"]),
    "processes": ("look", "make", []),
    "threads": ("look", "make", []),
    "mappings": ("look", "make", []),
}


def markdown(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def table(results):
    lines = [f"apus --version: {results['start-up']:.1f} ms. All times in milliseconds, medians.", ""]
    for kind, rows in results["series"].items():
        if not rows:
            continue
        heads = [UNITS[kind], *COLUMNS, "image MiB"]
        written, read, others = LIMITS.get(kind, (None, None, []))
        if written:
            heads += [f"limit: {written}", "dump / limit", f"limit: {read}", "restore / limit"]
            heads += [f"limit: {other}" for other in others]
        body = []
        for row in rows:
            cells = [f"{row['number']:,}"] + [f"{row[column]:,.1f}" for column in [*COLUMNS, "image MiB"]]
            if written:
                limits = row["limits"]
                cells += [
                    f"{limits[written]:,.1f}", f"{row['dump'] / limits[written]:.2f}", f"{limits[read]:,.1f}",
                    f"{row['restore'] / limits[read]:.2f}"]
                cells += [f"{limits[other]:,.1f}" for other in others]
            body.append(cells)
        lines += markdown(heads, body)
    lines += phase_table(results)
    if results["left out"]:
        lines += ["Left out:", ""] + [f"- {reason}" for reason in results["left out"]]
    return "\n".join(lines) + "\n"


def phase_table(results):
    """The phases of the largest of each kind."""
    lines = []
    for kind, rows in results["series"].items():
        if not rows:
            continue
        row = rows[-1]
        names = [(what, name) for what, phases in row["phases"].items() for name in phases]
        body = [[what, name, f"{row['phases'][what][name]:,.1f}"] for what, name in names]
        lines += [f"Phases of {row['number']:,} {UNITS[kind]}:", ""] + markdown(["", "phase", "ms"], body)
    return lines


def panels(results):
    """What the chart shows: by panel, its title, the name of the lower axis and the lines."""
    found = []
    for kind, rows in results["series"].items():
        if len(rows) < 2:
            continue
        lines = {name: [(row["number"], row[name]) for row in rows] for name in COLUMNS}
        written, read, others = LIMITS.get(kind, (None, None, []))
        for limit in [written, read, *others[:1]] if written else []:
            lines[f"limit: {limit}"] = [(row["number"], row["limits"][limit]) for row in rows]
        found.append((kind, UNITS[kind], lines))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("apus", help="the program to be measured")
    parser.add_argument("--quick", action="store_true", help="a few sizes, once each")
    parser.add_argument("--directory", default="/tmp", help="where images go; its file system is measured too")
    parser.add_argument("--output", default=".", help="where the results go")
    parser.add_argument("--runs", type=int, default=None, help="how often each is measured (3; 1 with --quick)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("The benchmarks dump and restore processes, which needs root.")
    bench = Bench(
        os.path.abspath(options.apus), options.directory, options.runs or (1 if options.quick else 3))
    try:
        results = collect(bench, options.quick)
    finally:
        bench.close()
    results["host"] = f"Linux {os.uname().release}, {os.cpu_count()} processors"
    text = f"{results['host']}\n\n{table(results)}"
    print(text)
    os.makedirs(options.output, exist_ok=True)
    for name, content in (
            ("bench.md", text), ("bench.json", json.dumps(results, indent=1) + "\n"),
            ("bench.svg", charts("Apus: " + results["host"], panels(results)))):
        with open(os.path.join(options.output, name), "w", encoding="utf-8") as file:
            file.write(content)


if __name__ == "__main__":
    main()
