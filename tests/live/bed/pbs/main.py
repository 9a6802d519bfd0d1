"""Where a command of PBS begins on a host: it writes its call down, does what it does, and ends."""

from __future__ import annotations

import os
import pwd
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import others, wire
from .attributes import VERSION
from .command import Done, Place
from .qstat import qstat
from .qsub import qsub

PROGRAMS: dict[str, Callable[[Place, list[str]], Done]] = {
    "qalter": others.qalter,
    "qdel": others.qdel,
    "qhold": others.qhold,
    "qrerun": others.qrerun,
    "qrls": others.qrls,
    "qselect": others.qselect,
    "qsig": others.qsig,
    "qstat": qstat,
    "qsub": qsub,
}


def run(program: str, place: Place, words: list[str], *, face: str = "openpbs") -> Done:
    """A command as it is called with ``words``; ``face`` is openpbs or torque."""
    if face == "torque":
        # not before: to load it takes time
        from . import torque

        done = torque.run(program, place, words)
        if done is not None:
            return done
    if words == ["--version"]:
        return Done(out=f"pbs_version = {VERSION}\n")
    return PROGRAMS[program](place, words)


def main(program: str, *, server: str, socket: str, calls: str, face: str) -> None:
    """The whole life of a command's process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    words = sys.argv[1:]
    user, host = pwd.getpwuid(os.getuid()).pw_name, os.uname().nodename
    _write_down(calls, f"{time.time():.9f}", host, user, program, words)
    place = Place(
        server=server,
        host=host,
        user=user,
        folder=_folder(),
        environ=os.environ,
        read=sys.stdin.buffer.read,
        ask=partial(wire.ask, socket),
    )
    done = run(program, place, words, face=face)
    _fail(done.lost)
    sys.stdout.buffer.write(done.out.encode(errors="surrogateescape"))
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(done.err.encode(errors="surrogateescape"))
    sys.stderr.buffer.flush()
    os._exit(done.status)


def _fail(lost: wire.Message) -> None:
    """Lose the answer in the way that a test wants."""
    if lost.get("hangs"):
        while True:
            signal.pause()
    if "signal" in lost:
        os.kill(os.getpid(), int(lost["signal"]))
    if "status" in lost:
        said = str(lost.get("said", ""))
        sys.stderr.write(f"{said}\n" if said else "")
        sys.stderr.flush()
        os._exit(int(lost["status"]))


def _folder() -> str:
    # as the shell names it: a path through links stays that
    here, named = str(Path.cwd()), os.environ.get("PWD", "")
    return named if named.startswith("/") and os.path.realpath(named) == here else here


def _write_down(calls: str, moment: str, host: str, user: str, program: str, words: list[str]) -> None:
    """A line as the counting programs of a bed write it, and the folder."""
    text = "".join(f"{word} " for word in words).translate({9: " ", 10: " "})
    line = "\t".join((moment, host, user, program, os.environ.get("SESSIOND_TAG", ""), text, _folder())) + "\n"
    try:
        file = os.open(calls, os.O_WRONLY | os.O_APPEND)
    except OSError:
        return
    os.write(file, line.encode(errors="surrogateescape"))
    os.close(file)
