"""The texts that make a bed: slurm.conf, sshd_config, ssh_config, small scripts; nothing here touches the machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from .network import HOSTS, LOGIN, NODES, Network

ALICE = "sessiond-alice"
"""A user with bash; the one that tests use unless they say otherwise."""
TARA = "sessiond-tara"
"""A user with tcsh."""
SHELLS: Mapping[str, str] = MappingProxyType({ALICE: "/bin/bash", TARA: "/bin/tcsh"})

COUNTED = ("sbatch", "squeue", "scancel", "sacct", "scontrol")
"""The programs whose every call by users is written down."""

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a bed can have otherwise. Durations in seconds; the defaults are those of a quick small cluster.

    ``cred_expire_s`` is also how long a requeued job waits before it may start again (slurm.conf(5); Slurm's own
    default is 120). ``home_quota_mb`` is the quota of every user's home, 0: there is none. ``slurm`` and ``sshd`` are
    further keywords of slurm.conf and of every host's sshd_config; ``partitions`` are more of all nodes, by name, with
    what slurm.conf says of each.
    """

    min_job_age_s: int = 300
    kill_wait_s: int = 3
    slurmd_timeout_s: int = 10
    message_timeout_s: int = 10
    cred_expire_s: int = 5
    home_quota_mb: int = 0
    slurm: Mapping[str, str] = field(default_factory=lambda: _NONE)
    partitions: Mapping[str, str] = field(default_factory=lambda: _NONE)
    sshd: Mapping[str, str] = field(default_factory=lambda: _NONE)


def slurm_conf(bed: Path, network: Network, settings: Settings) -> str:
    """slurm.conf for one controller on the login node and two nodes that claim four processors each."""
    words = {
        "ClusterName": f"bed{network.number}",
        "SlurmctldHost": f"{LOGIN}({network.address(LOGIN)})",
        "SlurmUser": "slurm",
        "AuthType": "auth/munge",
        "AuthInfo": f"cred_expire={settings.cred_expire_s}",
        "CredType": "cred/munge",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "JobCompType": "jobcomp/none",
        "MpiDefault": "none",
        "SwitchType": "switch/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "batch_sched_delay=0,bf_interval=1,sched_interval=1",
        # limits cannot be raised without CAP_SYS_RESOURCE, which root has not in every container
        "PropagateResourceLimits": "NONE",
        "ReturnToService": "2",
        "SlurmctldTimeout": "10",
        "SlurmdTimeout": str(settings.slurmd_timeout_s),
        "MessageTimeout": str(settings.message_timeout_s),
        "InactiveLimit": "0",
        "KillWait": str(settings.kill_wait_s),
        "OverTimeLimit": "0",
        "MinJobAge": str(settings.min_job_age_s),
        "MaxJobCount": "20000",
        # the nodes claim more processors than the machine may have
        "SlurmdParameters": "config_overrides",
        "PrologSlurmctld": f"{bed}/slow/prolog.sh",
        "Epilog": f"{bed}/slow/epilog.sh",
        "StateSaveLocation": f"{bed}/slurm/state",
        "SlurmdSpoolDir": f"{bed}/slurm/spool/%n",
        "SlurmctldPidFile": f"{bed}/slurm/slurmctld.pid",
        "SlurmdPidFile": f"{bed}/slurm/slurmd.%n.pid",
        "SlurmctldLogFile": f"{bed}/log/slurmctld.log",
        "SlurmdLogFile": f"{bed}/log/slurmd.%n.log",
        "SlurmctldDebug": "info",
        "SlurmdDebug": "info",
    }
    lines = [f"{key}={value}" for key, value in {**words, **settings.slurm}.items()]
    shape = "CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN"
    lines += [f"NodeName={node} NodeAddr={network.address(node)} {shape}" for node in NODES]
    lines += [
        f"PartitionName=short Nodes={','.join(NODES)} Default=YES DefaultTime=10 MaxTime=60 State=UP",
        f"PartitionName=long Nodes={NODES[-1]} DefaultTime=60 MaxTime=INFINITE State=UP",
    ]
    lines += [f"PartitionName={name} Nodes={','.join(NODES)} {words}" for name, words in settings.partitions.items()]
    return "\n".join(lines) + "\n"


def cgroup_conf(version: tuple[int, int]) -> str:
    """cgroup.conf for a slurmd of ``version`` that is to leave control groups alone.

    Without it slurmd 22.05 looks for control groups and refuses to start where it finds none of a kind that it likes.
    The plugin for version 1, once named, is loaded and never used (measured). Slurm has "disabled" since 23.11.
    """
    return f"CgroupPlugin={'disabled' if version >= (23, 11) else 'cgroup/v1'}\n"


def sshd_config(bed: Path, host: str, settings: Mapping[str, str]) -> str:
    """sshd_config of a host. OpenSSH's own limits (MaxSessions, MaxStartups) hold unless ``settings`` say otherwise.

    The first line with a keyword counts, so ``settings`` come first.
    """
    own = {
        "Port": "22",
        "ListenAddress": "0.0.0.0",
        "HostKey": f"{bed}/keys/{host}",
        "PidFile": sshd_pid_file(bed, host),
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "AcceptEnv": "LANG LC_*",
        "Subsystem": "sftp internal-sftp",
    }
    changed = {key.lower() for key in settings}
    words = {**settings, **{key: value for key, value in own.items() if key.lower() not in changed}}
    return "".join(f"{key} {value}\n" for key, value in words.items())


def sshd_pid_file(bed: Path, host: str) -> str:
    """Where a host's sshd writes its pid, once it listens."""
    return f"{bed}/keys/{host}.pid"


def ssh_config(bed: Path, network: Network) -> str:
    """ssh_config of the workspace: it knows the login node and nothing behind it."""
    lines = {
        "HostName": network.door,
        "User": ALICE,
        "IdentityFile": f"{bed}/keys/workspace",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f"{bed}/known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
        # the default exchange costs a tenth of a second of computing each time (measured, OpenSSH 9.2)
        "KexAlgorithms": "curve25519-sha256",
    }
    return f"Host {LOGIN}\n" + "".join(f"  {key} {value}\n" for key, value in lines.items())


def login_ssh_config() -> str:
    """The cluster's own ssh_config: users go from host to host without a question."""
    return "Host *\n  BatchMode yes\n  KexAlgorithms curve25519-sha256\n"


def hosts(network: Network) -> str:
    """/etc/hosts of every host."""
    return "127.0.0.1 localhost\n" + "".join(f"{network.address(host)} {host}\n" for host in HOSTS)


def known_login(network: Network, key: str) -> str:
    """known_hosts of the workspace: the login node alone."""
    return f"{LOGIN},{network.door} {key}\n"


def known_hosts(network: Network, keys: Mapping[str, str]) -> str:
    """ssh_known_hosts of the cluster: all its hosts."""
    return "".join(f"{host},{network.address(host)} {keys[host]}\n" for host in HOSTS)


def counting(program: str, bed: Path) -> str:
    """A program that writes its call down in `calls_file` and becomes the real one."""
    log, real = shlex.quote(str(calls_file(bed))), shlex.quote(f"{bed}/real/{program}")
    return (
        "#!/bin/sh\n"
        "words=$(printf '%s ' \"$@\" | tr '\\n\\t' '  ')\n"
        f'printf \'%s\\t%s\\t%s\\t{program}\\t%s\\t%s\\n\' "$(date +%s.%N)" "$(hostname)" "$(id -un)" '
        f'"${{SESSIOND_TAG-}}" "$words" 2>/dev/null >> {log}\n'
        f'exec {real} "$@"\n'
    )


def calls_file(bed: Path) -> Path:
    """Where calls are written down, a line each: time, host, user, program, session's tag, arguments."""
    return bed / "log/calls"


def slow(bed: Path, name: str) -> str:
    """A prolog or epilog that takes as many tenths of a second as `slow_file` says, or until that file is gone."""
    file = shlex.quote(str(slow_file(bed, name)))
    return (
        f'#!/bin/sh\nn=0\nwhile [ -s {file} ] && [ $n -lt "$(cat {file})" ]; do sleep 0.1; n=$((n + 1)); done\nexit 0\n'
    )


def slow_file(bed: Path, name: str) -> Path:
    """How long ``prolog`` or ``epilog`` takes."""
    return bed / f"slow/{name}.tenths"
