"""The server's process: it answers commands, gives jobs to moms, and remembers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from pathlib import Path

from . import counts, requests, resources, wire
from .errors import Code, Refused
from .link import Gone, Link
from .model import Job, Queue, Switches
from .mom import detach
from .scheduler import schedule
from .store import Store
from .wire import Message

_SIGNALED = 256


class Server:
    """A server on its folder, with its lines to the moms."""

    def __init__(self, folder: Path) -> None:
        self._store = Store(folder)
        self._complex = self._store.load()
        self._links = {name: Link(name, self._hear, self._broken) for name in self._complex.nodes}
        self._lost: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._ends: dict[int, int] = {}
        # jobs that are waiting for the end of their prolog
        self._held_back: set[int] = set()

    async def serve(self, listener: socket.socket, ready: int) -> None:
        """Serve until the process is ended."""
        server = await asyncio.start_unix_server(self._talk, sock=listener, limit=1 << 26)
        os.write(ready, b"1")
        os.close(ready)
        for name, link in self._links.items():
            self._do(link.keep())
            self._broken(name)
        async with server:
            while True:
                self._schedule()
                # for those whose hour comes
                await asyncio.sleep(0.5)

    async def _talk(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        peer: socket.socket = line.get_extra_info("socket")
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        with contextlib.suppress(ConnectionError, KeyError):
            text = await reader.readline()
            if text.endswith(b"\n"):
                user = pwd.getpwuid(uid).pw_name
                try:
                    answer = await self._answer(user, json.loads(text))
                except Refused as error:
                    answer = wire.refusal(error)
                self._save()
                line.write(json.dumps(answer).encode() + b"\n")
                await line.drain()
        line.close()

    async def _answer(self, user: str, question: Message) -> Message:
        now = time.time()
        answer = requests.answer(self._complex, user, question, now)
        if answer is not None:
            if question["do"] == "alter":
                self._tell_limit(self._complex.known(question["job"]))
            # after the answer: whoever looks at once sees a job that nobody has considered yet
            asyncio.get_running_loop().call_soon(self._schedule)
            return answer
        match question["do"]:
            case "delete":
                await self._delete(self._complex.known(question["job"]), is_forced=question["force"])
            case "signal":
                await self._signal(self._complex.known(question["job"]), question["signal"])
            case "wait":
                return {"status": await self._end_of(self._complex.known(question["job"]))}
            case "rerun":
                self._rerun(self._complex.known(question["job"]))
            case _ if user != "root":
                raise Refused(Code.PERM)
            case "set":
                self._set(question)
            case "dump":
                return self._dump()
            case _:
                raise Refused(Code.IVALREQ)
        return {}

    # What commands want of nodes.

    def _tell_limit(self, job: Job) -> None:
        if job.places:
            limit_s = resources.seconds(job.attributes["Resource_List.walltime"])
            self._link(job).tell({"do": "limit", "job": job.id, "limit_s": limit_s})

    async def _delete(self, job: Job, *, is_forced: bool) -> None:
        self._save()
        if is_forced:
            for place in job.places:
                self._links[place.node].tell({"do": "forget", "job": job.id})
            self._finish_deleted(job)
        elif not self._complex.switches.qdel_is_idle and job.state != "E":
            if job.number in self._held_back:
                self._finish_deleted(job)
                return
            try:
                await self._link(job).order({"do": "end", "job": job.id})
            except Gone:
                self._finish_deleted(job)

    def _finish_deleted(self, job: Job) -> None:
        if job.places:
            job.attributes["Exit_status"] = str(_SIGNALED + signal.SIGTERM)
            self._finish(job)

    async def _signal(self, job: Job, name: str) -> None:
        with contextlib.suppress(Gone):
            await self._link(job).order({"do": "signal", "job": job.id, "signal": name})
        if name == "suspend":
            self._complex.suspend(job, time.time())
        elif name == "resume":
            self._complex.resume(job, time.time())

    def _rerun(self, job: Job) -> None:
        for place in job.places:
            self._links[place.node].tell({"do": "forget", "job": job.id})
        self._complex.requeue(job, time.time())

    async def _end_of(self, job: Job) -> int:
        while job.number not in self._ends and not job.is_finished:
            await self._moved.wait()
        return self._ends.get(job.number, int(job.attributes.get("Exit_status", "0"))) % _SIGNALED

    # What tests want.

    def _set(self, question: Message) -> None:
        self._complex.switches = Switches(**{**asdict(self._complex.switches), **question.get("switches", {})})
        for name, changes in question.get("queues", {}).items():
            old = self._complex.queues.get(name, Queue(name=name))
            self._complex.queues[name] = Queue(**{**asdict(old), **changes})
        for number in question.get("forget", []):
            self._complex.jobs.pop(number, None)
            self._complex.changed.add(number)
        self._store.save_rest(self._complex)
        self._has_moved()

    def _dump(self) -> Message:
        return {
            "jobs": [
                {
                    "id": job.id,
                    "user": job.user,
                    "attributes": job.attributes,
                }
                for job in self._complex.jobs.values()
            ],
            "up": [node.name for node in self._complex.nodes.values() if node.is_up],
        }

    # Jobs and moms.

    def _schedule(self) -> None:
        for job in schedule(self._complex, time.time()):
            self._do(self._start(job, job.run))
        self._save()

    async def _start(self, job: Job, run: int) -> None:
        self._held_back.add(job.number)
        try:
            await self._pause(lambda: self._complex.switches.prolog_s)
        finally:
            self._held_back.discard(job.number)
        if job.run != run or not job.places:
            return
        attributes, switches = job.attributes, self._complex.switches
        self._link(job).tell(
            {
                "do": "start",
                "job": job.id,
                "run": job.run,
                "name": attributes["Job_Name"],
                "user": job.user,
                "script": job.script,
                "shell": job.shell,
                "umask": job.umask,
                "environment": counts.environment(job),
                "nodes": [place.node for place in job.places],
                "join": attributes["Join_Path"],
                "keep": attributes["Keep_Files"],
                "paths": {"o": attributes["Output_Path"], "e": attributes["Error_Path"]},
                "limit_s": resources.seconds(attributes["Resource_List.walltime"]),
                "late_s": switches.late_s,
                "kill_delay_s": switches.kill_delay_s,
                "deliver_s": switches.deliver_s,
            }
        )

    def _hear(self, node: str, message: Message) -> None:
        match message["say"]:
            case "obeyed":
                self._links[node].obeyed(message["number"])
            case "jobs":
                self._met(node, message["jobs"])
            case _:
                self._heard_of(node, message)
        self._save()
        self._has_moved()

    def _met(self, node: str, known: list[Message]) -> None:
        """A mom is there, again or for the first time, and says what it knows."""
        if (waiting := self._lost.pop(node, None)) is not None:
            waiting.cancel()
        self._complex.nodes[node].is_up = True
        for state in known:
            self._heard_of(node, state)
        names = {state["job"] for state in known}
        for job in list(self._complex.jobs.values()):
            if job.places and job.places[0].node == node and job.id not in names:
                if job.attributes["substate"] == "41":
                    # it was never given to it
                    self._do(self._start(job, job.run))
                else:
                    self._complex.lose(job, time.time())
                    self._note_end(job)
        self._schedule()

    def _heard_of(self, node: str, state: Message) -> None:
        number, now = int(state["job"].partition(".")[0]), time.time()
        job = self._complex.jobs.get(number)
        if job is None or not job.places or job.places[0].node != node or job.run != state["run"]:
            self._links[node].tell({"do": "forget", "job": state["job"]})
            return
        match state["phase"]:
            case "running":
                if job.attributes["substate"] == "41":
                    self._complex.started(job, state["session"], state["home"], now)
            case "exited":
                self._complex.exited(job, state["status"], state["used_s"], now)
            case "done":
                self._complex.exited(job, state["status"], state["used_s"], now)
                self._do(self._conclude(job, job.run, delivered=state["delivered"]))

    async def _conclude(self, job: Job, run: int, *, delivered: bool) -> None:
        await self._pause(lambda: self._complex.switches.epilog_s)
        if job.run == run and job.places:
            self._link(job).tell({"do": "forget", "job": job.id})
            self._finish(job, delivered=delivered)

    def _finish(self, job: Job, *, delivered: bool | None = None) -> None:
        self._complex.finish(job, time.time(), delivered=delivered)
        self._note_end(job)
        self._schedule()

    def _note_end(self, job: Job) -> None:
        if job.is_finished:
            self._ends[job.number] = int(job.attributes.get("Exit_status", "0"))
        self._has_moved()

    # Nodes that are gone.

    def _broken(self, node: str) -> None:
        if node not in self._lost:
            self._lost[node] = asyncio.create_task(self._lose(node))

    async def _lose(self, node: str) -> None:
        await asyncio.sleep(self._complex.switches.down_after_s)
        self._complex.nodes[node].is_up = False
        await asyncio.sleep(self._complex.switches.requeue_after_s)
        for job in list(self._complex.jobs.values()):
            if any(place.node == node for place in job.places):
                self._complex.lose(job, time.time())
                self._note_end(job)
        self._schedule()

    # Inner parts.

    def _link(self, job: Job) -> Link:
        return self._links[job.places[0].node]

    def _save(self) -> None:
        self._store.save(self._complex)

    def _has_moved(self) -> None:
        """Wake whoever waits for something to be otherwise."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _pause(self, length_s: Callable[[], float]) -> None:
        """Wait for so long as a switch says, also when it is turned meanwhile."""
        began = time.monotonic()
        while (left := began + length_s() - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), timeout=left)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # a server with a bug in it is no server
            sys.stderr.write(f"pbs_server: {task.exception()!r}\n")
            os._exit(70)


def main(folder: str, path: str) -> None:
    """Listen, go into the background, and say so."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Path(path).chmod(0o666)
    listener.listen(128)
    detach("pbs_server", partial(_run, folder, listener))


def _run(folder: str, listener: socket.socket, ready: int) -> None:
    async def live() -> None:
        await Server(Path(folder)).serve(listener, ready)

    asyncio.run(live())
