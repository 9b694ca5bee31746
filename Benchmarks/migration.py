#!/usr/bin/env python3
"""How long a program stands still when it moves: migration.py APUS [--sizes 64,256,1024,4096] [--rate 20] [--rounds 3]

A program with so many megabytes of memory, which writes RATE megabytes of pages a second all over it (writer.c), moves into another pid
namespace of this machine. Nothing but pipes lies between the two, so that what is measured is Apus, and not a network. The program itself
says how long the longest gap was in what it does; Apus says the same from its side. Beside it stands how long the same bytes
take through a pipe. As root, on a machine that has nothing else to do.

With `--option=--postcopy --option=always` it also tells how long the rest of the memory took, and how long the program waited for a page.
"""
import argparse, json, os, signal, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument("apus")
parser.add_argument("--sizes", default="64,256,1024,4096")
parser.add_argument("--rate", type=int, default=20)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--option", action="append", default=[])
given = parser.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
apus = os.path.abspath(given.apus)


def pipe(size):
    """Seconds that so many megabytes take through a pipe."""
    start = time.monotonic()
    subprocess.run(
        f"dd if=/dev/zero bs=1M count={size} status=none | dd of=/dev/null bs=1M iflag=fullblock status=none", shell=True, check=True)
    return time.monotonic() - start


def move(folder, size):
    output = os.path.join(folder, f"out-{size}")
    # An init that reaps, in a pid namespace whose pids are free.
    target = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
         "echo 30000 >/proc/sys/kernel/ns_last_pid; while :; do sleep 0.2; done"])
    program = None
    try:
        time.sleep(0.5)
        inner = subprocess.run(["pgrep", "-P", str(target.pid)], capture_output=True, text=True, check=True).stdout.split()[0]
        program = subprocess.Popen(
            [os.path.join(folder, "writer"), str(size), str(given.rate)], stdin=subprocess.DEVNULL,
            stdout=open(output, "w"), stderr=subprocess.DEVNULL, start_new_session=True)
        while "ready" not in open(output).read():
            time.sleep(0.05)
        time.sleep(0.3)
        link = os.path.join(folder, "link")
        with open(link, "w") as file:
            file.write(f'#!/bin/sh\nshift\nexec nsenter -t {inner} -p -m -- "$@"\n')
        os.chmod(link, 0o755)
        before = len(open(output).readlines())
        moved = subprocess.run(
            [apus, "migrate", str(program.pid), "there", "--ssh-command", link, "--remote-apus", apus, "--json",
             "--state-dir", os.path.join(folder, "state")] + given.option,
            capture_output=True, text=True)
        if moved.returncode:
            sys.exit(moved.stdout + moved.stderr)
        time.sleep(0.5)
        summary = json.loads(moved.stdout.splitlines()[-1])
        gaps = [int(line.split()[1]) / 1000 for line in open(output).readlines()[before:] if line.startswith("gap")]
        return max(gaps), summary
    finally:
        target.send_signal(signal.SIGKILL)
        target.wait()
        if program:
            program.kill()
            program.wait()


with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["cc", "-O2", "-o", os.path.join(folder, "writer"), os.path.join(here, "writer.c")], check=True)
    print("| memory | the program's own pause, ms | Apus' pause, ms | rehearsal, ms | in all, ms | rounds | sent, MiB | while it stood still, MiB | followed within, ms | pages waited for | wait for one, us | the same through a pipe, ms |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for size in map(int, given.sizes.split(",")):
        results = [(*move(folder, size), pipe(size)) for _ in range(given.rounds)]
        middle = lambda values: statistics.median(list(values))
        summaries = [result[1] for result in results]
        late = lambda name: middle((s["late"] or {}).get(name, 0) for s in summaries)
        print(
            f"| {size} MiB | {middle(r[0] for r in results):.1f} | {middle(s['pause_ns'] for s in summaries) / 1e6:.1f}"
            f" | {middle(s['rehearsal_ns'] for s in summaries) / 1e6:.1f} | {middle(s['total_ns'] for s in summaries) / 1e6:.0f}"
            f" | {middle(len(s['rounds']) for s in summaries):.0f} | {middle(s['sent_bytes'] for s in summaries) / 2**20:.0f}"
            f" | {middle(s['last_bytes'] for s in summaries) / 2**20:.1f}"
            f" | {late('time_ns') / 1e6:.0f} | {late('faults'):.0f} | {late('median_wait_ns') / 1e3:.0f} | {middle(r[2] for r in results) * 1e3:.0f} |",
            flush=True)
