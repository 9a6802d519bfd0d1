"""From a request to a session: names, walltimes, modes, and everything that is refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import Conflict, NotFound, SpecError
from sessiond.core.ids import ClusterName
from sessiond.core.session import Session, State
from sessiond.core.spec import Listen, Mode, Resources
from sessiond.runtime.launch import Place, Request, mode_of, name_for, new_session, place_of

PLACE = Place(
    name=ClusterName("local"), modes=(Mode.LOCAL,), workdir="/home/alice/", setup="true", defaults={}, user="alice"
)
FRONTIER = Place(
    name=ClusterName("frontier"),
    modes=(Mode.SLURM, Mode.CONTROLLER),
    workdir="~/work",
    setup="",
    defaults={"partition": "batch", "time": "60", "a": "1"},
    user="alice",
    listen={Mode.SLURM: Listen.ANY, Mode.CONTROLLER: Listen.SOCKET},
)


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


def test_modes() -> None:
    """The cluster's usual one if none is said; what does not exist or fit is refused, and directives nobody reads."""
    assert [Mode.LOCAL, Mode.LOCAL] == [mode_of(Request(service="x", mode=m), PLACE) for m in ("", "local")]
    assert [Mode.SLURM, Mode.CONTROLLER] == [
        mode_of(Request(service="x", mode=m), FRONTIER) for m in ("", "controller")
    ]
    for request, place, message in (
        (Request(service="x", mode="slurm"), PLACE, "local has mode local only"),
        (Request(service="x", mode="rocket"), PLACE, "expected one of local, controller, slurm, pbs"),
        (Request(service="x", mode="local"), FRONTIER, "frontier has mode slurm or controller only"),
        (Request(service="x", directives=("--nice",)), PLACE, "no scheduler that could read directives"),
        (Request(service="x", mode="controller", directives=("--nice",)), FRONTIER, "no scheduler"),
    ):
        with pytest.raises(SpecError, match=message):
            mode_of(request, place)
    with pytest.raises(NotFound, match="no cluster mars") as refused:
        place_of(Request(service="x", cluster="mars"), {PLACE.name: PLACE, FRONTIER.name: FRONTIER})
    assert "Clusters: local, frontier; config.toml names them." == refused.value.hint


def test_how_long_a_job_may_wait(catalogue: Catalogue) -> None:
    """It goes with the session; where there is no queue it is refused."""
    plain = Request(service="tiny", cluster="frontier")
    limited = replace(plain, max_wait_s=7200.0)
    assert 7200.0 == made(catalogue, limited, FRONTIER).spec.max_wait_s
    assert made(catalogue, plain, FRONTIER).spec.max_wait_s is None
    for request, place in ((replace(limited, cluster="local"), PLACE), (replace(limited, mode="controller"), FRONTIER)):
        with pytest.raises(SpecError, match=r"--max-wait: mode [a-z]+ has no queue to wait in"):
            made(catalogue, request, place)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """One service, without parameters of its own."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "start-template.sh").write_text("true\n")
    return Catalogue.read([tmp_path])


def made(catalogue: Catalogue, request: Request, place: Place = PLACE) -> Session:
    """The session that a request makes."""
    return new_session(request, catalogue, {place.name: place}, now=1e9, number=3, open_port=50001, taken=())


def test_a_session_as_it_begins(catalogue: Catalogue) -> None:
    """Everything resolved; its token is its own and hidden from whoever prints it."""
    place = replace(PLACE, defaults={"a": "1", "b": "1", "partition": "batch"})
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


def test_a_session_on_a_cluster(catalogue: Catalogue) -> None:
    """What the scheduler is asked for is no variable of the service; what the person says goes before the defaults."""
    request = Request(
        service="tiny",
        cluster="frontier",
        settings={"partition": "gpu", "gpus": "a100:2", "b": "2"},
        directives=("#SBATCH --exclusive",),
    )
    spec = made(catalogue, request, FRONTIER).spec
    assert Resources(partition="gpu", gpus="a100:2", walltime_s=3600, extra=("--exclusive",)) == spec.resources
    assert {"a": "1", "b": "2"} == dict(spec.params)
    assert ("frontier", Mode.SLURM, Listen.ANY) == (spec.cluster, spec.mode, spec.listen)
    assert spec.jobdir.startswith("~/work/sessiond/")


def test_a_login_node_is_asked_for_nothing(catalogue: Catalogue) -> None:
    """The defaults that are for the scheduler are passed over."""
    spec = made(catalogue, Request(service="tiny", cluster="frontier", mode="controller"), FRONTIER).spec
    assert (Resources(), {"a": "1"}, Listen.SOCKET) == (spec.resources, dict(spec.params), spec.listen)


def test_a_service_keeps_a_parameter_of_the_scheduler_s_name(tmp_path: Path) -> None:
    """A service that declares `nodes` gets it; one that declares others is not given what only a scheduler reads."""
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "start-template.sh").write_text("true\n")
    (tmp_path / "maps" / "service.toml").write_text("[params.nodes]\n[params.title]\n")
    catalogue = Catalogue.read([tmp_path])
    spec = made(catalogue, Request(service="maps", cluster="frontier", settings={"nodes": "many"}), FRONTIER).spec
    assert ("many", None) == (spec.params["nodes"], spec.resources.nodes)
    with pytest.raises(SpecError, match="--set cpus: mode local has no scheduler"):
        made(catalogue, Request(service="maps", settings={"cpus": "2"}))
