"""A cluster on this machine whose scheduler is the stand-in for PBS, with everything that can go wrong at hand."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import config, layout
from .config import ALICE, Settings
from .network import HOSTS, LOGIN, NODES
from .pbs import attributes, main, model, wire
from .reports import Call, Job, call_of
from .site import Site
from .waiting import until

_QUEUES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "workq": {},
        "small": {"max_walltime_s": 600, "max_ncpus": 2, "max_queued": 1},
        "closed": {"enabled": False},
        "stopped": {"started": False},
        "others": {"users": ["root"]},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsSettings(Settings):
    """What a bed with PBS can have otherwise. ``switches`` are fields of `pbs.model.Switches`, ``queues`` those of
    `pbs.model.Queue` by name, the first the default. ``in_path``: PBS's commands are found without a login shell.
    ``face``: openpbs, or torque, whose commands take and print other things of the same jobs.
    """

    switches: Mapping[str, Any] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _QUEUES)
    in_path: bool = True
    face: str = "openpbs"


class PbsCluster(Site):
    """PBS on the hosts of a `Site`: the server on the login node, a mom on each node; users' calls are written down.

    Its methods are named as those of `Cluster` where they mean the same.
    """

    scheduler = "pbs"

    def __init__(self, settings: PbsSettings | None = None) -> None:
        self._pbs = settings or PbsSettings()
        super().__init__(self._pbs)

    @property
    def bin(self) -> Path:
        """Where PBS's commands are."""
        return self.folder / "pbs/bin"

    @property
    def environment(self) -> str:
        """Shell lines for scripts on the hosts, with which PBS's commands and services' environments are found."""
        return f'{super().environment}\nexport PATH="$PATH:{self.bin}"'

    def reset(self) -> None:
        """Back to a fresh cluster: every fault mended, no job, no process or file of a user. Job ids go on counting."""
        self._mend_network()
        self.server_thaw()
        if not self.hosts[LOGIN].is_on:
            self.boot(LOGIN)
        self.server_start()
        self.turn(**asdict(model.Switches(**self._pbs.switches)))
        self._ask({"do": "set", "queues": self._queues()})
        for node in NODES:
            if not self.hosts[node].is_on:
                self.boot(node)
            self.mom_thaw(node)
            self.mom_start(node)
        self._mend_sshd()
        self.cancel_all()
        self.nodes_usable()
        self.forget(*(job.id for job in self.jobs()))
        self._empty()
        os.truncate(config.calls_file(self.folder), 0)

    def submit(self, script: str, *options: str, user: str = ALICE) -> str:
        """Submit the lines of a bash script over ssh, with qsub's ``options`` as a shell there reads them; its id."""
        done = self.ssh(f"{self.bin}/qsub", *options, user=user, text=f"#!/bin/bash\n{script}\n")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    # PBS's daemons.

    def server_stop(self, *, crash: bool = False) -> None:
        """End the server; what it has said to anybody it will know again, with ``crash``, too."""
        self._end(LOGIN, lambda one: one.name == "pbs_server", signal.SIGKILL if crash else signal.SIGTERM)

    def server_start(self) -> None:
        """Start the server, if it does not run; it answers then."""
        if not self.hosts[LOGIN].named("pbs_server"):
            self.hosts[LOGIN].start(f"{self.folder}/pbs/sbin/pbs_server")

    def server_freeze(self) -> None:
        """Stop the server in its tracks: it takes questions and never answers."""
        self._signal_all(LOGIN, "pbs_server", signal.SIGSTOP, "T")

    def server_thaw(self) -> None:
        """Let the server go on, if it is there."""
        if self.hosts[LOGIN].is_on:
            self._signal_all(LOGIN, "pbs_server", signal.SIGCONT, "RSD")

    def mom_start(self, node: str) -> None:
        """Start a node's mom, if it does not run; it listens then."""
        if not self.hosts[node].named("pbs_mom"):
            self.hosts[node].start(f"{self.folder}/pbs/sbin/pbs_mom")

    def mom_freeze(self, node: str) -> None:
        """Stop a node's mom in its tracks; what runs in jobs goes on."""
        self._signal_all(node, "pbs_mom", signal.SIGSTOP, "T")

    def mom_thaw(self, node: str) -> None:
        """Let a node's mom go on."""
        self._signal_all(node, "pbs_mom", signal.SIGCONT, "RSD")

    def nodes_usable(self, limit_s: float = 30.0) -> None:
        """Wait until the server gives jobs to all nodes that are on."""
        wanted = {node for node in NODES if self.hosts[node].is_on}
        until(lambda: wanted <= set(self._ask({"do": "dump"})["up"]), "the nodes take jobs", limit_s)

    # How the server behaves.

    def turn(self, **switches: Any) -> None:
        """Turn switches of the server: fields of `pbs.model.Switches`; `reset` turns them back."""
        self._ask({"do": "set", "switches": switches})

    def set_queue(self, name: str, **changes: Any) -> None:
        """Change a queue, or make one: fields of `pbs.model.Queue`; `reset` changes those back that there were."""
        self._ask({"do": "set", "queues": {name: changes}})

    def slow_prolog(self, seconds: float) -> None:
        """Let every job from now on be R for so long before it starts; 0 ends that, also for those that are."""
        self.turn(prolog_s=seconds)

    def slow_epilog(self, seconds: float) -> None:
        """Let every job from now on be E for so long after it has ended; 0 ends that, also for those that are."""
        self.turn(epilog_s=seconds)

    # What those who run the server do.

    def suspend(self, number: str) -> None:
        """Suspend a running job: its processes are stopped."""
        self._ask({"do": "signal", "job": number, "signal": "suspend"})

    def resume(self, number: str) -> None:
        """Let a suspended job go on."""
        self._ask({"do": "signal", "job": number, "signal": "resume"})

    def requeue(self, number: str) -> None:
        """Take a running job off its nodes and let it wait again."""
        self._ask({"do": "rerun", "job": number})

    def forget(self, *numbers: str) -> None:
        """Let the server know nothing any more of finished jobs, as when their history has run out."""
        self._ask({"do": "set", "forget": [int(number.partition(".")[0]) for number in numbers]})

    # What the cluster knows.

    def jobs(self, states: str = "all") -> list[Job]:
        """The jobs in ``states`` (letters, such as QHR), the finished ones, too. Not counted as a call."""
        found = [_job(each) for each in self._ask({"do": "dump"})["jobs"]]
        return [job for job in found if states == "all" or job.state in states]

    def job(self, number: str) -> Mapping[str, str]:
        """All that the server says of a job: the attributes as in ``qstat -f``, times in digits. Not counted."""
        name = number if "." in number else f"{number}.{LOGIN}"
        return next(each["attributes"] for each in self._ask({"do": "dump"})["jobs"] if each["id"] == name)

    def until_job(self, number: str, *states: str, limit_s: float = 30.0) -> Job:
        """Wait until a job is in one of ``states`` (letters)."""
        found: list[Job] = []

        def is_there() -> bool:
            found[:] = [job for job in self.jobs() if job.id == number]
            return any(job.state in states for job in found)

        try:
            until(is_there, f"job {number} is {' or '.join(states)}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}") from None
        return found[0]

    def until_running(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job's script has been started."""
        until(lambda: self.job(number).get("substate") == str(model.RUNNING), f"job {number} runs", limit_s)
        return self.until_job(number, "R")

    def until_queued(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job waits for nodes, and its comment says so."""
        return self.until_job(number, "Q", limit_s=limit_s)

    def until_ended(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job is history."""
        return self.until_job(number, "F", limit_s=limit_s)

    def active(self) -> list[Job]:
        """The jobs that have not ended, whatever they wait for."""
        return [job for job in self.jobs() if job.state != "F"]

    def cancel_all(self) -> None:
        """Cancel every job and wait until none is left, not even one that is ending."""
        for job in self.active():
            self._ask({"do": "delete", "job": job.id, "force": True, "history": False})
        users = {self.uid(user) for user in config.SHELLS}
        until(lambda: not self.active(), "no job is left")
        for node in NODES:
            self._end(node, lambda one: one.uid in users)

    def calls(self, program: str | None = None) -> list[Call]:
        """The calls of PBS's programs, or of one of them, by users since the last reset, the oldest first."""
        found = [call_of(line) for line in config.calls_file(self.folder).read_text(errors="replace").splitlines()]
        return [call for call in found if program in (None, call.program)]

    def submit_calls(self) -> int:
        """How many times users called qsub since the last reset."""
        return len(self.calls("qsub"))

    # Inner parts.

    def _start_all(self) -> None:
        self._install()
        super()._start_all()
        self.nodes_usable()

    def _start(self, host: str) -> None:
        if host == LOGIN:
            self.server_start()
        else:
            self.mom_start(host)
        super()._start(host)

    def _install(self) -> None:
        """Put PBS into the bed's folder, which all hosts see."""
        root = self.folder / "pbs"
        source, library = Path(main.__file__).parent, root / "lib/pbs"
        shutil.copytree(source, library, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(library, quiet=1)
        socket, calls = f"{root}/socket", str(config.calls_file(self.folder))
        for program in main.PROGRAMS:
            words = f"{program!r}, server={LOGIN!r}, socket={socket!r}, calls={calls!r}, face={self._pbs.face!r}"
            _script(root / "bin" / program, root, f"from pbs.main import main\nmain({words})")
        _script(root / "sbin/pbs_server", root, f"from pbs.server import main\nmain({f'{root}/state'!r}, {socket!r})")
        _script(root / "sbin/pbs_mom", root, "from pbs.mom import main\nmain()")
        state = root / "state"
        state.mkdir(mode=0o700)
        (state / "server.json").write_text(json.dumps(self._first_state()))
        # for login shells, which begin with a PATH of their own
        profile = self.etc / "profile.d"
        profile.mkdir(exist_ok=True)
        (profile / "pbs.sh").write_text(f'PATH="$PATH:{self.bin}"\n')
        if self._pbs.in_path:
            path = f"PATH=/usr/local/bin:/usr/bin:/bin:{self.bin}"
            self.settings = replace(self._pbs, sshd={"SetEnv": path, **self._pbs.sshd})
            for host in HOSTS:
                layout.write_sshd(self.folder, host, self.settings)

    def _first_state(self) -> dict[str, object]:
        nodes = [asdict(model.Node(name=name, ncpus=4, mem_kb=4_096_000)) for name in NODES]
        return {
            "server": LOGIN,
            "nodes": nodes,
            "queues": list(self._queues().values()),
            "switches": asdict(model.Switches(**self._pbs.switches)),
            "next_number": 0,
        }

    def _queues(self) -> dict[str, dict[str, Any]]:
        return {name: asdict(model.Queue(name=name, **fields)) for name, fields in self._pbs.queues.items()}

    def _ask(self, question: wire.Message) -> wire.Message:
        return wire.ask(f"{self.folder}/pbs/socket", question, limit_s=20)


def _job(each: wire.Message) -> Job:
    known: attributes.Attributes = each["attributes"]
    hosts: Iterable[str] = known.get("exec_host", "").split("+")
    return Job(
        id=each["id"],
        name=known["Job_Name"],
        user=each["user"],
        state=known["job_state"],
        partition=known["queue"],
        nodes=",".join(dict.fromkeys(host.partition("/")[0] for host in hosts)),
        reason=known.get("comment", ""),
        comment=known.get("Account_Name", ""),
    )


def _script(file: Path, root: Path, body: str) -> None:
    """A program in Python that starts as fast as it can: it sees the standard library and PBS's own."""
    file.parent.mkdir(exist_ok=True)
    python = Path(sys.executable).resolve()
    file.write_text(f"#!{python} -IS\nimport sys\nsys.path.insert(0, {f'{root}/lib'!r})\n{body}\n")
    file.chmod(0o755)
