"""Pass on what comes to a session's socket or port to a server of this machine that is not the session's own.

Some servers run once for all users of a machine, on a fixed port and as a user of their own. sessiond speaks to nobody
but the session's user, so this stands between. It passes on bytes, TLS or not, and only to a listener that belongs to
one of the given users: while the server is away, anybody can take its port.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

PIECE = 1 << 16
LISTENS = "0A"


def owners(port):
    """The users who listen on TCP port ``port`` of this machine."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:  # noqa: PTH123
            for line in list(lines)[1:]:
                fields = line.split()
                if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(int(fields[7]))
    return found


async def pour(source, drain):
    """Pass on all of one direction, and its end."""
    with contextlib.suppress(OSError):
        while True:
            piece = await source.read(PIECE)
            if not piece:
                break
            drain.write(piece)
            await drain.drain()
    with contextlib.suppress(OSError):
        if drain.can_write_eof():
            drain.write_eof()


async def close(writer):
    """Close a connection, whatever became of it."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def relay(port, allowed):
    """What is done with each connection."""

    async def connected(reader, writer):
        found = owners(port)
        if not found or not found <= allowed:
            whose = "nobody" if not found else "somebody else"
            print(f"{whose} listens on port {port}: a connection was not passed on", flush=True)  # noqa: T201
            await close(writer)
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("localhost", port)
        except OSError:
            await close(writer)
            return
        await asyncio.gather(pour(reader, there_writer), pour(there_reader, writer))
        await close(there_writer)
        await close(writer)

    return connected


async def serve(options):
    """Pass on until told to end. Raises OSError where it cannot listen."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    handler = relay(options.to, set(options.owner))
    if options.socket:
        before = os.umask(0o177)
        await asyncio.start_unix_server(handler, options.socket)
        os.umask(before)
    else:
        await asyncio.start_server(handler, options.bind, options.port)
    await stop.wait()


def main():
    """Read the command line, serve, and return the exit status."""
    parser = argparse.ArgumentParser(description="Pass on connections to a server of this machine.")
    parser.add_argument("--to", type=int, required=True, metavar="PORT", help="the server's port")
    parser.add_argument("--owner", type=int, required=True, action="append", help="a user id the server may have")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bind", default="127.0.0.1", help="the address of the port")
    parser.add_argument("--socket", default="", help="the path of a Unix socket to listen on instead")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options))
    except OSError as failure:
        where = options.socket or f"{options.bind}:{options.port}"
        print(f"The relay cannot listen on {where}: {failure}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
