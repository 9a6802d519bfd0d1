"""A session's folder in the workspace: what was rendered for it, the end of its log, and ``service.json``.

``service.json`` has the five fields that existing tools read (``URL PORT SLUG JOB_STATUS ERROR_MESSAGE``). It is
written anew from the session at every transition, whole or not at all, and never edited.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sessiond.core.ids import SessionId
from sessiond.core.session import Outcome, Session, State
from sessiond.render.url import slug
from sessiond.runtime.bus import Published

_SECRET_FILES = frozenset({"secrets.sh"})
_ASIDE = ".new"
"""How the names of files end that are being written; they begin with a full stop."""


def job_status(session: Session) -> str:
    """The session's state in the words of ``service.json``: Initializing, Submitted, Running, Completed, Failed,
    Cancelled."""
    match session.state:
        case State.RENDER:
            return "Initializing"
        case State.RUNNING | State.VERIFY:
            return "Running"
        case State.KILL | State.ABANDON:
            return "Cancelled" if session.ending is Outcome.CANCELLED else "Failed"
        case State.ENDED:
            fine = {Outcome.COMPLETED: "Completed", Outcome.CANCELLED: "Cancelled"}
            return fine.get(session.outcome or Outcome.LOST, "Failed")
        case _:
            return "Running" if session.ready_at is not None else "Submitted"


def service_json(session: Session, slug: str) -> bytes:
    """The five fields."""
    problem = session.problem
    fields = {
        "URL": f"/{session.spec.service.scheme.root}",
        "PORT": str(session.open_port),
        "SLUG": slug,
        "JOB_STATUS": job_status(session),
        "ERROR_MESSAGE": problem.message if problem is not None and job_status(session) == "Failed" else "",
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


class Folders:
    """All sessions' folders below ``<state folder>/sessions``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def of(self, session: SessionId) -> Path:
        """The session's folder (which may not exist yet)."""
        return self._root / session

    def keep(self, session: SessionId, files: Mapping[str, bytes]) -> None:
        """Keep what was rendered, except what holds secrets and what was copied from the service's folder."""
        for path, content in files.items():
            if path not in _SECRET_FILES and not path.startswith("service/"):
                self.write(session, f"rendered/{path}", content)

    def write(self, session: SessionId, path: str, content: bytes) -> None:
        """Write one file, whole or not at all, readable by us alone."""
        target = self.of(session) / path
        self._make(target.parent)
        aside = target.with_name(f".{target.name}{_ASIDE}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        aside.replace(target)

    def _make(self, folder: Path) -> None:
        """Make a folder, and those above it up to the state folder, each for us alone."""
        if folder != self._root.parent:
            self._make(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self, session: SessionId) -> None:
        """Remove the session's folder."""
        shutil.rmtree(self.of(session), ignore_errors=True)

    def read(self, session: SessionId, path: str, limit: int) -> bytes | None:
        """At most ``limit`` bytes of a kept file; None where there is none that can be read."""
        try:
            with (self.of(session) / path).open("rb") as file:
                return file.read(limit)
        except OSError:
            return None

    def log_tail(self, session: SessionId) -> bytes:
        """The kept end of an ended session's log; empty where there is none."""
        try:
            return (self.of(session) / "logs.out").read_bytes()
        except OSError:
            return b""

    def rendered(self, session: SessionId) -> Mapping[str, bytes]:
        """What `keep` kept, by path; nothing before the session is prepared.

        A thread may call it while that is done, or undone: what is not whole yet, or is gone, is left out.
        """
        root = self.of(session) / "rendered"
        found = {}
        for folder, _, names in os.walk(root):  # Path.rglob raises where a folder goes in the midst of it (Python 3.11)
            for name in names:
                if not (name.startswith(".") and name.endswith(_ASIDE)):
                    with suppress(FileNotFoundError):
                        found[Path(folder, name).relative_to(root)] = Path(folder, name).read_bytes()
        return {str(path): found[path] for path in sorted(found)}

    def publish(self, published: Published) -> None:
        """Write ``service.json`` for a transition. A full disk must not stop the session: the next one writes it."""
        session = published.session
        try:
            self.write(session.id, "service.json", service_json(session, _slug(session.spec.urlend)))
        except OSError:
            return


def _slug(urlend: str) -> str:
    """What existing tools know as SLUG; one that cannot be read was refused when the session was started."""
    return slug(urlend) if urlend else ""
