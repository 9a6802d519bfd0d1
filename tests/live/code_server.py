"""The real code-server, installed by the service's own script: `make test-code-server`.

Not part of `make test`, because npm takes some minutes and 800 MB.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio.to_thread
import pytest

from tests.daemon.traces import until
from tests.daemon.workspace import Workspace

from .bed.environments import ensure_environment
from .chromium import PROGRAM, chromium

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(900)]


async def test_a_file_is_opened_and_a_terminal_used(house: Workspace, tmp_path: Path) -> None:
    """The URL opens the folder without a question; a file's text is shown; a command in the terminal runs there."""
    assert PROGRAM is not None, "it needs Chromium"
    await anyio.to_thread.run_sync(lambda: ensure_environment("openvscode", service_install="true"))
    project = house.home / "project"
    project.mkdir()
    (project / "greeting.txt").write_text("hello from the file\n")
    settings = house.home / ".local" / "share" / "code-server" / "User" / "settings.json"
    settings.parent.mkdir(parents=True)
    # Nothing of what is asked of newcomers.
    quiet = {"security.workspace.trust.enabled": False, "workbench.startupEditor": "none"}
    # Terminals draw on a canvas otherwise, where no text can be read.
    settings.write_text(json.dumps({**quiet, "terminal.integrated.gpuAcceleration": "off"}))
    house.daemon()
    given = {"service_directory": str(project), "service_install": "true"}
    session = await anyio.to_thread.run_sync(lambda: house.start("openvscode", set=given))
    assert session["url"] is not None
    async with chromium() as page:
        await page.go(session["url"])
        labels = "[...document.querySelectorAll('.explorer-folders-view .label-name')]"
        label = f"{labels}.find(one => one.innerText == 'greeting.txt')"
        await page.until(f"!!{label}")
        assert "token=" not in await page.ask("location.href")
        box = await page.ask(f"(() => {{ const b = {label}.getBoundingClientRect(); return [b.x + 5, b.y + 5] }})()")
        for kind in ("mousePressed", "mouseReleased"):
            await page.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        shown = "document.querySelector('.editor-instance .view-lines')?.innerText.replaceAll('\\u00a0', ' ')"
        await page.until(f"{shown}?.includes('hello from the file')")
        control = {"key": "`", "code": "Backquote", "windowsVirtualKeyCode": 192, "modifiers": 2}
        await page.send("Input.dispatchKeyEvent", type="keyDown", **control)
        await page.send("Input.dispatchKeyEvent", type="keyUp", **control)
        rows = "document.querySelector('.terminal .xterm-rows')?.innerText.replaceAll('\\u00a0', ' ')"
        await page.until(f"/[$#] *$/.test({rows}?.trimEnd() ?? '')")
        await page.ask("document.querySelector('.terminal .xterm-helper-textarea').focus()")
        await page.type("echo $((6 * 7)) > answer.txt; sleep 600\n")
        await anyio.to_thread.run_sync(
            lambda: until(lambda: (project / "answer.txt").exists(), "the terminal answers", 60)
        )
        await page.picture(tmp_path / "vscode.png")
        assert (tmp_path / "vscode.png").stat().st_size > 20_000
    await anyio.to_thread.run_sync(lambda: house.stop(session["name"]))
    assert [] == house.traces(session)
