"""The preparation of a service: its own environment, made once, whole, and by one session at a time."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.services.house import Ended, House, build, prepare

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(300)]

NO_INDEX = {
    # Port 9 of the machine itself: nobody listens there.
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_RETRIES": "1",
}


def environments(envs: Path) -> list[Path]:
    """The environments in ``envs``, whole or not."""
    return [path for path in envs.iterdir() if path.is_dir()]


async def test_two_at_once_make_one_environment(tmp_path: Path) -> None:
    """Of two sessions that find nothing, one installs and the other waits; both then use the same environment."""
    houses = [build(tmp_path / name, "webshell") for name in ("one", "two")]
    envs = tmp_path / "envs"
    results: list[Ended] = []

    async def run(house: House) -> None:
        results.append(await prepare(house, SESSIOND_ENVS=str(envs)))

    async with anyio.create_task_group() as group:
        for house in houses:
            group.start_soon(run, house)
    assert [0, 0] == [result.status for result in results]
    lines = sorted(line for result in results for line in result.lines)
    assert lines == [
        "another session is installing the web shell: waiting for it ...",
        "installed the web shell",
        "installing the web shell (the first time takes a minute) ...",
    ]
    (venv,) = environments(envs)
    assert [f"{venv}\n"] * 2 == [house.path("service/webshell.path").read_text() for house in houses]
    assert {"index.js", "xterm.css"} == {path.name for path in (venv / "static").iterdir()}
    assert not (venv / ".tmp").exists()


async def test_a_half_made_environment_is_never_used(tmp_path: Path) -> None:
    """What an interrupted installation left is made anew; a whole environment is used without a word."""
    house = build(tmp_path, "webshell")
    envs = tmp_path / "envs"
    assert (await prepare(house, SESSIOND_ENVS=str(envs))).status == 0
    (venv,) = environments(envs)
    assert Ended(status=0) == await prepare(house, SESSIOND_ENVS=str(envs))
    (venv / ".complete").unlink()
    (venv / "bin" / "python").unlink()
    again = await prepare(house, SESSIOND_ENVS=str(envs))
    assert (again.status, again.lines[-1]) == (0, "installed the web shell")
    assert [venv] == environments(envs)
    assert (venv / "bin" / "python").exists()


@pytest.mark.parametrize(("service", "title"), [("jupyterlab-host", "JupyterLab"), ("webshell", "the web shell")])
async def test_without_an_index_the_last_line_says_so(tmp_path: Path, service: str, title: str) -> None:
    """Where pip reaches no index, the last line is one sentence with the cause and the remedy; nothing half is left."""
    house = build(tmp_path, service)
    envs = tmp_path / "envs"
    result = await prepare(house, SESSIOND_ENVS=str(envs), **NO_INDEX)
    assert result.status == 1
    assert result.lines[-1].startswith(f"{title} could not be installed (pip got nothing from its package index): set ")
    assert "PIP_INDEX_URL" in result.lines[-1]
    assert [] == environments(envs)


async def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    """Where the environments' folder cannot be made, the last line names it."""
    (tmp_path / "file").touch()
    house = build(tmp_path, "webshell")
    result = await prepare(house, SESSIOND_ENVS=f"{tmp_path}/file/envs")
    assert (result.status, f"{tmp_path}/file/envs cannot be made" in result.lines[-1]) == (1, True)


async def test_a_jupyter_of_ones_own_is_used(tmp_path: Path) -> None:
    """`service_jupyter` is used as it is; one too old, or none, is refused by name; one on PATH is found."""
    own = tmp_path / "home" / "bin" / "jupyter-lab"
    own.parent.mkdir(parents=True)
    for version, status in (("4.1.0", 0), ("3.6.7", 1), ("", 1)):
        own.write_text(f"#!/bin/sh\necho {version}\n")
        own.chmod(0o700)
        house = build(tmp_path, "jupyterlab-host", service_jupyter="~/bin/jupyter-lab")
        result = await prepare(house)
        assert (version, status) == (version, result.status)
        if status:
            assert result.lines == [
                f"{own} (service_jupyter) is not a JupyterLab 4 or newer that runs: correct it, or leave it empty"
            ]
    own.write_text("#!/bin/sh\necho 4.5.1\n")
    house = build(tmp_path, "jupyterlab-host", service_load_env=f"PATH={own.parent}:$PATH")
    assert Ended(status=0, lines=[f"using {own}"]) == await prepare(house)
    assert f"{own}\n" == house.path("service/jupyter-lab.path").read_text()
