"""A tab of a real browser, whichever it is: what tests do with one, and how its processes come and go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import anyio

from tests.daemon.traces import until

PATIENCE_S = 60.0
LAST_LOOK_S = 10.0


@dataclass(slots=True)
class Page(ABC):
    """One tab, at the other end of a WebSocket that takes numbered commands."""

    channel: aiohttp.ClientWebSocketResponse
    numbers: count[int] = field(default_factory=lambda: count(1))
    complaints: list[str] = field(default_factory=list)
    """What the browser itself had to say of the page: what could not be loaded, what threw."""

    async def reply(self, method: str, params: dict[str, Any], **more: str) -> dict[str, Any]:
        """Say one command and return the whole answer to it; of events that come meanwhile complaints are kept."""
        number = next(self.numbers)
        await self.channel.send_json({"id": number, "method": method, "params": params, **more})
        while True:
            answer: dict[str, Any] = await self.channel.receive_json()
            if answer.get("id") == number:
                return answer
            if complaint := self.complaint(answer):
                self.complaints.append(complaint)

    @abstractmethod
    def complaint(self, event: dict[str, Any]) -> str:
        """What an event of the protocol says that is wrong with the page; empty if it says no such thing."""

    @abstractmethod
    async def go(self, url: str) -> None:
        """Open a URL."""

    @abstractmethod
    async def reload(self) -> None:
        """Load the page again."""

    @abstractmethod
    async def turn_to(self, address: str) -> None:
        """Go on in the tab whose address begins so, once there is one, and show it."""

    @abstractmethod
    async def ask(self, script: str) -> Any:
        """Evaluate JavaScript in the page; None where it throws."""

    @abstractmethod
    async def type(self, text: str) -> None:
        """Type text, a line's end included as the Enter key."""

    @abstractmethod
    async def key(self, name: str) -> None:
        """Press one key that has a name, as ``KeyboardEvent.key`` has it; ``Shift+Tab`` is Tab with Shift held."""

    @abstractmethod
    async def resize(self, width: int, height: int) -> None:
        """Give the page a size of so many pixels."""

    @abstractmethod
    async def picture(self, path: Path) -> None:
        """Save what a person would see."""

    async def until(self, script: str) -> Any:
        """Wait, looking with every frame the browser draws, until ``script`` is true, across reloads of the page."""
        try:
            return await patiently(lambda: self.ask(script))
        except TimeoutError:
            shown = "not to be asked any more"
            with anyio.move_on_after(LAST_LOOK_S):
                shown = await self.ask("`${location.href}\\n${document.body?.innerText}`")
            said = "".join(f"\n{complaint}" for complaint in self.complaints[-20:])
            raise AssertionError(f"waited in vain for {script}; the page is {str(shown)[:2000]}{said}") from None


async def patiently(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` finds, once that is something."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            found = await look()
            if found:
                return found
            await anyio.sleep(0.05)


async def kept(page: Page, folder: Path, name: str) -> None:
    """Save what a person would see; in the folder of SESSIOND_SCREENSHOTS, too, for people to look at."""
    picture = folder / f"{name}.png"
    await page.picture(picture)
    assert picture.stat().st_size > 10_000
    if wanted := os.environ.get("SESSIOND_SCREENSHOTS"):
        await anyio.to_thread.run_sync(shutil.copy, picture, wanted)


class Browser(Protocol):
    """What opens a browser with a profile of its own, and a tab in it; ``dark`` is what the system prefers."""

    def __call__(self, *, dark: bool = False) -> AbstractAsyncContextManager[Page]:
        """Open it."""


@contextmanager
def launched(command: Callable[[Path], Sequence[str]], said: bytes) -> Iterator[str]:
    """A browser's processes, in a folder of their own for all they write; ended with everything they started.

    ``command`` is its command line, of that folder. Yields the address that it prints after ``said`` on stderr.
    """
    folder = Path(tempfile.mkdtemp(prefix="sdw-browser-"))
    process = subprocess.Popen(
        command(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
    )
    # A pipe that nobody empties would stop the browser once it is full.
    reader = threading.Thread(target=_drain, args=(process,))
    try:
        address = _address(process, said)
        reader.start()
        yield address
    finally:
        # Its own children would outlive it for a moment, and write to the profile until they notice.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not _has_members(process.pid), "the browser's processes live on")
        if reader.ident is not None:
            reader.join()
        assert process.stderr is not None
        process.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], said: bytes) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if said in line:
            return line.split(said, 1)[1].decode().strip()
    raise AssertionError("the browser did not say where it listens")


def _drain(process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    for _ in process.stderr:
        pass


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
