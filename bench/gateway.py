"""What the gateway costs: throughput and latency through it against the service's own port, in one run.

Service, gateway and client are three processes; run it from the checkout: `python bench/gateway.py [MIB] [REQUESTS]`.
Ratios tell more than figures: the machine is the same for both columns and different from yours.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import aiohttp
from _service import COOKIE, PIECE, PORT

HERE = Path(__file__).parent


@contextmanager
def process(*role: str) -> Iterator[int]:
    """One end of the measurement; its port."""
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [sys.executable, HERE / "_service.py", *role], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield int(child.stdout.readline())
        child.stdin.close()


async def throughput(act: Callable[[], Awaitable[None]], mib: int) -> float:
    """MiB a second, the best of three."""
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        await act()
        best = max(best, mib / (time.perf_counter() - began))
    return best


async def latency(act: Callable[[], Awaitable[None]], count: int) -> tuple[float, float]:
    """The median and 99th percentile of one after the other, in milliseconds, after a warm-up."""
    took = []
    for number in range(count + 50):
        began = time.perf_counter()
        await act()
        if number >= 50:
            took.append((time.perf_counter() - began) * 1000)
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


async def measure(base: str, mib: int, count: int) -> dict[str, float]:
    """All figures for one way to the service."""
    size = mib << 20

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // len(PIECE)):
            yield PIECE

    async with aiohttp.ClientSession(headers={"Cookie": COOKIE}, read_bufsize=256 * 1024) as client:

        async def down() -> None:
            got = 0
            async with client.get(f"{base}/give?size={size}") as answer:
                async for chunk in answer.content.iter_any():
                    got += len(chunk)
            assert got == size

        async def up() -> None:
            async with client.put(f"{base}/take", data=pieces(), headers={"Content-Length": str(size)}) as answer:
                assert await answer.text() == str(size)

        async def get() -> None:
            async with client.get(f"{base}/hello") as answer:
                assert await answer.read() == b"hello"

        async def post() -> None:
            async with client.post(f"{base}/hello", data=b"x") as answer:
                assert await answer.read() == b"hello"

        figures = {"download MiB/s": await throughput(down, mib), "upload MiB/s": await throughput(up, mib)}
        figures["GET ms p50"], figures["GET ms p99"] = await latency(get, count)
        figures["POST ms p50"], figures["POST ms p99"] = await latency(post, count)
        async with client.ws_connect(f"{base}/echo", max_msg_size=0) as ws:

            async def echo() -> None:
                await ws.send_bytes(b"x")
                await ws.receive_bytes()

            figures["WebSocket echo ms p50"], figures["WebSocket echo ms p99"] = await latency(echo, count)
        return figures


async def main(mib: int, count: int) -> None:
    """Measure both ways and print them side by side."""
    with process("service") as service, process("gateway", str(service)) as gateway:
        direct = await measure(f"http://127.0.0.1:{service}", mib, count)
        through = await measure(f"http://127.0.0.1:{gateway}/me/{PORT}", mib, count)
    print(f"{'':24}{'direct':>10}{'gateway':>10}{'ratio':>8}{'added':>10}")
    for name, value in direct.items():
        added = f"{through[name] - value:10.3f}" if " ms " in name else ""
        print(f"{name:24}{value:10.3f}{through[name]:10.3f}{through[name] / value:8.2f}{added}")


if __name__ == "__main__":
    asyncio.run(main(*(int(value) for value in (sys.argv[1:3] + ["512", "1000"][len(sys.argv) - 1 :]))))
