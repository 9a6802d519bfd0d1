"""Taking ports: real sockets on loopback."""

from __future__ import annotations

import errno
import os
import resource
import socket

import anyio
import pytest

from sessiond.core.errors import NotSent, TooMany
from sessiond.runtime import listener as listener_module
from sessiond.runtime.listener import bind, reserve
from tests.ports import neighbours

pytestmark = pytest.mark.anyio


@pytest.fixture
def block() -> int:
    """The first of three neighbouring free ports, which no other test process takes."""
    return neighbours(3).start


async def test_ports_are_taken_in_turn(block: int) -> None:
    """From the hint on, once round, without those that are spoken for; then there are too many sessions."""
    first, second, third = block, block + 1, block + 2
    one = await reserve(first, third, {first}, third)
    two = await reserve(first, third, {first}, third)
    try:
        assert (third, second) == (one.port, two.port)
        with pytest.raises(TooMany) as caught:
            await reserve(first, third, {first}, third)
        assert f"none of the 3 ports from {first} to {third} is free" == caught.value.message
        assert "ports" in caught.value.hint
        three = await reserve(first, third, set(), 1)
        assert first == three.port
        three.close()
    finally:
        one.close()
        two.close()
    one.close()
    again = await reserve(first, third, {first}, second)
    assert second == again.port
    again.close()


async def test_another_programs_port_is_passed_over(block: int) -> None:
    """What another program listens on is not free, also where it listens on every address."""
    with socket.create_server(("0.0.0.0", block)), socket.create_server(("127.0.0.1", block + 1)):
        found = await reserve(block, block + 2, set(), block)
        assert block + 2 == found.port
        found.close()
        with pytest.raises(TooMany, match=f"port {block} is not free"):
            await reserve(block, block, set(), block)


async def test_a_sessions_port_is_bound_again_after_a_restart(block: int) -> None:
    """Connections of before (in TIME_WAIT) do not keep a port from being bound again at once."""
    door = await bind(block)
    with socket.create_connection(("127.0.0.1", block)):
        client = await door.accept()
        door.close()
        await client.aclose()  # the side that closes first gets TIME_WAIT
    door = await bind(block)
    assert block == door.port
    door.close()


async def test_a_port_that_was_taken_meanwhile(block: int) -> None:
    """A session's port in another program's hands is said, not waited for."""
    with socket.create_server(("127.0.0.1", block)):
        with pytest.raises(NotSent) as caught:
            await bind(block)
        assert f"port {block} is held by another program" == caught.value.message
        assert str(block) in caught.value.hint


async def test_closing_ends_accepting(block: int) -> None:
    """Whoever waits for a connection is told when the listener closes."""
    door = await bind(block)
    ended = anyio.Event()

    async def wait() -> None:
        with pytest.raises((anyio.ClosedResourceError, OSError)):
            await door.accept()
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        door.close()
        with anyio.fail_after(5):
            await ended.wait()
    with pytest.raises(OSError, match="closed"):
        await door.accept()


async def test_accepting_survives_a_shortage(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without file descriptors accepting rests and goes on by itself."""
    monkeypatch.setattr(listener_module, "SHORTAGE_PAUSE_S", 0.02)
    door = await bind(block)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", block)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with anyio.move_on_after(0.2) as scope:
                await door.accept()
            with pytest.raises(TooMany, match=os.strerror(errno.EMFILE)):
                await reserve(block + 1, block + 2, set(), 0)
            with pytest.raises(NotSent, match=os.strerror(errno.EMFILE)):
                await bind(block + 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            await (await door.accept()).aclose()
    door.close()
