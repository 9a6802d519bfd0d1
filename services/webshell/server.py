"""A login shell in the browser: one page, one WebSocket a tab, shells that outlive both.

It serves root-relative paths with relative links only, on a Unix socket or a port, and only to who knows the token
that it takes from the environment variable ``WEBSHELL_TOKEN``: once in the URL, from then on in a cookie. A tab that
comes back finds its shell, what ran in it and what it printed; several tabs at one shell see the same.

Messages are JSON arrays. The server sends ``["setup", {}]``, ``["replay", text]`` (what the shell printed before),
``["stdout", text]`` and ``["disconnect", 1]`` (the shell has ended); the page sends ``["stdin", text]``,
``["set_size", rows, columns]`` and ``["ack", characters]`` once it has drawn so many.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import terminado
import tornado.ioloop
import tornado.web

HERE = Path(__file__).resolve().parent
# An isolated interpreter looks in neither place by itself.
sys.path.insert(0, str(HERE.parent / "lib"))

import door  # noqa: E402

UNSEEN_LIMIT = 1_000_000
"""Characters a page may lag behind before its shell has to wait, so that ``yes`` fills neither memory."""
MAX_SHELLS = 32
SHELL_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
NOT_ALLOWED = "This shell is private. Open it with the address that `sessionctl url` prints.\n"


class History(deque):  # type: ignore[type-arg]  # Python 3.9 cannot subscript it here
    """What a shell printed last. Small pieces (echoed keys) are joined, so that the limit is one of text."""

    PIECE = 4096

    def append(self, text: str) -> None:
        """Add ``text`` at the end; the oldest piece goes where ``maxlen`` is reached."""
        if self and len(self[-1]) + len(text) <= self.PIECE:
            text = self.pop() + text
        super().append(text)


class Shells(terminado.NamedTermManager):  # type: ignore[misc]  # terminado is installed beside this file only
    """The shells by name. One whose page cannot keep up is not read until it has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._waiting: set[int] = set()

    def new_terminal(self, **kwargs: Any) -> Any:
        """A new shell with a history worth the name."""
        terminal = super().new_terminal(**kwargs)
        terminal.read_buffer = History(maxlen=1000)
        return terminal

    def free_name(self) -> str:
        """The first number that no shell has for a name."""
        return next(str(n) for n in range(1, MAX_SHELLS + 2) if str(n) not in self.terminals)

    def pty_read(self, fd: int, events: Any = None) -> None:
        """Pass on what a shell printed, unless a page is too far behind."""
        if self._behind(self.ptys_by_fd[fd]):
            self._waiting.add(fd)
            tornado.ioloop.IOLoop.current().remove_handler(fd)
        else:
            super().pty_read(fd, events)

    def resume(self, terminal: Any) -> None:
        """Read ``terminal`` again if it was waiting and need not any more."""
        fd = terminal.ptyproc.fd
        if fd in self._waiting and not self._behind(terminal):
            self._waiting.discard(fd)
            loop = tornado.ioloop.IOLoop.current()
            loop.add_handler(fd, self.pty_read, loop.READ)

    @staticmethod
    def _behind(terminal: Any) -> bool:
        return any(client.unseen > UNSEEN_LIMIT for client in terminal.clients)


class Page(door.TokenRequired):
    """The page. A token in its URL moves into a cookie, so that it is in no history and no bookmark."""

    def get(self) -> None:
        """Answer with the page, or with a redirection to it that also sets the cookie."""
        if self.get_query_argument("token", ""):
            self.keep_token()
            self.to_shell(self.get_query_argument("shell", ""))
        else:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish((HERE / "page.html").read_bytes())

    def to_shell(self, name: str) -> None:
        """Redirect to the shell called ``name``, relative to the page."""
        self.go_on(f"./?shell={name}" if SHELL_NAME.fullmatch(name) else "./")


class NewShell(Page):
    """The way to one more shell."""

    def initialize(self, shells: Shells) -> None:
        """Take the shells there are."""
        self.shells = shells

    def get(self) -> None:
        """Redirect to a shell that does not exist yet; it is started when its page connects."""
        self.to_shell(self.shells.free_name())


class Asset(door.TokenRequired):
    """A file of the page."""

    def initialize(self, path: Path, kind: str) -> None:
        """Take the file and its media type."""
        self.path = path
        self.kind = kind

    def get(self) -> None:
        """Answer with the file."""
        self.set_header("Content-Type", self.kind)
        self.finish(self.path.read_bytes())


class Connection(door.TokenRequired, terminado.TermSocket):  # type: ignore[misc]  # see Shells
    """A tab's connection to a shell."""

    def open(self, name: str) -> None:
        """Connect the tab to the shell called ``name``, which is started if there is none."""
        self.unseen = 0
        self._replaying = True
        try:
            super().open(name)
        except terminado.management.MaxTerminalsReached:
            self.close(4000, f"There are {MAX_SHELLS} shells already: end one of them first")
        except OSError as failure:
            self.close(4000, f"The shell could not be started: {failure}"[:120])
        self._replaying = False

    def on_pty_read(self, text: str) -> None:
        """Send what the shell printed; the page answers no terminal queries in what it only replays."""
        self.unseen += len(text)
        self.send_json_message(["replay" if self._replaying else "stdout", text])

    async def on_message(self, message: str | bytes) -> None:
        """Do what the page asks; a message that is none of its messages closes the connection."""
        try:
            parsed = json.loads(message)
        except ValueError:
            parsed = None
        terminal = self.terminal
        if terminal is None:
            return
        if not isinstance(parsed, list):
            parsed = []
        if len(parsed) == 2 and parsed[0] == "stdin" and isinstance(parsed[1], str):
            try:
                await self.stdin_to_ptyproc(parsed[1])
            except OSError:
                return  # the shell ended meanwhile: its end is told where it is read
        elif len(parsed) == 3 and parsed[0] == "set_size" and all(is_count(n, 1, 5000) for n in parsed[1:]):
            self.size = (parsed[1], parsed[2])
            terminal.resize_to_smallest()
        elif len(parsed) == 2 and parsed[0] == "ack" and is_count(parsed[1], 0, 1 << 31):
            self.unseen = max(0, self.unseen - parsed[1])
            self.term_manager.resume(terminal)
        else:
            self.close(1007, "not a message of this page")

    def on_close(self) -> None:
        """Leave the shell, which goes on."""
        terminal = self.terminal
        super().on_close()
        if terminal is not None:
            self.term_manager.resume(terminal)


def is_count(value: object, low: int, high: int) -> bool:
    """Whether ``value`` is a whole number from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def login_shell() -> str:
    """The user's login shell: what ``SHELL`` says, else the password database, else /bin/sh."""
    try:
        known = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        known = ""
    return os.environ.get("SHELL") or known or "/bin/sh"


def make_application(options: argparse.Namespace, token: str, shells: Shells) -> tornado.web.Application:
    """The paths of the server."""
    script = "text/javascript; charset=utf-8"
    style = "text/css; charset=utf-8"
    return tornado.web.Application(
        [
            (r"/", Page),
            (r"/new", NewShell, {"shells": shells}),
            (r"/healthz", door.Health),
            (r"/page\.js", Asset, {"path": HERE / "page.js", "kind": script}),
            (r"/page\.css", Asset, {"path": HERE / "page.css", "kind": style}),
            (r"/xterm\.js", Asset, {"path": options.static / "index.js", "kind": script}),
            (r"/xterm\.css", Asset, {"path": options.static / "xterm.css", "kind": style}),
            (rf"/ws/({SHELL_NAME.pattern})", Connection, {"term_manager": shells}),
        ],
        **door.settings(
            options, "webshell", token, policy=POLICY, refusal=NOT_ALLOWED, websocket_max_message_size=1 << 20
        ),
    )


async def serve(options: argparse.Namespace, token: str) -> None:
    """Serve until told to end, then end the shells. Raises OSError where it cannot listen."""
    with ThreadPoolExecutor(max_workers=MAX_SHELLS) as writers:
        shells = Shells(
            shell_command=[options.shell or login_shell(), "-l"],
            max_terminals=MAX_SHELLS,
            term_settings={"cwd": str(options.directory)},
            # COLUMNS and LINES would be believed over the real size after the first resize.
            extra_env={"COLUMNS": None, "LINES": None, "COLORTERM": "truecolor", "WEBSHELL_TOKEN": None},
            blocking_io_executor=writers,
        )
        await door.serve(make_application(options, token, shells), options, "the web shell")
        await shells.kill_all()


def main() -> int:
    """Read the command line, serve, and return the exit status."""
    parser = door.arguments("A login shell in the browser.")
    parser.add_argument("--static", type=Path, required=True, help="the folder of xterm's index.js and xterm.css")
    parser.add_argument("--directory", type=Path, required=True, help="where shells start")
    parser.add_argument("--shell", default="", help="the shell; the login shell if empty")
    return door.run("the web shell", "WEBSHELL_TOKEN", parser.parse_args(), serve)


if __name__ == "__main__":
    sys.exit(main())
