"""Where a service listens: the address, the private socket, and what is published of them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.core.spec import Listen, Mode
from sessiond.schedulers.process import Process
from tests.prelude.conftest import RUN, MakeTrial, Trial
from tests.render.sample import LIB_DIR

SHOW = 'echo "$SESSIOND_BIND|$SESSIOND_LISTEN_SOCKET"; printenv SESSIOND_BIND SESSIOND_LISTEN_SOCKET\n'
SERVE = f"""
sessiond_listen_socket || exit 9
exec {sys.executable} -c '
import os, socket, stat
path = os.environ["SESSIOND_LISTEN_SOCKET"]
folder = os.stat(os.path.dirname(path))
with socket.socket(socket.AF_UNIX) as s:
    s.bind(path)
    s.listen()
    open("facts", "w").write(f"{{path}} {{stat.S_IMODE(folder.st_mode):o}} {{folder.st_uid}}")
    open(os.environ["SYNC"], "w").close()
    s.accept()
'
"""
"""Listens on the socket, tells the test when it does, and ends with its first client."""


def socket_folders(one: Trial, base: str = "/tmp") -> list[Path]:
    """The socket folders of the session that exist."""
    return list(Path(base).glob(f"{one.session.tag}.*"))


@pytest.mark.parametrize(
    ("mode", "listen", "bind"),
    [
        (Mode.LOCAL, Listen.LOOPBACK, "127.0.0.1"),
        (Mode.SLURM, Listen.LOOPBACK, "127.0.0.1"),
        (Mode.SLURM, Listen.ANY, "0.0.0.0"),
    ],
)
def test_the_address_to_listen_at(trial: MakeTrial, mode: Mode, listen: Listen, bind: str) -> None:
    """The address follows from how the node is reached, and without a private route there is no socket."""
    one = trial(SHOW + "sessiond_listen_socket || echo none\n", mode=mode, listen=listen)
    assert 0 == one.run(SESSIOND_LISTEN_SOCKET="/tmp/of/another/session")
    assert [f"{bind}|", bind, "", "none"] == one.log().splitlines()
    assert {"port"} == {"port", "path"} & set(one.fields("endpoint"))
    assert not (one.folder / "socket.folder").exists()


def test_the_daemons_own_socket_stays_the_daemons(trial: MakeTrial) -> None:
    """What names the daemon's control socket is handed through: `sessionctl` works in a session's shell."""
    one = trial('echo "$SESSIOND_SOCKET"\n', listen=Listen.SOCKET)
    assert 0 == one.run(SESSIOND_SOCKET="/run/user/1/sessiond/api.sock")
    assert "/run/user/1/sessiond/api.sock\n" == one.log()


def test_a_template_that_knows_no_socket_has_its_port(trial: MakeTrial) -> None:
    """Where a socket is offered and not used, the port at 127.0.0.1 is published as ever."""
    one = trial('cat endpoint > seen; echo "$SESSIOND_BIND"\n', listen=Listen.SOCKET)
    assert 0 == one.run()
    assert ["run", "host", "port", "scheme"] == list(one.fields("seen"))
    assert "127.0.0.1\n" == one.log()
    assert [] == socket_folders(one)


@pytest.mark.parametrize("way", ["it ends", "TERM"])
def test_a_service_on_the_socket(trial: MakeTrial, way: str) -> None:
    """The socket lies in a private folder, its path is published instead of the port, and both go with the session."""
    one = trial(SERVE, params={"SYNC": "sync"}, listen=Listen.SOCKET)
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    endpoint = one.fields("endpoint")
    path, mode, owner = (one.folder / "facts").read_text().split()
    assert {"run": RUN, "host": "127.0.0.1", "path": path, "scheme": "http"} == endpoint
    assert ("700", str(os.geteuid())) == (mode, owner)
    assert path.endswith(".sock")
    assert len(path.encode()) <= 107
    assert f"{Path(path).parent}\n" == (one.folder / "socket.folder").read_text()
    assert 0o600 == stat.S_IMODE((one.folder / "socket.folder").stat().st_mode)
    if way == "TERM":
        process.terminate()
    else:
        connect(path)
    assert (143 if way == "TERM" else 0) == process.wait()
    assert [] == socket_folders(one)
    assert not (one.folder / "socket.folder").exists()


def connect(path: str) -> None:
    """Connect to the socket, and go."""
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    subprocess.run([sys.executable, "-I", "-c", script, path], check=True, timeout=20)


def test_what_a_killed_run_left_is_removed_by_the_next(trial: MakeTrial) -> None:
    """After SIGKILL the folder is still on record; the next run removes it and makes its own."""
    one = trial(SERVE, params={"SYNC": "sync"}, listen=Listen.SOCKET)
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (left,) = socket_folders(one)
    assert f"{left}\n" == (one.folder / "socket.folder").read_text()
    second = one.start()
    sync.read_text()
    (own,) = socket_folders(one)
    assert left != own
    connect(one.fields("endpoint")["path"])
    assert 0 == second.wait()
    assert [] == socket_folders(one)


@pytest.mark.parametrize("named", ["its own", "another's", "a link"])
def test_the_clean_up_removes_what_a_killed_session_left(trial: MakeTrial, tmp_path: Path, named: str) -> None:
    """The folder on record goes with the session, whoever was killed; nothing else does that is named there."""
    one = trial(SERVE, params={"SYNC": "sync"}, listen=Listen.SOCKET)
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (own,) = socket_folders(one)
    spared = tmp_path / (f"{one.session.tag}.link" if named == "a link" else "precious")
    if named == "a link":
        spared.symlink_to(own)
    else:
        spared.mkdir()
    if named != "its own":
        (one.folder / "socket.folder").write_text(f"{spared}\n")
    command = Process().cleanup(one.session)
    done = subprocess.run(command.argv, input=command.stdin, capture_output=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stdout
    assert ([] if named == "its own" else [own]) == socket_folders(one)
    assert spared.exists()
    assert not (one.folder / "socket.folder").exists()


def test_helpers_work_from_below_the_template(trial: MakeTrial) -> None:
    """A child process, strict options and an odd IFS change nothing of what is published."""
    one = trial(
        "set -euo pipefail; IFS=/; set -fC; shopt -s failglob\nbash -c sessiond_listen_socket\ncat endpoint > seen\n",
        setup="set -euo pipefail; umask 000",
        listen=Listen.SOCKET,
    )
    assert 0 == one.run(), one.log()
    assert ["run", "host", "path", "scheme"] == list(one.fields("seen"))


def test_where_no_folder_can_be_made_it_is_the_port(trial: MakeTrial) -> None:
    """Without a place for the socket the session goes on with its port."""
    one = trial(SHOW, setup="mktemp() { return 1; }", listen=Listen.SOCKET)
    assert 0 == one.run()
    assert "127.0.0.1|" == one.log().splitlines()[0]
    assert "port" in one.fields("endpoint")


@pytest.mark.parametrize(
    ("mode", "lingers", "used"), [(0o700, True, True), (0o755, True, False), (0o700, False, False)]
)
def test_the_runtime_folder(trial: MakeTrial, tmp_path: Path, mode: int, *, lingers: bool, used: bool) -> None:
    """It is used where it is private and outlives the user's logins."""
    runtime = Path(f"/tmp/test-{tmp_path.name[-20:]}-{os.getpid()}")
    runtime.mkdir(mode=0o700)
    try:
        runtime.chmod(mode)
        one = trial('echo "${SESSIOND_LISTEN_SOCKET%/*/*}"\n', listen=Listen.SOCKET)
        lib = one.folder / "lib" / "socket.sh"
        lib.write_text(lib.read_text() + f"sessiond_lingers() {{ {str(lingers).lower()}; }}\n")
        assert 0 == one.run(XDG_RUNTIME_DIR=str(runtime))
        assert f"{runtime if used else '/tmp'}\n" == one.log()
        assert [] == list(runtime.iterdir())
    finally:
        runtime.rmdir()


def test_release_removes_only_its_own(tmp_path: Path) -> None:
    """A record that names something else than the session's own folder removes nothing but itself."""
    tag = "sd-0123456789ab"
    (tmp_path / "target").mkdir()
    (tmp_path / f"{tag}.link").symlink_to(tmp_path / "target")
    (tmp_path / f"{tag}.own").mkdir()
    spared = [tmp_path / "target", tmp_path / f"{tag}.link", Path("relative")]
    for named, gone in [*((path, False) for path in spared), (tmp_path / f"{tag}.own", True)]:
        (tmp_path / "socket.folder").write_text(f"{named}\n")
        script = f". {LIB_DIR}/socket.sh; SESSIOND_TAG={tag} SESSIOND_JOBDIR={tmp_path}; sessiond_release_socket"
        subprocess.run(["bash", "-c", script], check=True, cwd=tmp_path)
        assert not (tmp_path / "socket.folder").exists()
        assert gone == (named.is_absolute() and not named.exists())


def test_a_node_says_its_name_and_its_keys(trial: MakeTrial) -> None:
    """In a job the name is the scheduler's, and the keys of the node's SSH server are published with it."""
    one = trial("cat endpoint > seen\n", mode=Mode.SLURM, listen=Listen.ANY)
    assert 0 == one.run(SESSIOND_NODE="node7")
    lines = (one.folder / "seen").read_text().splitlines()
    assert "host=node7" in lines
    files = sorted(Path("/etc/ssh").glob("ssh_host_*_key.pub"))[:6]
    keys = [" ".join(path.read_text().split()[:2]) for path in files]
    assert [f"hostkey={key}" for key in keys] == [line for line in lines if line.startswith("hostkey=")]
    here = trial("true\n", mode=Mode.PBS)
    assert 0 == here.run()
    assert f"host={os.uname().nodename}" in (here.folder / "endpoint").read_text().splitlines()


@pytest.mark.parametrize(
    ("host", "expected"), [("node7", ["hostkey=ssh-ed25519 AAAAC3Nza+/x=="] * 6), ("127.0.0.1", [])]
)
def test_only_keys_are_published(trial: MakeTrial, tmp_path: Path, host: str, expected: list[str]) -> None:
    """What is no key, cannot be read or has a comment adds no line; there are six at most, and none for loopback."""
    keys = tmp_path / "ssh"
    keys.mkdir()
    for number in range(7):
        (keys / f"ssh_host_{number}_key.pub").write_text("ssh-ed25519 AAAAC3Nza+/x== root@node7\n")
    for number, odd in enumerate(["", "\n", "ssh-rsa\n", "ssh-rsa $(id)\n", "a;b AAAA\n", "\0\0"]):
        (keys / f"ssh_host_0{number}_key.pub").write_text(odd)
    (keys / "ssh_host_00folder_key.pub").mkdir()
    one = trial(f"SESSIOND_HOST={host}\nsessiond_host_keys {keys}\n")
    assert 0 == one.run()
    assert expected == one.log().splitlines()
