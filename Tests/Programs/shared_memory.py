"""Processes that count in shared memory, in an array and under a lock, and a pool of workers."""
import multiprocessing
from multiprocessing import shared_memory
import time


def count(name, array, lock, number):
    block = shared_memory.SharedMemory(name=name)
    for step in range(200):
        with lock:
            block.buf[number] = (block.buf[number] + 1) % 251
            array[0] += number
        time.sleep(0.02)
    block.close()


def square(number):
    time.sleep(0.04)
    return number * number


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    block = shared_memory.SharedMemory(create=True, size=4096)
    array, lock = multiprocessing.Array("q", 4), multiprocessing.Lock()
    workers = [multiprocessing.Process(target=count, args=(block.name, array, lock, n)) for n in range(1, 4)]
    for worker in workers:
        worker.start()
    with multiprocessing.Pool(2) as pool:
        for step, value in enumerate(pool.imap(square, range(240), chunksize=3)):
            if step % 6 == 0:
                print("square", step, value, flush=True)
    for worker in workers:
        worker.join()
    print("counted", bytes(block.buf[1:4]).hex(), array[0], [worker.exitcode for worker in workers])
    block.close()
    block.unlink()
