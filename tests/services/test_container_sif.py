"""Images of Apptainer: how it is called, how images are fetched, who may come in, and what is told when it cannot be.

Apptainer is not in Debian, so a stand-in is called that writes down how. Unpacked images are run by a real ch-run.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.engines import check_golden, make_engine, without_runtimes
from tests.services.house import PATIENCE_S, SERVICES, TOKEN, build, log_of, prepare, session
from tests.services.visualizer_stand_in import PAGE

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(120)]

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("jupyter-singularity", "r-singularity", "pvweb-singularity")
PASSWORD = "a word of one's own"


def whoami() -> str:
    """Whose session it is."""
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def lets_in(helper: Path, user: str, password: str) -> bool:
    """What RStudio's helper says."""
    return subprocess.run([helper, user], input=password, text=True, check=False).returncode == 0


@pytest.mark.parametrize("program", ["apptainer", "singularity"])
@pytest.mark.parametrize("service", NAMES)
async def test_the_command_line_is_this_one(tmp_path: Path, service: str, program: str) -> None:
    """What is run is, word for word, what is kept in golden/; secrets reach it by its environment or by files."""
    image = tmp_path / "image.sif"
    image.touch()
    mounts = "___-B___/usr:/srv/usr:ro___"
    params = {"service_path_to_sing": str(image), "service_mount_dirs": mounts, "service_use_gpus": "true"}
    if service != "pvweb-singularity":
        params["service_password"] = PASSWORD
    house = build(tmp_path, service, Listen.LOOPBACK, **params)
    runtime = make_engine(tmp_path, house.environment, program)
    assert (await prepare(house)).status == 0
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == 0, log_of(house)
    (call,) = runtime.calls(program, "exec")
    port = house.path("endpoint").read_text().split("port=")[1].split()[0]
    known = {"IMAGE": str(image), "--server-user=USER": f"--server-user={whoami()}"}
    if service == "pvweb-singularity":
        known["INSIDE"] = (SERVICES / service / "inside.sh").read_text().rstrip("\n")
    assert program == call.words[0]
    check_golden(GOLDEN / f"{service}.apptainer", ["PROGRAM", *call.words[1:]], house, port, **known)
    assert not any(secret in word for secret in (TOKEN, PASSWORD) for word in call.words)
    variables = call.stdin.split("\0")
    wanted = {"jupyter-singularity": "JUPYTER_TOKEN", "pvweb-singularity": "CONTAINER_SECRET"}.get(service)
    assert wanted is None or f"{wanted}={TOKEN}" in variables
    assert not any(word.startswith(("service_token=", "service_password=")) for word in variables)


async def test_an_image_of_a_registry_is_fetched_once(tmp_path: Path) -> None:
    """docker://NAME becomes a file that all sessions use; what could not be fetched is fetched the next time."""
    image = "docker://quay.io/jupyter/base-notebook:latest"
    house = build(tmp_path, "jupyter-singularity", service_path_to_sing=image)
    runtime = make_engine(tmp_path, house.environment, "apptainer")
    envs = {"SESSIOND_ENVS": str(tmp_path / "envs")}
    runtime.fails("unreachable")
    done = await prepare(house, **envs)
    assert done.status == 1
    assert done.lines[-1].startswith(
        f"{image} could not be fetched (FATAL: no such host): correct service_path_to_sing"
    )
    (runtime.folder / "unreachable").unlink()
    assert (await prepare(house, **envs)).lines[-1] == f"fetched {image}"
    (kept,) = (tmp_path / "envs/images").glob("*.sif")
    assert f"{kept}\n" == house.path("service/image.path").read_text()
    assert (await prepare(house, **envs)).lines == []
    assert len(runtime.calls("apptainer", "pull")) == 2


@pytest.mark.parametrize("service", NAMES)
async def test_what_cannot_be_run_is_told(tmp_path: Path, service: str) -> None:
    """An image that is not there, and no runtime: each in the preparation, and where it runs."""
    host = os.uname().nodename
    absent, there = f"{tmp_path}/absent.sif", tmp_path / "image.sif"
    there.touch()
    none = "apptainer is not installed, and singularity is not installed; load one"
    for path, expected in (
        (absent, f"There is no image {absent} on {host}: set service_path_to_sing to one"),
        ("/contrib/${USER}/r.sif", f"There is no image /contrib/somebody/r.sif on {host}: set"),
        (str(there), f"No container can be run on {host}: {none}"),
    ):
        house = build(tmp_path, service, service_path_to_sing=path)
        house.environment["PATH"] = str(without_runtimes(tmp_path, house.environment))
        house.environment["USER"] = "somebody"
        done = await prepare(house)
        assert done.status == 1
        assert done.lines[-1].startswith(expected)
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert await process.wait() == 1
        assert house.path("failure").read_text().startswith(expected)


async def test_rstudio_asks_for_the_password(tmp_path: Path) -> None:
    """What RStudio asks lets in the session's user with the right password, and nobody else; its files are private."""
    image = tmp_path / "image.sif"
    image.touch()
    house = build(tmp_path, "r-singularity", service_path_to_sing=str(image))
    runtime = make_engine(tmp_path, house.environment, "apptainer")
    (runtime.folder / "keeping").write_text("rstudio")
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == 0
    kept = runtime.folder / "rstudio"
    assert {0o700, 0o600} == {stat.S_IMODE(path.stat().st_mode) for path in (kept, *kept.rglob("*"))}
    user = whoami()
    for name, password, expected in (
        (user, TOKEN, True),
        (user, f"{TOKEN}\n", True),
        (user, TOKEN[:-1], False),
        (user, "", False),
        ("somebody", TOKEN, False),
    ):
        assert (name, password, expected) == (name, password, lets_in(kept / "pam-helper", name, password))
    (kept / "password").write_text("")
    assert not lets_in(kept / "pam-helper", user, "")
    assert f'user.value = "{user}"' in (kept / "sign-in.html").read_text()


def test_a_page_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """A Visualizer whose page connects in a way that is not known is not started."""
    (tmp_path / "visualizer/www").mkdir(parents=True)
    (tmp_path / "visualizer/www/index.html").write_text("<script>Other.begin()</script>")
    program = SERVICES / "pvweb-singularity/visualizer.py"
    words = ["python3", str(program), str(tmp_path), str(tmp_path / "visualizer")]
    env = {**os.environ, "CONTAINER_SECRET": TOKEN}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The Visualizer of this image cannot be told where its server is: ")


def test_a_secret_may_begin_with_a_dash(tmp_path: Path) -> None:
    """The Visualizer's server is given the secret as it is, whatever it begins with; its page is changed in a copy."""
    visualizer = tmp_path / "visualizer"
    for name in ("www", "server"):
        (visualizer / name).mkdir(parents=True)
    (visualizer / "www/index.html").write_text(PAGE)
    stand_in = Path(__file__).with_name("visualizer_stand_in.py").read_text()
    told = 'print("secret", PARSER.parse_args().authKey)'
    (visualizer / "server/pvw-visualizer.py").write_text(stand_in.split("if __name__")[0] + told)
    program = SERVICES / "pvweb-singularity/visualizer.py"
    options = [
        "--data",
        "/",
        "--port",
        "1",
        "--timeout",
        "1",
        "--viewport-max-width",
        "1",
        "--viewport-max-height",
        "1",
    ]
    words = ["python3", str(program), str(tmp_path), str(visualizer), *options]
    env = {**os.environ, "CONTAINER_SECRET": "-x_y"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert ("secret -x_y\n", "") == (done.stdout, done.stderr)
    assert "Visualizer.connect.call(null, sessiond, {" in (tmp_path / "www/index.html").read_text()
