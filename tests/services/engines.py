"""Folders of programs to put on a session's PATH: stand-ins for docker, podman, sudo and apptainer, or none of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.services.house import House

_SIF = ("apptainer", "singularity")
RUNTIMES = ("docker", "podman", *_SIF, "ch-run", "sudo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a stand-in was called: its words, and its standard input, or its variables with a NUL between them."""

    words: list[str]
    stdin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Stand-ins of one machine, whose containers are in ``folder``."""

    folder: Path

    def calls(self, *beginning: str) -> list[Call]:
        """The calls so far whose words begin so, in order; first of all the program's name."""
        found = [json.loads(file.read_text()) for file in sorted((self.folder / "calls").iterdir())]
        return [Call(**one) for one in found if one["words"][: len(beginning)] == list(beginning)]

    def containers(self) -> set[str]:
        """The names of the containers there are."""
        return {file.stem for file in (self.folder / "containers").glob("*.json")}

    def add_container(self, name: str, label: str) -> None:
        """Somebody else's container."""
        stranger = {"labels": [label], "pid": 2**30}
        (self.folder / "containers" / f"{name}.json").write_text(json.dumps(stranger))

    def fails(self, how: str) -> None:
        """It fails so from now on; see the stand-in."""
        (self.folder / how).touch()

    def close(self) -> None:
        """End what runs."""
        for file in (self.folder / "containers").glob("*.json"):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


def make_engine(base: Path, environment: dict[str, str], *names: str) -> Engine:
    """Stand-ins of these ``names`` on the PATH of an environment, and none of the other runtimes."""
    folder = base / "engine"
    for name in ("calls", "containers", "images"):
        (folder / name).mkdir(parents=True)
    for name in names:
        if name == "sudo":
            # As the real one with -n: it asks nothing, and passes no variables on.
            path = shlex.quote(f"{folder}:/usr/bin:/bin")
            _program(folder / name, f'#!/bin/sh\nshift\nexec env -i PATH={path} STAND_IN_SUDO=1 "$@"\n')
        else:
            source = "apptainer_stand_in.py" if name in _SIF else "engine_stand_in.py"
            _program(folder / name, f"#!{sys.executable} -IS\n{Path(__file__).with_name(source).read_text()}")
    environment["PATH"] = f"{folder}:{without_runtimes(base, environment)}"
    return Engine(folder=folder)


def without_runtimes(base: Path, environment: dict[str, str], *but: str) -> Path:
    """A folder with every program of a PATH except container runtimes, of which only ``but`` are there."""
    folder = base / "programs"
    folder.mkdir(exist_ok=True)
    left_out = {*RUNTIMES} - {*but}
    for place in environment["PATH"].split(":"):
        with contextlib.suppress(OSError):
            for program in Path(place).iterdir():
                if program.name not in left_out and not (folder / program.name).is_symlink():
                    (folder / program.name).symlink_to(program)
    return folder


def check_golden(kept: Path, words: list[str], house: House, port: str, **more: str) -> None:
    """A command line is the one in ``kept``, a word a line, but for what differs from run to run.

    ``more``: what else differs, by the name it is kept under. A script among the words is a file of its own. The port
    is put into what is kept, and not the other way round: it may happen to be the number of a port in the container.
    With UPDATE_GOLDEN=1 the file is written anew; read the diff.
    """
    names = {
        house.path("lib/container_jupyter.sh").read_text().rstrip("\n"): "JUPYTER",
        str(house.jobdir): "JOBDIR",
        house.environment["HOME"]: "HOME",
        f"{os.getuid()}:{os.getgid()}": "UID:GID",
        **{text: name for name, text in more.items()},
    }
    text = "".join(f"{word}\n" for word in words)
    for old, new in names.items():
        text = text.replace(old, new)
    text = re.sub(r"\bsd-\w+(\.\w+)?", "SESSION", text)
    if os.environ.get("UPDATE_GOLDEN"):
        kept.write_text(re.sub(rf"\b{port}\b", "PORT", text))
    assert re.sub(r"\bPORT\b", port, kept.read_text()) == text


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
