"""Following sessions until something is so: woken by the daemon's events, and a look a second all the same.

What is followed is shown on standard error: on a terminal as one line that lives, else as a line a change.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final

from sessiond.cli.output import cells, columns, cut, expected, is_terminal, paint, safe, say, span
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sessiond.api.wire import Session
    from sessiond.client import Client, Events

_TICK_S: Final = 0.12
"""Between two pictures of the spinner."""
_LOOK_S: Final = 1.0
"""Between two looks without an event, and between two reads of the log."""
_PHRASE: Final = 18
"""So much of what a session does is worth more than the time at which it starts."""
_PATIENCE_S: Final = 30.0
"""How long a daemon that went away may take to come back."""


class Detached(Exception):
    """Ctrl-C: the person looks away, the session goes on."""


class TimeIsUp(Exception):
    """The time given to wait is over."""


def follow(
    client: Client,
    names: Iterable[str],
    done: Callable[[Session], bool],
    *,
    timeout_s: float | None = None,
    quiet: bool = False,
    told: Callable[[Session], bool] = lambda _: False,
) -> list[Session]:
    """Show the sessions ``names`` until ``done`` of each; returns them as they are then.

    Those that ``told`` is so of are not shown: the caller tells of them itself. A daemon that restarts meanwhile is
    waited for. Raises Detached on Ctrl-C, TimeIsUp, and ClientError.
    """
    view: View = Quiet() if quiet else Live(client) if is_terminal(sys.stderr) else Plain()
    alarm = _Alarm(client)
    began = time.monotonic()
    found: dict[str, Session] = {}
    waiting = list(dict.fromkeys(names))
    try:
        while waiting:
            for name in list(waiting):
                # A unique beginning may stop being unique; the id it stood for stays.
                session = alarm.look(found[name]["id"] if name in found else name)
                if session is None:
                    break
                found[name] = session
                if not told(session):
                    view.show(session)
                if done(session):
                    waiting.remove(name)
            _rest(alarm, view, found, waiting, None if timeout_s is None else began + timeout_s)
    except KeyboardInterrupt:
        raise Detached from None
    finally:
        view.end()
        alarm.close()
    return list(found.values())


def _rest(alarm: _Alarm, view: View, found: dict[str, Session], waiting: list[str], deadline: float | None) -> None:
    """Wait until something happened to a session waited for, or a second has passed."""
    until = time.monotonic() + _LOOK_S
    ids = {found[name]["id"] for name in waiting if name in found}
    while waiting and (now := time.monotonic()) < until:
        if deadline is not None and now >= deadline:
            raise TimeIsUp
        view.tick()
        if alarm.rang(ids, min(_TICK_S if view.lively else _LOOK_S, until - now, (deadline or until) - now)):
            return


class _Alarm:
    """The event stream, as something that may wake us; without it we merely look once a second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._events: Events | None = None
        self._lost_at: float | None = None
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(ClientError):
            self._events = self._client.events()

    def look(self, name: str) -> Session | None:
        """The session now; None while the daemon is away, for so long as that may be a restart."""
        try:
            session = self._client.session(name)
        except ClientError as error:
            if error.code != "no-daemon":
                raise
            self._lost_at = self._lost_at or time.monotonic()
            if time.monotonic() - self._lost_at > _PATIENCE_S:
                raise
            return None
        if self._events is None and self._lost_at is not None:
            self._open()
        self._lost_at = None
        return session

    def rang(self, ids: set[str], timeout_s: float) -> bool:
        if self._events is None:
            time.sleep(max(0.0, timeout_s))
            return False
        try:
            events = self._events.poll(max(0.0, timeout_s))
        except ClientError:
            events = None
        if events is None:
            self.close()
            self._lost_at = time.monotonic()
            return False
        return any(event.get("session") in ids for event in events)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None


class View:
    """How following looks. ``lively`` ones want a tick every now and then."""

    lively = False

    def show(self, session: Session) -> None:
        """This is the session now."""

    def tick(self) -> None:
        """Time passes."""

    def end(self) -> None:
        """Nothing more is shown."""


class Quiet(View):
    """Nothing is shown."""


class Plain(View):
    """A line whenever a session's phrase changes."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def show(self, session: Session) -> None:
        phrase = session["phrase"]
        start = expected(session["expected_start"], relative=False) if session["state"] == "wait-for-node" else ""
        # How long it is until then changes by itself; the time of day does not.
        if self._said.get(session["id"]) != phrase + start:
            self._said[session["id"]] = phrase + start
            say(f"{safe(session['name'])}: {safe(phrase)}{start}", err=True)


class Live(View):
    """One line that is drawn again and again: spinner, phrase, time, the last line of the session's own log."""

    lively = True

    def __init__(self, client: Client) -> None:
        self._client = client
        self._began = time.monotonic()
        self._session: Session | None = None
        self._picture = 0
        self._drawn = False
        self._read_at = 0.0
        self._offset: dict[str, int] = {}
        self._line: dict[str, str] = {}
        unicode = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
        self._pictures = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode else "|/-\\"

    def show(self, session: Session) -> None:
        self._session = session

    def tick(self) -> None:
        if self._session is None:
            return
        self._picture = (self._picture + 1) % len(self._pictures)
        now = time.monotonic()
        if now - self._read_at >= _LOOK_S:
            self._read_at = now
            self._read_log(self._session["id"])
        room = (columns(sys.stderr) or 80) - 3
        text = _line_of(self._session, span(now - self._began), room)
        line = self._line.get(self._session["id"], "")
        left = room - cells(text)
        rest = cut(" · " + line, left) if line and left > 12 else ""
        severity = self._session["severity"]
        spinner = paint(self._pictures[self._picture], severity, sys.stderr)
        sys.stderr.write(f"\r{spinner} {text}{paint(rest, 'dim', sys.stderr)}\x1b[K")
        sys.stderr.flush()
        self._drawn = True

    def end(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def _read_log(self, name: str) -> None:
        """Keep the log's last line that says something. A log that is not there yet has none."""
        try:
            for piece in self._client.log(name, offset=self._offset.get(name, 0)):
                self._offset[name] = self._offset.get(name, 0) + len(piece)
                lines = piece[-4096:].replace(b"\r", b"\n").split(b"\n")
                said = [line for line in lines if line.strip()]
                if said:
                    self._line[name] = _words(said[-1])
        except ClientError:
            return


def _line_of(session: Session, elapsed: str, room: int) -> str:
    """Who, what, from when on, how long already, in ``room`` columns: when it starts and how long it takes are whole
    where there is room for them, what it does is cut first."""
    who, what, since = f"{safe(session['name'])}: ", safe(session["phrase"]), f" · {elapsed}"
    ways = ("", "")
    if session["state"] == "wait-for-node":
        ways = (expected(session["expected_start"]), expected(session["expected_start"], relative=False))
    for start in (*ways, ""):
        left = room - cells(who) - cells(start) - cells(since)
        if left >= min(cells(what), _PHRASE):
            return f"{who}{cut(what, left)}{start}{since}"
    return cut(f"{who}{what}", room - cells(since)) + since


def _words(line: bytes) -> str:
    """A log line without its colours."""
    import re

    return safe(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.decode("utf-8", "replace")).strip())
