"""A machine to run a dialect's commands on: this one, with a chosen shell and the tools that belong to it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sessiond.core.command import Command, Completed
from sessiond.core.events import JobFound, Staged, Submitted
from sessiond.core.ids import ClusterName, JobId, session_id
from sessiond.core.report import Snapshot
from sessiond.core.session import JobRef, Phase, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Resources, ServiceFile, ServiceSpec
from sessiond.schedulers.process import Process

SHELLS = ("dash", "bash", "busybox")
LOCAL = ClusterName("local")

PROLOGUE = """
finish() {
  [ "$BASHPID" = "$$" ] || return
  printf 'status=%s\\nat=%s\\nrun=%s\\nreason=%s\\n' "$1" "$(date +%s)" "$SESSIOND_RUN" "$2" >exit.new &&
    mv exit.new exit
}
trap 'finish "$?" "${why:-exit}"' EXIT
trap 'why=signal:TERM; exit 143' TERM
echo "$SESSIOND_RUN" >>runs
"""
"""What every stand-in for a session's script begins with: the traps that record how it ended. A child that a signal
ends as it is forked has bash run the trap of its parent's end, too."""

SLEEP = PROLOGUE + "sleep 600 & wait $!\n"


def eventually(true: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Wait for a process's doing, of which nothing but the result can be seen."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def start_of(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat, or nothing for a process that is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def alive(pid: int) -> bool:
    """Whether the process runs."""
    return start_of(pid) != ""


def pid_of(job: JobId) -> int:
    """The pid in a job id."""
    return int(job.split(":")[0])


@dataclass
class Machine:
    """This machine with ``sh`` being ``shell``; ``bin`` is its whole PATH. `close` ends every session made on it."""

    root: Path
    shell: str
    sessions: list[Session] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make a PATH whose ``sh`` is the shell, and whose tools are busybox's where that is the shell."""
        self.bin = self.root / "bin"
        self.bin.mkdir()
        if self.shell == "busybox":
            busybox = shutil.which("busybox")
            assert busybox is not None
            applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
            for applet in {*applets} - {"bash", "busybox"}:
                (self.bin / applet).symlink_to(busybox)
            bash = shutil.which("bash")
            assert bash is not None
            (self.bin / "bash").symlink_to(bash)
            path = str(self.bin)
        else:
            shell = shutil.which(self.shell)
            assert shell is not None
            (self.bin / "sh").symlink_to(shell)
            path = f"{self.bin}:{os.environ['PATH']}"
        self.environ = {"PATH": path, "HOME": str(self.root), "LANG": "C.UTF-8", "USER": "somebody"}

    def popen(self, command: Command) -> subprocess.Popen[bytes]:
        """Start ``command``; its stdin is written by `finish`."""
        pipe = subprocess.PIPE
        argv = [str(self.bin / command.argv[0]), *command.argv[1:]]
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environ, cwd="/")

    def finish(self, process: subprocess.Popen[bytes], command: Command) -> Completed:
        """Wait until ``process`` is over and its output's end is reached."""
        out, err = process.communicate(command.stdin, timeout=60)
        return Completed(rc=process.returncode, stdout=out, stderr=err)

    def run(self, command: Command) -> Completed:
        """Run ``command`` to its end."""
        return self.finish(self.popen(command), command)

    def session(
        self, *, walltime_s: int | None = None, files: tuple[ServiceFile, ...] = (), setup: str = ""
    ) -> Session:
        """A new session of this machine, without a job."""
        made = session_id(time.time(), random.SystemRandom().randrange(1 << 20))
        spec = LaunchSpec(
            service=ServiceSpec(name="stand-in", title="Stand-in", files=files),
            workflow="stand-in",
            cluster=LOCAL,
            mode=Mode.LOCAL,
            user="somebody",
            jobdir=f"{self.root}/work dir/sessiond/{made}",
            params={},
            secrets={},
            resources=Resources(walltime_s=walltime_s),
            setup=setup,
        )
        fresh = Session(
            id=made, name="s", number=1, spec=spec, open_port=50000, created=0.0, state=State.RENDER, since=0.0
        )
        self.sessions.append(fresh)
        return fresh

    def staged(
        self, script: str = SLEEP, *, walltime_s: int | None = None, more: Mapping[str, bytes] | None = None
    ) -> Session:
        """A session whose files are in place, ``script`` its session.sh."""
        session = self.session(walltime_s=walltime_s)
        dialect = Process()
        bundle = {"session.sh": script.encode(), **(more or {})}
        assert Staged() == dialect.read_stage(session, self.run(dialect.stage(session, bundle)))
        return session

    def started(
        self,
        script: str = SLEEP,
        *,
        dialect: Process | None = None,
        walltime_s: int | None = None,
        more: Mapping[str, bytes] | None = None,
    ) -> Session:
        """A session that was staged and submitted, with its job."""
        session = self.staged(script, walltime_s=walltime_s, more=more)
        dialect = dialect or Process()
        event = dialect.read_submit(session, self.run(dialect.submit(session, 1)))
        assert isinstance(event, Submitted), event
        return with_job(session, event.job)

    def look(self, *sessions: Session, dialect: Process | None = None) -> Snapshot:
        """What one look tells about ``sessions``."""
        dialect = dialect or Process()
        return dialect.read_observe(sessions, self.run(dialect.observe(sessions)), 100.0, 101.0)

    def close(self) -> None:
        """End what still runs of the sessions made here."""
        dialect = Process()
        for session in self.sessions:
            found = dialect.read_find(session, self.run(dialect.find(session, 1))) if folder(session).is_dir() else None
            if isinstance(found, JobFound):
                self.run(dialect.cancel(with_job(session, found.job), force=True))


def with_job(session: Session, job: JobId, *, attempt: int = 1) -> Session:
    """``session`` with a job."""
    return replace(session, job=JobRef(id=job, cluster=LOCAL, attempt=attempt, phase=Phase.RUNNING))


def job_of(session: Session) -> JobId:
    """The session's job id."""
    assert session.job is not None
    return session.job.id


def folder(session: Session) -> Path:
    """The session's folder."""
    return Path(session.spec.jobdir)


def gone(session: Session) -> bool:
    """Whether the session's runner has ended."""
    return not alive(pid_of(job_of(session)))
