"""Commands on this machine, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import anyio
import pytest

from sessiond.core.command import Command
from sessiond.core.errors import AnswerLost, NotSent, Unreadable
from sessiond.remote import child as child_module
from sessiond.remote.local import Local, child_environment

from .conftest import children, open_fds

pytestmark = pytest.mark.anyio


def sh(script: str, stdin: bytes = b"", timeout_s: float = 20.0) -> Command:
    """A command of the shell."""
    return Command(argv=("bash", "-c", script), stdin=stdin, timeout_s=timeout_s)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pid: int) -> None:
    """Wait for a process that is no child of ours to end."""
    with anyio.fail_after(10):
        watched = os.pidfd_open(pid) if alive(pid) else None
        if watched is not None:
            try:
                await anyio.wait_readable(watched)
            finally:
                os.close(watched)


def first_line(path: Path) -> str:
    """The first line of a file, once it is complete; else empty."""
    text = path.read_text() if path.exists() else ""
    return text.partition("\n")[0] if "\n" in text else ""


async def written(path: Path) -> str:
    """The first line of a file that a process will write."""
    with anyio.fail_after(10):
        while not first_line(path):  # noqa: ASYNC110  (a file is no event)
            await anyio.sleep(0.01)
    return first_line(path)


async def test_a_command_answers() -> None:
    """Exit status, both outputs and the duration come back; stdin reaches the command."""
    done = await Local().run(sh("cat; echo oops >&2; exit 7", b"hello"))
    assert (7, b"hello", b"oops\n") == (done.rc, done.stdout, done.stderr)
    assert 0 < done.took_s < 20


async def test_a_signal_is_a_negative_status() -> None:
    """A command that was killed by somebody else has ended, and how is known."""
    done = await Local().run(sh("kill -TERM $$"))
    assert -signal.SIGTERM == done.rc


async def test_without_stdin_it_is_empty() -> None:
    """A command that reads gets the end at once."""
    assert b"" == (await Local().run(Command(argv=("cat",)))).stdout


async def test_large_stdin_and_output_cross() -> None:
    """A command that answers while it is still being fed does not deadlock."""
    data = os.urandom(3 << 20)
    done = await Local().run(Command(argv=("cat",), stdin=data))
    assert data == done.stdout


async def test_unread_stdin_is_no_error() -> None:
    """A command may ignore what it is fed."""
    done = await Local().run(sh("echo done; exec 0<&-", bytes(1 << 20)))
    assert (0, b"done\n") == (done.rc, done.stdout)


async def test_runs_at_home_in_its_own_session(tmp_path: Path) -> None:
    """A command begins in the home directory, in a session and process group of its own."""
    local = Local(env={**os.environ, "HOME": str(tmp_path)})
    done = await local.run(sh('pwd; echo $$; cut -d" " -f5,6 /proc/$$/stat'))
    folder, pid, ids = done.stdout.decode().splitlines()
    assert (os.path.realpath(tmp_path), f"{pid} {pid}") == (folder, ids)  # noqa: ASYNC240


async def test_an_impossible_home_is_passed_over(tmp_path: Path) -> None:
    """Without a home directory commands run in the root directory."""
    done = await Local(env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "gone")}).run(sh("pwd"))
    assert b"/\n" == done.stdout


def test_the_environment_of_children() -> None:
    """What is meant for the daemon alone is not passed on; all else is."""
    private = ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"]
    private += ["SESSIOND_TAG", "SESSIOND_RUN", "SESSIOND_FAILPOINT", "SESSIOND_FAILPOINT_AT"]
    shared = {"PATH": "/bin", "SESSIOND_STATE_DIR": "/s", "LANG": "C"}
    assert shared == child_environment(shared | dict.fromkeys(private, "1"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("/no/such/program",), "program could not be started: No such file or directory"),
        (("/etc/passwd",), "passwd could not be started: Permission denied"),
        (("/bin/echo", "x" * (1 << 22)), "echo could not be started: Argument list too long"),
        (("echo", "a\0b"), "echo could not be started: its arguments cannot be passed on"),
        ((), "a command could not be started: its arguments cannot be passed on"),
    ],
)
async def test_what_cannot_start_was_not_sent(argv: tuple[str, ...], words: str) -> None:
    """A command that cannot be started is proved not to have run, and the reason is said; nothing leaks."""
    before = open_fds(), children()
    with pytest.raises(NotSent) as caught:
        await Local().run(Command(argv=argv, stdin=b"x"))
    assert words == caught.value.message
    assert before == (open_fds(), children())


async def overdue(command: Command, once: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of a command whose deadline passes once it has written a line to ``once``, however late that is."""

    async def let_it_pass() -> None:
        await written(once)
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + command.timeout_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(let_it_pass)
        with pytest.raises(AnswerLost) as caught:
            await Local().run(command)
    return caught.value.message


async def test_the_deadline_ends_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its deadline the command is ended with all of its group, and its answer is lost."""
    pids = tmp_path / "pids"
    command = sh(f"sleep 1000 & echo $! > {pids}; wait", timeout_s=900.5)
    assert "bash did not finish within 900.5 s and was ended" == await overdue(command, pids, monkeypatch)
    await until_gone(int(pids.read_text()))
    assert set() == children()


async def test_a_command_is_told_before_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM comes first, so that a script's own trap runs."""
    monkeypatch.setattr(child_module, "TERM_GRACE_S", 20.0)
    note, ready = tmp_path / "note", tmp_path / "ready"
    script = f"trap 'echo told > {note}; exit 0' TERM; echo 1 > {ready}; while :; do sleep 0.05; done"
    await overdue(sh(script, timeout_s=900), ready, monkeypatch)
    assert "told\n" == note.read_text()


async def test_one_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not listen is killed after the grace."""
    monkeypatch.setattr(child_module, "TERM_GRACE_S", 0.3)
    with pytest.raises(AnswerLost), anyio.fail_after(10):
        await Local().run(sh("trap '' TERM; while :; do sleep 0.05; done", timeout_s=0.3))
    assert set() == children()


async def test_too_much_output_is_unreadable() -> None:
    """A command that writes without end is ended; on either output."""
    local = Local(output_limit=100_000)
    for script in ("exec yes", "exec yes >&2"):
        with pytest.raises(Unreadable, match="wrote more than 100000 bytes"), anyio.fail_after(15):
            await local.run(sh(script))
    assert set() == children()


async def test_output_up_to_the_limit_is_whole() -> None:
    """The limit itself is not too much."""
    done = await Local(output_limit=100_000).run(sh("head -c 100000 /dev/zero"))
    assert bytes(100_000) == done.stdout


async def test_a_detached_grandchild_does_not_hold_us(tmp_path: Path) -> None:
    """What a command leaves behind with its pipes open is neither waited for nor harmed."""
    pids = tmp_path / "pids"
    script = f"echo answer; setsid bash -c 'echo $$ > {pids}; exec sleep 1000' & sleep 0.1; exit 3"
    before = open_fds()
    with anyio.fail_after(15):
        done = await Local().run(sh(script))
    assert (3, b"answer\n", b"") == (done.rc, done.stdout, done.stderr)
    assert before == open_fds()
    pid = int(await written(pids))
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_late_output_is_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a background process of the command writes just after its end belongs to the answer."""
    monkeypatch.setattr(child_module, "LATE_OUTPUT_S", 20.0)  # how late is the machine's affair: its end is waited for
    done = await Local().run(sh("{ sleep 0.2; echo late; } & echo early"))
    assert b"early\nlate\n" == done.stdout


async def test_cancellation_ends_the_group_and_passes_through(tmp_path: Path) -> None:
    """A cancelled command is gone with its group before the cancellation goes on."""
    pids = tmp_path / "pids"
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Local().run, sh(f"sleep 1000 & echo $! > {pids}; wait"))
            await written(pids)
            scope.cancel()
    assert scope.cancelled_caught
    await until_gone(int(pids.read_text()))
    assert set() == children()


async def test_fifty_cancelled_commands_leave_nothing(tmp_path: Path) -> None:
    """Fifty commands cancelled at different moments leave no process, zombie, file descriptor or task."""
    local = Local()
    await local.run(sh("true"))
    before = open_fds(), len(anyio.get_running_tasks())

    async def cancelled(number: int) -> None:
        with anyio.move_on_after(number * 0.004):
            await local.run(sh("cat > /dev/null; sleep 1000", bytes(1 << 18)))
            raise AssertionError

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(cancelled, number)
    assert before == (open_fds(), len(anyio.get_running_tasks()))
    assert set() == children()
    assert b"fine\n" == (await local.run(sh("echo fine"))).stdout


async def test_without_pidfd_it_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel without pidfd_open the end of a command is noticed as well."""

    def absent(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", absent)
    assert b"fine\n" == (await Local().run(sh("sleep 0.1; echo fine"))).stdout


async def test_a_lost_exit_status_is_a_lost_answer() -> None:
    """Where the kernel discards exit statuses (SIGCHLD ignored) no success is invented."""
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(AnswerLost, match="exit status of bash was lost"):
            await Local().run(sh("exit 1"))
    finally:
        signal.signal(signal.SIGCHLD, old)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_another_event_loop(anyio_backend: str) -> None:
    """Nothing depends on the event loop that is used."""
    assert anyio_backend == "trio"
    done = await Local().run(sh("cat; exit 4", b"hello"))
    assert (4, b"hello") == (done.rc, done.stdout)
    with pytest.raises(AnswerLost):
        await Local().run(sh("sleep 1000", timeout_s=0.2))
    assert set() == children()


async def test_read(tmp_path: Path) -> None:
    """A part of a file, from either end; an absent file is empty; a relative path begins at home."""
    (tmp_path / "log").write_bytes(b"0123456789")
    local = Local(env={"HOME": str(tmp_path)})
    cases = {(0, 4): b"0123", (4, 100): b"456789", (-3, 100): b"789", (-3, 1): b"7", (-99, 2): b"01", (50, 5): b""}
    assert cases == {part: await local.read(str(tmp_path / "log"), *part) for part in cases}
    assert b"01" == await local.read("log", 0, 2)
    assert b"" == await local.read("absent", 0, 2)
    assert b"" == await local.read("log/below", 0, 2)
    assert b"" == await local.read("log", 0, -1)


async def test_read_takes_regular_files_only(tmp_path: Path) -> None:
    """A FIFO or a folder in a log's place is refused, and nobody waits for it."""
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(NotSent, match="cannot be read"), anyio.fail_after(5):
            await Local().read(str(tmp_path / name), 0, 10)


async def test_a_file_that_cannot_be_read_is_not_an_empty_file() -> None:
    """A read error is told; /proc/self/mem has nothing at its beginning, and says so to root too."""
    with pytest.raises(NotSent, match="cannot be read: Input/output error"):
        await Local().read("/proc/self/mem", 0, 10)


async def test_size(tmp_path: Path) -> None:
    """A log's length; an absent one has none."""
    (tmp_path / "log").write_bytes(b"12345")
    assert 5 == await Local().size(str(tmp_path / "log"))
    assert 0 == await Local().size(str(tmp_path / "absent"))
