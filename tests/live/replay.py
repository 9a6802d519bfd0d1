"""What a real OpenPBS said, read from its recordings; the stand-in's commands on the same jobs, without a bed."""

from __future__ import annotations

import calendar
import json
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from .bed.pbs import main, requests
from .bed.pbs.attributes import TIMES, Attributes
from .bed.pbs.command import Done, Place
from .bed.pbs.complex import Complex
from .bed.pbs.errors import Refused
from .bed.pbs.model import Job, Node, Queue, Switches
from .bed.pbs.wire import Ask, Down, Message, answer, refusal

FOLDER = Path(__file__).parents[1] / "schedulers/recorded/openpbs"
NOW = 1795370138.0
"""When most of it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A command, its exit status, and what it printed."""

    command: str
    status: int
    out: str
    err: str


def recording(name: str) -> Recording:
    """One of the files."""
    text = (FOLDER / f"{name}.txt").read_bytes().decode()
    found = re.match(r"### command: (.*)\n### exit: (\d+) .*\n### stdout:\n((?:.*\n)*)### stderr:\n", text)
    assert found is not None, name
    return Recording(command=found[1], status=int(found[2]), out=found[3], err=text[found.end() :])


def jobs_in(name: str) -> list[tuple[str, Attributes]]:
    """The jobs that were printed, in text or in JSON, with all their attributes."""
    out = recording(name).out
    if out.startswith("{"):
        return [(number, _flat(job)) for number, job in json.loads(out).get("Jobs", {}).items()]
    blocks = re.split(r"^Job Id: ", out.replace("\n\t", ""), flags=re.MULTILINE)[1:]
    return [_block(block) for block in blocks]


def server_with(*names: str, history: bool = True) -> Complex:
    """A server that has the jobs of some recordings; of those that are in several the last counts."""
    complex_ = Complex(
        "pbs",
        nodes=[Node(name="pnode1", ncpus=4, mem_kb=24684092), Node(name="pnode2", ncpus=4, mem_kb=24684092)],
        queues=[Queue(name="workq"), Queue(name="small", max_walltime_s=600, max_ncpus=2, max_queued=1)],
        switches=Switches(history=history, requeue_after_s=310),
    )
    found = [pair for name in names for pair in jobs_in(name)]
    for number, attributes in sorted(found, key=lambda pair: int(re.split(r"\D", pair[0])[0])):
        add(complex_, number, attributes)
    return complex_


def add(complex_: Complex, number: str, attributes: Attributes) -> None:
    """Let a server have a job with these very attributes."""
    digits = re.split(r"\D", number)[0]
    complex_.jobs[int(digits)] = Job(
        number=int(digits),
        server="pbs",
        user=attributes["Job_Owner"].partition("@")[0],
        script="",
        attributes=attributes,
        variables={},
        suffix="[]" if "[]" in number else "",
    )
    complex_.next_number = int(digits) + 1


def replay(command: str, complex_: Complex | None, *, folder: str = "/home/alice", ended_with: int = 0) -> Done:
    """Run a recorded command as alice; without a server none listens."""
    given, _, piped = command.rpartition(" | ")
    words = shlex.split(piped.removesuffix(" </dev/null"))
    text = shlex.split(given)[1].replace("\\n", "\n").replace("\\r", "\r") if given else ""
    environ = {
        "HOME": "/home/alice",
        "LOGNAME": "alice",
        "PATH": "/opt/pbs/bin:/usr/local/bin:/usr/bin:/bin",
        "MAIL": "/var/mail/alice",
        "SHELL": "/bin/bash",
    }
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    if words[0] == "timeout":
        words = words[2:]
    place = Place(
        server="pbs",
        host="pbs",
        user="alice",
        folder=folder,
        environ=environ,
        read=text.encode,
        ask=_asking(complex_, ended_with),
    )
    return main.run(words[0], place, words[1:])


def _asking(complex_: Complex | None, ended_with: int) -> Ask:
    def ask(question: Message) -> Message:
        if complex_ is None:
            raise Down
        if question["do"] == "wait":
            return {"status": ended_with}
        try:
            found = requests.answer(complex_, "alice", json.loads(json.dumps(question)), NOW)
        except Refused as error:
            found = refusal(error)
        # where nodes would have something to do, they have done it
        return answer(json.loads(json.dumps(found or {})))

    return ask


def _flat(job: dict[str, object]) -> Attributes:
    found: Attributes = {}
    for key, value in job.items():
        if key == "Variable_List":
            assert isinstance(value, dict)
            found[key] = ",".join(f"{name}={text}" for name, text in value.items())
        elif isinstance(value, dict):
            found |= {f"{key}.{name}": str(text) for name, text in value.items()}
        else:
            found[key] = str(value)
    return {key: _seconds(value) if key in TIMES else value for key, value in found.items()}


def _block(block: str) -> tuple[str, Attributes]:
    number, *lines = block.rstrip("\n").split("\n")
    pairs = [line[4:].partition(" = ") for line in lines]
    return number, {key: _seconds(value) if key in TIMES else value for key, _, value in pairs}


def _seconds(moment: str) -> str:
    return str(calendar.timegm(time.strptime(moment)))
