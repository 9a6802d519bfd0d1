"""Jupyter, really installed, in an image that ch-run runs: by its own service, and by that of Apptainer's images."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import aiohttp
import pytest

from sessiond.core.spec import Listen
from tests.services.engines import without_runtimes
from tests.services.house import (
    ENVS,
    OPEN_PORT,
    TOKEN,
    House,
    build,
    command_lines,
    ended,
    live,
    log_of,
    prepare,
    processes,
)
from tests.services.images import make_image_of_the_host

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("ch-run") is None, reason="ch-run is not installed (charliecloud-runtime)"),
]

BASE = f"/me/{OPEN_PORT}"
PASSWORD = "a word of one's own"


async def jupyter(base: Path) -> tuple[Path, str]:
    """An image in whose PATH is a real JupyterLab, and the words that mount what it needs."""
    host = build(base / "host", "jupyterlab-host")
    assert (await prepare(host)).status == 0
    lab = Path(host.path("service/jupyter-lab.path").read_text().strip())
    image, mounts = make_image_of_the_host(base / "image", Path(sys.base_prefix))
    (image / "opt" / "envs").mkdir(parents=True)
    # Not under its own name, which may be below /tmp: that is another folder in a container. The programs of a virtual
    # environment name its place, its Python does not.
    python = f"/opt/envs/{lab.parents[1].name}/bin/python"
    for name, module in (("jupyter-lab", "jupyterlab"), ("jupyter-server", "jupyter_server")):
        program = image / "usr/local/bin" / name
        program.write_text(f'#!/bin/sh\nexec {python} -m {module} "$@"\n')
        program.chmod(0o755)
    return image, f"{mounts} -v {ENVS}:/opt/envs"


async def checked(house: House, *, private: bool) -> None:
    """Start it; it opens with the token alone, shows the home folder, runs a kernel, and leaves nothing."""
    async with live(house, f"{BASE.removeprefix('/')}/api") as service:
        assert private == bool(service.path)
        assert not service.path or service.private
        async with aiohttp.ClientSession(connector=service.connector()) as stranger:
            for headers in ({}, {"Authorization": "token wrong"}):
                async with stranger.get(f"{service.root}{BASE}/api/kernels", headers=headers) as answer:
                    assert answer.status == 403
            async with stranger.get(f"{service.root}{BASE}/?token={TOKEN}") as answer:
                assert (answer.status, answer.url.path) == (200, f"{BASE}/lab")
                assert f"{BASE}/static/lab/" in await answer.text()
        signed_in = {"Authorization": f"token {TOKEN}"}
        async with aiohttp.ClientSession(headers=signed_in, connector=service.connector()) as client:
            async with client.post(f"{service.root}{BASE}/api/kernels", json={"name": "python3"}) as answer:
                assert answer.status == 201
            async with client.get(f"{service.root}{BASE}/api/contents") as answer:
                assert {"mine.txt"} == {entry["name"] for entry in (await answer.json())["content"]}
        assert TOKEN not in command_lines()
        assert await ended(service.process) == 143
        assert {} == processes(house)
    assert TOKEN not in log_of(house)
    assert not service.path or not Path(service.path).parent.exists()


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
async def test_jupyter_of_an_image(tmp_path: Path, listen: Listen) -> None:
    """jupyter-docker by ch-run, on a private socket where there is one."""
    image, mounts = await jupyter(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine.txt").touch()
    params = {"service_docker_repo": str(image), "service_mount_directories": mounts}
    await checked(build(tmp_path, "jupyter-docker", listen, **params), private=listen is Listen.SOCKET)


async def test_jupyter_of_an_unpacked_image_where_there_is_no_apptainer(tmp_path: Path) -> None:
    """jupyter-singularity runs a folder by ch-run where neither apptainer nor singularity is; a password opens it."""
    image, mounts = await jupyter(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine.txt").touch()
    params = {"service_path_to_sing": str(image), "service_mount_dirs": mounts, "service_password": PASSWORD}
    house = build(tmp_path, "jupyter-singularity", Listen.SOCKET, **params)
    house.environment["PATH"] = str(without_runtimes(tmp_path, house.environment, "ch-run"))
    await checked(house, private=True)
    async with live(house, f"{BASE.removeprefix('/')}/api") as service:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(connector=service.connector(), cookie_jar=jar) as client:
            for password, expected in (("wrong", 401), (PASSWORD, 200)):
                async with client.get(f"{service.root}{BASE}/login") as answer:
                    page = await answer.text()
                form = {"password": password, "_xsrf": page.split('name="_xsrf" value="')[1].split('"')[0]}
                async with client.post(f"{service.root}{BASE}/login", data=form) as answer:
                    assert (password, expected) == (password, answer.status), (await answer.text(), log_of(house))
            async with client.get(f"{service.root}{BASE}/api/kernels") as answer:
                assert answer.status == 200
        assert PASSWORD not in command_lines()
