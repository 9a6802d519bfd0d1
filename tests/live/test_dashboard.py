"""The dashboard as a person uses it, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.daemon.workspace import Workspace
from tests.live.browser import Browser, Page, kept
from tests.live.browsers import CHROMIUM, EACH, FIREFOX
from tests.live.chromium import chromium

AXE = files("axe_core_python") / "axe.min.js"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
]

FORM = """<tool id="probe" name="Probe"><inputs>
<section name="service" type="section" title="Page">
  <param name="name" type="hidden" value="pages"/>
  <param name="word" type="text" label="Word" value="hello" help="What the page says"/>
  <conditional name="kind_cond">
    <param name="kind" type="select" label="Kind">
      <option value="plain">Plain</option><option value="fine">Fine</option>
    </param>
    <when value="fine"><param name="size" type="integer" label="Size" value="3" min="1" max="9"/></when>
  </conditional>
</section></inputs></tool>
"""
SCRIPT = """echo "it says $service_word, $service_kind, ${service_size:-no size}"
echo '<img src=x onerror=document.title=1><b>bold</b>'
printf '\\033[31mred\\033[0m\\n'
echo "$service_word" > index.html
python3 -m http.server --bind 127.0.0.1 $servicePort
"""
SEEN = "[...document.querySelectorAll('{}')].find(e => e.checkVisibility() && e.textContent.startsWith({!r}))"
PRESSED = SEEN.replace("{}", "button, a")
FIELD = SEEN.replace("{}", ".field")


@asynccontextmanager
async def opened(house: Workspace, browser: Browser = chromium, *, dark: bool = False) -> AsyncIterator[Page]:
    """A browser with the dashboard of a daemon that has a service with a form."""
    folder = house.services / "pages"
    (folder / "workflows").mkdir(parents=True)
    (folder / "start-template.sh").write_text(SCRIPT)
    (folder / "workflows" / "probe.xml").write_text(FORM)
    house.daemon()
    done = await anyio.to_thread.run_sync(lambda: house.ctl("dashboard", "--print"))
    assert 0 == done.status, done.err
    async with browser(dark=dark) as page:
        await page.go(done.out.strip())
        await page.until("document.querySelector('h1')?.textContent === 'Sessions'")
        yield page


async def press(page: Page, words: str) -> None:
    """Press the button or link whose text begins so, once it is there."""
    await page.until(f"{PRESSED.format(words)} && ({PRESSED.format(words)}.click(), true)")


async def put(page: Page, label: str, value: str) -> None:
    """Type a value into the field with a label."""
    field = f"{FIELD.format(label)}.querySelector('input, select')"
    await page.ask(
        f"{{ const it = {field}; it.value = {value!r}; it.dispatchEvent(new Event('input', {{bubbles: true}})); }}"
    )


@EACH
async def test_a_session_from_its_form_to_its_end(house: Workspace, browser: Browser) -> None:
    """Nothing is reloaded: the form shows and hides, complains at its fields, starts; the card follows to the end."""
    async with opened(house, browser) as page:
        assert "key=" not in await page.ask("location.href")
        await page.ask("window.stays = true")
        await press(page, "New session")
        await page.until("[...document.querySelectorAll('h3')].some(e => e.textContent === 'Probe')")
        await press(page, "Probe")
        await page.until(f"{FIELD.format('Word')}?.querySelector('input').value === 'hello'")
        assert await page.ask(f"{FIELD.format('Size')} === undefined")
        await put(page, "Kind", "fine")
        await page.until(f"{FIELD.format('Size')} !== undefined")
        await put(page, "Size", "77")
        await page.until(f"{FIELD.format('Size')}.querySelector('.wrong').textContent.includes('from 1 up to 9')")
        await press(page, "Start")
        await page.until("document.activeElement.getAttribute('aria-invalid') === 'true'")
        assert [] == await anyio.to_thread.run_sync(house.client.sessions)
        await put(page, "Name", "No Name")
        await press(page, "Start")
        await page.until(f"{FIELD.format('Name')}.querySelector('.wrong').textContent.includes('is not a name')")
        assert 2 == await page.ask("document.querySelectorAll('[aria-invalid]').length")
        await put(page, "Word", "bonjour")
        await put(page, "Size", "7")
        await page.until(f"!{FIELD.format('Size')}.querySelector('.wrong').textContent")
        assert 1 == await page.ask("document.querySelectorAll('[aria-invalid]').length")
        await put(page, "Name", "mine")
        await page.until("document.querySelector('[aria-invalid]') === null")
        await press(page, "Preview")
        await page.until("document.querySelector('dialog')?.textContent.includes('service_word=')")
        assert [] == await anyio.to_thread.run_sync(house.client.sessions)
        await page.ask("[...document.querySelectorAll('dialog button')].at(-1).click()")
        await page.until("document.querySelector('dialog') === null")
        await press(page, "Start")
        await page.until("document.querySelector('h1')?.textContent === 'mine'")
        await page.until("document.querySelector('.pill').textContent === 'running'")
        await page.until("document.getElementById('news').textContent.includes('mine: running')")
        await page.ask("document.getElementById('tab-log').click()")
        await page.until("document.querySelector('[role=log]')?.textContent.includes('it says bonjour, fine, 7')")
        shown = await page.ask("document.querySelector('[role=log]').textContent")
        assert "<img src=x onerror=document.title=1><b>bold</b>" in shown
        assert "\nred\n" in shown
        assert 0 == await page.ask("document.querySelectorAll('[role=log] *').length")
        folder = Path((await anyio.to_thread.run_sync(house.client.session, "mine"))["folder"])
        with (folder / "logs.out").open("a") as log:
            log.write("written later\n")
        await page.until("document.querySelector('[role=log]').textContent.includes('written later')")
        address = await page.ask("[...document.querySelectorAll('a')].find(e => e.textContent.startsWith('Open')).href")
        await press(page, "Stop")
        await press(page, "Stop it")
        await page.until("document.querySelector('.pill').textContent === 'stopped'")
        await press(page, "Restart")
        await page.until("document.querySelector('.pill').textContent === 'running'")
        assert await page.ask("window.stays")
        again = await anyio.to_thread.run_sync(house.client.session, "mine")
        assert again["url"] is not None
        assert again["url"] != address
        await page.ask("[...document.querySelectorAll('a')].find(e => e.textContent.startsWith('Open')).focus()")
        await page.key("Enter")
        await page.turn_to(again["url"].partition("?")[0])
        await page.until("document.body?.innerText.trim() === 'bonjour'")
        assert "sessiond=" not in await page.ask("location.href")
        assert await page.ask("window.opener === null")


@EACH
async def test_a_form_says_what_an_empty_field_means(house: Workspace, browser: Browser) -> None:
    """After a first start it is what was said then, until the form's own values are taken."""
    words = "[...document.querySelectorAll('.help')].map(e => e.textContent).filter(t => t.includes('as the last'))"
    async with opened(house, browser) as page:
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="first", set={"service_word": "one"}))
        await page.ask("location.hash = '#/new/pages'")
        await page.until(f"{words}.length === 3")
        assert "such as 2h; empty: as the last time, or it waits" in "".join(await page.ask(words))
        await press(page, "Take the form's own")
        await page.until(f"{words}.length === 0")


@EACH
async def test_a_reload_stays_and_another_tab_does_not(house: Workspace, browser: Browser) -> None:
    """The tab remembers what it is known by; a link from the history, or the bare address, opens nothing."""
    async with opened(house, browser) as page:
        address = await page.ask("location.origin")
        await page.reload()
        await page.until(
            "document.readyState === 'complete' && document.querySelector('h1')?.textContent === 'Sessions'"
        )
        await page.ask("sessionStorage.clear()")
        await page.go(f"{address}/#key=used")
        await page.until("document.querySelector('h1')?.textContent === 'This page is locked'")
        assert "sessionctl dashboard" in await page.ask("document.body.innerText")


@EACH
async def test_a_page_of_a_session_cannot_reach_it(house: Workspace, browser: Browser) -> None:
    """A script in a session's page gets no answer it can read, frames nothing, and controls no window of it."""
    async with opened(house, browser) as page:
        dashboard = await page.ask("location.origin")
        token = await page.ask("sessionStorage.getItem('sessiond-token')")
        session = await anyio.to_thread.run_sync(
            lambda: house.start("pages", name="evil", set={"service_word": "evil"})
        )
        assert session["url"] is not None
        await page.go(session["url"])
        await page.until("document.body?.innerText.trim() === 'evil'")
        assert await page.ask("sessionStorage.getItem('sessiond-token')") is None
        # with the token, which it cannot have, it would fail all the same
        tries = f"""Promise.all([
          fetch('{dashboard}/v1/sessions', {{headers: {{Authorization: 'Bearer {token}'}}}}),
          fetch('{dashboard}/v1/sessions', {{mode: 'no-cors'}}).then(a => a.text()).then(t => t || Promise.reject()),
          fetch('{dashboard}/web/main.js').then(a => a.text()),
        ].map(p => p.then(() => 'reached', () => 'refused')))"""
        assert ["refused"] * 3 == await page.ask(tries)
        stop = f"'{dashboard}/v1/sessions/evil/stop', {{method: 'POST', mode: 'no-cors', body: '{{}}'}}"
        await page.ask(f"fetch({stop}).catch(() => 0)")
        assert "running" == (await anyio.to_thread.run_sync(house.client.session, "evil"))["state"]
        framed = f"""new Promise(done => {{
          const it = document.createElement('iframe');
          it.src = '{dashboard}/';
          it.onload = () => done(String(it.contentDocument));
          document.body.append(it); }})"""
        assert "null" == await page.ask(framed)


@EACH
async def test_a_daemon_that_goes_away_is_told(house: Workspace, tmp_path: Path, browser: Browser) -> None:
    """The page says so and keeps trying; the next daemon does not know it. What it says to type opens this very tab."""
    async with opened(house, browser) as page:
        daemon = house._daemons[-1]
        daemon.signal(15)
        await anyio.to_thread.run_sync(daemon.ended)
        await page.until("!document.getElementById('trouble').hidden")
        await kept(page, tmp_path, "dashboard-lost")
        await anyio.to_thread.run_sync(house.daemon)
        await page.until("document.querySelector('h1')?.textContent === 'This page is locked'")
        await kept(page, tmp_path, "dashboard-locked")
        link = await anyio.to_thread.run_sync(house.client.dashboard)
        await page.go(link["url"])
        await page.until("document.querySelector('h1')?.textContent === 'Sessions'")


@pytest.mark.parametrize(
    ("browser", "dark", "width"),
    [
        pytest.param(*CHROMIUM.values, True, 1200, id="chromium-dark-wide", marks=CHROMIUM.marks),
        pytest.param(*CHROMIUM.values, False, 390, id="chromium-light-narrow", marks=CHROMIUM.marks),
        pytest.param(*FIREFOX.values, True, 390, id="firefox-dark-narrow", marks=FIREFOX.marks),
        pytest.param(*FIREFOX.values, False, 1200, id="firefox-light-wide", marks=FIREFOX.marks),
    ],
)
async def test_everybody_can_use_it(house: Workspace, tmp_path: Path, browser: Browser, dark: bool, width: int) -> None:
    """axe finds nothing in any view, none is wider than its window, and each is saved for people to look at."""
    async with opened(house, browser, dark=dark) as page:
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="two"))
        await anyio.to_thread.run_sync(house.stop, "two")
        ident = (await anyio.to_thread.run_sync(house.client.session, "one"))["id"]
        killed = (await anyio.to_thread.run_sync(lambda: house.client.start({"service": "killed"})))["id"]
        await anyio.to_thread.run_sync(house.cleaned, killed)
        await page.resize(width, 900)
        kind = f"-{'dark' if dark else 'light'}-{width}"
        assert dark == await page.ask("matchMedia('(prefers-color-scheme: dark)').matches")
        await page.ask(AXE.read_text(encoding="utf-8"))
        views = {
            "sessions": "document.querySelectorAll('.card').length === 3",
            f"sessions/{killed}": "document.querySelector('.known')?.textContent.includes('status 137 (signal KILL)')",
            f"sessions/{ident}/story": "document.querySelectorAll('.story li').length > 4",
            f"sessions/{ident}/log": "document.querySelector('[role=log]')?.textContent.includes('bold')",
            f"sessions/{ident}/script": "document.querySelectorAll('details').length > 3",
            "new": "document.querySelectorAll('.tile').length > 10",
            "new/pages/probe": f"{FIELD.format('Word')}?.querySelector('input').value === 'hello'",
            "new/webshell": f"{FIELD.format('Folder')} !== undefined",
            "clusters": "document.querySelector('h2')?.textContent === 'This machine'",
        }
        for view, there in views.items():
            await page.ask(f"location.hash = '#/{view}'")
            await page.until(there)
            assert [] == await wrong(page), view
            assert await page.ask("document.documentElement.scrollWidth <= innerWidth"), view
            if killed in view:
                assert await page.ask("document.getElementById('panel').textContent.includes('dmesg or journalctl -k')")
            await kept(
                page,
                tmp_path,
                f"dashboard-{view.replace(ident, 'one').replace(killed, 'killed').replace('/', '-')}{kind}",
            )
        await page.ask(f"location.hash = '#/sessions/{ident}'")
        await page.until("document.querySelector('.story') !== null")
        await press(page, "Stop")
        assert [] == await wrong(page)
        await kept(page, tmp_path, f"dashboard-stop{kind}")


@EACH
async def test_it_works_by_keyboard(house: Workspace, browser: Browser) -> None:
    """From the skip link to the end of a session with Tab, Enter, Escape and arrows; the focus is never lost."""
    async with opened(house, browser) as page:
        await page.key("Tab")
        assert "Skip to the content" == await page.ask("document.activeElement.textContent")
        await page.key("Enter")
        assert "main" == await page.ask("document.activeElement.id")
        await tab_to(page, "New session")
        await page.key("Enter")
        await page.until("document.querySelectorAll('.tile').length > 10")
        await tab_to(page, "Find")
        await page.type("probe")
        await page.until("document.querySelectorAll('.tile').length === 1")
        await tab_to(page, "Probe")
        await page.key("Enter")
        await page.until(f"{FIELD.format('Word')}?.querySelector('input').value === 'hello'")
        await tab_to(page, "Preview")
        await page.key("Enter")
        await page.until("document.querySelector('dialog')?.open")
        await page.key("Escape")
        await page.until("document.querySelector('dialog') === null")
        assert "Preview" == await page.ask("document.activeElement.textContent")
        await tab_to(page, "Name", "Shift+Tab")
        await page.type("Not One\n")
        await page.until("document.activeElement.getAttribute('aria-invalid') === 'true'")
        await page.ask("document.activeElement.select()")
        await page.type("typed")
        await page.until("document.querySelector('[aria-invalid]') === null")
        await page.type("\n")
        await page.until("document.querySelector('h1')?.textContent === 'typed'")
        await page.until("document.querySelector('.pill').textContent === 'running'")
        await tab_to(page, "Story")
        await page.key("ArrowRight")
        await page.until("document.activeElement.id === 'tab-log'")
        await tab_to(page, "Stop typed", "Shift+Tab")
        await page.key("Enter")
        await page.until("document.querySelector('dialog') !== null")
        await page.key("Escape")
        await page.until("document.querySelector('dialog') === null")
        assert "Stop typed" == await page.ask("document.activeElement.textContent")
        await page.key("Enter")
        await tab_to(page, "Stop it")
        await page.key(" ")
        await page.until("document.querySelector('.pill').textContent === 'stopped'")
        assert "BODY" != await page.ask("document.activeElement.tagName")


async def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until what is focused has a name, and is drawn so that one sees it."""
    for _ in range(60):
        await page.key(key)
        if await page.ask(
            f"(document.activeElement.labels?.[0] ?? document.activeElement).textContent.startsWith({name!r})"
        ):
            assert await page.ask("document.activeElement.matches(':focus-visible')")
            return
    raise AssertionError(f"{name} is not reached by {key}")


async def wrong(page: Page) -> list[Any]:
    """What axe finds, each as its rule and the first place."""
    found = await page.ask(
        "axe.run({resultTypes: ['violations']})"
        ".then(r => r.violations.map(v => [v.id, v.nodes[0].html, v.nodes[0].failureSummary]))"
    )
    assert isinstance(found, list)
    return found
