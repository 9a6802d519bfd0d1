"""The folder of a bed: users, homes, keys, the cluster's own /etc, and which paths of the machine its hosts see."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import config
from .config import COUNTED, SHELLS, Settings
from .network import HOSTS, LOGIN, Network

ROOT = Path(__file__).parents[3]
ENVS = Path(os.environ.get("SESSIOND_ENVS", str(ROOT / ".cache/envs")))
"""Where services' own environments are kept from run to run."""

# What a host has for itself: nothing of it is seen by other hosts or by the machine.
_PRIVATE = {
    "/dev/shm": "1777",
    "/home": "755",
    "/root": "755",
    "/run": "755",
    "/tmp": "1777",
    "/var/log": "755",
    "/var/tmp": "1777",
}


def make(bed: Path, network: Network, settings: Settings) -> None:
    """Fill the folder of a bed. Raises RuntimeError when the machine uses a number that its users need."""
    # users of the cluster pass through
    bed.chmod(0o755)
    # there before the hosts are: they may have to be shown the way to it
    ENVS.mkdir(parents=True, exist_ok=True)
    for name in (
        "keys",
        "log",
        "slow",
        "real",
        "counting",
        "python",
        "munge/run",
        "slurm/spool",
        "slurm/state",
    ):
        (bed / name).mkdir(parents=True)
    # there already where homes are a file system
    (bed / "home").mkdir(exist_ok=True)
    _keys(bed / "keys", (*HOSTS, "workspace", *SHELLS))
    _etc(bed, network, settings)
    for user in SHELLS:
        fill_home(bed, user, network)
    (bed / "known_hosts").write_text(config.known_login(network, _public(bed, LOGIN)))
    (bed / "ssh_config").write_text(config.ssh_config(bed, network))
    for host in HOSTS:
        write_sshd(bed, host, settings)
    secret = bed / "munge/key"
    secret.touch(mode=0o400)
    secret.write_bytes(secrets.token_bytes(128))
    for program in COUNTED:
        _script(bed / "counting" / program, config.counting(program, bed))
        (bed / "real" / program).touch()
    for name in ("prolog", "epilog"):
        _script(bed / f"slow/{name}.sh", config.slow(bed, name))
    (bed / "python/python3").symlink_to(python())
    config.calls_file(bed).touch()
    config.calls_file(bed).chmod(0o666)
    for folder in (bed / "slurm", bed / "slurm/state", bed / "log"):
        shutil.chown(folder, "slurm", "slurm")
    covered, kept = _seen(bed)
    (bed / "covered").write_text("".join(f"{mode} {path}\n" for path, mode in covered.items()))
    (bed / "kept").write_text("".join(f"{path}\n" for path in kept))


def uid(user: str, network: Network) -> int:
    """The number of a cluster's user, of the bed's own, so that the machine's processes tell whose they are."""
    return 24_000 + 10 * network.number + list(SHELLS).index(user)


def fill_home(bed: Path, user: str, network: Network) -> None:
    """A user's home as on their first day, with keys that open the door from the workspace and between hosts."""
    home = bed / "home" / user
    home.mkdir(exist_ok=True)
    empty(home)
    shutil.copytree("/etc/skel", home, dirs_exist_ok=True)
    ssh = home / ".ssh"
    ssh.mkdir()
    shutil.copy(bed / "keys" / user, ssh / "id_ed25519")
    (ssh / "authorized_keys").write_text("".join(f"{_public(bed, name)}\n" for name in ("workspace", user)))
    ssh.chmod(0o700)
    home.chmod(0o755)
    number = uid(user, network)
    for path in (home, *home.rglob("*")):
        os.chown(path, number, number, follow_symlinks=False)


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_sshd(bed: Path, host: str, settings: Settings, **changed: str) -> None:
    """A host's sshd_config."""
    (bed / f"keys/{host}.conf").write_text(config.sshd_config(bed, host, {**settings.sshd, **changed}))


def environment(bed: Path) -> str:
    """Shell lines with which services on the hosts find the environments that were made on this machine.

    They are found by the interpreter that made them, hence the same ``python3`` comes first. The hosts have no way to a
    package index.
    """
    return f'export SESSIOND_ENVS="{ENVS.resolve()}" PATH="{bed}/python:$PATH"'


def python() -> Path:
    """The interpreter that ``python3`` is for the tests; what it has installed was installed by it."""
    words = ["python3", "-c", "import os, sys; print(os.path.realpath(sys.executable))"]
    return Path(subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout.strip())


def _keys(folder: Path, names: Iterable[str]) -> None:
    making = [
        subprocess.Popen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)])
        for name in names
    ]
    for one in making:
        if one.wait(timeout=20):
            raise RuntimeError("ssh-keygen made no key")


def _public(bed: Path, name: str) -> str:
    return (bed / f"keys/{name}.pub").read_text().strip()


def _etc(bed: Path, network: Network, settings: Settings) -> None:
    """A copy of the machine's /etc with users, names and a configuration of its own: the machine's is left alone."""
    etc = bed / "etc"
    _copy(Path("/etc"), etc)
    for user, shell in SHELLS.items():
        number = uid(user, network)
        if any(one.pw_name == user or one.pw_uid == number for one in pwd.getpwall()):
            raise RuntimeError(f"the machine itself has a user {user} or the uid {number}")
        _append(etc / "passwd", f"{user}:x:{number}:{number}::/home/{user}:{shell}\n")
        _append(etc / "group", f"{user}:x:{number}:\n")
        # a password that nothing matches; "!" would lock the account, and sshd then refuses keys, too
        _append(etc / "shadow", f"{user}:*:19000:0:99999:7:::\n")
    (etc / "hosts").write_text(config.hosts(network))
    # a machine's may be a link to somewhere in /run
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text("")
    (etc / "ssh").mkdir(exist_ok=True)
    (etc / "ssh/ssh_known_hosts").write_text(config.known_hosts(network, {host: _public(bed, host) for host in HOSTS}))
    (etc / "ssh/ssh_config").write_text(config.login_ssh_config())
    # the machine's own keys are nobody's here; each host has its own in the place of this one
    for key in (etc / "ssh").glob("ssh_host_*"):
        key.unlink()
    (etc / "ssh/ssh_host_ed25519_key.pub").touch()
    slurm = etc / "slurm"
    slurm.mkdir(exist_ok=True)
    (slurm / "slurm.conf").write_text(config.slurm_conf(bed, network, settings))
    (slurm / "cgroup.conf").write_text(config.cgroup_conf(_slurm_version()))


def _copy(source: Path, target: Path) -> None:
    """A folder as it is, but for what goes meanwhile, as the locks of useradd(8) do that other tests run."""
    words = ["cp", "-a", str(source), str(target)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, env=environment, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if not line.endswith(": No such file or directory")]
    if said or (done.returncode and not done.stderr):
        raise RuntimeError(f"{source} cannot be copied: {' '.join(said) or done.returncode}")


def _slurm_version() -> tuple[int, int]:
    """Of ``slurmd -V``, which says such as ``slurm-wlm 22.05.8``."""
    done = subprocess.run(["slurmd", "-V"], capture_output=True, text=True, check=True, timeout=20)
    year, month, *_ = done.stdout.split()[-1].split(".")
    return int(year), int(month)


def _seen(bed: Path) -> tuple[dict[str, str], list[Path]]:
    """The folders that a host has for itself, with their modes, and what of the machine is seen below them.

    A clone or an interpreter may lie in a folder that only root enters, such as /root: that folder, too, becomes the
    host's own, with nothing in it but the way to what is needed.
    """
    covered = dict(_PRIVATE)
    kept: list[Path] = []
    interpreters = (Path(sys.base_prefix), python().parents[1])
    for path in (bed, ENVS, Path(sys.prefix), *interpreters):
        real = path.resolve()
        if not real.is_dir() or any(real.is_relative_to(other) for other in kept):
            continue
        closed = next((parent for parent in _from_the_top(real) if not parent.stat().st_mode & 0o1), None)
        if closed is not None and not any(closed.is_relative_to(private) for private in covered):
            covered[str(closed)] = "755"
        kept.append(real)
    return covered, [path for path in kept if any(path.is_relative_to(private) for private in covered)]


def _from_the_top(path: Path) -> Iterator[Path]:
    return reversed(path.parents)


def _append(file: Path, line: str) -> None:
    with file.open("a") as end:
        end.write(line)


def _script(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
