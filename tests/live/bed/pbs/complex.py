"""The server's mind: what becomes of jobs. It neither waits nor talks to anybody; the time is given to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from . import model, resources
from .attributes import Attributes
from .errors import Code, Refused
from .model import Job, Node, Placed, Queue, Switches

_SIGNALED = 256


class Complex:
    """A server's jobs, queues and nodes. Methods raise Refused; ``changed`` has the numbers of jobs to be saved."""

    def __init__(self, server: str, *, nodes: list[Node], queues: list[Queue], switches: Switches) -> None:
        self.server = server
        self.nodes = {node.name: node for node in nodes}
        self.queues = {queue.name: queue for queue in queues}
        self.default_queue = queues[0].name
        self.switches = switches
        self.jobs: dict[int, Job] = {}
        self.next_number = 0
        self.changed: set[int] = set()

    # Finding.

    def known(self, name: str) -> Job:
        """The job with an id such as ``17`` or ``17.login``; finished ones, too, while there is history."""
        number = name.partition("@")[0].partition(".")[0].removesuffix("[]")
        job = self.jobs.get(int(number)) if number.isdecimal() else None
        if job is None:
            raise Refused(Code.UNKJOBID)
        return job

    def unfinished(self, name: str) -> Job:
        """A job that is not history."""
        job = self.known(name)
        if job.is_finished:
            raise Refused(Code.HISTJOBID)
        return job

    def own(self, name: str, user: str) -> Job:
        """A job, not history, that the user may change."""
        job = self.unfinished(name)
        if user not in ("root", job.user):
            raise Refused(Code.PERM)
        return job

    def listed(self, *, history: bool) -> list[Job]:
        """All jobs, the oldest first; with ``history`` the finished ones, too."""
        if history and not self.switches.history:
            raise Refused(Code.JOBHISTNOTSET)
        return [job for job in self.jobs.values() if history or not job.is_finished]

    def selected(self, wanted: dict[str, str], *, history: bool) -> Iterator[Job]:
        """What qselect finds: ``wanted`` are its options' letters with their values."""
        for job in self.listed(history=history):
            attributes = job.attributes
            if (
                ("N" not in wanted or attributes["Job_Name"] == wanted["N"])
                and ("u" not in wanted or job.user in wanted["u"].split(","))
                and ("s" not in wanted or job.state in wanted["s"])
                and ("q" not in wanted or attributes["queue"] == wanted["q"])
                and ("A" not in wanted or attributes.get("Account_Name") == wanted["A"])
            ):
                yield job

    # Submitting and changing.

    def submit(self, user: str, asked: Attributes, variables_: dict[str, str], script: str, now: float) -> Job:
        """A new job; ``asked`` are attributes as qsub sends them, ``$NUMBER`` in paths is the number it will have."""
        queue = self.queues.get(asked.get("queue", self.default_queue))
        if queue is None:
            raise Refused(Code.UNKQUE)
        wanted = {
            name.partition(".")[2]: resources.checked(name.partition(".")[2], value)
            for name, value in asked.items()
            if name.startswith("Resource_List.")
        }
        complete = resources.complete(wanted, self.switches.walltime)
        number = self.next_number
        self._admit(user, queue, complete)
        self.next_number += 1
        given = {name: value for name, value in asked.items() if not name.startswith("Resource_List.")}
        moment = str(int(now))
        attributes: Attributes = {
            "Job_Name": "STDIN",
            "Checkpoint": "u",
            "Join_Path": "n",
            "Keep_Files": "n",
            "Mail_Points": "a",
            "Priority": "0",
            "Rerunable": "True",
            **given,
            **{f"Resource_List.{name}": value for name, value in complete.items()},
            "server": self.server,
            "queue": queue.name,
            "ctime": moment,
            "mtime": moment,
            "qtime": moment,
            "project": "_pbs_project_default",
        }
        for path in ("Output_Path", "Error_Path"):
            attributes[path] = attributes[path].replace("$NUMBER", str(number))
        attributes["Variable_List"] = f"{attributes['Variable_List']},PBS_O_QUEUE={queue.name}"
        attributes["Variable_List"] += f",PBS_O_HOST={attributes['Submit_Host']}"
        job = Job(
            number=number,
            server=self.server,
            user=user,
            script=script,
            attributes=attributes,
            variables=variables_,
            shell=attributes.pop("Shell_Path_List", ""),
            umask=int(attributes.get("umask", "077"), 8),
        )
        self.jobs[number] = job
        self._enqueue(job, now)
        if "depend" in attributes:
            self._depend(job, now)
        return job

    def alter(self, user: str, name: str, asked: Attributes, now: float) -> Job:
        """qalter; a running job's walltime can be lowered, and raised only with the switch."""
        job = self.own(name, user)
        for key, value in asked.items():
            kind, _, resource = key.partition(".")
            if kind != "Resource_List":
                job.attributes[key] = value
                continue
            new = resources.checked(resource, value)
            if job.state != "Q" and job.is_on_nodes:
                if resource != "walltime":
                    raise Refused(Code.MODATRRUN)
                is_more = resources.seconds(new) > resources.seconds(job.attributes[key])
                if is_more and user != "root" and not self.switches.may_raise_walltime:
                    raise Refused(Code.PERM)
            job.attributes[key] = new
            if resource == "select":
                ncpus = sum(chunk.ncpus for chunk in resources.chunks(new))
                job.attributes["Resource_List.ncpus"] = str(ncpus)
                job.attributes["Resource_List.nodect"] = str(len(resources.chunks(new)))
        self.touch(job, now)
        return job

    def hold(self, user: str, name: str, now: float) -> None:
        """qhold."""
        job = self.own(name, user)
        if not job.is_on_nodes:
            job.attributes["Hold_Types"] = "u"
            self._enqueue(job, now)

    def release(self, user: str, name: str, now: float) -> None:
        """qrls; what waits for another job goes on waiting."""
        job = self.own(name, user)
        if job.attributes["Hold_Types"] == "u":
            job.attributes["Hold_Types"] = "n"
            self._enqueue(job, now)

    # What becomes of jobs on nodes.

    def wake(self, now: float) -> None:
        """Let jobs go whose hour has come."""
        for job in self.jobs.values():
            if job.state == "W" and int(job.attributes["Execution_Time"]) <= now:
                del job.attributes["Execution_Time"]
                self._enqueue(job, now)

    def place(self, job: Job, places: list[Placed], now: float) -> None:
        """It runs there from now on."""
        job.places = places
        when = time.strftime("%a %b %d at %H:%M", time.localtime(now))
        hosts = "+".join(f"{one.node}/{one.slot}" + (f"*{one.ncpus}" if one.ncpus > 1 else "") for one in places)
        memory = {id(one): f":mem={one.mem_kb}kb" if one.mem_kb else "" for one in places}
        vnodes = "+".join(f"({one.node}:ncpus={one.ncpus}{memory[id(one)]})" for one in places)
        job.attributes.update(
            {
                "job_state": "R",
                "substate": str(model.PRERUN),
                "exec_host": hosts,
                "exec_vnode": vnodes,
                "stime": str(int(now)),
                "comment": f"Job run at {when} on {vnodes}",
                "run_count": str(job.run + 1),
            }
        )
        self.touch(job, now)

    def started(self, job: Job, session: int, home: str, now: float) -> None:
        """Its first process is there."""
        job.attributes.update(
            {"job_state": "R", "substate": str(model.RUNNING), "session_id": str(session), "jobdir": home}
        )
        self.used(job, 0.0)
        self.touch(job, now)

    def used(self, job: Job, walltime_s: float) -> None:
        """Note what it has used: of memory and processors nothing is measured."""
        words = {"cpupercent": "0", "cput": "00:00:00", "mem": "0kb", "vmem": "0kb"}
        words |= {"ncpus": job.attributes["Resource_List.ncpus"], "walltime": resources.clock(walltime_s)}
        job.attributes.update({f"resources_used.{name}": value for name, value in words.items()})

    def suspend(self, job: Job, now: float) -> None:
        """It is stopped in its tracks."""
        job.attributes.update({"job_state": "S", "substate": str(model.SUSPENDED)})
        self.touch(job, now)

    def resume(self, job: Job, now: float) -> None:
        """It goes on, and its comment says from when."""
        when = time.strftime("%a %b %d at %H:%M", time.localtime(now))
        comment = f"Job run at {when} on {job.attributes['exec_vnode']}"
        job.attributes.update({"job_state": "R", "substate": str(model.RUNNING), "comment": comment})
        self.touch(job, now)

    def exited(self, job: Job, status: int, walltime_s: float, now: float) -> None:
        """Its first process has ended; its output is not yet where it belongs."""
        self.used(job, walltime_s)
        job.attributes.update({"job_state": "E", "substate": str(model.EXITING), "Exit_status": str(status)})
        self.touch(job, now)

    def say_deleted(self, job: Job, by: str) -> None:
        """Note in its comment who deleted it, once."""
        if not job.deleted:
            job.deleted = by
            if "comment" in job.attributes:
                job.attributes["comment"] += f" and terminated by {by}" if job.is_on_nodes else " and terminated"
            self.changed.add(job.number)

    def finish(self, job: Job, now: float, *, delivered: bool | None = None) -> None:
        """It is history, or gone where none is kept. ``delivered``: whether its output arrived, None: there is none."""
        attributes = job.attributes
        status = int(attributes.get("Exit_status", "0"))
        if job.places:
            attributes["obittime"] = str(int(now))
            if not job.deleted and status != -20:
                end = "exceeded resource walltime" if status == -29 else "failed" if status else "finished"
                attributes["comment"] += f" and {end}"
        if delivered is not None:
            attributes["Stageout_status"] = str(int(delivered))
        substate = model.TERMINATED if job.deleted else model.FAILED if status else model.FINISHED
        attributes.update({"job_state": "F", "substate": str(substate), "history_timestamp": str(int(now))})
        job.places = []
        self.touch(job, now)
        self._tell_dependents(job, now)
        if not self.switches.history:
            del self.jobs[job.number]

    def requeue(self, job: Job, now: float) -> None:
        """It waits again, with its count of runs."""
        for name in list(job.attributes):
            if name.partition(".")[0] in _OF_A_RUN:
                del job.attributes[name]
        job.places = []
        self._enqueue(job, now)

    def lose(self, job: Job, now: float) -> None:
        """Its node is gone: it waits again or, not rerunable, has ended."""
        if job.attributes["Rerunable"] == "True" and not job.deleted:
            self.requeue(job, now)
        else:
            job.attributes["Exit_status"] = str(_SIGNALED + 15 if job.deleted else -20)
            self.finish(job, now)

    def touch(self, job: Job, now: float) -> None:
        """It has changed."""
        job.attributes["mtime"] = str(int(now))
        self.changed.add(job.number)

    # Inner parts.

    def _admit(self, user: str, queue: Queue, asked: dict[str, str]) -> None:
        if queue.users and user not in queue.users:
            raise Refused(Code.PERM)
        if not queue.enabled:
            raise Refused(Code.QUNOENB)
        too_long = queue.max_walltime_s and resources.seconds(asked["walltime"]) > queue.max_walltime_s
        if too_long or (queue.max_ncpus and int(asked["ncpus"]) > queue.max_ncpus):
            raise Refused(Code.EXCQRESC)
        mine = [
            job
            for job in self.jobs.values()
            if job.user == user and job.attributes["queue"] == queue.name and not job.is_finished
        ]
        if queue.max_queued and len(mine) >= queue.max_queued:
            # the word is not the queue's name
            raise Refused(Code.ENTLIMCT, "would exceed queue generic's per-user limit")

    def _enqueue(self, job: Job, now: float) -> None:
        """Give a job that is on no node the state that fits it."""
        attributes = job.attributes
        hold = attributes.setdefault("Hold_Types", "n")
        if hold != "n":
            state, substate = "H", model.DEPENDS if hold == "s" else model.HELD
        elif int(attributes.get("Execution_Time", "0")) > now:
            state, substate = "W", model.WAITING
        else:
            state, substate = "Q", model.QUEUED
            attributes.setdefault("etime", str(int(now)))
        attributes.update({"job_state": state, "substate": str(substate)})
        self.touch(job, now)

    def _depend(self, job: Job, now: float) -> None:
        kind, _, rest = job.attributes["depend"].partition(":")
        parents = [re.split(r"[.@]", name)[0] for name in rest.split(":")]
        known = [self.jobs.get(int(number)) for number in parents if number.isdecimal()]
        names = ":".join(f"{number}.{self.server}@{self.server}" for number in parents)
        job.attributes.update({"depend": f"{kind}:{names}", "Hold_Types": "s"})
        job.attributes.pop("etime", None)
        self._enqueue(job, now)
        living = [parent for parent in known if parent is not None and not parent.is_finished]
        if not living:
            # who depends on what is not there is taken, and over at once
            self.finish(job, now)
        for parent in living:
            parent.attributes["depend"] = f"before{kind.removeprefix('after')}:{job.id}@{self.server}"
            self.changed.add(parent.number)

    def _tell_dependents(self, parent: Job, now: float) -> None:
        status = int(parent.attributes.get("Exit_status", "0"))
        for job in list(self.jobs.values()):
            kind, _, rest = job.attributes.get("depend", "").partition(":")
            if job.state != "H" or not kind.startswith("after") or f"{parent.id}@{self.server}" not in rest.split(":"):
                continue
            if kind in ("afterany", "after") or (kind == "afterok") == (status == 0):
                del job.attributes["depend"]
                job.attributes["Hold_Types"] = "n"
                self._enqueue(job, now)
            else:
                self.say_deleted(job, self.server)
                self.finish(job, now)


_OF_A_RUN = frozenset(
    {"exec_host", "exec_vnode", "stime", "session_id", "jobdir", "resources_used", "Exit_status", "estimated"}
)
