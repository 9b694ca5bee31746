"""Writes pages full and empties them again, and knows which are which: zero_writer.py MIB STATUS

Half of the pages are zeros at any time, and others each time; of the rest some can be compressed and some cannot. At each line
that comes from STATUS (a FIFO) all pages are compared with what they have to be: "OK n" or "BAD ..." is printed.
"""
import mmap, os, random, select, sys

size = int(sys.argv[1]) << 20
status = os.open(sys.argv[2], os.O_RDWR)
pages = size // 4096
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
numbers = random.Random(11)
noise = numbers.randbytes(4096)
# 0 for zeros, else what the page holds.
kinds = [0] * pages


def content(page, kind):
    if kind == 0:
        return bytes(4096)
    head = b"%d of %d " % (kind, page)
    return head + (noise[len(head):] if kind % 2 else (b"swift " * 683)[len(head):4096])


def write(page, kind):
    kinds[page] = kind
    memory[page * 4096:page * 4096 + 4096] = content(page, kind)


for page in range(pages):
    write(page, numbers.choice((0, 0, 1, 2)))
print("ready", flush=True)
written = 0
while True:
    if select.select([status], [], [], 0)[0]:
        os.read(status, 4096)
        wrong = [page for page in range(pages) if memory[page * 4096:page * 4096 + 4096] != content(page, kinds[page])]
        print(f"BAD {wrong[:10]} of {len(wrong)}" if wrong else f"OK {written}", flush=True)
    for _ in range(50):
        page = numbers.randrange(pages) if numbers.random() < 0.5 else numbers.randrange(64)
        write(page, numbers.choice((0, 0, written + 2, written + 3)))
        written += 1
    select.select([], [], [], 0.002)
