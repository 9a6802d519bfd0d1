"""The dashboard and a real Slurm cluster: a form is filled in, a notebook computes in a job, and is stopped."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.live.browser import kept
from tests.live.chromium import PROGRAM, chromium

from .bed import NODES, Cluster
from .bed.environments import ensure_environment
from .bed.person import person
from .scenario import ended
from .test_dashboard import FIELD, press, put

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

CONNECTED = (
    "fetch(location.pathname.split('/lab')[0] + '/api/kernels').then((got) => got.json())"
    ".then((found) => found.some((one) => one.connections === 1 && one.execution_state === 'idle'), () => false)"
)
IDLE = "[...document.querySelectorAll('.jp-StatusBar-TextItem')].some((one) => one.textContent.endsWith('| Idle'))"
NOTEBOOK = '.jp-LauncherCard[data-category="Notebook"]'


async def test_a_notebook_in_a_job_from_its_form_to_its_end(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing is reloaded: the form becomes a job, its card follows it to a node, the notebook there runs a cell."""
    await anyio.to_thread.run_sync(ensure_environment, "jupyterlab-host")
    with person(cluster) as me:
        done = await anyio.to_thread.run_sync(lambda: me.ctl("dashboard", "--print"))
        assert 0 == done.status, done.err
        async with chromium() as page:
            await page.resize(1200, 800)
            await page.go(done.out.strip())
            await page.until("document.querySelector('h1')?.textContent === 'Sessions'")
            await page.ask("window.stays = true")
            await press(page, "New session")
            await page.until("[...document.querySelectorAll('h3')].some(e => e.textContent === 'JupyterLab')")
            await kept(page, tmp_path, "dashboard-new")
            await press(page, "JupyterLab")
            await page.until("document.querySelector('h1')?.textContent === 'JupyterLab'")
            await put(page, "Name", "lab")
            await put(page, "Cluster", "bed")
            # What the chosen cluster can do, and what a job is asked for, appear as one chooses.
            await page.until("document.querySelector('option[value=SLURM]') !== null")
            await put(page, "How", "SLURM")
            await page.until(f"{FIELD.format('Time')} !== undefined")
            await put(page, "Time", "20")
            await page.until("document.querySelector('[aria-invalid]') === null")
            await kept(page, tmp_path, "dashboard-form")
            await press(page, "Start")
            await page.until("document.querySelector('h1')?.textContent === 'lab'")
            await page.until("document.querySelector('.pill').textContent === 'running'")
            session = await anyio.to_thread.run_sync(me.client.session, "lab")
            assert session["node"] in NODES
            assert "slurm" == session["mode"]
            assert session["url"] is not None
            await page.until(f"document.body.innerText.includes({session['node']!r})")
            await kept(page, tmp_path, "dashboard-session")
            await page.ask("document.getElementById('tab-log').click()")
            await page.until("document.querySelector('[role=log]')?.textContent.includes('Jupyter Server')")
            dashboard = await page.ask("location.origin")
            await page.ask("[...document.querySelectorAll('a')].find(e => e.textContent.startsWith('Open')).focus()")
            await page.key("Enter")
            await page.turn_to(session["url"].partition("?")[0])
            await page.until(f"document.querySelector('{NOTEBOOK}') !== null")
            await page.ask(f"document.querySelector('{NOTEBOOK}').click()")
            # What is run before the kernel has told of itself over the page's own connection is not run at all.
            await page.until(CONNECTED)
            await page.until(IDLE)
            # it has the keyboard by itself, once it is ready for it
            await page.until("document.activeElement.matches('.jp-Notebook.jp-mod-editMode .cm-content')")
            await page.type("import platform; print('it is', platform.node())")
            await page.until("document.activeElement.textContent.endsWith('platform.node())')")
            await page.key("Shift+Enter")
            output = "document.querySelector('.jp-OutputArea-output')?.textContent.trim()"
            await page.until(f"{output} === 'it is {session['node']}'")
            await kept(page, tmp_path, "dashboard-notebook")
            await page.turn_to(dashboard)
            await press(page, "Stop")
            await press(page, "Stop it")
            await page.until("document.querySelector('.pill').textContent === 'stopped'")
            assert await page.ask("window.stays")
        await anyio.to_thread.run_sync(lambda: ended(me, cluster, "lab", "cancelled"))
