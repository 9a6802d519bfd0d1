"""Which licence ports are to be open where, and what people read of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessiond.core.ids import ClusterName, session_id
from sessiond.core.licence import Spot, allot, place, taken, tell, unanswered, unopened
from sessiond.core.link import Link, LinkState
from sessiond.core.session import Endpoint, Problem, Session, State
from sessiond.core.spec import Licence, Mode
from sessiond.core.status import Severity, describe
from tests.core.builders import NOW, a_session, a_spec

FRONTIER = ClusterName("frontier")
MATLAB = Licence(variable="MLM_LICENSE_FILE", ports=(27010, 1711))
ELSEWHERE = replace(MATLAB, host="license.example")
NODE = Endpoint(run="1.0", host="n1", port=6001, host_keys=("ssh-ed25519 AAAA",))


def one(number: int, licence: Licence | None, mode: Mode = Mode.SLURM, **changes: Any) -> Session:
    """A running session on a cluster, the younger the higher its number."""
    given: dict[str, Any] = {
        "state": State.RUNNING,
        "endpoint": NODE if mode in (Mode.SLURM, Mode.PBS) else None,
        **changes,
    }
    return replace(
        a_session(**given),
        id=session_id(NOW, number),
        name=f"s{number}",
        created=NOW + number,
        spec=a_spec(licence=licence, mode=mode, cluster=FRONTIER),
    )


def spot(port: int, host: str = "n1") -> Spot:
    """A spot on the cluster."""
    return Spot(cluster=FRONTIER, host=host, port=port)


@pytest.mark.parametrize("mode", [Mode.SLURM, Mode.PBS])
def test_a_job_needs_them_on_its_node_once_that_is_known(mode: Mode) -> None:
    """From the moment its script says where it is until the session is over, the time of its kill script included."""
    assert None is place(one(1, MATLAB, mode, endpoint=None))
    for state in (State.TUNNEL, State.RUNNING, State.VERIFY, State.KILL):
        assert NODE is place(one(1, MATLAB, mode, state=state))
    assert None is place(one(1, MATLAB, mode, state=State.ENDED))
    assert None is place(one(1, None, mode))


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_at_hand_they_are_needed_from_the_first_moment(state: State) -> None:
    """A template's first act may be to ask for a licence, so the ports are there before it runs."""
    found = place(one(1, MATLAB, Mode.CONTROLLER, state=state))
    assert found is not None
    assert "127.0.0.1" == found.host
    assert None is place(one(1, MATLAB, Mode.LOCAL, state=state))
    assert None is not place(one(1, ELSEWHERE, Mode.LOCAL, state=state))


def test_sessions_that_want_the_same_share_it() -> None:
    """One forward a port and host, for all of them, with the keys that the oldest found."""
    first, second = one(1, MATLAB), one(2, replace(MATLAB, ports=(27010,)))
    there = one(3, MATLAB, Mode.CONTROLLER)
    found = allot([there, second, first], {})
    assert {spot(27010), spot(1711), spot(27010, ""), spot(1711, "")} == set(found.forwards)
    assert (first.id, second.id) == found.forwards[spot(27010)].sessions
    assert (first.id,) == found.forwards[spot(1711)].sessions
    assert NODE == found.forwards[spot(1711)].at
    assert ("n1", "the login node of frontier") == (
        found.forwards[spot(1711)].where,
        found.forwards[spot(1711, "")].where,
    )
    assert {} == found.refused


def test_a_port_leads_to_one_place() -> None:
    """The oldest has it, unless it leads elsewhere already; the others are told whose it is."""
    first, second, third = one(1, MATLAB), one(2, ELSEWHERE), one(3, ELSEWHERE)
    fresh = allot([first, second, third], {})
    assert "" == fresh.forwards[spot(27010)].target
    assert {second.id, third.id} == set(fresh.refused)
    assert (
        "licences do not reach n1: port 27010 there leads to the workspace for the session s1"
        == fresh.refused[second.id].message
    )
    held = {spot(27010): "license.example", spot(1711): "license.example"}
    kept = allot([first, second, third], held)
    assert (second.id, third.id) == kept.forwards[spot(27010)].sessions
    assert {first.id} == set(kept.refused)
    assert "leads to license.example for the session s2" in kept.refused[first.id].message
    assert "" == allot([first], held).forwards[spot(27010)].target


def test_on_this_machine() -> None:
    """What the workspace opens for itself is told apart."""
    found = allot([one(1, ELSEWHERE, Mode.LOCAL)], {})
    assert [("this machine", True)] * 2 == [(f.where, f.here) for f in found.forwards.values()]


@pytest.mark.parametrize(
    ("licence", "mode", "text"),
    [
        (MATLAB, Mode.LOCAL, "MLM_LICENSE_FILE=27010@localhost: the licence server of this machine"),
        (
            ELSEWHERE,
            Mode.LOCAL,
            "MLM_LICENSE_FILE=27010@localhost: ports 27010 and 1711 of this machine lead to license.example",
        ),
        (
            MATLAB,
            Mode.CONTROLLER,
            "MLM_LICENSE_FILE=27010@localhost: ports 27010 and 1711 of the login node lead to the workspace",
        ),
        (
            replace(ELSEWHERE, ports=(5053,)),
            Mode.PBS,
            "MLM_LICENSE_FILE=5053@localhost: port 5053 of its node leads to license.example",
        ),
    ],
)
def test_what_is_done_in_a_sentence(licence: Licence, mode: Mode, text: str) -> None:
    """What a plan says."""
    assert text == tell(licence, mode)


def test_what_is_wrong_and_what_to_do() -> None:
    """Every problem has a remedy."""
    forward = allot([one(1, ELSEWHERE)], {}).forwards[spot(27010)]
    problems = [
        unopened(forward, "ssh to n1 failed: Permission denied", "put your key there"),
        unopened(forward, "no answer", ""),
        taken(forward),
        unanswered(forward, "connection refused"),
    ]
    assert [
        "licences do not reach n1: ssh to n1 failed: Permission denied",
        "licences do not reach n1: no answer",
        "licences do not reach n1: another program listens on port 27010 there",
        "the licence server does not answer (license.example, port 27010): connection refused",
    ] == [problem.message for problem in problems]
    assert all(problem.hint for problem in problems)
    assert {"licences"} == {problem.code for problem in problems}


NONE_HERE = Problem(code="licences", message="licences do not reach n1: no answer", hint="allow ssh")


def test_the_state_says_it() -> None:
    """The session runs, and asks for attention; what is worse goes first, and what is over wants nothing."""
    status = describe(one(1, MATLAB), NOW, licences=NONE_HERE)
    assert ("running; licences do not reach n1: no answer", "allow ssh", Severity.ATTENTION) == (
        status.phrase,
        status.next,
        status.severity,
    )
    worse = Problem(code="x", message="connection refused")
    assert "licences" not in describe(one(1, MATLAB, state=State.TUNNEL, problem=worse), NOW, licences=NONE_HERE).phrase
    down = Link(name=FRONTIER, state=LinkState.BACKOFF, since=NOW, down_since=NOW, salt="x")
    assert "unreachable" in describe(one(1, MATLAB), NOW, down, licences=NONE_HERE).phrase


def test_waiting_for_licences_does_not_count_against_the_service() -> None:
    """It may take that much longer until it answers before anybody is alarmed."""
    spec = a_spec()
    waits = replace(spec, licence=replace(MATLAB, wait_s=90))
    assert 90 == waits.ready_within_s - spec.ready_within_s
