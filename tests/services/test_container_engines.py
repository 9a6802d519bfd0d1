"""Services that docker and podman run: the exact command lines, what is told when they cannot, and the end of it all.

There is no daemon to run containers where these tests run, so stand-ins are called; see engine_stand_in.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.engines import Engine, check_golden, make_engine, without_runtimes
from tests.services.house import (
    PATIENCE_S,
    TOKEN,
    House,
    build,
    command_lines,
    ended,
    kill,
    live,
    log_of,
    prepare,
    session,
)

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(120)]

GOLDEN = Path(__file__).parent / "golden"
OWN = "docker run --rm --name __container_name__ -p __docker_port__:80 web:1 serve --base '__base_url__ x'"

CASES = {
    "nginx-docker": {"service_mount_directories": "-v /usr:/srv/usr:ro --volume=/tmp"},
    "jupyter-docker": {"service_docker_repo": "tensorflow/tensorflow:2.7.0-gpu-jupyter", "service_use_gpus": "true"},
    "novnc-docker": {"service_use_gpus": "true"},
    "matlab-docker": {"service_load_env": "export MLM_LICENSE_FILE=27000@licences"},
    "docker-service": {"service_docker_cmd": OWN},
}


@contextmanager
def engine(base: Path, house: House, *names: str) -> Iterator[Engine]:
    """Stand-ins for a session, and their end."""
    made = make_engine(base, house.environment, *names)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("service", "name"),
    [*((service, name) for service in CASES for name in ("docker", "podman")), ("jupyter-docker", "sudo")],
)
async def test_the_command_line_is_this_one(tmp_path: Path, service: str, name: str) -> None:
    """What is run is, word for word, what is kept in golden/; the secret is in none of the words, nor in the log."""
    house = build(tmp_path, service, Listen.LOOPBACK, **CASES[service])
    names = ["docker", "sudo"] if name == "sudo" else [name]
    with engine(tmp_path, house, *names) as runtime:
        if name == "sudo":
            runtime.fails("refused")
        async with live(house, "") as running:
            (call,) = runtime.calls(names[0], "run")
            check_golden(GOLDEN / f"{service}.{names[0]}", call.words, house, str(running.port))
            assert (TOKEN[:8] in call.stdin) == (service in ("jupyter-docker", "novnc-docker", "matlab-docker"))
            assert TOKEN[:8] not in command_lines()
            assert await ended(running.process) == 143
        assert set() == runtime.containers()
    assert "knows" in log_of(house)
    assert TOKEN[:8] not in log_of(house)


@pytest.mark.parametrize("service", ["nginx-docker", "docker-service"])
async def test_only_its_own_container_is_ended(tmp_path: Path, service: str) -> None:
    """TERM removes the session's container though it heeds none, and leaves those of others alone."""
    house = build(tmp_path, service, Listen.LOOPBACK, **CASES[service])
    with engine(tmp_path, house, "docker") as runtime:
        runtime.add_container("stranger", f"sessiond.session={house.jobdir}x")
        async with live(house, "") as running:
            assert len(runtime.containers()) == 2
            assert await ended(running.process) == 143
        assert {"stranger"} == runtime.containers()
        assert not house.path("container").exists()


async def test_after_kill_9_of_everything_the_kill_script_ends_it(tmp_path: Path) -> None:
    """A container whose session was killed runs on; the kill script finds it, ends it, and may run again."""
    house = build(tmp_path, "nginx-docker")
    with engine(tmp_path, house, "docker") as runtime:
        async with live(house, "") as running:
            os.killpg(running.process.pid, signal.SIGKILL)
            await running.process.wait()
            assert len(runtime.containers()) == 1
            assert (await kill(house)).status == 0
            assert set() == runtime.containers()
            assert (await kill(house)).status == 0


async def test_a_kill_script_that_gets_no_answer_says_so(tmp_path: Path) -> None:
    """Where the daemon does not answer, nobody claims that the container is gone."""
    house = build(tmp_path, "nginx-docker")
    with engine(tmp_path, house, "docker") as runtime:
        async with live(house, "") as running:
            os.killpg(running.process.pid, signal.SIGKILL)
            await running.process.wait()
            runtime.fails("daemonless")
            done = await kill(house)
            assert done.status == 1
            assert done.lines[-1].endswith("may still be there: docker did not say that it is gone")
            assert house.path("container").exists()


async def test_a_container_that_was_left_is_removed_before_another_starts(tmp_path: Path) -> None:
    """A session that is run again, as schedulers do after a crash, begins by ending what it left."""
    house = build(tmp_path, "nginx-docker")
    with engine(tmp_path, house, "docker") as runtime:
        async with live(house, "") as running:
            os.killpg(running.process.pid, signal.SIGKILL)
            await running.process.wait()
        async with live(house, "") as running:
            assert len(runtime.containers()) == 1
            await ended(running.process)
        assert len(runtime.calls("docker", "run")) == 2
        assert set() == runtime.containers()


async def test_a_licence_server_of_the_host_is_reached(tmp_path: Path) -> None:
    """Where the licence is at localhost, MATLAB is on the host's network, as the user, at the session's port."""
    at = "export MLM_LICENSE_FILE=27000@localhost"
    house = build(tmp_path, "matlab-docker", service_load_env=at)
    with engine(tmp_path, house, "docker") as runtime:
        async with live(house, "") as running:
            (call,) = runtime.calls("docker", "run")
            assert "--publish" not in call.words
            assert ["host", f"{os.getuid()}:{os.getgid()}"] == [
                call.words[call.words.index(option) + 1] for option in ("--network", "--user")
            ]
            known = dict(line.split("=", 1) for line in call.stdin.splitlines())
            assert ("27000@localhost", str(running.port)) == (known["MLM_LICENSE_FILE"], known["MWI_APP_PORT"])
            await ended(running.process)


async def test_a_detached_container_is_waited_for(tmp_path: Path) -> None:
    """A command with -d returns at once, and the session lives as long as its container."""
    command = "sudo docker run -d --name __container_name__ --publish=__docker_port__:80 web:1"
    house = build(tmp_path, "docker-service", service_docker_cmd=command)
    with engine(tmp_path, house, "docker") as runtime:
        async with live(house, "") as running:
            (name,) = runtime.containers()
            await anyio.run_process([str(runtime.folder / "docker"), "rm", name])
            with anyio.fail_after(PATIENCE_S):
                assert await running.process.wait() == 0


@pytest.mark.parametrize(
    ("names", "how", "expected"),
    [
        ([], "", "docker is not installed, and podman is not installed; start it where one of them works, or set"),
        (["docker"], "daemonless", "docker has no running daemon, and podman is not installed; start it where"),
        (["docker"], "refused", "docker refuses {user}, and podman is not installed; start it where one of them works"),
        (["podman"], "daemonless", "docker is not installed, and podman says: Cannot connect to"),
    ],
)
async def test_without_a_runtime_that_works_the_reason_is_told(
    tmp_path: Path, names: list[str], how: str, expected: str
) -> None:
    """One sentence says for each runtime why not, and what to do: in the preparation already, and where it runs."""
    house = build(tmp_path, "nginx-docker")
    with engine(tmp_path, house, *names) as runtime:
        if how:
            runtime.fails(how)
        user = (await anyio.run_process(["id", "-un"])).stdout.decode().strip()
        said = f"No container can be run on {os.uname().nodename}: {expected.replace('{user}', user)}"
        prepared = await prepare(house)
        assert prepared.status == 1
        assert prepared.lines[-1].startswith(said)
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert await process.wait() == 1
        assert house.path("failure").read_text().startswith(said)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("unreachable", "(its registry cannot be reached): pull it where there is a way to it, or set"),
        ("unknown", "(its registry has none of this name for you): correct service_docker_repo, or log in there with"),
    ],
)
async def test_an_image_that_cannot_be_pulled_is_told(tmp_path: Path, how: str, expected: str) -> None:
    """The preparation pulls what is not there, once, and says why it cannot and what to do."""
    house = build(tmp_path, "jupyter-docker", service_docker_repo="some/image:1")
    with engine(tmp_path, house, "docker") as runtime:
        runtime.fails(how)
        done = await prepare(house)
        assert done.status == 1
        assert done.lines[-1].startswith(
            f"The image some/image:1 could not be pulled on {os.uname().nodename} {expected}"
        )
        (runtime.folder / how).unlink()
        assert (await prepare(house)).lines[-1] == "pulled some/image:1"
        assert (await prepare(house)).lines == []
        assert len(runtime.calls("docker", "pull")) == 2


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("run web:1", "service_docker_cmd starts no container: it has to hold docker run, podman run or ch-run"),
        ("docker nonsense", "The container of service_docker_cmd ended with status 1: the log says why"),
    ],
)
async def test_a_command_that_starts_nothing_is_told(tmp_path: Path, command: str, expected: str) -> None:
    """A command without a runtime, and one that fails, end the session with a sentence."""
    house = build(tmp_path, "docker-service", service_docker_cmd=command)
    with engine(tmp_path, house, "docker"):
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert await process.wait() == 1
    assert house.path("failure").read_text().startswith(expected)


async def test_a_users_own_daemon_is_given_no_number(tmp_path: Path) -> None:
    """In a daemon of the user's own, its root is the user, and podman is asked to keep the user's number."""
    for name, expected in (("docker", []), ("podman", ["--userns", "keep-id"])):
        house = build(tmp_path / name, "jupyter-docker")
        with engine(tmp_path / name, house, name) as runtime:
            runtime.fails("rootless")
            async with live(house, "") as running:
                (call,) = runtime.calls(name, "run")
                assert "--user" not in call.words
                assert expected == [word for word in call.words if word in ("--userns", "keep-id")]
                await ended(running.process)


def test_no_runtime_is_on_the_path_that_has_none(tmp_path: Path) -> None:
    """What the other tests rely on."""
    house = build(tmp_path, "nginx-docker")
    assert not any(
        (without_runtimes(tmp_path, house.environment) / name).exists() for name in ("docker", "podman", "ch-run")
    )
