"""A machine with stand-ins for a batch scheduler's commands, and recordings of the real ones."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sessiond.core.command import Command
from sessiond.core.events import Staged
from sessiond.core.session import Session
from sessiond.schedulers.batch.dialect import Batch

from .machine import Machine

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    """What one real command answered."""

    rc: int
    out: str
    err: str


def recorded(system: str, name: str) -> Recording:
    """The recording of a system in ``name``.txt."""
    text = (RECORDED / system / f"{name}.txt").read_text()
    found = re.search(r"^### exit: (\d+).*?\n### stdout:\n(.*?)### stderr:\n(.*)\Z", text, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return Recording(int(found[1]), found[2], found[3])


@dataclass(frozen=True, slots=True)
class Recorded:
    """A failure of a submitter's, by its recording, with words that it says."""

    system: str
    name: str
    words: str = ""

    @property
    def answer(self) -> Recording:
        """What it answered."""
        return recorded(self.system, self.name)


class BatchSite(ABC):
    """A machine with stand-ins for a scheduler's commands first in its PATH. Their calls are in files of the site:
    ``calls`` the submitter's, ``NAME.calls`` those of the others."""

    dialect: ClassVar[Batch]
    submitter: ClassVar[str]
    searcher: ClassVar[str]
    canceller: ClassVar[str]
    refusal: ClassVar[Recorded]
    unreached: ClassVar[Recorded]
    unanswered: ClassVar[Recorded]
    empty: ClassVar[str]
    """What the searcher prints where there is no job."""
    silences: ClassVar[tuple[tuple[str, str, int], ...]]
    """What the searcher may print, say and end with, none of which says that there is no job."""
    programs: ClassVar[Mapping[str, str]]

    def __init__(self, machine: Machine) -> None:
        """Put the stand-ins into ``machine``."""
        self.machine = machine
        self.root = machine.root / "site"
        self.root.mkdir()
        machine.environ["SITE"] = str(self.root)
        shutil.copy(shutil.which("env") or "", machine.bin / "env") if machine.shell != "busybox" else None
        for name, text in self.programs.items():
            self.program(name, text)

    @abstractmethod
    def called(self, session: Session) -> str:
        """How the submitter is called for a session."""

    @abstractmethod
    def lists(self, job: str, session: Session) -> None:
        """The queue has this job of the session's, beside another."""

    def program(self, name: str, text: str) -> None:
        """Put a stand-in into the PATH."""
        path = self.machine.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def put(self, name: str, text: str) -> None:
        """Write a file of the site."""
        (self.root / name).write_text(text)

    def lines(self, name: str) -> list[str]:
        """The lines of a file of the site."""
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def staged(self) -> Session:
        """A session whose files are in place."""
        made = self.machine.session()
        done = self.machine.run(self.dialect.stage(made, {"session.sh": b"true\n", "kill.sh": b"true\n"}))
        assert Staged() == self.dialect.read_stage(made, done)
        return made


TOOLS = (
    "sh bash env sed cat date timeout mkdir mv head tr cut tail grep mktemp find rm id printf flock base64 tar chmod wc"
)


def out_of_the_way(site: BatchSite, command: Command, places: str) -> Command:
    """``command`` on a machine where the commands are in none of ``places``, a variable of the scripts; its profile is
    ours."""
    text = command.stdin.replace(b"/etc/profile", str(site.root / "profile").encode())
    head, mark, rest = text.partition(f"{places}='".encode())
    assert mark
    return replace(command, stdin=head + mark + b"/nowhere'" + rest[rest.index(b"'") + 1 :])


def hide(site: BatchSite) -> Path:
    """Put the commands where only a login shell finds them, and leave only tools in the PATH."""
    hidden, tools = site.machine.root / "scheduler" / "bin", site.machine.root / "tools"
    hidden.mkdir(parents=True)
    tools.mkdir()
    for name in site.programs:
        (site.machine.bin / name).rename(hidden / name)
    for name in TOOLS.split():
        found = site.machine.bin / name if (site.machine.bin / name).exists() else shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    site.machine.environ["PATH"] = str(tools)
    return hidden
