"""``qstat``: jobs, queues and the server, in text and in JSON."""

from __future__ import annotations

from . import full, jsons, tables
from .attributes import Attributes, in_order
from .command import Done, Place, down, full_id, is_id, options
from .errors import Code, Refused, status
from .full import Thing
from .wire import Down, Message

_OPTIONS = "ainpqrstwxu:fGHJMQEBW:T1F:D:"
_ALTERNATE = frozenset("aunsTrHiGM")
_USAGE = """\
usage:
qstat [-f [-F json | dsv [-D delimiter]]] [-J] [-p] [-t] [-x] [-w] [ job_identifier... | destination... ]
qstat [-a|-i|-r|-H|-T] [-J] [-t] [-u user] [-n] [-s] [-1] [-w] [ job_identifier... | destination... ]
qstat -Q [-f] [ destination... ]
qstat -B [-f] [ server_name... ]
qstat --version
"""
_STATES = {"r": "RS", "i": "EHQTW", "H": "MFX"}


class _View:
    """How what is found is printed, and what has been."""

    def __init__(self, place: Place, found: list[tuple[str, str]]) -> None:
        self.place = place
        self.flags = frozenset(letter for letter, _ in found)
        given = dict(found)
        self.format = given.get("F", "")
        self.delimiter = given.get("D", "|")
        self.users = given["u"].split(",") if "u" in given else []
        self.is_full = "f" in self.flags and not self.flags & {"n", "s"}
        self.is_alternate = not self.is_full and bool(self.flags & _ALTERNATE)
        self.has_history = bool(self.flags & {"x", "H"})
        self.states = next((letters for flag, letters in _STATES.items() if flag in self.flags), "")
        self.things: list[Thing] = []
        self.kind = "Jobs"
        self._has_heading = False

    def wants(self, job: Attributes) -> bool:
        """Whether the options want this one."""
        user = job["Job_Owner"].partition("@")[0]
        return (not self.users or user in self.users) and (not self.states or job["job_state"] in self.states)

    def show(self, jobs: list[tuple[str, Attributes]]) -> str:
        """The text for what one question to the server brought; in JSON only the first that brought anything counts."""
        wanted = [(name, job) for name, job in jobs if self.wants(job)]
        if not wanted:
            return ""
        heading = not self._has_heading
        self._has_heading = True
        if self.is_full:
            things: list[Thing] = [(name, list(in_order(job))) for name, job in wanted]
            if self.format == "json":
                # qstat 23.06.06 prints the first of several ids alone
                self.things = self.things or things
                return ""
            if self.format == "dsv":
                return full.dsv("Job Id", things, self.delimiter)
            return full.text("Job Id", things, wide="w" in self.flags)
        if self.is_alternate:
            return tables.alternate(self.place.server, wanted, self.flags, heading=heading)
        return tables.plain(wanted, heading=heading, wide="w" in self.flags)

    def end(self) -> str:
        """What is printed once all is asked."""
        if self.is_full and self.format == "json":
            return jsons.envelope(self.place.server, self.kind, self.things)
        return ""


def qstat(place: Place, words: list[str]) -> Done:
    """The command."""
    found, rest, said = options("qstat", words, _OPTIONS)
    done = Done(err=said)
    view = _View(place, found)
    if said or view.format not in ("", "json", "dsv"):
        done.err += _USAGE
        done.status = 2
        return done
    if view.flags & {"Q", "B"}:
        _other_kinds(place, view, rest, done)
    else:
        for word in rest or [""]:
            _ask(place, view, word, done)
    done.out += view.end()
    return done


def _ask(place: Place, view: _View, word: str, done: Done) -> None:
    name = full_id(word, place.server) if is_id(word) else ""
    queue, _, server = word.partition("@")
    if server and server.partition(".")[0] != place.server:
        done.err += "Unknown Host.\n"
        done.fail(f"qstat: cannot connect to server {place.server} (errno={int(Code.BADHOST)})", 255)
        return
    question: Message = {"do": "status", "job": name, "history": view.has_history}
    try:
        answer = place.ask(question)
    except Refused as error:
        if error.code == Code.HISTJOBID:
            said = f"qstat: {name} {error.said}, use -x or -H to obtain historical job information"
        else:
            said = f"qstat: {error.said} {name}"
        # the command ends well although the server refused
        done.fail(said, 0 if error.code == Code.JOBHISTNOTSET else status(error.code))
        return
    except Down:
        down(done, place, "qstat")
        done.status = 255
        return
    jobs: list[tuple[str, Attributes]] = [(each, job) for each, job in answer["jobs"]]
    if queue and not name:
        if queue not in answer["queues"]:
            done.fail(f"qstat: Unknown queue {queue}", status(Code.UNKQUE))
            return
        jobs = [(each, job) for each, job in jobs if job["queue"] == queue]
    done.out += view.show(jobs)


def _other_kinds(place: Place, view: _View, rest: list[str], done: Done) -> None:
    """Queues with -Q, the server with -B."""
    is_queues = "Q" in view.flags
    view.kind = "Queue" if is_queues else "Server"
    try:
        answer = place.ask({"do": "queues" if is_queues else "server"})
    except Down:
        down(done, place, "qstat")
        done.status = 255
        return
    things: list[tuple[str, Attributes]] = [(name, thing) for name, thing in answer["things"]]
    if is_queues and rest:
        for name in set(rest) - {name for name, _ in things}:
            done.fail(f"qstat: Unknown queue {name}", status(Code.UNKQUE))
        things = [(name, thing) for name, thing in things if name in rest]
    if not view.is_full:
        if is_queues:
            done.out += tables.queues(things, heading=True, default=answer["default"])
        else:
            done.out += "".join(tables.server_line(name, thing, heading=True) for name, thing in things)
    elif view.format == "json":
        view.things = [(name, list(thing.items())) for name, thing in things]
    else:
        done.out += full.text(view.kind, [(name, thing.items()) for name, thing in things], wide="w" in view.flags)
