"""Jupyter Notebook, really installed, in a session's folder; and what it shares with JupyterLab."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from sessiond.core.spec import Listen
from tests.live.notebook import Notebook
from tests.services.conda_stand_in import make_conda
from tests.services.house import (
    ENVS,
    OPEN_PORT,
    TOKEN,
    build,
    command_lines,
    ended,
    kill,
    live,
    log_of,
    prepare,
    processes,
)

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(300)]

BASE = f"/me/{OPEN_PORT}"
PROBE = f"{BASE.removeprefix('/')}/api"
WITH_TOKEN = {"Authorization": f"token {TOKEN}"}
PASSWORD = "open $(id) 'sesame' \\"


@pytest.mark.parametrize("listen", [Listen.SOCKET, Listen.ANY])
async def test_a_cell_runs_and_nothing_is_left(tmp_path: Path, listen: Listen) -> None:
    """The classic page lists the folder's files, a kernel runs a cell there, and TERM leaves nothing of it."""
    folder = tmp_path / "home" / "notes"
    folder.mkdir(parents=True)
    (folder / "today.txt").touch()
    house = build(tmp_path, "jupyter-host", listen, service_notebook_dir="~/notes")
    async with live(house, PROBE) as service:
        assert not service.path or service.private
        async with aiohttp.ClientSession(headers=WITH_TOKEN, connector=service.connector()) as client:
            async with client.get(f"{service.root}{BASE}/tree?token={TOKEN}") as answer:
                assert 200 == answer.status
                assert f'"baseUrl": "{BASE}/"' in await answer.text()
            async with client.get(f"{service.root}{BASE}/api/contents/") as answer:
                assert ["today.txt"] == [entry["name"] for entry in (await answer.json())["content"]]
            notebook = Notebook(base=f"{service.root}{BASE}/", client=client)
            code = "import os, subprocess\nsubprocess.Popen(['setsid', 'sleep', '600'])\nprint(os.getcwd())"
            assert f"{folder}\n" == await notebook.run(await notebook.kernel(), code)
        async with (
            aiohttp.ClientSession(connector=service.connector()) as client,
            client.get(f"{service.root}{BASE}/api/kernels") as answer,
        ):
            assert 403 == answer.status
        assert TOKEN not in command_lines()
        assert 143 == await ended(service.process)
        assert {} == processes(house)
    assert TOKEN not in log_of(house)
    assert not house.path("jupyter-runtime").exists()


@pytest.mark.parametrize("name", ["jupyter-host", "jupyterlab-host"])
async def test_a_password_lets_in_beside_the_token(tmp_path: Path, name: str) -> None:
    """Typed into the login page it opens the service, a wrong one does not, and the token still does."""
    house = build(tmp_path, name, service_password=PASSWORD)
    async with live(house, PROBE) as service:
        assert PASSWORD not in command_lines()
        for given, status in (("wrong", 401), (PASSWORD, 200)):
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
                async with client.get(f"{service.root}{BASE}/login") as answer:
                    found = re.search(r'name="_xsrf" value="([^"]+)"', await answer.text())
                assert found is not None
                form = {"_xsrf": found[1], "password": given}
                async with client.post(f"{service.root}{BASE}/login", data=form) as answer:
                    assert status == answer.status
                async with client.get(f"{service.root}{BASE}/api/kernels") as answer:
                    assert (200 if status == 200 else 403) == answer.status
        async with (
            aiohttp.ClientSession(headers=WITH_TOKEN) as client,
            client.get(f"{service.root}{BASE}/api/kernels") as answer,
        ):
            assert 200 == answer.status
        assert (await kill(house)).status == 0
    assert "sesame" not in log_of(house)
    assert {} == processes(house)


@pytest.mark.parametrize("name", ["jupyter-host", "jupyterlab-host"])
async def test_the_conda_environment_is_used(tmp_path: Path, name: str) -> None:
    """Its Jupyter runs, and kernels find it active."""
    program = {"jupyter-host": "jupyter-notebook", "jupyterlab-host": "jupyter-lab"}[name]
    other = build(tmp_path / "other", name)
    assert (await prepare(other)).status == 0
    real = other.path(f"service/{program}.path").read_text().strip()
    script = make_conda(tmp_path / "conda", **{program: real})
    house = build(tmp_path, name, service_conda_sh=script, service_conda_env="work")
    done = await prepare(house)
    assert (0, [f"using {tmp_path}/conda/envs/work/bin/{program}"]) == (done.status, done.lines)
    async with (
        live(house, PROBE) as service,
        aiohttp.ClientSession(headers=WITH_TOKEN, connector=service.connector()) as client,
    ):
        notebook = Notebook(base=f"{service.root}{BASE}/", client=client)
        code = "import os\nprint(os.environ['CONDA_PREFIX'])"
        assert f"{tmp_path}/conda/envs/work\n" == await notebook.run(await notebook.kernel(), code)


async def test_a_conda_that_is_not_there(tmp_path: Path) -> None:
    """It is a mistake where nothing may be installed; else the service's own environment takes its place."""
    script = make_conda(tmp_path / "conda")
    for given, trouble in (
        ({"service_conda_sh": "~/absent.sh"}, f"there is no file {tmp_path}/home/absent.sh (service_conda_sh)"),
        ({"service_conda_sh": script}, f"{script} (service_conda_sh) cannot activate base (service_conda_env)"),
    ):
        done = await prepare(build(tmp_path, "jupyter-host", Listen.LOOPBACK, **given))
        assert (1, f"{trouble}: correct it, leave it empty, or set service_conda_install to true") == (
            done.status,
            done.lines[-1],
        )
        house = build(tmp_path, "jupyter-host", Listen.LOOPBACK, **given, service_conda_install="true")
        done = await prepare(house)
        assert (0, True) == (
            done.status,
            f"{trouble}: an environment of this service's own takes its place" in done.lines,
        )
        assert house.path("service/jupyter-notebook.path").read_text().startswith(f"{ENVS}/notebook-")


async def test_an_environment_definition_is_installed_once(tmp_path: Path) -> None:
    """conda is given the form's text with its new lines, once; its trouble is told; without conda the remedy is."""
    program = tmp_path / "jupyter-lab"
    program.write_text("#!/bin/sh\necho 4.5.1\n")
    program.chmod(0o755)
    script = make_conda(tmp_path / "conda", jupyter_lab=str(program))
    given = {"advanced_options_install_instructions": "yaml", "advanced_options_yaml": "dependencies:\\n  - xarray"}
    conda = {"service_conda_sh": script, "service_conda_env": "work"}
    for expected in (["installing the conda environment", "installed the conda environment", "using"], ["using"]):
        done = await prepare(
            build(tmp_path, "jupyterlab-host", Listen.LOOPBACK, **given, **conda), SESSIOND_ENVS=str(tmp_path / "envs")
        )
        assert 0 == done.status
        assert len(expected) == len(done.lines)
        assert all(line.startswith(words) for line, words in zip(done.lines, expected, strict=True)), done.lines
    called = (tmp_path / "conda" / "called").read_text().splitlines()
    prefix = tmp_path / "conda" / "envs" / "work"
    assert f"env update --quiet --prefix {prefix} --file " == called[0][: -len(called[0].split()[-1])]
    assert ["dependencies:", "  - xarray"] == called[1:]
    for yaml, text, last in (
        ("- no-such-package", script, "ResolvePackageNotFound: Error: no-such-package): correct advanced_options_yaml"),
        ("", script, "advanced_options_yaml is empty: fill it in, or choose none"),
        ("- xarray", "", "set service_conda_sh to the etc/profile.d/conda.sh of one that exists"),
    ):
        given |= {"advanced_options_yaml": yaml}
        house = build(tmp_path, "jupyterlab-host", Listen.LOOPBACK, **given, **conda | {"service_conda_sh": text})
        done = await prepare(house, SESSIOND_ENVS=str(tmp_path / "envs"), CONDA_PREFIX="")
        assert (1, True) == (done.status, last in done.lines[-1]), done.lines
