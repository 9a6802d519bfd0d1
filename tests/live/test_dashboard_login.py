"""A login through the dashboard, to a login node that asks twice."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from tests.daemon.test_login import PASSWORD, Site, everything_written, site
from tests.live.browser import Browser, Page, kept
from tests.live.browsers import EACH

__all__ = ["site"]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
]

PILL = "[...document.querySelectorAll('.card')].find(e => e.textContent.includes('frontier')).querySelector('.pill')"


async def press(page: Page, label: str) -> None:
    """Press the button with a label, in the dialogue where there is one, once it is there."""
    button = (
        "[...(document.querySelector('dialog') ?? document).querySelectorAll('button')]"
        f".find(e => e.textContent === {label!r})"
    )
    await page.until(f"{button} && ({button}.click(), true)")


@EACH
async def test_what_the_cluster_asks_is_asked_in_the_page(site: Site, tmp_path: Path, browser: Browser) -> None:
    """Cancelled, it says so and nothing goes on; answered wrongly, it says so once; answered, the card says connected.
    No answer is written anywhere."""
    link = await anyio.to_thread.run_sync(site.workspace.client.dashboard)
    async with browser() as page:
        await page.go(link["url"])
        await page.until("document.querySelector('h1')?.textContent === 'Sessions'")
        await page.ask("location.hash = '#/clusters'")
        await page.until("document.querySelectorAll('.card').length === 2")
        await press(page, "Log in")
        await page.until("document.querySelector('dialog input[type=password]') !== null")
        await press(page, "Cancel")
        await page.until(f"document.querySelector('dialog') === null && {PILL}.textContent === 'needs you'")
        await press(page, "Log in")
        await page.until("document.activeElement.matches('dialog input[type=password]')")
        await page.type("wrong\n")
        await page.until(f"document.querySelector('dialog') === null && {PILL}.textContent === 'needs you'")
        # the card may say for a moment what it said before
        said = f"{PILL}.closest('.card').innerText.split('did not accept your answers').length - 1"
        await page.until(f"({said}) > 0")
        assert 1 == await page.ask(said)
        await kept(page, tmp_path, "dashboard-login-wrong")
        await press(page, "Log in")
        for turn in range(2):
            await page.until("document.activeElement.matches('dialog input[type=password]')")
            assert "password" in (await page.ask("document.querySelector('dialog label').textContent")).lower()
            await kept(page, tmp_path, f"dashboard-login-{turn + 1}")
            await page.type(f"{PASSWORD}\n")
            await page.until("!document.querySelector('dialog input')?.value")
        await page.until(f"document.querySelector('dialog') === null && {PILL}.textContent === 'connected'")
        await press(page, "Log out")
        await page.until(f"{PILL}.textContent !== 'connected'")
    assert PASSWORD.encode() not in everything_written(site.workspace.state)
    assert PASSWORD not in site.workspace.log.read_text()
