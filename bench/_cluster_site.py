"""A cluster to measure: a real sshd on loopback, stand-ins for Slurm's commands that count their calls, one service."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _house import TICKS_A_SECOND, Usage

from sessiond.schedulers.slurm.reply import COLUMNS

US = "\x1f"
FIRST_JOB = 1001
NODE = "node1"
WALLTIME_S = 86400

_HEAD = """\
#!/bin/sh
# A stand-in for Slurm's {name}, for measurements: it knows the jobs in {folder}/queue and counts its calls.
cd {folder} || exit 1
echo {name} >>calls
"""

_SQUEUE = """\
case " $* " in *' -j '*) ;; *) exec cat head queue ;; esac
while [ "$1" != -j ]; do shift; done
grep -q "^$2\x1f" queue && echo 'RUNNING {node}' && exit
echo 'slurm_load_jobs error: Invalid job id specified' >&2
exit 1
"""

# Its jobs wait for ever: what is measured with it is submission.
_SBATCH = """\
while [ "${{1#--chdir=}}" = "$1" ]; do shift; done
tag=$(sed -n 's/^#SBATCH --job-name=//p' "${{1#--chdir=}}/job.sh")
exec 9>>lock
flock 9
read -r job <next
echo "$((job + 1))" >next
printf '%s\x1f' "$job" "$job" PENDING Resources n/a 0 N/A N/A 1:00:00 0 "$tag" >>queue
echo >>queue
echo "$job"
"""

_PROGRAMS = {"squeue": _SQUEUE, "sbatch": _SBATCH, "scancel": "", "sacct": "", "scontrol": ""}

# A home of its own: what somebody's .bashrc does each time is not what is measured.
_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/id.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
LogLevel VERBOSE
SetEnv PATH={folder}/slurm/bin:/usr/local/bin:/usr/bin:/bin HOME={folder}/home
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a cluster was asked so far: the scheduler's commands, the sessions that its sshd opened, the logins, the
    connections to services."""

    scheduler: int
    execs: int
    logins: int
    streams: int

    def since(self, before: Counts) -> Counts:
        """What came after ``before``."""
        return Counts(
            scheduler=self.scheduler - before.scheduler,
            execs=self.execs - before.execs,
            logins=self.logins - before.logins,
            streams=self.streams - before.streams,
        )


class _Hello(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.settimeout(5)
            if self.request.recv(65536):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


class Service(socketserver.ThreadingTCPServer):
    """One small server that answers for all of a cluster's sessions, and counts."""

    daemon_threads = True
    request_queue_size = 4096

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hello)
        self.asked = 0

    def get_request(self) -> tuple[socket.socket, object]:
        """Take a connection, and count it."""
        self.asked += 1
        return super().get_request()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One such cluster, with a state and an sshd of its own."""

    folder: Path
    port: int
    sshd: subprocess.Popen[bytes]
    service: Service

    @property
    def slurm(self) -> Path:
        """The stand-ins' state."""
        return self.folder / "slurm"

    @property
    def workdir(self) -> Path:
        """Where sessions have their folders."""
        return self.folder / "work"

    @property
    def service_port(self) -> int:
        """Where the service listens."""
        return int(self.service.server_address[1])

    def run_jobs(self, names: list[str], started: int) -> list[int]:
        """Let a job of each of ``names`` run since ``started``, UTC seconds, for `WALLTIME_S`; their numbers."""
        numbers = list(range(FIRST_JOB, FIRST_JOB + len(names)))
        rows = [
            (job, job, "RUNNING", "None", NODE, 0, started, started + WALLTIME_S, "1-00:00:00", 0, name)
            for job, name in zip(numbers, names, strict=True)
        ]
        (self.slurm / "queue").write_text("".join("".join(f"{one}{US}" for one in row) + "\n" for row in rows))
        (self.slurm / "next").write_text(f"{FIRST_JOB + len(names)}\n")
        return numbers

    def calls(self, name: str) -> int:
        """How often one of the stand-ins was called."""
        return (self.slurm / "calls").read_text().split().count(name)

    def counts(self) -> Counts:
        """What was asked so far."""
        log = (self.folder / "sshd.log").read_bytes()
        return Counts(
            scheduler=(self.slurm / "calls").read_bytes().count(b"\n"),
            execs=log.count(b"Starting session: "),
            logins=log.count(b"Accepted publickey "),
            streams=self.service.asked,
        )

    def usage(self) -> Usage:
        """CPU on the login node: the sshd processes of connections that are open, and the commands that they ran."""
        own = children = 0.0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.sshd.pid:
                    own += (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
                    children += (int(fields[13]) + int(fields[14])) / TICKS_A_SECOND
        return Usage(own, children)

    def cluster(self, name: str, poll: str) -> str:
        """Its table in config.toml."""
        return (
            f'[clusters.{name}]\nhost = "127.0.0.1"\nport = {self.port}\nuser = "root"\n'
            f'identity_files = ["{self.folder}/id"]\nknown_hosts = "{self.folder}/known_hosts"\n'
            f'scheduler = "slurm"\nworkdir = "{self.workdir}"\npoll = "{poll}"\n'
        )

    def ssh(self, *command: str) -> list[str]:
        """The words of an `ssh` to its login node, as a script would call it."""
        options = {
            "UserKnownHostsFile": self.folder / "known_hosts",
            "IdentityFile": self.folder / "id",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *said, "-p", str(self.port), "root@127.0.0.1", *command]


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A cluster below ``folder``; its sshd, whatever runs over it, and its service are gone in the end."""
    if os.geteuid() != 0:
        raise SystemExit("not root: its own sshd lets only the user in who runs it, and this one is written for root")
    folder.mkdir(parents=True)
    (folder / "home").mkdir()
    _stand_ins(folder / "slurm")
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(_SSHD.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    with (folder / "sshd.log").open("ab") as log, Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        sshd = subprocess.Popen(
            [program, "-D", "-e", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        found = Site(folder=folder, port=port, sshd=sshd, service=service)
        try:
            _until_listening(found)
            yield found
        finally:
            for pid in _children(sshd.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            sshd.terminate()
            sshd.wait()
            service.shutdown()


def _stand_ins(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    for name, text in _PROGRAMS.items():
        program = folder / "bin" / name
        program.write_text((_HEAD + text).format(name=name, folder=folder, node=NODE))
        program.chmod(0o755)
    (folder / "head").write_text("".join(f"{column.upper()}{US}" for column in COLUMNS) + "\n")
    (folder / "next").write_text(f"{FIRST_JOB}\n")
    for name in ("queue", "calls"):
        (folder / name).touch()


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def _until_listening(found: Site) -> None:
    for _ in range(500):
        if found.sshd.poll() is not None:
            raise SystemExit(f"sshd ended: {(found.folder / 'sshd.log').read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found.port), 1):
            return
        time.sleep(0.02)
    raise SystemExit("sshd does not listen")
