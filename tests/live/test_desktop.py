"""A desktop as a person has it: in a real browser, here and on a compute node, alive whatever dies.

What the browser shows is kept in the folder that the variable SESSIOND_SCREENSHOTS names, for people to look at.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio.to_thread
import pytest

from tests.daemon.traces import until
from tests.daemon.workspace import Workspace

from .bed import NODES, Cluster
from .bed.environments import ensure_environment
from .bed.person import person
from .chromium import PROGRAM, Page, chromium
from .scenario import ended, folder

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not shutil.which("Xtigervnc") or not shutil.which("openbox"), reason="no TigerVNC or openbox"),
]

COLOUR = "#7a1fa2"
CANVAS = "document.querySelector('#noVNC_container canvas')"
CONNECTED = "document.documentElement.classList.contains('noVNC_connected')"
# How many pixels have the colour of the program's window.
SHOWN = f"""(() => {{
  const canvas = {CANVAS};
  if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if ((data[i] << 16 | data[i + 1] << 8 | data[i + 2]) === 0x{COLOUR[1:]}) count++;
  return count;
}})()"""
WIDTH = f"{CANVAS}.width === document.querySelector('#noVNC_container').clientWidth"


def program(said: str) -> str:
    """A terminal with a colour of its own that puts every line which is typed into a file."""
    script = f'echo "This is $(hostname)"; while read -r line; do echo "$line" >> {said}; done'
    return f"xterm -fa Monospace -fs 14 -T 'A program' -geometry 60x12 -bg '{COLOUR}' -fg white -e bash -c '{script}'"


async def opened(page: Page, url: str, picture: Path) -> None:
    """Open a desktop, wait until its program's window is there in the size of the browser, and keep what is seen."""
    await page.go(url)
    await page.until(CONNECTED)
    await page.until(WIDTH)
    await page.until(f"{SHOWN} > 100000")
    assert "token=" not in await page.ask("location.href")
    await kept(page, picture)


async def kept(page: Page, picture: Path) -> None:
    """Keep what the browser shows, once nothing of noVNC's own fades over it."""
    seen = "checkVisibility({opacityProperty: true, visibilityProperty: true})"
    await page.until(f"!document.querySelector('#noVNC_transition').{seen}")
    await page.picture(picture)
    if wanted := os.environ.get("SESSIOND_SCREENSHOTS"):
        await anyio.Path(wanted).mkdir(parents=True, exist_ok=True)
        await anyio.to_thread.run_sync(shutil.copy, picture, wanted)


async def typed(page: Page, said: Path, line: str) -> None:
    """Type a line, and wait until the program has it."""
    await page.press(f"{line}\n")
    await anyio.to_thread.run_sync(until, lambda: said.exists() and line in said.read_text(), f"{line} is typed")


async def test_a_desktop_and_the_same_page_after_kill_9(house: Workspace, tmp_path: Path) -> None:
    """A program is seen and typed into; the daemon is killed, and the open page comes back by itself."""
    first = house.daemon()
    said = house.root / "said"
    wanted = {"service_desktop": "openbox", "service_bin": program(str(said)), "service_novnc_dir": "install"}
    session = await anyio.to_thread.run_sync(lambda: house.start("turbovnc", set=wanted))
    assert session["url"] is not None
    assert session["service_path"] is not None
    async with chromium() as page:
        await opened(page, session["url"], tmp_path / "desktop-here.png")
        await typed(page, said, "before the daemon dies")
        first.kill()
        await page.until(f"!{CONNECTED}")
        house.daemon()
        again = await anyio.to_thread.run_sync(lambda: house.until(session["id"], "running"))
        assert session["url"] == again["url"]
        await page.until(f"{CONNECTED} && {SHOWN} > 100000")
        await typed(page, said, "after it")
        await kept(page, tmp_path / "desktop-after-kill-9.png")
    async with chromium() as page:
        await opened(page, session["url"], tmp_path / "desktop-elsewhere.png")
        await typed(page, said, "from another browser")
    stopped = await anyio.to_thread.run_sync(lambda: house.stop(session["name"]))
    assert "cancelled" == stopped["outcome"]
    assert [] == house.traces(again)


async def test_a_desktop_on_a_compute_node(cluster: Cluster, tmp_path: Path) -> None:
    """In a batch job, where no login has made a runtime folder or a message bus; through a form, with its program."""
    await anyio.to_thread.run_sync(ensure_environment, "turbovnc")
    with person(cluster) as me:
        said = cluster.home() / "said"
        values = ("--set", f"service.bin={program('$HOME/said')}", "--set", "service.desktop=openbox")
        start = (
            "start",
            "turbovnc/desktop",
            "--on",
            "bed",
            "--mode",
            "slurm",
            "--time",
            "30",
            "--name",
            "desk",
            *values,
        )
        done = await anyio.to_thread.run_sync(me.ctl, *start)
        assert 0 == done.status, done.err + me.log.read_text()
        session = me.client.session("desk")
        assert session["node"] in NODES
        assert session["url"] is not None
        async with chromium() as page:
            await opened(page, session["url"], tmp_path / "desktop-node.png")
            await typed(page, said, "on a node")
        log = (folder(cluster, session) / "logs.out").read_text()
        assert "rror" not in log.replace("Fatal IO error", ""), log
        stopped = await anyio.to_thread.run_sync(me.ctl, "stop", "desk")
        assert 0 == stopped.status, stopped.err
        await anyio.to_thread.run_sync(lambda: ended(me, cluster, "desk", "cancelled"))
        left = cluster.sh(str(session["node"]), "find", "/tmp", "-name", ".X*-lock", "-o", "-path", "/tmp/.X11-unix/X*")
        assert "" == left.stdout
