"""An event loop with subprocesses and streams between them, and processes that share memory, all at the same time."""
import asyncio
import multiprocessing
import sys
from multiprocessing import shared_memory

FILTER = "import sys\nfor line in sys.stdin:\n  print(line.strip()[::-1], flush=True)"
ROUNDS, WORKERS = 150, 3


def count(name, number, turns, results):
    """Adds to its place in the shared memory at each turn, until there are no more."""
    block = shared_memory.SharedMemory(name=name)
    total = 0
    while (turn := turns.get()) is not None:
        block.buf[number] = (block.buf[number] + turn + number) % 251
        total += turn
    results.put((number, total))
    block.close()


async def reverse(number):
    """Sends lines through a subprocess, which turns them round."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILTER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    mistakes = 0
    for step in range(ROUNDS):
        text = f"{number}-{step}-line"
        process.stdin.write(text.encode() + b"\n")
        await process.stdin.drain()
        mistakes += (await process.stdout.readline()).decode().strip() != text[::-1]
        await asyncio.sleep(0.02)
    process.stdin.close()
    return number, mistakes, await process.wait()


async def pipeline():
    """A shell with a pipeline of its own; its output comes as it is made."""
    process = await asyncio.create_subprocess_shell(
        "for i in $(seq 60); do echo $i; sleep 0.05; done | while read n; do echo $((n * n)); done",
        stdout=asyncio.subprocess.PIPE)
    total = 0
    async for line in process.stdout:
        total += int(line)
    return total, await process.wait()


async def tell(turns):
    for step in range(100):
        for queue in turns:
            queue.put(step)
        print("step", step, flush=True)
        await asyncio.sleep(0.05)
    for queue in turns:
        queue.put(None)


async def main(turns):
    return await asyncio.wait_for(
        asyncio.gather(tell(turns), pipeline(), *(reverse(number) for number in range(3))), timeout=300)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    block = shared_memory.SharedMemory(create=True, size=4096)
    turns, results = [context.Queue() for _ in range(WORKERS)], context.Queue()
    workers = [
        context.Process(target=count, args=(block.name, number, turns[number], results)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    print("pipeline and lines", *asyncio.run(main(turns))[1:])
    print("workers", *sorted(results.get(timeout=60) for _ in workers))
    for worker in workers:
        worker.join()
    print("counted", bytes(block.buf[:WORKERS]).hex(), [worker.exitcode for worker in workers])
    block.close()
    block.unlink()
