"""Commands and files over a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import anyio
import pytest

from sessiond.core.command import Command
from sessiond.core.errors import AnswerLost, NotSent, Unreadable
from sessiond.remote.ssh import connection as connection_module
from sessiond.remote.ssh.connection import SshConnection
from sessiond.remote.ssh.connector import SshConnector

from .conftest import connected
from .house import FrozenRelay, Sshd, User, root_user, settings, sshd, unix_user

pytestmark = pytest.mark.anyio

SHELLS = ("/bin/sh", "/bin/bash", "/usr/bin/tcsh", "/usr/bin/fish")
NOISE = {
    "/bin/sh": (),
    "/bin/bash": (".bashrc",),
    "/usr/bin/tcsh": (".tcshrc",),
    "/usr/bin/fish": (".config/fish/config.fish",),
}
HOSTILE = ["a!b", "c d'e", "x\\y", '$HOME `id` * ? ~ {a,b} [x] ;|&#"', "", "two\nlines", "grün €", "=x", "~", "%1"]


def sh(script: str, *args: str, timeout_s: float = 30.0, urgent: bool = False) -> Command:
    """A script on stdin, as the schedulers' are."""
    return Command(argv=("sh", "-s", "--", *args), stdin=script.encode(), timeout_s=timeout_s, urgent=urgent)


def runs(pid: str) -> bool:
    """Whether the process is still there."""
    return Path("/proc", pid).exists()


async def test_a_command_answers(server: Sshd, user: User, tmp_path: Path) -> None:
    """Exit status, both outputs and the duration come back; it runs at home."""
    async with connected(settings(server, user, tmp_path)) as connection:
        done = await connection.run(sh('pwd; echo oops >&2; echo "$1"; exit 7', "word"))
        assert (7, f"{user.home}\nword\n".encode(), b"oops\n") == (done.rc, done.stdout, done.stderr)
        assert 0 < done.took_s < 20
        assert b"" == (await connection.run(Command(argv=("cat",)))).stdout


async def test_large_stdin_and_output_cross(server: Sshd, user: User, tmp_path: Path) -> None:
    """A command that answers while it is still being fed does not deadlock, and nothing is cut off."""
    data = os.urandom(3 << 20)
    async with connected(settings(server, user, tmp_path)) as connection:
        assert data == (await connection.run(Command(argv=("cat",), stdin=data))).stdout


async def test_a_signal_is_a_negative_status(server: Sshd, user: User, tmp_path: Path) -> None:
    """A command that somebody killed has ended, and by which signal is known; `timeout` dies of the same."""
    async with connected(settings(server, user, tmp_path)) as connection:
        done = await connection.run(sh("kill -KILL $PPID; sleep 5"))
        assert -signal.SIGKILL == done.rc


async def test_the_deadline_ends_it_there(server: Sshd, user: User, tmp_path: Path) -> None:
    """A command past its deadline is a lost answer, and is gone at the other side."""
    async with connected(settings(server, user, tmp_path)) as connection:
        with pytest.raises(AnswerLost, match="sh did not finish within 3 s"):
            await connection.run(sh("echo $$ > pid; exec sleep 1000", timeout_s=3))
        assert not runs((user.home / "pid").read_text().strip())
        assert 124 == (await connection.run(sh("exit 124"))).rc


async def test_too_much_output_is_unreadable(server: Sshd, user: User, tmp_path: Path) -> None:
    """A command that writes without end is ended, on either output; the limit itself is not too much."""
    async with connected(settings(server, user, tmp_path)) as connection:
        for script in ("exec yes", "exec yes >&2"):
            with pytest.raises(Unreadable, match="sh wrote more than 4194304 bytes"):
                await connection.run(sh(script))
        done = await connection.run(sh("head -c 4194304 /dev/zero"))
        assert bytes(4194304) == done.stdout


async def test_what_cannot_be_passed_on_was_not_sent(server: Sshd, user: User, tmp_path: Path) -> None:
    """A NUL in an argument is refused before anything is sent."""
    async with connected(settings(server, user, tmp_path)) as connection:
        with pytest.raises(NotSent, match="its arguments cannot be passed on"):
            await connection.run(Command(argv=("echo", "a\0b")))


async def test_a_grandchild_does_not_hold_us(server: Sshd, user: User, tmp_path: Path) -> None:
    """What a command leaves behind with its pipes open is not waited for."""
    async with connected(settings(server, user, tmp_path)) as connection:
        with anyio.fail_after(10):
            done = await connection.run(sh("echo answer; setsid sleep 30 & exit 3"))
        assert (3, b"answer\n") == (done.rc, done.stdout)


@pytest.mark.parametrize("shell", SHELLS)
async def test_every_login_shell_reads_it_alike(shell: str, tmp_path: Path) -> None:
    """Whatever an argument contains arrives, although the shell's start-up file prints; files are read all the same."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    with unix_user(tmp_path, shell=shell) as someone, sshd(tmp_path / "server", [someone], "PrintMotd yes") as server:
        for name in NOISE[shell]:
            (someone.home / name).parent.mkdir(parents=True, exist_ok=True)
            (someone.home / name).write_text("echo welcome to the machine\n")
        (someone.home / "it's a\nfile").write_bytes(b"0123\x1eend\n\xff")
        async with connected(settings(server, someone, tmp_path)) as connection:
            done = await connection.run(sh('printf "<%s>" "$@"', *HOSTILE))
            noise = b"welcome to the machine\n" if NOISE[shell] else b""
            assert noise + "".join(f"<{arg}>" for arg in HOSTILE).encode() == done.stdout
            assert b"23\x1eend\n\xff" == await connection.read("it's a\nfile", 2, 100)
            assert 10 == await connection.size("~/it's a\nfile")


async def test_files(server: Sshd, user: User, tmp_path: Path) -> None:
    """A part of a file, from either end; an absent one is empty; a FIFO, a folder and a forbidden one are refused."""
    home = user.home
    (home / "log").write_bytes(b"0123456789")
    (home / "hidden").mkdir(mode=0o700, exist_ok=True)
    (home / "hidden" / "file").touch()
    (home / "secret").touch(mode=0o600)
    if not (home / "fifo").exists():
        os.mkfifo(home / "fifo")
    async with connected(settings(server, user, tmp_path)) as connection:
        cases = {(0, 4): b"0123", (4, 100): b"456789", (-3, 100): b"789", (-3, 1): b"7", (-99, 2): b"01", (50, 5): b""}
        assert cases == {part: await connection.read(str(home / "log"), *part) for part in cases}
        assert b"" == await connection.read("log", 0, -1)
        assert b"" == await connection.read("absent", 0, 2)
        assert b"" == await connection.read("log/below", 0, 2)
        assert (10, 0, 0) == (
            await connection.size("log"),
            await connection.size("absent"),
            await connection.size("log/below"),
        )
        for name, words in {
            "fifo": "not a regular file",
            ".": "not a regular file",
            "secret": "Permission denied",
            "hidden/file": "Permission denied",
        }.items():
            with pytest.raises(NotSent, match=f"cannot be read: {words}"), anyio.fail_after(10):
                await connection.read(name, 0, 10)
        own = {"user": user.name, "group": user.name, "extra_groups": []}
        async with await anyio.open_process(["sleep", "60"], **own) as sleeper:  # type: ignore[arg-type]
            try:
                # Its memory has nothing at its beginning; a read error, not the end of the file.
                with pytest.raises(NotSent, match="cannot be read: Input/output error"):
                    await connection.read(f"/proc/{sleeper.pid}/mem", 0, 10)
            finally:
                sleeper.kill()


async def cancelled(connection: SshConnection, number: int) -> None:
    """A command that is cancelled at one moment or another of its life."""
    with anyio.move_on_after(0.05 + number % 10 * 0.03):
        await connection.run(sh("cat > /dev/null; sleep 1000", timeout_s=4))
        raise AssertionError


async def test_fifty_cancelled_commands_leak_nothing(server: Sshd, user: User, tmp_path: Path) -> None:
    """For an ordinary user every slot is free again at once, and the connection as good as new."""
    async with connected(settings(server, user, tmp_path)) as connection:
        await connection.run(sh("true"))
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(cancelled, connection, number)
        with anyio.fail_after(10):
            assert b"fine\n" == (await connection.run(sh("echo fine"))).stdout
        assert (False, 0) == (connection.worn, connection.slots.busy)


async def test_fifty_cancelled_commands_of_root_leak_nothing(tmp_path: Path) -> None:
    """For root, whose commands sshd will not signal, the slots are free when the commands' deadlines have passed."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    ourselves = root_user(tmp_path)
    with sshd(tmp_path / "server", [ourselves]) as server:
        async with connected(settings(server, ourselves, tmp_path)) as connection:
            await connection.run(sh("true"))
            for _ in range(5):
                async with anyio.create_task_group() as tasks:
                    for number in range(10):
                        tasks.start_soon(cancelled, connection, number)
            with anyio.fail_after(20):
                assert b"fine\n" == (await connection.run(sh("echo fine"))).stdout
                while connection.worn:  # noqa: ASYNC110  (the other side's clock is no event here)
                    await anyio.sleep(0.1)


async def test_stuck_channels_wear_a_connection(tmp_path: Path) -> None:
    """Two cancelled commands of root that run on at the other side make the connection worn."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    ourselves = root_user(tmp_path)
    with sshd(tmp_path / "server", [ourselves]) as server:
        async with connected(settings(server, ourselves, tmp_path)) as connection:
            assert not connection.worn
            begun = [tmp_path / "one", tmp_path / "other"]
            for note in begun:
                async with anyio.create_task_group() as tasks:
                    script = f"echo $$ > '{note}.new'; mv '{note}.new' '{note}'; exec sleep 1000"
                    tasks.start_soon(connection.run, sh(script, timeout_s=60))
                    await exists(note)
                    tasks.cancel_scope.cancel()
            assert connection.worn
            for note in begun:
                os.kill(int(note.read_text()), signal.SIGKILL)


async def test_twenty_commands_where_three_sessions_are_allowed(user: User, tmp_path: Path) -> None:
    """All succeed, although nobody said that MaxSessions is 3."""
    with sshd(tmp_path / "server", [user], "MaxSessions 3") as server:
        async with connected(settings(server, user, tmp_path)) as connection:
            answers: list[bytes] = []

            async def ask(number: int) -> None:
                answers.append((await connection.run(sh(f"sleep 0.1; echo {number}"))).stdout)

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(ask, number)
            assert {f"{number}\n".encode() for number in range(20)} == set(answers)


async def test_where_no_session_is_allowed_nothing_was_sent(user: User, tmp_path: Path) -> None:
    """A server that opens no channel proves that nothing ran."""
    with sshd(tmp_path / "server", [user], "MaxSessions 0") as server:
        async with connected(settings(server, user, tmp_path)) as connection:
            with pytest.raises(NotSent, match="opens no more sessions"):
                await connection.run(sh("echo ran >> trace"))


async def test_a_cut_connection_is_a_lost_answer(user: User, tmp_path: Path) -> None:
    """A command under way is a lost answer, the connection says why it ended, and what comes after is not sent."""
    with sshd(tmp_path / "server", [user]) as server:
        async with connected(settings(server, user, tmp_path)) as connection:
            reasons: list[str] = []

            async def watch() -> None:
                reasons.append(await connection.lost())

            async def cut() -> None:
                await exists(user.home / "begun")
                server.cut()

            (user.home / "begun").unlink(missing_ok=True)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                tasks.start_soon(cut)
                with pytest.raises(
                    AnswerLost, match="the connection ended while sh was running: the connection was cut"
                ):
                    await connection.run(sh("echo half; touch begun; sleep 20"))
            assert ["the connection was cut"] == reasons
            with pytest.raises(NotSent, match=r"the connection to 127\.0\.0\.1 has ended"):
                await connection.run(sh("true"))


async def test_closing_says_nothing(server: Sshd, user: User, tmp_path: Path) -> None:
    """A connection that we ended has no reason to give, and may be ended twice."""
    connection = await SshConnector(settings(server, user, tmp_path)).open(None)
    await connection.aclose()
    await connection.aclose()
    assert "" == await connection.lost()


async def exists(path: Path) -> None:
    """Wait for a file that a command makes."""
    with anyio.fail_after(10):
        while not path.exists():  # noqa: ASYNC110, ASYNC240  (a file is no event)
            await anyio.sleep(0.02)


async def freeze(relay: FrozenRelay, when: Path) -> None:
    """Let the network die once the file is there."""
    await exists(when)
    relay.freeze()


async def test_a_silent_network_is_noticed(
    server: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing comes back any more the connection is lost after three silences, and a command's answer too."""
    monkeypatch.setattr("sessiond.remote.ssh.settings.KEEPALIVE_S", 0.5)
    monkeypatch.setattr(connection_module, "KEEPALIVE_S", 0.5)
    relay = FrozenRelay(server.port)
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{relay.port} {server.public_key}\n")
    async with anyio.create_task_group() as tasks:
        await tasks.start(relay.serve)
        chosen = settings(server, user, tmp_path, port=relay.port, known_hosts=str(known))
        async with connected(chosen) as connection:
            (user.home / "begun").unlink(missing_ok=True)
            tasks.start_soon(freeze, relay, user.home / "begun")
            with anyio.fail_after(10), pytest.raises(AnswerLost, match=r"no answer for 1\.5 s"):
                await connection.run(sh("touch begun; sleep 20"))
            assert "no answer for 1.5 s" == await connection.lost()
        tasks.cancel_scope.cancel()
