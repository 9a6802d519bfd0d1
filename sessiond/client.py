"""The client library: every endpoint of the daemon's socket as a typed method. Synchronous, standard library only."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from sessiond.api.wire import API, Bundle, Event, Extended, Plan, Session, SshAccess, Story
from sessiond.api.wire_clusters import Check, Cluster, LoginEvent, Partitions
from sessiond.api.wire_daemon import DashboardLink, Reloaded, Status
from sessiond.api.wire_forms import Service, Workflow
from sessiond.client_http import BODY_LIMIT, Answer, ClientError, NoDaemon, garbled

if TYPE_CHECKING:
    from pathlib import Path

    from sessiond.api.wire import StartRequest

__all__ = ["Client", "ClientError", "Events", "LoginEvents", "NoDaemon"]

T = TypeVar("T")

_LINE_LIMIT: Final = 4 << 20
"""The longest event that is read, in bytes."""


class _Lines(Generic[T]):
    """A stream of JSON lines: iterate over it, which also closes it, or `poll` and `close` it yourself."""

    def __init__(self, answer: Answer, kind: type[T]) -> None:
        self._answer = answer
        self._kind = kind
        self._rest = b""

    def __iter__(self) -> Iterator[T]:
        try:
            while (events := self.poll()) is not None:
                yield from events
        finally:
            self.close()

    def fileno(self) -> int:
        """What to wait on for more, once `poll` has nothing left."""
        return self._answer.fileno()

    def poll(self, timeout_s: float | None = None) -> list[T] | None:
        """The events that came, waiting at most ``timeout_s`` seconds for the first; None at the stream's end.

        Empty lines, which only show that the stream lives, and parts of a line end no wait. Raises NoDaemon where the
        daemon goes away.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            piece = self._answer.piece(None if until is None else max(0.0, until - time.monotonic()))
            if piece is None:
                return None
            events = self._whole_lines(piece)
            if events or (until is not None and time.monotonic() >= until):
                return events

    def _whole_lines(self, piece: bytes) -> list[T]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            raise garbled()
        return [_one(_parse(line), self._kind) for line in lines if line.strip()]

    def close(self) -> None:
        """Leave the stream."""
        self._answer.close()


class Events(_Lines[Event]):
    """What happens to sessions and clusters."""


class LoginEvents(_Lines[LoginEvent]):
    """A login in progress; whoever closes it before its last line abandons the login."""


class Client:
    """The daemon behind ``socket_path``. Every method raises ClientError, and NoDaemon where nothing listens.

    ``timeout_s`` bounds the wait for an answer's beginning, and between the pieces of one that is not a stream.
    """

    def __init__(self, socket_path: str | Path, *, timeout_s: float = 60.0) -> None:
        self.socket_path = os.fspath(socket_path)
        self._timeout_s = timeout_s

    def answers(self) -> bool:
        """Whether something listens on the socket, busy as it may be."""
        try:
            self._connect().close()
        except NoDaemon:
            return False
        except ClientError as error:
            if error.code != "busy":
                raise
        return True

    def sessions(self, *, all: bool = False, fresh: bool = False) -> list[Session]:  # noqa: A002 - the API's own word
        """The sessions, with ``all`` also those that have ended; with ``fresh`` their clusters are looked at first."""
        query = "&".join(word for word, wanted in (("all=1", all), ("fresh=1", fresh)) if wanted)
        return _list(self._json("GET", f"/sessions?{query}" if query else "/sessions"), Session)

    def session(self, name: str) -> Session:
        """One session, by name, id or a unique beginning of one."""
        return _one(self._json("GET", _session(name)), Session)

    def start(self, request: StartRequest) -> Session:
        """Start a session; returns as soon as it is recorded."""
        return _one(self._json("POST", "/sessions", request), Session)

    def plan(self, request: StartRequest) -> Plan:
        """What `start` would do."""
        return _one(self._json("POST", "/plan", request), Plan)

    def stop(self, name: str, *, force: bool = False) -> Session:
        """Ask for a session's end; with ``force`` its kill script is not waited for."""
        return _one(self._json("POST", f"{_session(name)}/stop", {"force": force}), Session)

    def extend(self, name: str, by: str) -> Extended:
        """Ask a session's scheduler for more walltime, such as ``+30m``."""
        return _one(self._json("POST", f"{_session(name)}/extend", {"by": by}), Extended)

    def ssh(self, name: str) -> SshAccess:
        """What is needed to log in where a session runs."""
        return _one(self._json("GET", f"{_session(name)}/ssh"), SshAccess)

    def proxy(self, name: str, port: int) -> tuple[socket.socket, bytes]:
        """A stream to a port of a session's node, for the caller to close, and what has come through it already."""
        answer = self._ask("GET", f"{_session(name)}/proxy?port={port}", upgrade="tcp")
        return answer.stream_socket(), answer.piece(0) or b""

    def remove(self, name: str) -> None:
        """Forget an ended session."""
        self._json("DELETE", _session(name))

    def log(self, name: str, *, follow: bool = False, offset: int = 0) -> Iterator[bytes]:
        """The session's own output from byte ``offset`` on, in pieces; with ``follow`` also what is still to come."""
        answer = self._ask("GET", f"{_session(name)}/log?follow={int(follow)}&offset={offset}")
        try:
            if follow:
                answer.stream()
            while (piece := self._timed(answer)) is not None:
                yield piece
        finally:
            answer.close()

    def story(self, name: str) -> Story:
        """What happened to a session, and what comes next."""
        return _one(self._json("GET", f"{_session(name)}/story"), Story)

    def bundle(self, name: str) -> Bundle:
        """Everything about a session for somebody who is to help, without secrets; this may take a minute."""
        return _one(self._json("GET", f"{_session(name)}/bundle"), Bundle)

    def events(self, since: int | None = None) -> Events:
        """What happens from now on; with ``since`` first everything after that sequence number."""
        answer = self._ask("GET", "/events" if since is None else f"/events?since={since}")
        answer.stream()
        return Events(answer, Event)

    def services(self) -> list[Service]:
        """What can be started."""
        return _list(self._json("GET", "/services"), Service)

    def service(self, name: str) -> Service:
        """One service."""
        if not name.strip("./"):
            raise ClientError("not-found", f"no service is called {name!r}", "`sessionctl services` lists them")
        return _one(self._json("GET", f"/services/{_segment(name)}"), Service)

    def workflows(self) -> list[Workflow]:
        """The forms in front of services."""
        return _list(self._json("GET", "/workflows"), Workflow)

    def workflow(self, name: str) -> Workflow:
        """One form, by ``service/form`` or by the form's part of it."""
        if not name.strip("./"):
            raise ClientError("not-found", f"no workflow is called {name!r}", "`sessionctl workflows` lists them")
        return _one(self._json("GET", "/workflows/" + "/".join(map(_segment, name.split("/", 1)))), Workflow)

    def picture(self, path: str) -> bytes:
        """A service's or a form's picture, a PNG: ``path`` is what their ``thumbnail`` says."""
        answer = self._ask("GET", path.removeprefix(API))
        try:
            return self._whole(answer)
        finally:
            answer.close()

    def check_workflow(self, file: str, content: bytes) -> Workflow:
        """What is in a form's file, and everything that is wrong with it."""
        body = {"file": file, "content": base64.b64encode(content).decode("ascii")}
        return _one(self._json("POST", "/workflows/check", body), Workflow)

    def clusters(self) -> list[Cluster]:
        """Where it can be started."""
        return _list(self._json("GET", "/clusters"), Cluster)

    def check(self, cluster: str) -> list[Check]:
        """Everything that can be wrong with a cluster; this takes a while."""
        return _list(self._json("POST", f"/clusters/{_segment(cluster)}/check"), Check)

    def partitions(self, cluster: str, *, ask: bool = False) -> Partitions:
        """A cluster's partitions or queues, as far as they are known; with ``ask`` it is asked, and waited for."""
        return _one(self._json("POST" if ask else "GET", f"{_cluster(cluster)}/partitions"), Partitions)

    def login(self, cluster: str) -> LoginEvents:
        """Log in to a cluster: what it asks, then how that ended. `answer` says what the person says."""
        answer = self._ask("POST", f"{_cluster(cluster)}/login")
        answer.stream()
        return LoginEvents(answer, LoginEvent)

    def answer(self, cluster: str, round_id: str, answers: list[str]) -> None:
        """Answer a round of a login's questions."""
        self._json("POST", f"{_cluster(cluster)}/login/{_segment(round_id)}", {"answers": answers})

    def logout(self, cluster: str) -> Cluster:
        """Drop the link to a cluster until somebody logs in again."""
        return _one(self._json("POST", f"{_cluster(cluster)}/logout"), Cluster)

    def status(self) -> Status:
        """The daemon itself."""
        return _one(self._json("GET", "/status"), Status)

    def dashboard(self) -> DashboardLink:
        """Where the dashboard opens, once and soon."""
        return _one(self._json("POST", "/dashboard"), DashboardLink)

    def reload(self) -> Reloaded:
        """Have the configuration read again."""
        return _one(self._json("POST", "/reload"), Reloaded)

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Connecting waits for room in a full backlog only on a blocking socket; else it fails at once with EAGAIN.
            limit = struct.pack("ll", int(self._timeout_s), int(self._timeout_s % 1 * 1_000_000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.connect(self.socket_path)
            sock.settimeout(self._timeout_s)
            self._check_peer(sock)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            failure: ClientError = NoDaemon("sessiond is not running", f"nothing listens on {self.socket_path}")
        except (TimeoutError, BlockingIOError):
            failure = self._too_slow()
        except OSError as error:
            failure = NoDaemon(
                f"the socket {self.socket_path} cannot be used: {error.strerror or error}",
                "its folder and itself must belong to you; SESSIOND_SOCKET names another one",
            )
        except ClientError as error:
            failure = error
        else:
            return sock
        sock.close()
        raise failure

    def _check_peer(self, sock: socket.socket) -> None:
        """Another user's program on our path must not get what is typed here (SO_PEERCRED, unix(7))."""
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.geteuid():
            raise ClientError(
                "refused",
                f"what listens on {self.socket_path} belongs to another user (uid {uid})",
                "unset SESSIOND_SOCKET, or point it to a folder that only you can write to",
            )

    def _ask(self, method: str, path: str, body: object = None, *, upgrade: str = "") -> Answer:
        data = _bytes({} if body is None else body) if method == "POST" else b""
        connection = f"Upgrade\r\nUpgrade: {upgrade}" if upgrade else "close"
        head = f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n"
        if method == "POST":
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        sock = self._connect()
        try:
            sock.sendall(head.encode("ascii") + b"\r\n" + data)
            answer = Answer(sock)
            if answer.status < 400:
                return answer
            failure = _refusal(self._whole(answer), answer.status)
        except TimeoutError:
            failure = self._too_slow()
            failure.unanswered = True
        except ConnectionError:
            failure = NoDaemon("sessiond went away before it answered", "try again")
            failure.unanswered = True
        except ClientError as error:
            failure = error
            failure.unanswered = isinstance(error, NoDaemon)
        sock.close()
        raise failure

    def _json(self, method: str, path: str, body: object = None) -> Any:
        answer = self._ask(method, path, body)
        try:
            found = self._whole(answer)
        finally:
            answer.close()
        return _parse(found) if found else None

    def _whole(self, answer: Answer) -> bytes:
        found = bytearray()
        while (piece := self._timed(answer)) is not None:
            found += piece
            if len(found) > BODY_LIMIT:
                raise garbled()
        return bytes(found)

    def _timed(self, answer: Answer) -> bytes | None:
        try:
            return answer.piece()
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> ClientError:
        return ClientError(
            "busy",
            f"sessiond did not answer within {self._timeout_s:g} s",
            "try again; `sessionctl doctor` says what can be wrong",
        )


def _session(name: str) -> str:
    """A session's path. Names that a path would swallow cannot be any session's."""
    if name in {"", ".", ".."}:
        raise ClientError("not-found", f"no session is called {name!r}", "`sessionctl ls --all` shows them")
    return "/sessions/" + _segment(name)


def _cluster(name: str) -> str:
    """A cluster's path."""
    if name in {"", ".", ".."}:
        raise ClientError("not-found", f"no cluster is called {name!r}", "`sessionctl clusters` shows them")
    return "/clusters/" + _segment(name)


def _segment(name: str) -> str:
    """``name`` as one part of a path."""
    plain = b"-_~.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    word = name.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in word)


def _bytes(body: object) -> bytes:
    """``body`` as JSON. Bytes of a command line that are not UTF-8 are lone surrogates to Python."""
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ClientError(
            "bad-request",
            "what was typed is not UTF-8",
            "`locale charmap` says what the terminal uses; sessiond takes UTF-8 only",
        ) from None


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise garbled() from None


def _one(found: Any, kind: type[T]) -> T:
    """``found`` as the API's ``kind``: nothing that its readers expect is missing."""
    expected: frozenset[str] = cast("Any", kind).__required_keys__
    if not isinstance(found, dict):
        raise garbled()
    if missing := expected - found.keys():
        raise ClientError(
            "bad-answer",
            f"sessiond's answer lacks {', '.join(sorted(missing))}: it is of another version than this program",
            "`sessionctl version` shows both; restart the daemon after an upgrade; sessions go on meanwhile",
        )
    return cast("T", found)


def _list(found: Any, kind: type[T]) -> list[T]:
    if not isinstance(found, list):
        raise garbled()
    return [_one(one, kind) for one in found]


def _refusal(body: bytes, status: int) -> ClientError:
    """The error of an answer; one without our JSON still says its status."""
    try:
        error = json.loads(body)["error"]
        return ClientError(str(error["code"]), str(error["message"]), str(error.get("hint") or ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ClientError("failed", f"sessiond answered with HTTP status {status} and no reason", "read its log")
