"""An event loop with a server on a Unix socket, clients, a subprocess, timers and a thread pool."""
import asyncio
import hashlib
import os
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(hashlib.sha256(line).hexdigest().encode() + b"\n")
        await writer.drain()
    writer.close()


async def client(number, results):
    reader, writer = await asyncio.open_unix_connection("asyncio.socket")
    value = b"%d" % number
    for step in range(400):
        writer.write(value + b"\n")
        value = (await reader.readline()).strip()
        await asyncio.sleep(0.02)
    writer.close()
    results[number] = value.decode()


async def child(results):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys\nfor line in sys.stdin:\n  print(int(line) * 3, flush=True)",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    total = 0
    for number in range(240):
        process.stdin.write(b"%d\n" % number)
        total += int(await process.stdout.readline())
        await asyncio.sleep(0.02)
    process.stdin.close()
    results["child"] = (total, await process.wait())


async def clock():
    for step in range(160):
        print("tick", step, flush=True)
        await asyncio.sleep(0.05)


async def main():
    if os.path.exists("asyncio.socket"):
        os.unlink("asyncio.socket")
    results = {}
    server = await asyncio.start_unix_server(serve, "asyncio.socket")
    blocking = asyncio.get_running_loop().run_in_executor(
        None, lambda: hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 700000).hex())
    await asyncio.gather(clock(), child(results), *(client(number, results) for number in range(5)))
    results["thread"] = await blocking
    server.close()
    for key in sorted(results, key=str):
        print(key, results[key])


asyncio.run(main())
