"""Stands in for ttyd: the command line, the socket and the messages of ttyd as its source has them.

``ttyd_stand_in.py AGE RECORD ARGUMENT...``: AGE is "new" (1.7.4 and later), "writable" (1.7.0 to 1.7.3: takes keys
without being told), "old" (no header can be asked for), "rooted" (nor a folder for its shells) or "deaf" (its library
cannot listen on a Unix socket). The folder it was called in goes to RECORD, and with what, an argument a line.

Messages of the WebSocket at /ws, protocol "tty": the page begins with ``{"AuthToken": "", "columns": N, "rows": N}``,
then sends ``0`` and keys, or ``1`` and ``{"columns": N, "rows": N}``; the server begins with ``1`` and a title
and ``2`` and settings, then sends ``0`` and what is printed. Without the header it breaks off unanswered, as ttyd 1.7.7
does.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

from aiohttp import WSMsgType, web

HELP = {
    "--interface": "Network interface to bind (eg: eth0), or UNIX domain socket path (eg: /var/run/ttyd.sock)",
    "--credential": "Credential for basic authentication (format: username:password)",
}


def main() -> int:
    """Do as ttyd does."""
    age, record, *arguments = sys.argv[1:]
    if arguments == ["--help"]:
        known = dict(HELP)
        if age != "old":
            known["--auth-header"] = "HTTP Header name for auth proxy"
        if age != "rooted":
            known["--cwd"] = "Working directory to be set for the child program"
        if age in {"new", "deaf"}:
            known["--writable"] = "Allow clients to write to the TTY (readonly by default)"
        print("\n".join(f"    {name:<20}{text}" for name, text in known.items()), file=sys.stderr)
        return 0
    Path(record).write_text("".join(f"{line}\n" for line in (Path.cwd(), *arguments)))
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-i", dest="interface", required=True)
    parser.add_argument("-H", dest="header", required=True)
    parser.add_argument("-w", dest="folder", required=True)
    if age != "writable":
        parser.add_argument("-W", dest="writable", action="store_true")
    parser.add_argument("command")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    options.writable = age == "writable" or options.writable
    asyncio.run(serve(options, deaf=age == "deaf"))
    return 0


async def serve(options: argparse.Namespace, *, deaf: bool) -> None:
    """Serve until SIGTERM; a socket is known by its name's ending."""
    assert options.interface.endswith((".sock", ".socket"))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def answer(request: web.Request) -> web.StreamResponse:
        print(f"HTTP {request.path}", flush=True)
        if not request.headers.get(options.header):
            if request.path == "/ws" and request.transport is not None:
                request.transport.close()
            return web.Response(status=407)
        if request.path == "/ws":
            return await terminal(request, options)
        return web.Response(text="the page of ttyd") if request.path == "/" else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    if not deaf:
        await web.UnixSite(runner, options.interface).start()
    await stop.wait()
    # As ttyd, it neither waits for its shells nor ends them.
    os._exit(0)


async def terminal(request: web.Request, options: argparse.Namespace) -> web.WebSocketResponse:
    """One tab: a shell of its own, which gets SIGHUP when the tab goes."""
    tab = web.WebSocketResponse(protocols=("tty",))
    await tab.prepare(request)
    loop = asyncio.get_running_loop()
    begin = json.loads(await tab.receive_bytes())
    ours, theirs = os.openpty()
    resize(ours, begin)
    await tab.send_bytes(b"1" + options.command.encode())
    await tab.send_bytes(b"2{ }")
    shell = subprocess.Popen(  # noqa: ASYNC220
        [options.command, *options.rest],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=options.folder,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    printed: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(ours, lambda: printed.put_nowait(os.read(ours, 65536)))

    async def show() -> None:
        while True:
            await tab.send_bytes(b"0" + await printed.get())

    showing = loop.create_task(show())
    async for message in tab:
        data = message.data if message.type is WSMsgType.BINARY else b""
        if data[:1] == b"0" and options.writable:
            os.write(ours, data[1:])
        elif data[:1] == b"1":
            resize(ours, json.loads(data[1:]))
    showing.cancel()
    loop.remove_reader(ours)
    os.killpg(shell.pid, signal.SIGHUP)
    return tab


def resize(terminal: int, size: dict[str, int]) -> None:
    """Give the terminal the page's size."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", size["rows"], size["columns"], 0, 0))


if __name__ == "__main__":
    sys.exit(main())
