"""What a person sees, in a real browser."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from sessiond.api.wire import Session
from tests.daemon.workspace import Workspace
from tests.live.browser import Browser
from tests.live.browsers import EACH
from tests.live.chromium import PROGRAM, chromium

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(400),
]
IN_CHROMIUM = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")


async def started(house: Workspace, service: str) -> Session:
    """A running session, and its daemon."""
    house.daemon()
    return await anyio.to_thread.run_sync(lambda: house.start(service))


@IN_CHROMIUM
async def test_jupyterlab_opens_and_the_token_leaves_the_address_bar(house: Workspace, tmp_path: Path) -> None:
    """The URL that sessionctl prints becomes JupyterLab with its launcher, and asks about nothing."""
    session = await started(house, "jupyterlab-host")
    assert session["url"] is not None
    async with chromium() as page:
        await page.go(session["url"])
        await page.until("document.querySelectorAll('.jp-LauncherCard').length > 3")
        assert f"/me/{session['open_port']}/lab" in await page.ask("location.href")
        assert "sessiond=" not in await page.ask("location.href")
        assert 0 == await page.ask("document.querySelectorAll('.Toastify__toast').length")
        await page.picture(tmp_path / "jupyterlab.png")
        assert (tmp_path / "jupyterlab.png").stat().st_size > 20_000
        # The same at an origin of its own, which this browser does not know yet.
        house.configure("own_origins = true")
        await anyio.to_thread.run_sync(house.client.reload)
        own = (await anyio.to_thread.run_sync(house.client.session, session["name"]))["url"]
        assert own is not None
        assert own.startswith(f"http://{session['name']}.localhost:")
        await page.go(own)
        await page.until(
            "location.hostname.endsWith('.localhost') && document.querySelectorAll('.jp-LauncherCard').length > 3"
        )
        assert "sessiond=" not in await page.ask("location.href")
        await page.until(
            "fetch(document.baseURI + '/api/kernels', {credentials: 'include'}).then((one) => one.ok, () => false)"
        )


@IN_CHROMIUM
async def test_a_web_shell_is_typed_into(house: Workspace) -> None:
    """Keys reach the shell, its answer is drawn, and a reload finds the same shell."""
    session = await started(house, "webshell")
    assert session["url"] is not None
    rows = "(document.querySelector('.xterm-rows')?.innerText ?? '').replaceAll('\\u00a0', ' ')"
    async with chromium() as page:
        await page.go(session["url"])
        await page.until(f"/[$#] *$/.test({rows}.trimEnd())")
        await page.ask("document.querySelector('.xterm-helper-textarea').focus()")
        await page.type("here=$((6 * 7)); echo answer $here\n")
        await page.until(f"{rows}.includes('answer 42')")
        await page.reload()
        await page.until(f"document.readyState === 'complete' && {rows}.includes('answer 42')")
        await page.ask("document.querySelector('.xterm-helper-textarea').focus()")
        await page.type("echo again $((here + 1))\n")
        await page.until(f"{rows}.includes('again 43')")


@EACH
async def test_the_waiting_page_becomes_the_service(house: Workspace, browser: Browser) -> None:
    """A session that is not ready shows a page that says so; the service replaces it without a reload by hand."""
    house.daemon()
    gate = house.root / "gate"
    folder = house.services / "gated"
    folder.mkdir()
    (folder / "url.sh").write_text('export URLEND="page.html\\""\n')
    (folder / "start-template.sh").write_text(
        f"echo '<title>Here at last</title>' > page.html\n"
        f"mkfifo -m 600 {gate}; read -r _ < {gate}\n"
        "python3 -m http.server --bind 127.0.0.1 $servicePort\n"
    )
    house.client.reload()
    session = await anyio.to_thread.run_sync(lambda: house.start("gated", to="tunnel"))
    assert session["url"] is not None
    async with browser() as page:
        await page.go(session["url"])
        await page.until("document.body?.innerText.includes('waiting for the service to answer')")
        await anyio.to_thread.run_sync(lambda: gate.write_text("go\n"))
        await page.until("document.title === 'Here at last'")


async def test_each_session_has_an_origin_of_its_own(house: Workspace) -> None:
    """The browser finds it by its name; cookies and pages of one are not another's, though both are open in it."""
    house.configure("own_origins = true")
    (house.services / "page").mkdir()
    (house.services / "page" / "start-template.sh").write_text(
        'echo "<title>$service_word</title>" > index.html\npython3 -m http.server --bind 127.0.0.1 $servicePort\n'
    )
    house.daemon()
    one, two = [
        await anyio.to_thread.run_sync(partial(house.start, "page", name=word, set={"service_word": word}))
        for word in ("one", "two")
    ]
    reads = "fetch({!r}, {{credentials: 'include', mode: {!r}}}).then((got) => got.text(), () => 'nothing')"
    async with chromium() as page:
        for session in (two, one):
            assert session["url"] is not None
            assert session["url"].startswith(f"http://{session['name']}.localhost:")
            await page.go(session["url"])
            await page.until(f"document.title === {session['name']!r}")
            assert "/" == await page.ask("location.pathname + location.search")
            await page.ask("document.cookie = `seen=by ${document.title}; path=/`")
        assert "seen=by one" == await page.ask("document.cookie")
        root = await page.ask("location.origin")
        there = root.replace("one.", "two.")
        assert "<title>one</title>\n" == await page.ask(reads.format(f"{root}/", "cors"))
        assert "nothing" == await page.ask(reads.format(f"{there}/", "cors"))
        assert "" == await page.ask(reads.format(f"{there}/", "no-cors"))
        # Nor by the other's path at this one's name.
        assert "alone" in await page.ask(reads.format(f"{root}/me/{two['open_port']}/", "cors"))
