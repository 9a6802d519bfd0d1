"""A stand-in for the daemon: canned JSON on a Unix socket, as `sessiond.api.wire` describes it.

Sessions started here move one state on whenever they are asked about, and say so on the event stream. Run as a program
it listens on SESSIOND_SOCKET and adds its pid to the file named by CANNED_PIDS, so that starts can be counted.
"""

from __future__ import annotations

import base64
import json
import os
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cli.canned_data import (
    CHECKS,
    CLUSTERS,
    ESCAPES,
    LOGINS,
    PATHS,
    SERVICES,
    ago,
    first_sessions,
    partitions,
    plan,
    session,
    ssh_access,
    status,
    story,
    workflows,
)


class Canned:
    """The state behind the socket, shared by its threads."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.sessions = {one["name"]: one for one in first_sessions()}
        self.ways: dict[str, list[tuple[str, str | None, str, str]]] = {}
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.listeners = 0
        self.log = b"one\ntwo\nthree\n"
        self.closing = False
        self.hold = False
        self.unanswered = ""
        self.answers: dict[str, list[str]] = {}
        self.hurry = False
        self.stories: dict[str, dict[str, Any]] = {}

    def find(self, name: str) -> dict[str, Any]:
        """By name, id, or a unique beginning; KeyError where there is none."""
        for one in self.sessions.values():
            if name in {one["name"], one["id"]}:
                return one
        begun = [one for one in self.sessions.values() if one["name"].startswith(name)]
        if len(begun) != 1:
            raise KeyError(name)
        return begun[0]

    def start(self, service: str, name: str) -> dict[str, Any]:
        """A new session, in the first state of its way."""
        with self.changed:
            one = session(name, 10 + len(self.sessions), service=service, since=ago(seconds=1), created=ago(seconds=1))
            self.sessions[name] = one
            self.ways[name] = list(PATHS[service])
            self.move(one)
            return dict(one)

    def move(self, one: dict[str, Any]) -> dict[str, Any]:
        """The session as it is; afterwards it is one state further on its way."""
        with self.changed:
            asked = dict(one)
            way = self.ways.get(one["name"])
            if way:
                before = one["state"]
                state, outcome, phrase, severity = way.pop(0)
                one.update(state=state, outcome=outcome, phrase=phrase, severity=severity)
                if outcome == "failed":
                    one["problem"] = {"code": "service-failed", "message": "Its port was taken.", "hint": "Try again."}
                self.tell(one, before)
            return asked

    def tell(self, one: dict[str, Any], before: str) -> None:
        """Put a transition on the event stream."""
        with self.changed:
            self.events.append(
                {
                    "seq": len(self.events) + 1,
                    "at": ago(seconds=0),
                    "event": "moved",
                    "session": one["id"],
                    "name": one["name"],
                    "cluster": "local",
                    "from_state": before,
                    "to_state": one["state"],
                    "actions": [],
                    "job": None,
                    "node": None,
                    "problem": None,
                    "text": one["phrase"],
                }
            )
            self.changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    """One request. Its errors carry the codes the client must translate."""

    protocol_version = "HTTP/1.1"
    server: Server

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""

    def answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code: str, message: str, hint: str = "Do otherwise.", status: int = 400) -> None:
        self.answer({"error": {"code": code, "message": message, "hint": hint}}, status)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def do_GET(self) -> None:
        self.handle_any("GET")

    def do_POST(self) -> None:
        self.handle_any("POST")

    def do_DELETE(self) -> None:
        self.handle_any("DELETE")

    def handle_any(self, method: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        parts = [unquote(part) for part in url.path.removeprefix("/v1/").split("/")]
        self.server.canned.requests.append((method, self.path, body))
        self.close_connection = True
        try:
            self.route(method, parts, query, body)
        except KeyError:
            self.refuse("not-found", f"No session is called {parts[1]}.", "`sessionctl ls` lists them.", 404)
        except ConnectionError:
            return

    def route(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> None:
        canned = self.server.canned
        if len(parts) > 1 and parts[1].startswith("error-"):
            code = parts[1].removeprefix("error-")
            self.refuse(code, f"This is {code}.")
        elif len(parts) > 1 and parts[1] == "garbled":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        elif len(parts) > 1 and parts[1] == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        elif (method, parts) == ("GET", ["sessions"]):
            self.answer([one for one in canned.sessions.values() if "all" in query or one["state"] != "ended"])
        elif (method, parts) == ("POST", ["sessions"]):
            if body["service"] not in PATHS:
                self.refuse("not-found", f"there is no service {body['service']}", "`sessionctl services`", 404)
            else:
                begun = canned.start(body["service"], body.get("name", body["service"]))
                if canned.unanswered == "kept":
                    with canned.changed:
                        canned.changed.wait_for(lambda: canned.closing)
                if not canned.unanswered:
                    self.answer(begun, 201)
        elif (method, parts) == ("POST", ["plan"]):
            self.answer(plan(body))
        elif (method, parts) == ("POST", ["dashboard"]):
            self.answer({"url": "http://127.0.0.1:8701/#key=once", "expires_in_s": 120.0})
        elif (method, parts) == ("GET", ["events"]):
            self.events(query)
        elif parts[0] == "sessions":
            self.one(method, parts, query, body)
        elif parts[0] == "workflows":
            self.forms(parts, body)
        elif parts[0] == "services" and parts[1:]:
            self.service(*parts[1:])
        elif parts[0] == "clusters" and parts[2:]:
            self.link_of(parts, body)
        else:
            self.rest(method, parts)

    def rest(self, method: str, parts: list[str]) -> None:
        answers: dict[tuple[str, str], object] = {
            ("GET", "services"): SERVICES,
            ("GET", "clusters"): CLUSTERS,
            ("GET", "status"): status(),
            ("POST", "reload"): {"changed": ["idle.after is 4h now"], "restart": ["daemon.gateway"]},
        }
        self.answer(answers[method, parts[0]])

    def service(self, name: str, picture: str = "") -> None:
        found = [one for one in SERVICES if one["name"] == name]
        if not found:
            self.refuse("not-found", f"there is no service {name}", "Services: jupyterlab-host, broken.", 404)
        elif picture:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"\x89PNG...")
        else:
            self.answer(found[0])

    def forms(self, parts: list[str], body: Any) -> None:
        if parts[1:] == ["check"]:
            bad = [f"{body['file']}:3: it is not well-formed XML{ESCAPES}"]
            fine = base64.b64decode(body["content"]) == b"<fine/>"
            warned = [f"{body['file']}:1: this is odd"]
            one = workflows()[0] | {"name": "", "file": body["file"], "problems": [] if fine else bad}
            self.answer(one | {"warnings": warned})
            return
        found = {one["name"]: one for one in workflows()}
        name = "/".join(parts[1:])
        if name and name not in found:
            self.refuse("not-found", f"There is no workflow {name}.", "`sessionctl workflows` lists them.", 404)
        else:
            self.answer(found[name] if name else list(found.values()))

    def one(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> None:
        canned = self.server.canned
        one = canned.find(parts[1])
        if method == "DELETE":
            if one["state"] != "ended":
                self.refuse("conflict", f"{one['name']} has not ended.", f"sessionctl stop {one['name']}", 409)
                return
            del canned.sessions[one["name"]]
            self.send_response(204)
            self.end_headers()
        elif parts[2:] == ["stop"]:
            canned.ways[one["name"]] = [("ended", "cancelled", "stopped", "ok")]
            one.update(state="kill", phrase="being stopped", severity="busy")
            self.answer(one, 202)
        elif parts[2:] == ["extend"]:
            self.answer({"text": f"it runs {body['by']} longer{ESCAPES}", "session": one})
        elif parts[2:] == ["story"]:
            self.answer(canned.stories.get(one["name"]) or story(one))
        elif parts[2:] == ["ssh"]:
            self.answer(ssh_access(one))
        elif parts[2:] == ["bundle"]:
            self.answer({"story": story(one), "files": {"log.txt": "the log\n", "rendered/run.sh": "true\n"}})
        elif parts[2:] == ["log"]:
            self.log_of(one, query)
        else:
            self.answer(canned.move(one))

    def link_of(self, parts: list[str], body: Any) -> None:
        canned, name = self.server.canned, parts[1]
        found = {one["name"]: one for one in CLUSTERS}[name]
        if parts[2] == "check":
            self.answer(CHECKS)
        elif parts[2] == "partitions":
            self.answer(partitions(name))
        elif name == "local":
            self.refuse(
                "refused", "local is this machine: there is nothing to log in to", "sessionctl clusters lists them", 422
            )
        elif parts[2] == "logout":
            self.answer(found)
        elif parts[3:]:
            with canned.changed:
                canned.answers[parts[3]] = body["answers"]
                canned.changed.notify_all()
            self.send_response(204)
            self.end_headers()
        else:
            self.begin_stream()
            self.login(name)
            self.wfile.write(b"0\r\n\r\n")

    def login(self, name: str) -> None:
        """Ask round after round; a wrong answer, or the end of the time, is the end."""
        canned = self.server.canned
        for number, asked in enumerate(LOGINS[name]):
            prompt = {key: value for key, value in asked.items() if key != "right"}
            self.say({"kind": "prompt", "id": f"r{number}", **prompt, "expires_in_s": 119.6 - number})
            if asked["right"] is None:
                with canned.changed:
                    canned.changed.wait_for(lambda: canned.hurry)
                problem = {"code": "needs-login", "message": "the login took longer than 120 s", "hint": "Begin anew."}
                self.say({"kind": "failed", "problem": problem})
                return
            if asked["questions"]:
                with canned.changed:
                    while not (f"r{number}" in canned.answers or canned.closing):
                        canned.changed.wait()
                    given = canned.answers.pop(f"r{number}", None)
                if given != asked["right"]:
                    problem = {"code": "auth-denied", "message": f"{name} did not let you in", "hint": "Try again."}
                    self.say({"kind": "failed", "problem": problem})
                    return
        self.say({"kind": "up"})

    def say(self, line: dict[str, Any]) -> None:
        """One line of a stream."""
        self.chunk(json.dumps(line).encode() + b"\n")

    def log_of(self, one: dict[str, Any], query: dict[str, str]) -> None:
        offset = int(query.get("offset", "0"))
        self.begin_stream()
        canned = self.server.canned
        if canned.hold:
            # Some of it, and then the connection is lost when the daemon ends.
            self.chunk(canned.log[offset : offset + 8])
            with canned.changed:
                while not canned.closing:
                    canned.changed.wait()
            return
        if data := canned.log[offset:]:
            # In two pieces, and not where a line ends.
            self.chunk(data[:5])
            if data[5:]:
                self.chunk(data[5:])
        if query.get("follow") == "1" and one["state"] != "ended":
            self.chunk(b"four\n")
        self.wfile.write(b"0\r\n\r\n")

    def events(self, query: dict[str, str]) -> None:
        canned = self.server.canned
        with canned.changed:
            sent = int(query["since"]) if "since" in query else len(canned.events)
            canned.listeners += 1
            canned.changed.notify_all()
        self.begin_stream()
        try:
            while True:
                with canned.changed:
                    while not canned.closing and len(canned.events) <= sent:
                        canned.changed.wait()
                    fresh = canned.events[sent:]
                    closing = canned.closing
                for event in fresh:
                    self.chunk(json.dumps(event).encode() + b"\n")
                sent += len(fresh)
                if closing:
                    self.wfile.write(b"0\r\n\r\n")
                    return
        finally:
            with canned.changed:
                canned.listeners -= 1
                canned.changed.notify_all()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The socket."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str) -> None:
        self.canned = Canned()
        super().__init__(path, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of an answer is nothing to report."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Close the streams, then the socket."""
        with self.canned.changed:
            self.canned.closing = True
            self.canned.changed.notify_all()
        self.shutdown()
        self.server_close()


def main() -> None:
    """Be a daemon that somebody starts; with an argument, one that refuses with these words."""
    if len(sys.argv) > 1:
        sys.stderr.write('{"event": "starting"}\n' + "".join(f"sessiond: {line}\n" for line in sys.argv[1:]))
        sys.exit(6)
    with Path(os.environ["CANNED_PIDS"]).open("a") as file:
        marks = [name for name in ("SESSIOND_TAG", "SESSIOND_RUN") if name in os.environ]
        file.write(" ".join([str(os.getpid()), str(os.getsid(0)), str(Path.cwd()), *marks]) + "\n")
    path = Path(os.environ["SESSIOND_SOCKET"])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Server(str(path)).serve_forever()


if __name__ == "__main__":
    main()
