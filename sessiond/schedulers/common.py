"""What all dialects share: the scripts, the files put in place, replies read back, and forgetting a folder."""

from __future__ import annotations

import io
import re
import tarfile
from base64 import encodebytes
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from sessiond.core.command import Command, Completed
from sessiond.core.errors import SpecError, Unreadable
from sessiond.core.events import HistoryDelayed, Staged, StageDelayed, StageFailed
from sessiond.core.ids import ALPHABET, ID_LENGTH
from sessiond.core.session import NO_ROOM, STILL_THERE, Endpoint, Problem, Session

RECORD = "\x1e"
FIELD = "\x1f"
PREPARE_LIMIT_S = 840
"""How long a service's controller.sh may take: a minute less than a session may stay in render."""

_HEAD = f"{RECORD}sessiond"
_TAIL = f"{RECORD}end\n"
_PAYLOAD = "SESSIOND_PAYLOAD\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FOLDER = re.compile(rf"(?:.*/)?sessiond/[{ALPHABET}]{{{ID_LENGTH}}}", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,15}")
_HOST_KEY = re.compile(r"[a-z][a-z0-9@.-]{2,63} [A-Za-z0-9+/]{16,980}={0,2}")
HOST_KEYS = 6
_SOCKET_PATH_BYTES = 107
"""What sockaddr_un holds (unix(7)), without its closing zero byte."""
_MESSAGE_CHARS = 500

_LASTING = {
    "Permission denied": "Give yourself write permission to the folder above, or set another workdir.",
    "Read-only file system": "Set a workdir on a file system that can be written.",
    "Not a directory": "A file is in the way of the session's folder: move it, or set another workdir.",
    "File exists": "A file is in the way of the session's folder: move it, or set another workdir.",
    "Operation not permitted": "The file system refuses to make the folder private: set another workdir.",
    "not found": "Install the program named; sessiond needs tar, base64, timeout and bash there.",
}
"""What makes staging hopeless, as GNU coreutils and busybox say it in the C locale, and what to do about it."""

_QUOTA = "quota exceeded"
_FULL = "No space left"


@cache
def script(*names: str) -> str:
    """The text of the scripts of these names, in one; ``lib.sh`` comes first by itself."""
    folder = files("sessiond.schedulers") / "sh"
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("lib.sh", *names))


def shell(text: str, *args: str, payload: str = "", timeout_s: float, urgent: bool = False) -> Command:
    """A command that runs ``text`` in a POSIX shell. ``payload``, whole lines, becomes what the script reads.

    The text goes in on stdin, so nothing needs quoting on the way; every script calls its main function in its last
    lines, so one that is cut off does nothing.
    """
    if payload:
        head, mark, end = text.rpartition(_PAYLOAD)
        text = f"{head}{payload}{mark}{end}"
    return Command(argv=("sh", "-s", "--", *args), stdin=text.encode("utf-8"), timeout_s=timeout_s, urgent=urgent)


def whole_lines(setup: str) -> str:
    """A cluster's shell lines as `shell` takes them; empty where they say nothing."""
    return setup.rstrip("\n") + "\n" if setup.strip() else ""


def reply(done: Completed) -> list[list[str]]:
    """The records of a script's reply, each a list of fields; what a login shell printed before it is skipped.

    Raises Unreadable where the reply is missing, cut off, or not a script's.
    """
    text = done.stdout.decode("utf-8", errors="replace")
    _, head, body = text.partition(_HEAD)
    if not head or not body.endswith(_TAIL):
        said = printable(done.stderr.decode("utf-8", errors="replace")) or "nothing on stderr"
        raise Unreadable(f"the answer is cut off or not a script's (exit status {done.rc}, {said})")
    records = body.removesuffix(_TAIL).split(RECORD)
    if records[0]:
        raise Unreadable("the answer does not begin with a record")
    return [record.split(FIELD) for record in records[1:]]


def answer(done: Completed) -> tuple[str, str]:
    """The one record of two fields, what and text, that most scripts reply with. Raises Unreadable."""
    records = reply(done)
    if len(records) != 1 or len(records[0]) != 2:
        raise Unreadable("the answer is not one record of two fields")
    return records[0][0], records[0][1]


def printable(text: str) -> str:
    """``text`` in one line of bounded length, fit to be shown."""
    return " ".join(_CONTROL.sub(" ", text).split())[:_MESSAGE_CHARS]


def seconds(text: str) -> float | None:
    """UTC seconds as ``date +%s`` prints them, or None."""
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) else None


def endpoint(run: str, host: str, port: str, scheme: str, path: str = "", *host_keys: str) -> Endpoint | None:
    """The endpoint a session's script published, or None where it is not a valid one.

    With ``path``, a Unix socket, no port is needed. Host keys that are none are left out.
    """
    valid_port = re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) is not None and 1 <= int(port) <= 65535
    valid_path = path.startswith("/") and len(path.encode()) <= _SOCKET_PATH_BYTES and not _CONTROL.search(path)
    scheme = scheme or "http"
    if (
        not run
        or not (valid_path if path else valid_port)
        or not _HOST.fullmatch(host)
        or not _SCHEME.fullmatch(scheme)
    ):
        return None
    return Endpoint(
        run=run,
        host=host,
        port=int(port) if valid_port else 0,
        scheme=scheme,
        path=path,
        host_keys=tuple(key for key in host_keys[:HOST_KEYS] if _HOST_KEY.fullmatch(key)),
    )


def folder_of(session: Session) -> str:
    """The session's folder as scripts take it: absolute, or relative to the home folder there.

    Raises SpecError for one that is not ``<workdir>/sessiond/<session id>``: such a folder is later removed.
    """
    folder = session.spec.jobdir.removeprefix("~/")
    if _CONTROL.search(folder) or not _FOLDER.fullmatch(folder) or not folder.endswith(f"/{session.id}"):
        raise SpecError(
            f"{printable(folder)!r} cannot be the folder of session {session.id}",
            hint="It must be a path without control characters that ends in /sessiond/ and the session's id.",
        )
    return folder


def archive(session: Session, bundle: Mapping[str, bytes]) -> bytes:
    """``bundle`` as a tar archive that is the same for the same bundle: folders and scripts 0700, other files 0600.

    Raises SpecError for a path that would leave the folder.
    """
    made: set[str] = set()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, content in sorted(bundle.items()):
            parts = path.split("/")
            if any(part in {"", ".", ".."} for part in parts) or _CONTROL.search(path):
                raise SpecError(f"{printable(path)!r} cannot be the name of a session's file")
            for depth in range(1, len(parts)):
                above = "/".join(parts[:depth])
                if above not in made:
                    made.add(above)
                    tar.addfile(_member(above, mode=0o700, kind=tarfile.DIRTYPE))
            own = session.spec.service.file(path.removeprefix("service/")) if path.startswith("service/") else None
            runnable = path.endswith(".sh") or (own is not None and own.executable)
            private = path == "secrets.sh"
            member = _member(path, mode=0o700 if runnable and not private else 0o600, kind=tarfile.REGTYPE)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _member(path: str, *, mode: int, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.mode = mode
    member.type = kind
    return member


def stage(session: Session, bundle: Mapping[str, bytes]) -> Command:
    """Put ``bundle`` into the session's folder and run its controller.sh, if there is one.

    What the cluster's setup says travels as a file: on a command line everybody could read it.
    """
    content = archive(session, {**bundle, "setup.sh": session.spec.setup.encode()})
    return shell(
        script("stage.sh"),
        *(folder_of(session), str(len(content)), session.tag, str(PREPARE_LIMIT_S)),
        payload=encodebytes(content).decode("ascii"),
        timeout_s=PREPARE_LIMIT_S + 50,
    )


def read_stage(done: Completed) -> Staged | StageDelayed | StageFailed:
    """What came of `stage`. Raises Unreadable."""
    what, text = answer(done)
    text = printable(text)
    match done.rc:
        case 0:
            return Staged()
        case 1:
            return _unprepared(what, text)
        case 73:
            return _unwritten(text)
        case 65 | 75:
            return StageDelayed(problem=Problem(code="stage", message=f"the session's files are not in place: {text}"))
        case rc:
            raise Unreadable(f"staging ended with the unknown exit status {rc}")


def room_hint(text: str) -> str:
    """What to do about an error whose ``text`` speaks of a full disk or of a quota that is used up; else empty."""
    if _QUOTA in text:
        return "Your quota there is used up: remove files of yours, or have it raised; it is tried again."
    return "Free some space there; it is tried again." if _FULL in text else ""


def trouble(code: str, message: str, text: str, hint: str = "") -> Problem:
    """A problem of which ``text`` says that it is want of room, or not: then ``code`` and ``hint`` are its own."""
    room = room_hint(text)
    return Problem(code=NO_ROOM if room else code, message=message, hint=room or hint)


def still_there(message: str) -> HistoryDelayed:
    """There is no history yet: whoever has the job, asked for it alone, says that it is there."""
    return HistoryDelayed(problem=Problem(code=STILL_THERE, message=message))


def _unprepared(status: str, last_line: str) -> StageDelayed | StageFailed:
    if status in {"124", "137"}:
        message = f"the service's preparation was ended after {PREPARE_LIMIT_S // 60} minutes"
    else:
        message = f"the service's preparation failed with status {printable(status)}"
    said = f": {last_line}" if last_line else ""
    if hint := room_hint(last_line):
        return StageDelayed(problem=Problem(code=NO_ROOM, message=message + said, hint=hint))
    hint = "The session's log has all of its output."
    return StageFailed(problem=Problem(code="prepare", message=message + said, hint=hint))


def _unwritten(text: str) -> StageDelayed | StageFailed:
    message = f"the session's folder cannot be written: {text or 'no reason was given'}"
    if hint := room_hint(text):
        return StageDelayed(problem=Problem(code=NO_ROOM, message=message, hint=hint))
    for words, hint in _LASTING.items():
        if words in text:
            return StageFailed(problem=Problem(code="stage", message=message, hint=hint))
    return StageDelayed(problem=Problem(code="stage", message=message))


def forget(session: Session) -> Command:
    """Remove the session's folder. Exit status 0: it is gone; otherwise the reply says why not."""
    return shell(script("remove.sh", "forget.sh"), folder_of(session), timeout_s=120)
