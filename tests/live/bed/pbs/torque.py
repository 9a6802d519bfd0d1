"""Torque's face of the same server: its commands where they differ.

None of it is recorded: it is as the manual pages and the administrators' guide of Torque 6.1 have it. There -x means
XML, and a job that is over is C for a while.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from . import full, others, tables
from .attributes import Attributes
from .command import Done, Place, full_id, is_id, options
from .errors import Code, Refused, status
from .qsub import qsub
from .wire import Down

_VERSION = "Version: 6.1.3\nCommit: 0000000000000000000000000000000000000000\n"
_REFUSED = 111
_WORDS = {
    Code.UNKJOBID: "Unknown Job Id Error",
    Code.UNKQUE: "Unknown queue MSG=cannot locate queue",
    Code.HISTJOBID: "Request invalid for state of job MSG=invalid state for job - COMPLETE",
}
# Where Torque's numbers differ: the exit status of a request that the state of a job does not allow.
_STATUS = {Code.HISTJOBID: 170}
_NAMES = {
    "stime": "start_time",
    "run_count": "start_count",
    "Exit_status": "exit_status",
    "Submit_arguments": "submit_args",
    "Submit_Host": "submit_host",
    "obittime": "comp_time",
}
_MOMENTS = frozenset({"start_time", "comp_time"})
_ORDER = (
    *("Job_Name", "Job_Owner", "resources_used", "job_state", "queue", "server", "Account_Name", "Checkpoint", "ctime"),
    *("depend", "Error_Path", "exec_host", "Execution_Time", "Hold_Types", "Join_Path", "Keep_Files", "Mail_Points"),
    *("mtime", "Output_Path", "Priority", "qtime", "Rerunable", "Resource_List", "session_id", "Variable_List"),
    *("comment", "etime", "exit_status", "submit_args", "start_time", "start_count", "fault_tolerant", "comp_time"),
    *("job_radix", "submit_host"),
)
_PLACE = {name: place for place, name in enumerate(_ORDER)}
_OWN_RESOURCES = ("place", "select", "ncpus")


def run(program: str, place: Place, words: list[str]) -> Done | None:
    """A command that differs; None for one that does not."""
    if words == ["--version"]:
        return Done(err=_VERSION)
    match program:
        case "qstat" if not {"-Q", "-B", "-q"} & set(words):
            return _qstat(place, words)
        case "qdel":
            return _qdel(place, words)
        case "qselect":
            found, _, _ = options("qselect", words, "a:A:c:h:l:N:p:q:r:s:u:")
            return _worded(others.qselect(place, [f"-{letter}{value}" for letter, value in found] + ["-x"]))
        case "qsub":
            return _worded(qsub(place, words))
    return None


def _qstat(place: Place, words: list[str]) -> Done:
    found, rest, said = options("qstat", words, "acefin1rsu:wx")
    flags = frozenset(letter for letter, _ in found)
    done = Done(err=said)
    if said:
        done.err += "usage: qstat [-f [-1]] [-x] [ job_identifier... | destination... ]\n"
        done.status = 2
        return done
    jobs: list[tuple[str, Attributes]] = []
    for word in rest or [""]:
        name = full_id(word, place.server) if is_id(word) else ""
        if word and not name:
            return done.fail(f"qstat: Unknown queue destination {word}", status(Code.UNKQUE))
        try:
            answer = place.ask({"do": "status", "job": name, "history": True})
        except Refused as error:
            done.fail(f"qstat: {_said(error)} {name}", status(error.code))
        except Down:
            return _down(done, place, "qstat")
        else:
            jobs += [(each, job) for each, job in answer["jobs"]]
    done.out = _printed(place, [(each, _shown(job)) for each, job in jobs], flags)
    return done


def _printed(place: Place, jobs: list[tuple[str, Attributes]], flags: frozenset[str]) -> str:
    things = [(each, sorted(job.items(), key=_key)) for each, job in jobs]
    if "x" in flags:
        pieces = (
            f"<Job><Job_Id>{each}</Job_Id>{''.join(f'<{key}>{escape(value)}</{key}>' for key, value in pairs)}</Job>"
            for each, pairs in things
        )
        return f"<Data>{''.join(pieces)}</Data>\n" if things else ""
    if "f" in flags:
        said = [(each, [(key, _moment(key, value)) for key, value in pairs]) for each, pairs in things]
        return full.text("Job Id", said, wide="1" in flags)
    if flags & frozenset("aiusrn"):
        return tables.alternate(place.server, jobs, flags, heading=True) if jobs else ""
    return tables.plain(jobs, heading=True) if jobs else ""


def _qdel(place: Place, words: list[str]) -> Done:
    _, rest, said = options("qdel", words, "m:W:p")
    if said or not rest:
        return Done(err=f"{said}usage: qdel [{{ -a | -c | -p | -t | -W delay | -m message}}] <JOBID>\n", status=2)
    done = Done()
    for word in rest:
        if not is_id(word):
            done.fail(f"qdel: illegally formed job identifier: {word}", 1)
            continue
        name = full_id(word, place.server)
        try:
            place.ask({"do": "delete", "job": name, "force": False, "history": False})
        except Refused as error:
            done.fail(f"qdel: {_said(error)} {name}", _STATUS.get(error.code, status(error.code)))
        except Down:
            return _down(done, place, "qdel")
    return done


def _said(error: Refused) -> str:
    return _WORDS.get(error.code, error.said)


def _down(done: Done, place: Place, program: str) -> Done:
    done.err += f"Cannot connect to default server host '{place.server}' - check pbs_server daemon and/or trqauthd.\n"
    return done.fail(
        f"{program}: cannot connect to server {place.server} (errno={_REFUSED}) Connection refused", _REFUSED
    )


def _worded(done: Done) -> Done:
    """A refusal of the server in Torque's words."""
    done.err = re.sub(r"^(qsub): ([A-Z].*)$", r"\1: submit error (\2)", done.err, flags=re.MULTILINE)
    return done


def _shown(job: Attributes) -> Attributes:
    """What Torque shows of a job: other names, nodes in another form, no select."""
    shown = {_NAMES.get(key, key): value for key, value in job.items()}
    if shown["job_state"] == "F":
        shown["job_state"] = "C"
        shown["comp_time"] = job.get("obittime", job["mtime"])
    if shown.get("exit_status") == "-29":
        shown["exit_status"] = "-11"
    if "exec_vnode" in job:
        parts = re.findall(r"\((\w+):ncpus=(\d+)", job["exec_vnode"])
        shown["exec_host"] = "+".join(f"{node}/0" + (f"-{int(n) - 1}" if n != "1" else "") for node, n in parts)
    nodes = job.get("Resource_List.nodes", job["Resource_List.nodect"])
    shown |= {"Resource_List.nodes": nodes, "fault_tolerant": "False", "job_radix": "0"}
    dropped = {f"Resource_List.{name}" for name in _OWN_RESOURCES}
    return {key: value for key, value in shown.items() if key.partition(".")[0] in _PLACE and key not in dropped}


def _moment(key: str, value: str) -> str:
    return full.said("ctime", value) if key in _MOMENTS else value


def _key(pair: tuple[str, str]) -> tuple[int, str]:
    return _PLACE[pair[0].partition(".")[0]], pair[0]
