"""Writes all over its memory and knows what it has written: memory_writer.py MIB STATUS

Each page holds its own number, how often it was written, and the sum of both; an array holds the counts a second time. Pages are
compared when they are written again, and all of them at each line that comes from STATUS (a FIFO): "OK n" or "BAD ..." is printed.
"""
import mmap, os, random, select, struct, sys

size = int(sys.argv[1]) << 20
status = os.open(sys.argv[2], os.O_RDWR)
pages = size // 4096
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
counts = [0] * pages
entry = struct.Struct("<QQQ")
numbers = random.Random(7)


def write(page):
    counts[page] += 1
    entry.pack_into(memory, page * 4096 + (counts[page] % 8) * 24, page, counts[page], page + counts[page])


def fault(page):
    found = entry.unpack_from(memory, page * 4096 + (counts[page] % 8) * 24)
    return found != (page, counts[page], page + counts[page])


for page in range(pages):
    write(page)
print("ready", flush=True)
written, wrong = 0, []
while True:
    if select.select([status], [], [], 0)[0]:
        os.read(status, 4096)
        wrong += [page for page in range(pages) if fault(page)]
        print(f"BAD {wrong[:10]} of {len(wrong)}" if wrong else f"OK {written}", flush=True)
    for _ in range(200):
        page = numbers.randrange(pages) if numbers.random() < 0.2 else numbers.randrange(64)
        if fault(page):
            wrong.append(page)
        write(page)
        written += 1
    # Memory that comes and goes.
    other = mmap.mmap(-1, 1 << 20)
    other[::4096] = bytes(256)
    other.close()
    select.select([], [], [], 0.002)
