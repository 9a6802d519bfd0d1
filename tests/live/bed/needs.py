"""Whether this machine can have a bed."""

from __future__ import annotations

import os
import shutil
import subprocess


def reason_to_skip() -> str:
    """Why no cluster can be brought up here; empty if one can."""
    if os.geteuid() != 0:
        return "not root: a cluster in network namespaces needs it"
    programs = {
        "slurmctld": "slurmctld",
        "slurmd": "slurmd",
        "sbatch": "slurm-client",
        "munged": "munge",
        "/usr/sbin/sshd": "openssh-server",
        "ssh": "openssh-client",
        "ip": "iproute2",
        "tc": "iproute2",
        "iptables-restore": "iptables",
        "tcsh": "tcsh",
    }
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {program: package for program, package in programs.items() if shutil.which(program, path=path) is None}
    if missing:
        return f"no {', '.join(missing)} here (Debian's packages: {', '.join(sorted(set(missing.values())))})"
    return _no_namespaces()


def _no_namespaces() -> str:
    """All that a bed needs of the kernel, tried in namespaces that vanish with the command."""
    trial = (
        "mount -t tmpfs tmpfs /mnt && ip link add sdtrial type veth peer name sdtrial2 && "
        "ip link add sdbridge type bridge && echo 0 > /proc/sys/net/ipv4/ip_forward && "
        "printf '*filter\\n-A INPUT -i sdtrial -j DROP\\nCOMMIT\\n' | iptables-restore --wait"
    )
    flags = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork"]
    done = subprocess.run(
        ["unshare", *flags, "sh", "-c", trial], capture_output=True, text=True, timeout=20, check=False
    )
    return f"no network namespaces: {done.stderr.strip()}" if done.returncode else ""
