"""Services in containers that ch-run really runs: reached, kept to their secrets, and ended with nothing left."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import aiohttp
import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.house import (
    OPEN_PORT,
    PATIENCE_S,
    House,
    build,
    ended,
    kill,
    live,
    processes,
    session,
)
from tests.services.images import make_image, make_image_of_the_host

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("ch-run") is None, reason="ch-run is not installed (charliecloud-runtime)"),
]

HTTPD = "exec httpd -f -p $SESSIOND_BIND:$PORT -h /srv"


def programs(house: House) -> set[str]:
    """The names of what runs in a session."""
    found = set()
    for pid in processes(house):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


async def test_a_page_of_an_unpacked_image_is_served_and_nothing_is_left(tmp_path: Path) -> None:
    """A command of one's own in an image serves at the session's port; TERM ends it and what it had started."""
    image = make_image(tmp_path / "image")
    command = f"sleep 600 & {HTTPD}"
    house = build(tmp_path, "nginx-docker", service_docker_repo=str(image), service_container_cmd=command)
    async with live(house, "") as service, aiohttp.ClientSession() as client:
        async with client.get(f"{service.root}/") as answer:
            assert "a page of the image" in await answer.text()
        with anyio.fail_after(PATIENCE_S):
            while not {"httpd", "sleep"} <= programs(house):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert await ended(service.process) == 143
        assert {} == processes(house)
    assert not house.path("container").exists()


async def test_kill_script_ends_it_all(tmp_path: Path) -> None:
    """The kill script ends a container though nobody told the session's shell, and does no harm a second time."""
    image = make_image(tmp_path / "image")
    house = build(
        tmp_path, "nginx-docker", service_docker_repo=str(image), service_container_cmd=f"sleep 600 & {HTTPD}"
    )
    async with live(house, "") as service:
        assert (await kill(house)).status == 0
        with anyio.fail_after(PATIENCE_S):
            await service.process.wait()
        assert {} == processes(house)
        assert (await kill(house)).status == 0


async def test_a_command_of_ones_own_for_ch_run(tmp_path: Path) -> None:
    """docker-service runs any ch-run, below the path and at the port that it is told, and ends it."""
    image = make_image(tmp_path / "image")
    pages = image / "srv" / "me" / str(OPEN_PORT)
    pages.mkdir(parents=True)
    (pages / "index.html").write_text("below the path")
    command = f"ch-run {image} -- httpd -f -p 127.0.0.1:__docker_port__ -h /srv"
    house = build(tmp_path, "docker-service", service_docker_cmd=command, service_url="x?t=__token__")
    house.environment.pop("USER", None)
    async with live(house, "") as service, aiohttp.ClientSession() as client:
        async with client.get(f"{service.root}/me/{OPEN_PORT}/") as answer:
            assert "below the path" == await answer.text()
        assert await ended(service.process) == 143
        assert {} == processes(house)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed (nginx-light)")
@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
async def test_nginx_of_an_image_needs_no_command(tmp_path: Path, listen: Listen) -> None:
    """A real nginx in a read-only image is told to serve the image's pages, from a private socket where there is one;
    folders redirect to where the browser finds them."""
    image, mounts = make_image_of_the_host(tmp_path / "image")
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    (pages / "sub" / "index.html").write_text("of the folder")
    (image / "etc/nginx").mkdir()
    shutil.copy("/etc/nginx/mime.types", image / "etc/nginx")
    mounts = f"{mounts} -v {pages}:/usr/share/nginx/html"
    house = build(tmp_path, "nginx-docker", listen, service_docker_repo=str(image), service_mount_directories=mounts)
    async with live(house, "sub/") as service, aiohttp.ClientSession(connector=service.connector()) as client:
        assert (listen is Listen.SOCKET) == bool(service.path)
        async with client.get(f"{service.root}/sub/") as answer:
            assert ("of the folder", "text/html") == (await answer.text(), answer.content_type)
        async with client.get(f"{service.root}/sub", allow_redirects=False) as answer:
            assert (302, "/me/50123/sub/") == (answer.status, answer.headers["Location"])
        assert await ended(service.process) == 143
        assert {} == processes(house)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"service_docker_repo": "{}/absent"},
            "There is no unpacked image {}/absent on {host}: set service_docker_repo",
        ),
        ({"service_docker_repo": "no image!"}, '"no image!" is no name of an image: set service_docker_repo to one'),
        (
            {"service_docker_repo": "nginx", "service_container_runtime": "ch-run"},
            "ch-run needs the folder of an unpacked image, and nginx is a name: set service_docker_repo",
        ),
        (
            {"service_docker_repo": "{}/image", "service_container_runtime": "docker"},
            "docker needs the name of an image, and {}/image is a path: set",
        ),
        (
            {"service_docker_repo": "{}/image", "service_mount_directories": "-v {}/absent:/mnt"},
            "There is no {}/absent on {host} to mount: correct the folders to mount",
        ),
        (
            {"service_docker_repo": "{}/image", "service_mount_directories": "-v '/tmp"},
            "The folders to mount cannot be read: a quote does not end in -v '/tmp",
        ),
        (
            {"service_docker_repo": "{}/image", "service_mount_directories": "--privileged"},
            '"--privileged" is no folder to mount: write folders as -v /here:/there',
        ),
        (
            {"service_docker_repo": "{}/image", "service_mount_directories": "-v {}:/mnt:ro"},
            "ch-run cannot mount {} read-only: mount it without :ro",
        ),
    ],
)
async def test_what_cannot_be_run_is_told(tmp_path: Path, params: dict[str, str], expected: str) -> None:
    """An image or a folder that is not there, and words that are none, end the session with cause and remedy."""
    make_image(tmp_path / "image")
    filled = {name: value.replace("{}", str(tmp_path)) for name, value in params.items()}
    house = build(tmp_path, "nginx-docker", Listen.LOOPBACK, **filled)
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == 1
    said = expected.replace("{host}", os.uname().nodename).replace("{}", str(tmp_path))
    assert house.path("failure").read_text().startswith(said)
