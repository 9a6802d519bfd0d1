"""The link's machine: total, told as stories, and walked through at random for the promise it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.ids import ClusterName
from sessiond.core.link import (
    LINK_EVENTS,
    LINK_IGNORED,
    LINK_TABLE,
    STEADY_S,
    Answered,
    AuthDenied,
    ConfigChanged,
    Connected,
    ConnectFailed,
    HostKeyChanged,
    ImpossibleLinkEvent,
    Link,
    LinkAction,
    LinkEvent,
    LinkState,
    LoginAbandoned,
    LoginRequested,
    LogoutRequested,
    Lost,
    NetworkChanged,
    Prompted,
    PromptNeeded,
    RetryDue,
    Unwanted,
    Wanted,
    step_link,
)
from sessiond.core.link_words import link_error
from sessiond.core.session import Phase, Problem, State
from sessiond.core.status import Severity, current, describe, describe_link
from tests.core.builders import JOB, NOW, a_session
from tests.core.steady import steady

DOWN = Problem(code="host-down", message="no answer within 20 s", hint="check the network")
ASKS = Problem(code="needs-login", message="it asks for a password")
DENIED = Problem(code="auth-denied", message="no key was accepted")
OTHER_KEY = Problem(code="host-key", message="its host key has changed", hint="ask its administrators")
CELLS = [(state, kind) for state in LinkState for kind in LINK_EVENTS]
TRIES = (LinkAction.CONNECT, LinkAction.CONNECT_ATTENDED)


def a_link(state: LinkState = LinkState.IDLE, **known: object) -> Link:
    """A link in ``state``."""
    return replace(Link(name=ClusterName("frontier"), since=NOW, state=state), **known)  # type: ignore[arg-type]


def a_link_event(kind: type[LinkEvent]) -> LinkEvent:
    """An event of ``kind`` with plausible facts."""
    problems = {ConnectFailed: DOWN, Lost: DOWN, PromptNeeded: ASKS, AuthDenied: DENIED, HostKeyChanged: OTHER_KEY}
    return kind(problem=problems[kind]) if kind in problems else kind()


class Tale:
    """A playbook: a link that is told one event after another."""

    def __init__(self, link: Link | None = None) -> None:
        self.link = link or a_link()
        self.now = NOW
        self.orders: tuple[LinkAction, ...] = ()

    def hears(self, *events: LinkEvent, after_s: float = 1.0) -> Tale:
        """Tell it events, each ``after_s`` after the one before."""
        for event in events:
            self.now += after_s
            done = step_link(self.link, event, self.now)
            self.link, self.orders = done.after, done.actions
        return self

    @property
    def state(self) -> LinkState:
        """Where it is."""
        return self.link.state


@pytest.mark.parametrize(("state", "kind"), CELLS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_every_cell_is_a_rule_or_ignored_or_impossible(state: LinkState, kind: type[LinkEvent]) -> None:
    """A rule leads where it says; the ignored changes nothing; the impossible raises."""
    link, event = a_link(state, attended=True), a_link_event(kind)
    rule = LINK_TABLE[state].get(kind)
    if rule is not None:
        done = step_link(link, event, NOW + 1)
        assert (rule.to, rule.do) == (done.after.state, done.actions)
    elif kind in LINK_IGNORED[state]:
        done = step_link(link, event, NOW + 1)
        assert (link, ()) == (done.after, done.actions)
    else:
        with pytest.raises(ImpossibleLinkEvent, match=state.value):
            step_link(link, event, NOW + 1)


def test_every_state_can_be_reached_and_left() -> None:
    """There is a way in and a way out of each."""
    ways = [(state, rule.to) for state in LinkState for rule in LINK_TABLE[state].values()]
    assert set(LinkState) == {to for at, to in ways if at is not to} == {at for at, to in ways if at is not to}


def test_it_comes_up_and_goes_when_nobody_wants_it() -> None:
    """idle, connecting, up, idle."""
    tale = Tale().hears(Wanted())
    assert (LinkState.CONNECTING, (LinkAction.CONNECT,)) == (tale.state, tale.orders)
    tale.hears(Connected())
    assert (LinkState.UP, (), tale.now) == (tale.state, tale.orders, tale.link.up_since)
    tale.hears(Unwanted())
    assert (LinkState.IDLE, (LinkAction.DISCONNECT,), None) == (tale.state, tale.orders, tale.link.up_since)


def test_what_was_up_for_a_minute_is_tried_again_at_once() -> None:
    """And what dies young is not: a host that drops everybody must not be hammered."""
    steady_one = Tale().hears(Wanted(), Connected()).hears(Lost(problem=DOWN), after_s=STEADY_S)
    assert (LinkState.BACKOFF, steady_one.now) == (steady_one.state, steady_one.link.retry_at)
    pauses = []
    young = Tale().hears(Wanted())
    for _ in range(12):
        young.hears(Connected(), Lost(problem=DOWN))
        pauses.append((young.link.retry_at or 0.0) - young.now)
        young.hears(RetryDue())
    assert 0.8 <= pauses[0] <= 1.2
    assert all(1.3 < b / a < 3 for a, b in pairwise(pauses[:8]))
    assert 240 <= pauses[-1] <= 360


def test_retries_double_to_five_minutes_and_differ_between_daemons() -> None:
    """Jitter, so that the daemons of many people do not call at the same moment."""

    def pauses(salt: str) -> list[float]:
        tale = Tale(a_link(salt=salt)).hears(Wanted())
        found = []
        for _ in range(12):
            tale.hears(ConnectFailed(problem=DOWN))
            found.append((tale.link.retry_at or 0.0) - tale.now)
            tale.hears(RetryDue())
        return found

    one, other = pauses("a"), pauses("b")
    assert one != other
    for mine in (one, other):
        assert all(0.8 * min(2.0**n, 300) <= pause <= 1.2 * min(2.0**n, 300) for n, pause in enumerate(mine))


def test_since_when_it_is_down_outlasts_the_attempts() -> None:
    """The first failure counts, not the last; success and a prompt end it."""
    tale = Tale().hears(Wanted(), ConnectFailed(problem=DOWN))
    begun = tale.now
    tale.hears(RetryDue(), ConnectFailed(problem=DOWN), RetryDue(), ConnectFailed(problem=DOWN))
    assert (begun, 3, "host-down") == (tale.link.down_since, tale.link.failures, tale.link.problem.code)  # type: ignore[union-attr]
    tale.hears(RetryDue(), Connected())
    assert (None, None) == (tale.link.down_since, tale.link.problem)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (PromptNeeded(problem=ASKS), LinkState.NEEDS_LOGIN),
        (AuthDenied(problem=DENIED), LinkState.NEEDS_LOGIN),
        (HostKeyChanged(problem=OTHER_KEY), LinkState.BLOCKED),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_needs_a_person_is_told_once_and_waits(event: LinkEvent, state: LinkState) -> None:
    """Neither a wish, nor its end, nor another network makes it try again; a person does, or the configuration."""
    tale = Tale().hears(Wanted(), event)
    assert (state, (LinkAction.TELL,)) == (tale.state, tale.orders)
    for vain in (Wanted(), Unwanted(), NetworkChanged(), Wanted()):
        tale.hears(vain)
        assert (state, ()) == (tale.state, tale.orders)
    assert (LinkAction.CONNECT,) == Tale(tale.link).hears(ConfigChanged()).orders
    assert (LinkAction.CONNECT_ATTENDED,) == Tale(tale.link).hears(LoginRequested()).orders


def test_a_login_with_two_rounds() -> None:
    """Each round is relayed; then it is up."""
    tale = Tale().hears(Wanted(), PromptNeeded(problem=ASKS), LoginRequested())
    for _ in range(2):
        assert (LinkAction.RELAY,) == tale.hears(Prompted()).orders
        assert (LinkState.AUTHENTICATING, ()) == (tale.hears(Answered()).state, tale.orders)
    assert (LinkState.UP, None) == (tale.hears(Connected()).state, tale.link.problem)


def test_a_login_that_is_abandoned_leaves_nothing_trying() -> None:
    """The connection goes, and the next step is the person's."""
    tale = Tale().hears(LoginRequested(), Prompted(), LoginAbandoned())
    assert (LinkState.NEEDS_LOGIN, (LinkAction.DISCONNECT,)) == (tale.state, tale.orders)
    assert "sessionctl login frontier" == tale.link.problem.hint  # type: ignore[union-attr]


@pytest.mark.parametrize("event", [ConnectFailed(problem=DOWN), LoginAbandoned()], ids=lambda x: type(x).__name__)
def test_a_login_while_the_host_is_down_does_not_end_the_trying(event: LinkEvent) -> None:
    """Nobody was asked, nothing was denied: it goes on by itself. Where a person is needed it does not."""
    by_key = Tale().hears(Wanted(), ConnectFailed(problem=DOWN), LoginRequested(), event)
    assert LinkState.BACKOFF is by_key.state
    assert by_key.link.retry_at is not None
    by_hand = Tale().hears(Wanted(), PromptNeeded(problem=ASKS), LoginRequested(), event)
    assert (LinkState.NEEDS_LOGIN, None) == (by_hand.state, by_hand.link.retry_at)
    configured = Tale(a_link(attended=True)).hears(LoginRequested(), event)
    assert LinkState.NEEDS_LOGIN is configured.state


@pytest.mark.parametrize("state", [s for s in LinkState if LogoutRequested in LINK_TABLE[s]])
def test_a_logout_lasts(state: LinkState) -> None:
    """It does not come up again because a session wants it."""
    tale = Tale(a_link(state)).hears(LogoutRequested(), Wanted())
    assert (LinkState.NEEDS_LOGIN, "logged-out") == (tale.state, tale.link.problem.code)  # type: ignore[union-attr]


def test_waking_up_cuts_the_back_off_short() -> None:
    """Another network, another try."""
    tale = Tale().hears(Wanted(), ConnectFailed(problem=DOWN), NetworkChanged())
    assert (LinkState.CONNECTING, (LinkAction.CONNECT,), None) == (tale.state, tale.orders, tale.link.retry_at)


def test_another_configuration_is_tried_at_once() -> None:
    """Also in the middle of a connection, of an attempt, of a login."""
    for state in (LinkState.UP, LinkState.CONNECTING, LinkState.AUTHENTICATING):
        tale = Tale(a_link(state)).hears(ConfigChanged(attended=True))
        assert (LinkAction.DISCONNECT, LinkAction.CONNECT) == tale.orders
        assert tale.link.attended
    assert (LinkState.IDLE, ()) == (Tale().hears(ConfigChanged()).state, Tale().orders)


@steady
@given(st.lists(st.sampled_from(LINK_EVENTS), max_size=60))
def test_no_unattended_attempt_follows_a_prompt_or_a_denial(kinds: list[type[LinkEvent]]) -> None:
    """Whatever happens in whatever order, before a person or the configuration has changed something."""
    link, forbidden = a_link(), False
    for number, kind in enumerate(kinds):
        if kind not in LINK_TABLE[link.state]:
            continue
        done = step_link(link, a_link_event(kind), NOW + number)
        if kind in (LoginRequested, ConfigChanged):
            forbidden = False
        assert not (forbidden and LinkAction.CONNECT in done.actions)
        assert (done.after.state is LinkState.BACKOFF) == (done.after.retry_at is not None)
        assert (done.after.state is LinkState.UP) == (done.after.up_since is not None)
        assert not (done.after.state is LinkState.UP and done.after.problem)
        trying = done.after.state in (LinkState.CONNECTING, LinkState.AUTHENTICATING)
        assert not (trying and done.after.state is not link.state) or set(TRIES) & set(done.actions)
        forbidden |= kind in (PromptNeeded, AuthDenied)
        link = done.after


def test_no_way_around_a_person() -> None:
    """Exhaustively: from NEEDS_LOGIN and BLOCKED every path to an unattended attempt begins with a person."""
    allowed = {LoginRequested, ConfigChanged}
    for start in (LinkState.NEEDS_LOGIN, LinkState.BLOCKED):
        seen, ahead = set(), [start]
        while ahead:
            state = ahead.pop()
            if state in seen:
                continue
            seen.add(state)
            for kind, rule in LINK_TABLE[state].items():
                if kind not in allowed:
                    assert LinkAction.CONNECT not in rule.do
                    ahead.append(rule.to)
        assert {start} == seen


# Words.


@pytest.mark.parametrize("state", LinkState)
def test_every_link_has_words(state: LinkState) -> None:
    """A phrase, and a next step wherever something is not well."""
    status = describe_link(a_link(state, problem=OTHER_KEY, down_since=NOW - 200, retry_at=NOW + 12), NOW)
    assert status.phrase
    assert status.phrase[0].islower()
    assert status.next or status.severity in (Severity.OK, Severity.BUSY)


def test_what_is_said_of_a_link_that_is_down() -> None:
    """For how long, why, and when it is tried again."""
    link = a_link(LinkState.BACKOFF, problem=DOWN, down_since=NOW - 200, retry_at=NOW + 12)
    status = describe_link(link, NOW)
    assert "unreachable for 3 min: no answer within 20 s" == status.phrase
    assert "tried again by itself in 12 s; check the network" == status.next
    trying = describe_link(replace(link, state=LinkState.CONNECTING, retry_at=None), NOW + 7200)
    assert ("unreachable for 2 h: no answer within 20 s", "trying now; check the network") == (
        trying.phrase,
        trying.next,
    )


def test_that_it_is_tried_again_is_said_once() -> None:
    """With the time; what the trouble itself says of that is left out."""
    again = replace(DOWN, hint="Check the network (a VPN?); it is tried again.")
    link = a_link(LinkState.BACKOFF, problem=again, down_since=NOW - 200, retry_at=NOW + 12)
    assert "tried again by itself in 12 s; check the network (a VPN?)" == describe_link(link, NOW).next


def test_what_follows_on_a_host_key() -> None:
    """The link waits for a person, who is told so wherever the remedy is: without that it stays as it is."""
    link = a_link(LinkState.BLOCKED, problem=replace(OTHER_KEY, hint="Accept it with `ssh frontier`."))
    assert "Accept it with `ssh frontier`. Then sessionctl login frontier" == describe_link(link, NOW).next


@pytest.mark.parametrize(
    ("link", "code", "message", "hint"),
    [
        (a_link(), "link-down", "frontier is not connected", "it is tried again by itself"),
        (a_link(LinkState.CONNECTING), "link-down", "frontier is still being connected to", "tried again"),
        (a_link(LinkState.CONNECTING, problem=DOWN), "host-down", "unreachable: no answer", "check the network"),
        (a_link(LinkState.BACKOFF, problem=DOWN), "host-down", "unreachable: no answer", "check the network"),
        (a_link(LinkState.NEEDS_LOGIN, problem=ASKS), "needs-login", "needs a login: it asks", "sessionctl login f"),
        (a_link(LinkState.NEEDS_LOGIN, problem=DENIED), "auth-denied", "no key was accepted", "sessionctl login f"),
        (
            a_link(LinkState.NEEDS_LOGIN, problem=replace(DENIED, hint="run ssh-add")),
            "auth-denied",
            "no key was accepted",
            "run ssh-add; then sessionctl login frontier",
        ),
        (
            a_link(LinkState.NEEDS_LOGIN, problem=replace(DENIED, hint="Look. Mend it.")),
            "auth-denied",
            "no key was accepted",
            "Look. Mend it. Then sessionctl login frontier",
        ),
        (a_link(LinkState.NEEDS_LOGIN, problem=replace(ASKS, code="logged-out")), "needs-login", "a login", "login"),
        (a_link(LinkState.AUTHENTICATING), "needs-login", "somebody is logging in to frontier", "when the login"),
        (a_link(LinkState.BLOCKED, problem=OTHER_KEY), "host-key", "frontier is not trusted", "ask its admin"),
        (
            a_link(LinkState.BLOCKED, problem=replace(OTHER_KEY, hint="Accept it.")),
            "host-key",
            "frontier is not trusted",
            "Accept it. Then sessionctl login frontier",
        ),
    ],
    ids=lambda x: x.state if isinstance(x, Link) else "",
)
def test_a_link_that_is_not_up_as_an_error(link: Link, code: str, message: str, hint: str) -> None:
    """The kind that its problem is of, the state in words, and the remedy."""
    error = link_error(link)
    assert code == error.code
    assert message in error.message
    assert hint in error.hint


def _down(link: Link) -> Link:
    return replace(link, state=LinkState.BACKOFF, problem=DOWN, down_since=NOW - 200, retry_at=NOW + 12)


@pytest.mark.parametrize(
    ("state", "change", "phrase", "next_step"),
    [
        (State.RUNNING, _down, "running, but frontier is unreachable for 3 min", "reconnecting by itself"),
        (State.TUNNEL, _down, "running, but frontier is unreachable for 3 min", "reconnecting by itself"),
        (State.SUBMIT, _down, "submitting, but frontier is unreachable for 3 min", "reconnecting by itself"),
        (
            State.RUNNING,
            lambda link: replace(link, state=LinkState.NEEDS_LOGIN, problem=ASKS),
            "running, but frontier needs a login",
            "waiting for you: sessionctl login frontier",
        ),
        (
            State.START,
            lambda link: replace(link, state=LinkState.AUTHENTICATING),
            "starting; somebody is logging in to frontier",
            "it goes on when the login is done",
        ),
        (
            State.RENDER,
            lambda link: replace(link, state=LinkState.CONNECTING),
            "preparing; connecting to frontier",
            "",
        ),
        (
            State.RUNNING,
            lambda link: replace(link, state=LinkState.BLOCKED, problem=OTHER_KEY),
            "running, but frontier: its host key has changed",
            "ask its administrators",
        ),
    ],
)
def test_a_session_and_its_link_in_words(
    state: State, change: Callable[[Link], Link], phrase: str, next_step: str
) -> None:
    """What it did when last seen, what is wrong with the way there, and whose turn it is."""
    session = a_session(state, ready_at=NOW - 300, problem=DOWN if state is State.TUNNEL else None)
    status = describe(session, NOW, change(a_link()))
    assert phrase == status.phrase
    assert next_step == status.next.split(";")[0]


def test_a_link_that_is_up_says_nothing_of_itself() -> None:
    """Nor does any link say anything of a session that is over."""
    for state in State:
        session = a_session(state)
        assert describe(session, NOW) == describe(session, NOW, a_link(LinkState.UP))
    ended = a_session(State.ENDED)
    assert describe(ended, NOW) == describe(ended, NOW, _down(a_link()))


@pytest.mark.parametrize("problem", [DOWN, ASKS, DENIED, OTHER_KEY, replace(ASKS, code="link-down")])
def test_what_was_wrong_with_a_link_that_is_up_is_over(problem: Problem) -> None:
    """A session that is being prepared for minutes after a login does not ask for it; what is wrong elsewhere stays."""
    session = a_session(State.RENDER, problem=replace(problem, at=NOW - 60))
    up = a_link(LinkState.UP, up_since=NOW - 50)
    assert describe(replace(session, problem=None), NOW) == describe(session, NOW, up)
    assert current(session, up).problem is None
    for kept, link in (
        (session, a_link(LinkState.UP, up_since=NOW - 70)),
        (session, None),
        (replace(session, problem=replace(problem, code="no-room", at=NOW - 60)), up),
        (a_session(State.ENDED, problem=replace(problem, at=NOW - 60)), up),
    ):
        assert kept is current(kept, link)
    assert problem.message in describe(session, NOW, a_link(LinkState.UP, up_since=NOW - 70)).phrase


def test_a_suspended_job_is_not_called_running() -> None:
    """What the scheduler did to it stays in the words."""
    session = a_session(State.TUNNEL, ready_at=NOW)
    assert session.job is not None
    held = replace(session, job=replace(session.job, id=JOB, phase=Phase.SUSPENDED))
    assert "running," not in describe(held, NOW, _down(a_link())).phrase
