"""Which ways to a compute node are tried."""

from __future__ import annotations

import pytest

from sessiond.remote.ssh.route import Route, lesson, on_login_node, order

DIRECT, JUMP = Route.DIRECT, Route.JUMP


@pytest.mark.parametrize(
    ("policy", "learned", "unix", "barred", "expected"),
    [
        ("auto", "", False, False, (DIRECT, JUMP)),
        ("auto", "direct", False, False, (DIRECT, JUMP)),
        ("auto", "jump", False, False, (JUMP, DIRECT)),
        ("auto", "jump", False, True, (DIRECT,)),
        ("auto", "", False, True, (DIRECT,)),
        ("auto", "something else", False, False, (DIRECT, JUMP)),
        ("direct", "jump", False, False, (DIRECT,)),
        ("jump", "direct", False, False, (JUMP,)),
        ("jump", "", False, True, ()),
        ("auto", "direct", True, False, (JUMP,)),
        ("direct", "", True, False, (JUMP,)),
        ("auto", "", True, True, ()),
    ],
)
def test_the_order(policy: str, learned: str, unix: bool, barred: bool, expected: tuple[Route, ...]) -> None:
    """What worked goes first, what is barred not at all, and a Unix socket is reached on its node alone."""
    assert expected == order(policy, learned, unix=unix, jump_barred=barred)


@pytest.mark.parametrize(
    ("policy", "learned", "worked", "unix", "expected"),
    [
        ("auto", "", DIRECT, False, DIRECT),
        ("auto", "direct", JUMP, False, JUMP),
        ("auto", "jump", JUMP, False, None),
        ("auto", "direct", JUMP, True, None),
        ("jump", "", JUMP, False, None),
    ],
)
def test_the_lesson(policy: str, learned: str, worked: Route, unix: bool, expected: Route | None) -> None:
    """Only a choice that came out otherwise than before teaches something."""
    assert expected is lesson(policy, learned, worked, unix=unix)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.1.1", True),
        ("::1", True),
        ("localhost", True),
        ("", True),
        ("node1", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_the_login_node(host: str, expected: bool) -> None:
    """Loopback means the login node itself."""
    assert expected is on_login_node(host)
