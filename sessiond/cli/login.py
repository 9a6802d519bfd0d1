"""``sessionctl login``: what the cluster asks goes to the terminal; what is typed goes there and nowhere else."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_links
from sessiond.cli.output import safe, safe_lines, say, say_error
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessiond.api.wire_clusters import LoginEvent
    from sessiond.client import LoginEvents

_NOT_IN: Final = 4
_INTERRUPTED: Final = 130
_STDIN: Final = 0
_LONGEST: Final = 65536


@click.command()
@click.argument("cluster", shell_complete=complete_links)
def command(cluster: str) -> int:
    """Connect to CLUSTER, answering what it asks: a password, a code, or nothing at all.

    Without a terminal the answers are read from standard input, a line each. Status 4 where it did not let you in.
    """
    client = connect()
    typed = Typed()
    stream = client.login(cluster)
    try:
        while (events := stream.poll()) is not None:
            for event in events:
                if event["kind"] == "up":
                    say(f"{safe(cluster)}: connected")
                    return 0
                if event["kind"] == "failed":
                    return _failed(event)
                answers = _answers(event, typed, stream)
                if answers is not None and event["questions"]:
                    client.answer(cluster, event["id"], answers)
    except KeyboardInterrupt:
        say(f"\nThe login to {safe(cluster)} was abandoned.", err=True)
        return _INTERRUPTED
    except EOFError:
        say(f"The login to {safe(cluster)} was abandoned: there is no answer to its question.", err=True)
        return _NOT_IN
    finally:
        stream.close()
    raise ClientError("no-daemon", "sessiond ended the login without a result", "try again")


def _failed(event: LoginEvent) -> int:
    problem = event["problem"]
    say_error(ClientError(problem["code"], problem["message"], problem["hint"]))
    return _NOT_IN


def _answers(event: LoginEvent, typed: Typed, stream: LoginEvents) -> list[str] | None:
    """What the person says to a round; None where the login ended while they were thinking."""
    until = time.monotonic() + event["expires_in_s"]
    if typed.terminal:
        for text in (event["title"], event["instructions"]):
            if text.strip():
                say(safe_lines(text.strip()), err=True)
    found = []
    for question in event["questions"]:
        left = max(0, round(until - time.monotonic()))
        line = typed.line(f"({left} s) {safe(question['text'].rstrip())} ", stream, echo=question["echo"])
        if line is None:
            return None
        found.append(line)
    return found


class Typed:
    """Lines from standard input, which may be a terminal; several may arrive at once."""

    def __init__(self) -> None:
        self.terminal = os.isatty(_STDIN)
        self._rest = b""

    def line(self, prompt: str, stream: LoginEvents, *, echo: bool) -> str | None:
        """The next line, without its end; None where ``stream`` has something to say before it is complete.

        On a terminal ``prompt`` is shown, and what is typed only with ``echo``. Raises EOFError at the input's end.
        """
        if not self.terminal:
            return self._read(stream)
        with _echoing(echo):
            # Only now: whoever answers at once must be neither seen nor lost.
            sys.stderr.write(prompt)
            sys.stderr.flush()
            found = self._read(stream)
        if found is None:
            say(err=True)
        return found

    def _read(self, stream: LoginEvents) -> str | None:
        with _noticing_signals() as signals:
            return self._read_until(stream, signals)

    def _read_until(self, stream: LoginEvents, signals: int) -> str | None:
        while b"\n" not in self._rest:
            ready, _, _ = select.select([_STDIN, stream.fileno(), signals], [], [])
            if stream.fileno() in ready:
                return None
            if _STDIN not in ready:
                os.read(signals, 64)
                continue
            piece = os.read(_STDIN, _LONGEST)
            if not piece:
                if not self._rest:
                    raise EOFError
                piece = b"\n"
            self._rest += piece
            if len(self._rest) > _LONGEST:
                raise ClientError("bad-request", "an answer is one line of text", "it is sent when you press Enter")
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise ClientError(
                "bad-request", "the answer is not text in UTF-8", "check the terminal's encoding"
            ) from None


@contextmanager
def _noticing_signals() -> Iterator[int]:
    """A descriptor that can be read once a signal has come.

    One that comes between Python's last look for signals and the waiting itself does not end the waiting: without this,
    a Ctrl-C at that moment would mean nothing until the next key.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


@contextmanager
def _echoing(echo: bool) -> Iterator[None]:
    """The terminal as it is, or without showing what is typed; what was typed before the question is dropped."""
    import termios

    before = termios.tcgetattr(_STDIN)
    after = termios.tcgetattr(_STDIN)
    if not echo:
        after[3] = (after[3] & ~termios.ECHO) | termios.ECHONL
    termios.tcsetattr(_STDIN, termios.TCSAFLUSH, after)
    try:
        yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSAFLUSH, before)
