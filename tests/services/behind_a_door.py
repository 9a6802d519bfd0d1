"""A program to put behind a door: it tells what reached it, and has a WebSocket that echoes.

``behind_a_door.py SOCKET``; or, as what it stands in for, code-server's own words: ``--socket SOCKET ... FOLDER``. With
``--version`` or ``--help`` it answers as code-server does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import WSMsgType, web


async def tell(request: web.Request) -> web.Response:
    """What reached it."""
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": {name: request.headers.getall(name) for name in request.headers},
            "body": len(await request.read()),
            "folder": str(Path.cwd()),
            "arguments": sys.argv[1:],
            "password": os.environ.get("PASSWORD", ""),
            "github": os.environ.get("GITHUB_TOKEN", ""),
            "secrets": sorted(name for name in os.environ if name in {"DOOR_TOKEN", "service_token"}),
        }
    )


async def much(request: web.Request) -> web.StreamResponse:
    """A body without a length, in pieces."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write(b"x" * 65536)
    return response


async def echo(request: web.Request) -> web.WebSocketResponse:
    """The same back; at the word ``family`` it starts what would outlive it."""
    channel = web.WebSocketResponse()
    await channel.prepare(request)
    async for message in channel:
        if message.type is WSMsgType.TEXT:
            if message.data == "family":
                await asyncio.create_subprocess_exec("setsid", "sleep", "600")
            await channel.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await channel.send_bytes(message.data)
    return channel


async def serve(path: str) -> None:
    """Serve until SIGTERM."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get("/much", much)
    app.router.add_get("/ws", echo)
    app.router.add_route("*", "/{rest:.*}", tell)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    if "--version" in sys.argv:
        print("4.7.0 stands in")
    elif "--help" in sys.argv:
        print("  --socket  Path to a socket\n  --session-socket  Where the running instance is")
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--socket", default=sys.argv[1])
        options, _ = parser.parse_known_args()
        asyncio.run(serve(options.socket))


if __name__ == "__main__":
    main()
