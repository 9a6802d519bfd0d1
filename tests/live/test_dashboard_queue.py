"""The dashboard while a real Slurm cluster is full: why a session waits, more time for it, and the end of its time."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from .bed import LOGIN, Cluster
from .bed.person import person
from .browser import Browser, Page, kept
from .browsers import FIREFOX
from .scenario import add_where, ended, job_of
from .test_dashboard import press

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(400)]

WORDS = "document.querySelector('.words').innerText"
PILL = "document.querySelector('.pill').textContent"


async def more_time(page: Page, amount: str) -> None:
    """Press Extend, and ask for so much."""
    await press(page, "Extend")
    await page.until("document.activeElement.matches('dialog input')")
    await page.type(f"{amount}\n")
    await page.until("document.querySelector('dialog') === null")


@pytest.mark.parametrize("browser", [FIREFOX])
async def test_a_session_waits_runs_and_its_time_is_over(cluster: Cluster, browser: Browser, tmp_path: Path) -> None:
    """Its reason and expected start are words; more time is given or refused in words; each change comes by itself."""
    with person(cluster, start=False) as me:
        add_where(me)
        await anyio.to_thread.run_sync(me.daemon)
        blocker = cluster.submit("sleep 600", "--exclusive", "--nodelist=node1", "--time=30")
        cluster.until_running(blocker)
        me.client.start(
            {"service": "where", "cluster": "bed", "name": "q", "time": "20", "directives": ["--nodelist=node1"]}
        )
        link = await anyio.to_thread.run_sync(me.client.dashboard)
        async with browser() as page:
            await page.go(link["url"])
            await page.until(f"{WORDS}.includes('Expected to start in ')")
            await page.ask("window.stays = true")
            assert "in the queue" == await page.ask(PILL)
            session = await anyio.to_thread.run_sync(me.client.session, "q")
            reason = session["queue_reason"]
            assert reason is not None
            await page.until(f"{WORDS}.toLowerCase().includes({reason.lower()!r})")
            await kept(page, tmp_path, "dashboard-queue")
            await page.ask("document.querySelector('h3 a').click()")
            await page.until(f"document.querySelector('h1')?.textContent === 'q' && {WORDS}.includes('Expected')")

            # the partition gives an hour at most
            await more_time(page, "2h")
            await page.until("document.querySelector('.problem')?.innerText.includes('does not give more time')")
            assert "administrators" in await page.ask("document.querySelector('.problem .hint').textContent")
            await more_time(page, "10m")
            await page.until("document.querySelector('.granted')?.innerText.includes('raised')")
            assert "raised" in await page.ask("document.getElementById('news').textContent")
            assert "00:30:00" == cluster.job(job_of(session))["TimeLimit"]

            cluster.sh(LOGIN, "scancel", blocker)
            await page.until(f"{PILL} === 'running' && {WORDS}.includes('Time left: 2')")
            assert await page.ask("document.querySelector('.granted') === null")
            await more_time(page, "10m")
            await page.until("document.querySelector('.problem')?.innerText.includes('does not give more time')")
            await kept(page, tmp_path, "dashboard-refused")

            cluster.sh(LOGIN, "scontrol", "update", f"JobId={job_of(session)}", "TimeLimit=14")
            await anyio.to_thread.run_sync(me.ctl, "ls", "--fresh")
            await page.until("document.querySelector('.left.soon')?.textContent.startsWith('Ends in ')")
            await page.until("document.getElementById('news').textContent === 'q ends soon'")
            cluster.sh(LOGIN, "scontrol", "update", f"JobId={job_of(session)}", "EndTime=now+1")
            await anyio.to_thread.run_sync(cluster.until_ended, job_of(session))
            # of what runs a look is taken once a minute only
            await anyio.to_thread.run_sync(me.ctl, "ls", "--fresh")
            await page.until(f"{PILL} === 'time was over'")
            await page.until(f"{WORDS}.includes('its time limit')")
            assert await page.ask("document.querySelector('.problem .hint') === null")
            await page.until("document.querySelector('.story')?.textContent.includes('time')")
            await kept(page, tmp_path, "dashboard-walltime")
            await anyio.to_thread.run_sync(lambda: ended(me, cluster, "q", "walltime", killed=True))
            await press(page, "Restart")
            await page.until(f"{PILL} === 'running'")
            again = await anyio.to_thread.run_sync(me.client.session, "q")
            assert again["id"] != session["id"]
            assert ("node1", "00:20:00") == (again["node"], cluster.job(job_of(again))["TimeLimit"])
            assert await page.ask("window.stays")
        assert 0 == (await anyio.to_thread.run_sync(me.ctl, "stop", "q")).status
