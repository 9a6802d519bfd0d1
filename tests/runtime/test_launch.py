"""From a request to a session: names, walltimes, modes, and everything that is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import Conflict, NotFound, Refused, SpecError
from sessiond.core.session import Session, State
from sessiond.core.spec import Mode
from sessiond.runtime.launch import Place, Request, mode_of, name_for, new_session, walltime_s
from tests.core.steady import steady

PLACE = Place(workdir="/home/alice/", setup="true", defaults={}, user="alice")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("02:00:00", 7200), ("1:30", 5400), ("90", 5400), ("0:0:1", 1), ("100:00:00", 360_000)],
)
def test_walltimes(text: str, seconds: int | None) -> None:
    """HH:MM:SS, HH:MM, minutes."""
    assert seconds == walltime_s(text)


@pytest.mark.parametrize(
    "text", ["0", "00:00:00", "soon", "-1", "1:60", "1:00:60", "1:2:3:4", "٣", "9999999", "1.5", ":", " 5"]
)
def test_walltimes_that_are_none(text: str) -> None:
    """Refused with what was expected and what came."""
    with pytest.raises(SpecError, match="expected HH:MM:SS"):
        walltime_s(text)


@steady
@given(st.text(max_size=12))
def test_no_text_is_a_crash(text: str) -> None:
    """Seconds within a year, or a SpecError."""
    try:
        seconds = walltime_s(text)
    except SpecError:
        return
    assert seconds is None or 0 < seconds <= 365 * 24 * 3600


@pytest.mark.parametrize("name", ["Name", "a b", "-a", "a-", "a" * 41, "a.b", "é", "a\n"])
def test_names_that_are_none(name: str) -> None:
    """Small letters, digits, hyphens; shown back without what a terminal would obey."""
    with pytest.raises(SpecError, match="is not a name") as refused:
        name_for(Request(service="x", name=name), ())
    assert refused.value.message.isprintable()


def test_a_name_that_is_taken_and_one_that_is_found() -> None:
    """Asked for: refused; not asked for: the first free number."""
    with pytest.raises(Conflict):
        name_for(Request(service="x", name="mine"), {"mine"})
    assert "mine" == name_for(Request(service="x", name="mine"), {"x"})
    assert ["x", "x-2", "x-3"] == [name_for(Request(service="x"), t) for t in ((), {"x"}, {"x", "x-2"})]
    assert "x-2" == name_for(Request(service="x"), {"x", "x-3"})
    assert ["my-service", "session"] == [name_for(Request(service=s), ()) for s in ("My_Service!", "___")]


def test_the_one_mode_there_is() -> None:
    """Local, said or not; all else is refused, and directives have nobody to read them."""
    assert [Mode.LOCAL, Mode.LOCAL] == [mode_of(Request(service="x", mode=m), ()) for m in ("", "local")]
    for request in (
        Request(service="x", mode="slurm"),
        Request(service="x", mode="rocket"),
        Request(service="x", cluster="frontier"),
        Request(service="x", directives=("--nice",)),
    ):
        with pytest.raises(Refused):
            mode_of(request, {"frontier"})
    with pytest.raises(NotFound, match="no cluster mars"):
        mode_of(Request(service="x", cluster="mars"), {"frontier"})


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """One service, without parameters of its own."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "start-template.sh").write_text("true\n")
    return Catalogue.read([tmp_path])


def made(catalogue: Catalogue, request: Request, place: Place = PLACE) -> Session:
    """The session that a request makes."""
    return new_session(request, catalogue, place, now=1e9, number=3, open_port=50001, taken=())


def test_a_session_as_it_begins(catalogue: Catalogue) -> None:
    """Everything resolved; its token is its own and hidden from whoever prints it."""
    place = Place(workdir="/home/alice/", setup="true", defaults={"a": "1", "b": "1"}, user="alice")
    session = made(catalogue, Request(service="tiny", settings={"b": "2"}, time="10"), place)
    assert (State.RENDER, 0, 3, 50001, "tiny") == (
        session.state,
        session.version,
        session.number,
        session.open_port,
        session.name,
    )
    assert {"a": "1", "b": "2"} == dict(session.spec.params)
    assert (f"/home/alice/sessiond/{session.id}", 600) == (session.spec.jobdir, session.spec.resources.walltime_s)
    token, other = (s.spec.secrets["service_token"] for s in (session, made(catalogue, Request(service="tiny"))))
    assert 32 == len(token)
    assert token != other
    assert token not in repr(session)


@pytest.mark.parametrize("key", ["a;b", "1a", "", "a b", "$(x)", "a=b"])
def test_a_setting_that_cannot_be_a_variable_is_refused(catalogue: Catalogue, key: str) -> None:
    """Before anything is begun."""
    with pytest.raises(SpecError):
        made(catalogue, Request(service="tiny", settings={key: "x"}))


def test_an_unknown_service_is_not_found(catalogue: Catalogue) -> None:
    """By any spelling."""
    for name in ("nothing", "../tiny", "", "tiny/", "\0"):
        with pytest.raises(NotFound):
            made(catalogue, Request(service=name))
