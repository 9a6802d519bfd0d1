"""Services in containers as a person has them: through the daemon and the gateway, here and on a node of a cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import anyio.to_thread
import pytest

from sessiond.api.wire import Session
from tests.daemon.traces import marked
from tests.daemon.workspace import Workspace, fetch
from tests.live.chromium import PROGRAM, chromium
from tests.services.engines import make_engine
from tests.services.images import add_program, make_image, make_image_of_the_host
from tests.services.visualizer_stand_in import PAGE

from .bed import LOGIN, NODES, Cluster
from .bed.person import person
from .scenario import ended, of_job, page

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("ch-run") is None, reason="ch-run is not installed (charliecloud-runtime)"),
]

SERVE = "exec httpd -f -p $SESSIOND_BIND:$PORT -h /srv"
SAID = "<title>a page of the image</title>"


def test_a_container_on_this_machine(house: Workspace) -> None:
    """It is started, opened through the gateway, found alive by another daemon, and stopped with nothing left."""
    image = make_image(house.root / "image")
    first = house.daemon()
    params = {"service_docker_repo": str(image), "service_container_cmd": SERVE}
    session = house.start("nginx-docker", set=params)
    assert (200, SAID) == fetch(session["url"] or "")
    first.kill()
    house.daemon()
    again = house.until(session["id"], "running")
    assert (200, SAID) == fetch(again["url"] or "")
    assert "cancelled" == house.stop(session["name"])["outcome"]
    assert [] == house.traces(again)


def test_a_container_ends_though_all_of_its_session_was_killed(house: Workspace) -> None:
    """It is no process of the session, so what kills those does not reach it; the daemon sees to it that it ends."""
    engine = make_engine(house.root, house.env, "docker")
    try:
        house.daemon()
        session = house.start("nginx-docker")
        assert {f"sd-{session['id']}"} == engine.containers()
        # Once, and not until none is left: the kill script, which the daemon then starts, bears the mark, too.
        for line in marked(f"SESSIOND_TAG=sd-{session['id']}"):
            # one may end by itself, or because another one did
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        assert "failed" == house.cleaned(session["id"])["outcome"]
        assert set() == engine.containers()
    finally:
        engine.close()


def test_a_container_on_a_node_and_on_the_login_node(cluster: Cluster) -> None:
    """An ordinary user runs an image of theirs where the scheduler says, and on the login node; both end whole."""
    with person(cluster) as me:
        image = make_image(cluster.home() / "image")
        subprocess.run(["chown", "-R", "--reference", str(cluster.home()), str(image)], check=True, timeout=20)
        params = {"service_docker_repo": "~/image", "service_container_cmd": SERVE}
        modes = {"slurm": NODES, "controller": (LOGIN,)}
        for mode in modes:
            me.client.start(
                {"service": "nginx-docker", "cluster": "bed", "mode": mode, "name": mode, "time": "30", "set": params}
            )
        for mode, hosts in modes.items():
            session = me.until(mode, "running")
            assert SAID == page(session)
            running = {host for host in hosts for one in of_job(cluster, host, session) if one.name == "httpd"}
            assert 1 == len(running), session
        assert 0 == me.ctl("stop", *modes).status
        for mode in modes:
            ended(me, cluster, mode, "cancelled")


def test_an_image_that_is_not_on_the_node_is_told(cluster: Cluster) -> None:
    """The sentence of the node is what the person reads."""
    with person(cluster) as me:
        params = {"service_docker_repo": "~/absent"}
        me.client.start({"service": "nginx-docker", "cluster": "bed", "name": "no", "time": "30", "set": params})
        session = ended(me, cluster, "no", "failed")
        assert session["problem"] is not None
        assert f"absent on {session['node']}: set service_docker_repo to " in session["problem"]["message"]


@pytest.mark.anyio
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
async def test_pages_take_their_secret_from_the_address(house: Workspace) -> None:
    """Whoever opens a session's address is signed in to RStudio; ParaView's page finds its server and its secret."""
    house.daemon()
    root = house.root

    def start(service: str) -> Session:
        image, mounts = images[service]
        return house.start(service, set={"service_path_to_sing": str(image), "service_mount_dirs": mounts})

    images = {"r-singularity": rstudio(root / "r"), "pvweb-singularity": paraview(root / "pv")}
    sessions = [await anyio.to_thread.run_sync(start, service) for service in images]
    async with chromium() as tab:
        await tab.go(sessions[0]["url"] or "")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: ASYNC221
        assert await tab.until(f"document.title === 'welcome {user}'")
        await tab.go(sessions[1]["url"] or "")
        told = await tab.until("document.title.startsWith('{') && JSON.parse(document.title)")
        base = (sessions[1]["url"] or "").split("?")[0]
        secret = (sessions[1]["url"] or "").split("#secret=")[1]
        assert {"sessionURL": base.replace("http", "ws") + "ws", "secret": secret} == told
    log = await anyio.to_thread.run_sync(lambda: house.ctl("logs", sessions[1]["name"]).out)
    assert f"data {house.home} secret ..." in log or "data /home/tester secret ..." in log
    for session in sessions:
        assert "cancelled" == (await anyio.to_thread.run_sync(house.stop, session["name"]))["outcome"]
    assert [] == house.traces(*sessions)


def rstudio(root: Path) -> tuple[Path, str]:
    """An image with a stand-in for RStudio Server, and the words that mount what it needs."""
    image, mounts = make_image_of_the_host(root)
    add_program(image, "usr/local/bin/rserver", "rserver_stand_in.py")
    return image, mounts


def paraview(root: Path) -> tuple[Path, str]:
    """An image with a stand-in for ParaView and its Visualizer, and the words that mount what it needs."""
    image, mounts = make_image_of_the_host(root)
    paraview = "opt/paraview/install"
    visualizer = f"{paraview}/share/paraview-5.6/web/visualizer"
    for folder in (f"{visualizer}/www", f"{paraview}/bin"):
        (image / folder).mkdir(parents=True)
    (image / visualizer / "www/index.html").write_text(PAGE)
    (image / paraview / "bin/pvpython").symlink_to("/usr/bin/python3")
    add_program(image, f"{visualizer}/server/pvw-visualizer.py", "visualizer_stand_in.py")
    return image, mounts
