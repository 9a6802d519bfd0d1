"""Ports: free at the moment of use, reserved, released, and fought for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from tests.prelude.conftest import MakeTrial, Trial
from tests.render.sample import LIB_DIR

SERVER = f"""
echo "${{servicePort}}" > "${{CHOSEN}}"
read -r word < "${{GO}}"
exec {sys.executable} -c '
import os, socket, sys
with socket.socket() as s:
    s.bind(("127.0.0.1", int(os.environ["servicePort"])))
    s.listen()
'
"""
"""Tells the test its port, waits for it, then binds the port: exits 1 where that fails."""


TAG = "sd-0123456789ab"


@contextmanager
def listening(port: int = 0, host: str = "127.0.0.1") -> Iterator[int]:
    """A listener of another program."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as squatter:
        squatter.bind((host, port))
        squatter.listen()
        yield squatter.getsockname()[1]


@contextmanager
def choosable(count: int) -> Iterator[list[int]]:
    """Free ports of those that sessions choose from, reserved as sessions do it, so that none of them takes one."""
    with TemporaryDirectory() as folder:
        try:
            yield [int(bash(Path(folder), "sessiond_choose_port").stdout) for _ in range(count)]
        finally:
            bash(Path(folder), "sessiond_release")


def bash(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with the port functions, this process being the watcher."""
    return subprocess.run(
        ["bash", "-c", f". {LIB_DIR}/ports.sh\n{script}"],
        env={
            "PATH": os.environ["PATH"],
            "SESSIOND_JOBDIR": str(folder),
            "SESSIOND_TAG": TAG,
            "SESSIOND_WATCHER": str(os.getpid()),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def only(first: int, second: int) -> str:
    """Choose a port where but two can be reserved, beginning at the first of them."""
    return (
        f'sessiond_reserve() {{ [ "$1" = {first} ] || [ "$1" = {second} ]; }}\n'
        f"unset RANDOM; RANDOM={first - 6064}\nsessiond_choose_port"
    )


def reserved(one: Trial, *ports: str | int) -> list[str | int]:
    """Those of ``ports`` that the session has reserved; the moment it gives one back, another session may have it."""
    found = []
    for port in ports:
        with suppress(FileNotFoundError):
            if one.session.tag in Path(f"/tmp/{port}.port.used").read_text():
                found.append(port)
    return found


def runs(pid: str) -> bool:
    """Whether the process is there and no zombie: in a container nobody may collect those."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def reservation() -> Iterator[Path]:
    """A reservation file that no real port has."""
    path = Path(f"/tmp/test-{uuid4()}.port.used")
    yield path
    path.unlink(missing_ok=True)


def key(path: Path) -> str:
    """The word that stands for the port in ``path``."""
    return path.name.removesuffix(".port.used")


def identity(folder: Path) -> str:
    """This process, as reservations name it."""
    return bash(folder, "sessiond_identity $SESSIOND_WATCHER").stdout.strip()


def test_a_lost_port_starts_the_service_again(trial: MakeTrial) -> None:
    """Another program binds the chosen port first: the service gets another, with a new endpoint and a line to read."""
    one = trial("sleep 1000 &\necho $! >> helpers\n" + SERVER, params={"CHOSEN": "chosen", "GO": "go"})
    chosen, go = one.fifo("chosen"), one.fifo("go")
    process = one.start()
    first = int(chosen.read_text())
    with listening(first):
        go.write_text("go\n")
        second = int(chosen.read_text())
        endpoint = one.fields("endpoint")
        go.write_text("go\n")
        assert 0 == process.wait()
    assert first != second
    assert str(second) == endpoint["port"]
    assert one.log().count(f"sessiond: another program took port {first} before the service could") == 1
    helpers = (one.folder / "helpers").read_text().split()
    assert [False, True] == [runs(pid) for pid in helpers]
    assert [] == reserved(one, first, second)


def test_a_service_that_reports_its_lost_port_is_started_again_too(trial: MakeTrial) -> None:
    """A template's own displayErrorMessage about a lost port is not published before it has got another."""
    template = SERVER.replace("exec ", "") + '[ $? = 0 ] || displayErrorMessage "could not start"\n'
    one = trial(template, params={"CHOSEN": "chosen", "GO": "go"})
    chosen, go = one.fifo("chosen"), one.fifo("go")
    process = one.start()
    with listening(int(chosen.read_text())):
        go.write_text("go\n")
        chosen.read_text()
        go.write_text("go\n")
        assert 0 == process.wait()
    assert not (one.folder / "failure").exists()


def test_a_port_that_the_session_itself_holds_is_not_lost(trial: MakeTrial) -> None:
    """A program of the session's that bears no mark, as nginx does not, listens there: what fails is not that."""
    hold = (
        'import os, socket, sys; s = socket.create_server(("127.0.0.1", int(sys.argv[1]))); os.mkdir("held"); input()'
    )
    one = trial(
        f"echo try; mkfifo held.open; env -i {sys.executable} -c '{hold}' \"$servicePort\" <>held.open &\n"
        "until [ -d held ]; do sleep 0.05; done; exit 3\n"
    )
    assert 3 == one.run()
    assert ["try"] == one.log().splitlines()


def test_after_five_lost_ports_it_is_over(trial: MakeTrial) -> None:
    """The service is started six times at most."""
    one = trial(SERVER, params={"CHOSEN": "chosen", "GO": "go"})
    chosen, go = one.fifo("chosen"), one.fifo("go")
    process = one.start()
    with ExitStack() as squatters:
        for _ in range(6):
            squatters.enter_context(listening(int(chosen.read_text())))
            go.write_text("go\n")
        assert 1 == process.wait()
    assert "1" == one.fields("exit")["status"]
    assert 5 == one.log().count("trying another port")


def test_a_failing_service_is_not_started_again(trial: MakeTrial) -> None:
    """A service that fails while nobody, or it itself, listens on its port has failed."""
    one = trial("echo tried; exit 1\n")
    assert 1 == one.run()
    assert "tried\n" == one.log()
    own = trial(
        f"echo tried\n{sys.executable} -c '\n"
        'import os, socket, time\ns = socket.socket(); s.bind(("", int(os.environ["servicePort"]))); s.listen()\n'
        'open("ready", "w").close(); time.sleep(1000)\n'
        "' &\necho $! > server; cat ready > /dev/null; exit 1\n"
    )
    own.fifo("ready")
    assert 1 == own.run()
    assert "tried\n" == own.log()


def test_a_given_port_is_honoured(trial: MakeTrial) -> None:
    """servicePort of the form is used as it is, reserved nowhere, and never exchanged for another."""
    with listening() as port:
        one = trial("echo $servicePort; exit 1\n", params={"servicePort": str(port)})
        assert 1 == one.run()
    assert f"{port}\n" == one.log()
    assert str(port) == one.fields("endpoint")["port"]
    assert [] == reserved(one, port)


@pytest.mark.parametrize("port", ["0", "65536", "80; id", "-1", "x", "a[$(touch pwned)]", "080"])
def test_a_given_port_that_is_none(trial: MakeTrial, port: str) -> None:
    """Anything but a port number ends the session with a message, and is not evaluated."""
    one = trial("echo started\n", params={"servicePort": port})
    assert 1 == one.run()
    assert "servicePort must be a port number from 1 to 65535.\n" == (one.folder / "failure").read_text()
    assert not (one.folder / "pwned").exists()
    assert "started" not in one.log()


def test_find_available_port_prints_ports_only(trial: MakeTrial) -> None:
    """Twice, in a child process, under strict options and with an odd IFS: different ports, reserved until the end."""
    one = trial(
        "a=$(findAvailablePort); b=$(bash -c findAvailablePort)\nset -euo pipefail; IFS=67; set -f; cd /\n"
        'c=$(findAvailablePort)\nls /tmp/"$a".port.used /tmp/"$b".port.used /tmp/"$c".port.used > /dev/null\n'
        "unset IFS\necho $servicePort $a $b $c\n"
    )
    assert 0 == one.run()
    ports = [int(port) for port in one.log().split()]
    assert 4 == len(set(ports))
    assert all(6064 <= port <= 9000 for port in ports)
    assert [] == reserved(one, *ports)
    assert not (one.folder / "ports").exists()


def test_no_port_ends_the_session(trial: MakeTrial) -> None:
    """Where there is no port, also inside a substitution, the session ends and says so."""
    one = trial("sessiond_choose_port() { return 1; }\nx=$(findAvailablePort; echo leak)\nsleep 1000\n")
    assert 1 == one.run()
    assert "No free port" in (one.folder / "failure").read_text()


def test_many_sessions_at_once_get_ports_of_their_own(trial: MakeTrial) -> None:
    """Eight sessions started together, each holding its port until all of them have one: eight ports."""
    body = 'echo chosen > "${CHOSEN}"; read -r x < "${GO}"\n'
    all_of_them = [trial(body, params={"CHOSEN": "chosen", "GO": "go"}) for _ in range(8)]
    chosen = [one.fifo("chosen") for one in all_of_them]
    pipes = [one.fifo("go") for one in all_of_them]
    processes = [one.start() for one in all_of_them]
    assert ["chosen\n"] * 8 == [pipe.read_text() for pipe in chosen]
    for pipe in pipes:
        pipe.write_text("go\n")
    assert [0] * 8 == [process.wait() for process in processes]
    assert 8 == len({one.fields("endpoint")["port"] for one in all_of_them})


def test_a_killed_session_leaves_a_list_to_release(trial: MakeTrial) -> None:
    """After SIGKILL the folder still says what was reserved, and sessiond_release removes exactly that."""
    one = trial('echo hello > "${SYNC}"; sleep 1000\n', params={"SYNC": "sync"})
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # One that another session was about to have is listed, too.
    ports = (one.folder / "ports").read_text().split()
    assert [one.fields("endpoint")["port"]] == reserved(one, *ports)
    bash(one.folder, f"SESSIOND_TAG={one.session.tag}; sessiond_release")
    assert [] == reserved(one, *ports)


_NO_PROC = "sessiond_sockets() { return 1; }\n"


@pytest.mark.parametrize(
    ("host", "proc"),
    # Without the kernel's list a listener is found by connecting to 127.0.0.1, which ::1 alone does not answer.
    [(host, "") for host in ("127.0.0.1", "0.0.0.0", "::1", "::")]
    + [(host, _NO_PROC) for host in ("127.0.0.1", "0.0.0.0", "::")],
)
def test_a_port_somebody_listens_on_is_not_chosen(tmp_path: Path, host: str, proc: str) -> None:
    """Only a busy port and a free one can be had: it is the free one, also where the kernel does not tell."""
    with choosable(2) as (busy, free), listening(busy, host):
        done = bash(tmp_path, proc + only(busy, free))
    assert f"{free}\n" == done.stdout


def test_a_port_that_cannot_be_bound_yet_is_not_chosen(tmp_path: Path) -> None:
    """A server that closed its connections and went leaves its port unusable for a while: it is left out."""
    with choosable(2) as (left, free):
        with socket.create_server(("127.0.0.1", left)) as server, socket.create_connection(("127.0.0.1", left)) as peer:
            server.accept()[0].close()
            assert b"" == peer.recv(1)
        assert f"{free}\n" == bash(tmp_path, only(left, free)).stdout


# The kernel tells of no socket: what other programs have just now is no matter here.
_NOBODY = "sessiond_sockets() { :; }\nsessiond_reserve() { :; }\n"


def test_outgoing_ports_are_left_out(tmp_path: Path) -> None:
    """Ports of the kernel's own range come last, and are still taken where there are no others."""
    done = bash(tmp_path, f"{_NOBODY}sessiond_ephemeral() {{ echo 6064 8999; }}\nsessiond_choose_port")
    assert "9000\n" == done.stdout
    done = bash(tmp_path, f"{_NOBODY}sessiond_ephemeral() {{ echo 1024 65535; }}\nsessiond_choose_port")
    assert 6064 <= int(done.stdout) <= 9000


def test_only_one_reserves(tmp_path: Path, reservation: Path) -> None:
    """Of many at once exactly one gets the reservation, also when a stale one lay there."""
    race = (
        f'for i in {{1..20}}; do (sessiond_reserve {key(reservation)} "{identity(tmp_path)}" && echo won) & done; wait'
    )
    assert "won\n" == bash(tmp_path, race).stdout
    reservation.write_text(f"999999999 1 {TAG}\n")
    assert "won\n" == bash(tmp_path, race).stdout
    assert f"{identity(tmp_path)} {TAG}\n" == reservation.read_text()


def test_a_reservation_that_goes_while_it_is_looked_at(tmp_path: Path, reservation: Path) -> None:
    """Another session removes the stale file first: the port is reserved, without a complaint in the service's log."""
    reservation.write_text(f"999999999 1 {TAG}\n")
    gone = 'sessiond_stale() { rm -f "$1"; }\n'
    done = bash(tmp_path, f'{gone}sessiond_reserve {key(reservation)} "1 2"')
    assert (0, "") == (done.returncode, done.stderr)
    assert f"1 2 {TAG}\n" == reservation.read_text()


def test_what_lives_is_not_taken_over(tmp_path: Path, reservation: Path) -> None:
    """A live owner's reservation, and a new empty file, stay; one whose owner's number was reused goes."""
    mine = identity(tmp_path)
    pid, start = mine.split()
    for content, taken in [(mine, False), ("", False), (f"{pid} {int(start) + 1}", True)]:
        reservation.write_text(f"{content} {TAG}\n" if content else "")
        done = bash(tmp_path, f'sessiond_reserve {key(reservation)} "{mine}"')
        assert taken == (done.returncode == 0)


def test_an_old_file_without_an_owner_is_taken_over(tmp_path: Path, reservation: Path) -> None:
    """An empty file older than a minute has no owner."""
    reservation.touch()
    os.utime(reservation, (0, 0))
    assert 0 == bash(tmp_path, f'sessiond_reserve {key(reservation)} "1 2"').returncode
    assert f"1 2 {TAG}\n" == reservation.read_text()


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_strange_things_are_not_opened(tmp_path: Path, reservation: Path, kind: str) -> None:
    """A link, a pipe or a folder under a reservation's name blocks that port, and nothing else."""
    target = tmp_path / "target"
    match kind:
        case "link":
            target.write_text("precious")
            reservation.symlink_to(target)
        case "dangling":
            reservation.symlink_to(target)
        case "pipe":
            os.mkfifo(reservation)
        case _:
            reservation.mkdir()
    assert 0 != bash(tmp_path, f'sessiond_reserve {key(reservation)} "1 2"').returncode
    assert ("precious" if kind == "link" else None) == (target.read_text() if target.exists() else None)
    if kind == "folder":
        reservation.rmdir()


def test_a_port_is_found_where_nothing_can_be_reserved(tmp_path: Path) -> None:
    """Anybody can fill /tmp with files of these names: then a free port is used without a reservation."""
    done = bash(tmp_path, "sessiond_reserve() { return 1; }\nsessiond_choose_port")
    assert 6064 <= int(done.stdout) <= 9000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_another_users_file_blocks_its_port_only(tmp_path: Path, reservation: Path) -> None:
    """A stale-looking file of another user is neither removed nor written."""
    reservation.write_text(f"999999999 1 {TAG}\n")
    os.chown(reservation, 65534, 65534)
    assert 0 != bash(tmp_path, f'sessiond_reserve {key(reservation)} "1 2"').returncode
    assert f"999999999 1 {TAG}\n" == reservation.read_text()


def test_release_removes_only_its_own(tmp_path: Path, reservation: Path) -> None:
    """A reservation that passed to somebody else is not released by the one before."""
    (tmp_path / "ports").write_text(f"{key(reservation)}\n")
    reservation.write_text("3 4 sd-ffffffffffff\n")
    bash(tmp_path, "sessiond_release")
    assert reservation.exists()
    (tmp_path / "ports").write_text(f"{key(reservation)}\n")
    reservation.write_text(f"3 4 {TAG}\n")
    bash(tmp_path, "sessiond_release")
    assert not reservation.exists()
    assert not (tmp_path / "ports").exists()
