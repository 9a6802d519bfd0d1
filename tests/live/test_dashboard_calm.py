"""What happens, a second click and other tabs do not disturb what a person is doing in the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.daemon.workspace import Workspace
from tests.live.browser import Browser, Page, kept
from tests.live.browsers import CHROMIUM, EACH

from . import chromium
from .test_dashboard import FIELD, opened, press

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
]

# A browser opens six connections to one place.
TABS = 8
CARD = "[...document.querySelectorAll('.card')].find(e => e.querySelector('h3')?.textContent === {!r})"
SELECT = "{{ const at = {}.querySelector('.who p').firstChild; getSelection().setBaseAndExtent(at, 0, at, 5); }}"
SELECTED = "getSelection().toString()"
FOCUSED = "document.activeElement.textContent"
LOG = "document.querySelector('[role=log]')"
PILL = "document.querySelector('.pill')?.textContent"
RTL_FORM = """<tool id="right" name="Right"><inputs><section name="service" type="section" title="All">
  <param name="word" type="text" label="Word" value="שלום!" help="עזרה בעברית."/>
</section></inputs></tool>
"""
# An answer to Restart comes when it is let go.
SLOWLY = """{
  const ask = window.fetch, held = new Promise((resolve) => { window.goOn = resolve; });
  window.asked = window.answered = 0;
  window.fetch = async (path, ...more) => {
    if (!path.endsWith('/again')) return ask(path, ...more);
    window.asked++;
    const answer = await ask(path, ...more);
    window.answered++;
    await held;
    return answer;
  };
}"""
# The first time anything is asked, it gets lost.
DROPPED = """{
  const ask = window.fetch;
  window.asked = {};
  window.fetch = async (path, ...more) => {
    window.asked[path] = (window.asked[path] ?? 0) + 1;
    if (window.asked[path] === 1) throw new TypeError('Failed to fetch');
    return ask(path, ...more);
  };
}"""
# Where the last letter of an element's text stands, from where its first does.
SPAN = """(() => {{
  const text = {}.firstChild, range = document.createRange();
  const left = (at) => {{
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    return range.getBoundingClientRect().left;
  }};
  return left(text.length - 1) - left(0);
}})()"""


async def sessions(house: Workspace) -> list[Any]:
    """Those that live."""
    return list(await anyio.to_thread.run_sync(house.client.sessions))


@EACH
async def test_a_second_click_starts_no_second_session(house: Workspace, browser: Browser) -> None:
    """Restart is pressed again while its answer is on the way: that is asked once, and there is one session."""
    async with opened(house, browser) as page:
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        await anyio.to_thread.run_sync(house.stop, "one")
        await page.ask(SLOWLY)
        button = "[...document.querySelectorAll('button')].find(e => e.textContent === 'Restart one')"
        await page.until(f"{button} && ({button}.click(), true)")
        await page.until("window.answered === 1")
        await page.ask(f"{button}.click()")
        await page.ask("window.goOn()")
        await page.until(f"{PILL} === 'running'")
        assert 1 == await page.ask("window.asked")
        assert ["one"] == [one["name"] for one in await sessions(house)]


@EACH
async def test_what_happens_takes_neither_selection_nor_focus(house: Workspace, browser: Browser) -> None:
    """Nothing that is as it was is drawn anew or moved; who is on a card that moves stays on it."""
    async with opened(house, browser) as page:
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="two"))
        await page.until(
            "[...document.querySelectorAll('.pill')].filter(e => e.textContent === 'running').length === 2"
        )
        stop = "[...document.querySelectorAll('button')].find(e => e.textContent === 'Stop one')"
        await page.ask(f"{stop}.focus(); window.before = {stop}")
        await page.ask(SELECT.format(CARD.format("one")))
        assert ("pages", "Stop one") == (await page.ask(SELECTED), await page.ask(FOCUSED))
        await page.ask("import('/web/store.js').then(store => store.refresh())")
        assert ("pages", "Stop one") == (await page.ask(SELECTED), await page.ask(FOCUSED))
        await anyio.to_thread.run_sync(house.stop, "two")
        await page.until(f"{CARD.format('two')}.closest('section') !== null")
        assert ("pages", "Stop one") == (await page.ask(SELECTED), await page.ask(FOCUSED))
        assert await page.ask(f"window.before === {stop}")
        await anyio.to_thread.run_sync(house.stop, "one")
        await page.until(f"{CARD.format('one')}.closest('section') !== null")
        assert "one" == await page.ask(FOCUSED)


@EACH
async def test_back_leaves_no_dialogue_behind(house: Workspace, browser: Browser) -> None:
    """What a dialogue asks goes with the view that it is about, unanswered."""
    async with opened(house, browser) as page:
        await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        await press(page, "New")
        await page.until("document.querySelectorAll('.tile').length > 10")
        await page.ask("location.hash = '#/sessions'")
        await press(page, "Stop")
        await page.until("document.querySelector('dialog')?.open")
        await page.ask("history.back()")
        await page.until("location.hash === '#/new' && document.querySelector('dialog') === null")
        assert "main" == await page.ask("document.activeElement.id")
        assert ["running"] == [one["state"] for one in await sessions(house)]


@EACH
async def test_tabs_that_nobody_sees_leave_room(house: Workspace, browser: Browser) -> None:
    """As many tabs as one likes are open, and each shows how everything is, once somebody looks at it."""
    async with opened(house, browser) as page:
        ident = (await anyio.to_thread.run_sync(lambda: house.start("pages", name="one")))["id"]
        origin = await page.ask("location.origin")
        await page.ask(f"location.hash = '#/sessions/{ident}/log'")
        await page.until(f"{LOG}?.textContent.includes('it says')")
        for number in range(TABS):
            link = await anyio.to_thread.run_sync(house.client.dashboard)
            await another(page, link["url"].replace("/#", f"/?tab={number}#"))
            await page.turn_to(f"{origin}/?tab={number}")
            await page.until(f"document.querySelector('h1')?.textContent === 'Sessions' && {PILL} === 'running'")
        folder = Path((await anyio.to_thread.run_sync(house.client.session, "one"))["folder"])
        with (folder / "logs.out").open("a") as log:
            log.write("written meanwhile\n")
        await page.turn_to(f"{origin}/#")
        await page.until(f"{LOG}.textContent.includes('written meanwhile')")
        assert 1 == await page.ask(f"{LOG}.textContent.split('it says').length - 1")
        await anyio.to_thread.run_sync(house.stop, "one")
        await page.until(f"{PILL} === 'stopped'")
        await page.turn_to(f"{origin}/?tab=0")
        await page.until(f"{PILL} === 'stopped'")


async def another(page: Page, url: str) -> None:
    """Open a URL in another tab, as a person does."""
    link = f"Object.assign(document.createElement('a'), {{href: {url!r}, target: '_blank', textContent: 'x'}})"
    await page.ask(f"{{ const it = {link}; document.querySelector('main').append(it); it.focus(); }}")
    await page.key("Enter")
    await page.ask("document.querySelector('main > a')?.remove()")


@EACH
async def test_a_long_log_is_read_in_peace(house: Workspace, browser: Browser) -> None:
    """It begins with a whole line and says what is left out; what is cut in the middle is put together; while somebody
    reads further up, nothing is taken away there."""
    async with opened(house, browser) as page:
        session = await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        path = Path(session["folder"]) / "logs.out"
        with path.open("a") as log:
            log.writelines(f"line {number} of many\n" for number in range(10_000))
        await page.ask(f"location.hash = '#/sessions/{session['id']}/log'")
        await page.until(f"{LOG}?.textContent.includes('line 9999 of many')")
        first = (await page.ask(f"{LOG}.textContent")).splitlines()[0]
        assert first.startswith("line ")
        assert "line 0 " not in await page.ask(f"{LOG}.textContent")
        assert "sessionctl logs one" in await page.ask("document.getElementById('panel').innerText")
        for piece, seen in (("colour \033[3", "colour "), ("1mred\033[0m\r", "red"), ("\nnext\n", "next")):
            with path.open("a") as log:
                log.write(piece)
            await page.until(f"{LOG}.textContent.includes({seen!r})")
        assert (await page.ask(f"{LOG}.textContent")).endswith("colour red\nnext\n")
        await page.ask(f"{LOG}.scrollTop = 0")
        with path.open("a") as log:
            log.writelines(f"more {number} of many\n" for number in range(40_000))
        await page.until(f"{LOG}.textContent.includes('more 39999 of many')")
        assert first == (await page.ask(f"{LOG}.textContent")).splitlines()[0]
        assert 0 == await page.ask(f"{LOG}.scrollTop")


@EACH
async def test_states_and_what_comes_next_are_in_plain_words(
    house: Workspace, tmp_path: Path, browser: Browser
) -> None:
    """Where there is no queue nothing is in it; a failure has a way to what is known of it on its card."""
    async with opened(house, browser) as page:
        waits = "state({{state: 'wait-for-node', outcome: null, severity: 'busy', mode: {!r}}})"
        modes = {"local": "starting", "controller": "starting", "slurm": "in the queue", "pbs": "in the queue"}
        for mode, words in modes.items():
            asked = f"import('/web/words.js').then(({{state}}) => {waits.format(mode)})"
            assert words == await page.ask(asked), mode
        killed = (await anyio.to_thread.run_sync(lambda: house.client.start({"service": "killed"})))["id"]
        await anyio.to_thread.run_sync(house.cleaned, killed)
        await press(page, "What happened")
        await page.until(f"location.hash === '#/sessions/{killed}/story' && document.querySelector('.known') !== null")
        await kept(page, tmp_path, "dashboard-happened")


@EACH
async def test_a_question_that_got_lost_is_asked_once_more(house: Workspace, browser: Browser) -> None:
    """A form comes and is filled although each of its questions was dropped; a start, which may be under way, is not
    repeated."""
    async with opened(house, browser) as page:
        await page.ask(DROPPED)
        await page.ask("location.hash = '#/new/pages/probe'")
        await page.until(f"{FIELD.format('Word')}?.querySelector('input').value === 'hello'")
        assert {"/v1/workflows/pages/probe": 2, "/v1/workflows/fill": 2}.items() <= (
            await page.ask("window.asked")
        ).items()
        await press(page, "Start")
        await page.until("document.querySelector('.summary').textContent.includes('sessiond does not answer')")
        assert 1 == await page.ask("window.asked['/v1/sessions']")
        assert [] == await sessions(house)


@EACH
async def test_text_runs_as_its_letters_do(house: Workspace, browser: Browser) -> None:
    """What is written from the right ends at the left, with its full stop."""
    async with opened(house, browser) as page:
        (house.services / "pages" / "workflows" / "right.xml").write_text(RTL_FORM)
        await page.ask("location.hash = '#/new/pages/right'")
        await page.until(f"{FIELD.format('Word')}?.querySelector('input').value === 'שלום!'")
        field = FIELD.format("Word")
        assert await page.ask(f"{field}.querySelector('input').matches(':dir(rtl)')")
        assert await page.ask(SPAN.format(f"{field}.querySelector('.help')")) < 0
        assert await page.ask(SPAN.format(f"{field}.querySelector('label')")) > 0


@pytest.mark.parametrize("browser", [CHROMIUM])
async def test_what_is_chosen_is_seen_in_forced_colours(house: Workspace, tmp_path: Path, browser: Browser) -> None:
    """Where the system's colours replace the page's, one tab is chosen, and one view."""
    async with opened(house, browser) as page:
        session = await anyio.to_thread.run_sync(lambda: house.start("pages", name="one"))
        assert isinstance(page, chromium.Page)
        await page.send("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
        await page.ask(f"location.hash = '#/sessions/{session['id']}'")
        await page.until("document.querySelector('.story') !== null")
        border = "getComputedStyle(document.querySelector('[aria-selected={}]')).borderBottomColor"
        assert await page.ask(border.format("true")) != await page.ask(border.format("false"))
        outline = "getComputedStyle(document.querySelector('nav {}')).outlineStyle"
        assert ("solid", "none") == (
            await page.ask(outline.format("[aria-current]")),
            await page.ask(outline.format("a:not([aria-current])")),
        )
        await kept(page, tmp_path, "dashboard-forced-colours")
