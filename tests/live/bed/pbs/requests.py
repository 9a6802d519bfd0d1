"""What the server is asked that needs no node: it is answered at once."""

from __future__ import annotations

import signal

from . import counts
from .attributes import Attributes
from .complex import Complex
from .errors import Code, Refused
from .model import Job
from .wire import Message


def answer(complex_: Complex, user: str, question: Message, now: float) -> Message | None:
    """The answer, None where nodes have to do something first. Raises Refused."""
    match question["do"]:
        case "status":
            jobs = _asked_for(complex_, question)
            return {"jobs": [[job.id, _shown(job, now)] for job in jobs], "queues": list(complex_.queues)}
        case "select":
            found = complex_.selected(question["wanted"], history=question["history"])
            return {"ids": [job.id for job in found]}
        case "queues":
            things = [[name, counts.of_queue(complex_, queue)] for name, queue in complex_.queues.items()]
            return {"things": things, "default": complex_.default_queue}
        case "server":
            return {"things": [[complex_.server, counts.of_server(complex_)]]}
        case "submit":
            asked = question["attributes"], question["variables"], question["script"]
            return {"job": complex_.submit(user, *asked, now).id, "lost": dict(complex_.switches.lost)}
        case "hold":
            complex_.hold(user, question["job"], now)
        case "release":
            complex_.release(user, question["job"], now)
        case "alter":
            complex_.alter(user, question["job"], question["attributes"], now)
        case "delete":
            return _delete(complex_, user, question, now)
        case "signal":
            _may_signal(complex_, user, question)
            return None
        case "rerun":
            job = complex_.unfinished(question["job"])
            if user != "root":
                raise Refused(Code.PERM)
            if job.state not in "RS":
                raise Refused(Code.BADSTATE)
            return None
        case _:
            return None
    return {}


def _asked_for(complex_: Complex, question: Message) -> list[Job]:
    listed = complex_.listed(history=question["history"])
    if not question["job"]:
        return listed
    job = complex_.known(question["job"])
    if job.is_finished and not question["history"]:
        raise Refused(Code.HISTJOBID)
    return [job]


def _shown(job: Job, now: float) -> Attributes:
    """What is shown of a job: of one that runs, how long it has been running."""
    key = "resources_used.walltime"
    if job.state != "R" or key not in job.attributes or not job.places:
        return job.attributes
    passed = int(now) - int(job.attributes["stime"])
    return {**job.attributes, key: f"{passed // 3600:02}:{passed // 60 % 60:02}:{passed % 60:02}"}


def _may_signal(complex_: Complex, user: str, question: Message) -> None:
    job, name = complex_.own(question["job"], user), question["signal"]
    if name in ("suspend", "resume"):
        if user != "root":
            raise Refused(Code.PERM)
    elif f"SIG{name.removeprefix('SIG')}" not in signal.Signals.__members__:
        raise Refused(Code.UNKSIG)
    if job.state != ("S" if name == "resume" else "R"):
        raise Refused(Code.BADSTATE)


def _delete(complex_: Complex, user: str, question: Message, now: float) -> Message | None:
    job = complex_.known(question["job"])
    if user not in ("root", job.user):
        raise Refused(Code.PERM)
    if job.is_finished:
        if not question["history"]:
            raise Refused(Code.HISTJOBID)
        del complex_.jobs[job.number]
        complex_.changed.add(job.number)
        return {}
    complex_.say_deleted(job, f"{user}@{job.attributes['Submit_Host']}")
    if job.is_on_nodes:
        return None
    complex_.finish(job, now)
    return {}
