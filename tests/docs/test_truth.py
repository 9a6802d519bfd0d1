"""What the documentation names exists, and what it must name it names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.api import wire, wire_clusters, wire_daemon, wire_forms
from sessiond.api.app import _STATUS
from sessiond.core import events
from sessiond.core.events import Event
from sessiond.core.session import Outcome, Phase, State
from tests.docs.pages import ROOT, anchors, links, pages, prose, title

API = ROOT / "docs" / "api.md"
PAGES = pages()


def _named_in(text: str) -> set[str]:
    """Everything that stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def _routes() -> Iterator[str]:
    for module in sorted((ROOT / "sessiond" / "api").glob("*.py")):
        for verb, path in re.findall(r'router\.add_(get|post|delete|put)\("(/v1[^"]*)"', module.read_text()):
            yield f"{verb.upper()} {path}"


def test_every_route_has_its_section_and_every_section_its_route() -> None:
    """The headings of docs/api.md are the routes that the handlers register, no more and no fewer."""
    described = set(re.findall(r"^### `([A-Z]+ /v1[^`]*)`$", API.read_text(), re.MULTILINE))
    routes = set(_routes())
    assert routes == described
    assert len(routes) > 10


def test_every_event_is_listed() -> None:
    """The table of events has each event once, and none that does not exist."""
    kinds = {name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, Event)}
    rows = re.findall(r"^\| `([A-Z]\w+)` \|", API.read_text(), re.MULTILINE)
    assert sorted(kinds - {"Event"}) == sorted(rows)


@pytest.mark.parametrize(
    "kind",
    [
        wire.Session,
        wire.StartRequest,
        wire.StopRequest,
        wire_clusters.Check,
        wire_clusters.Partition,
        wire_clusters.Partitions,
        wire_clusters.Remarks,
        wire.SshAccess,
        wire.Extended,
        wire.ExtendRequest,
        wire.Plan,
        wire.Rendered,
        wire_forms.Filling,
        wire_forms.FilledField,
        wire_daemon.DashboardLink,
        wire_daemon.DashboardKey,
        wire_daemon.DashboardToken,
        wire.Event,
        wire.StoryLine,
        wire.Story,
        wire.Bundle,
        wire_forms.Param,
        wire_forms.Service,
        wire_forms.Workflow,
        wire_forms.WorkflowParam,
        wire_forms.WorkflowOption,
        wire_forms.CheckWorkflow,
        wire_clusters.Cluster,
        wire_clusters.ClusterLink,
        wire_clusters.LoginEvent,
        wire_clusters.LoginQuestion,
        wire_clusters.LoginAnswers,
        wire_daemon.Status,
        wire_daemon.Reloaded,
        wire.Problem,
        wire.Link,
        wire.Licence,
        wire.Error,
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_field_is_described(kind: type) -> None:
    """Each field that the API's JSON has stands in docs/api.md."""
    text = API.read_text()
    named = _named_in(text) | set(re.findall(r'"(\w+)"', text))
    assert set() == set(kind.__annotations__) - named


def test_every_word_a_field_can_have_is_described() -> None:
    """States, outcomes and a job's phases are listed."""
    words = {str(word) for kind in (State, Outcome, Phase) for word in kind}
    assert set() == words - _named_in(API.read_text())


def test_every_error_code_is_described_with_its_statuses() -> None:
    """The table of errors says the HTTP status and sessionctl's exit status of each code as they are."""
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\d+|-) \| (\d+) \|", API.read_text(), re.MULTILINE)
    told = {code: (http, int(status)) for codes, http, status in rows for code in re.findall(r"`([a-z-]+)`", codes)}
    expected = {code: (str(_STATUS.get(code, "-")), status) for code, status in wire.EXIT_STATUS.items()}
    assert expected == told


def test_every_figure_of_the_metrics_is_described() -> None:
    """The names that /v1/metrics writes are in its section."""
    written = set(re.findall(r"# TYPE (sessiond_\w+)", (ROOT / "sessiond" / "api" / "status.py").read_text()))
    assert written == {name for name in _named_in(API.read_text()) if re.fullmatch(r"sessiond_\w+", name)}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    """Each relative link names a file or folder of the clone, and a heading that it has."""
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert [] == broken


def _keys() -> set[str]:
    """The keys of config.toml, those to be uncommented too, as ``table.key``."""
    text = re.sub(r"^#(?! )", "", (ROOT / "config.toml").read_text(), flags=re.MULTILINE)
    tables = tomllib.loads(text)
    clusters = tables.pop("clusters")
    found = {f"{table}.{key}" for table, keys in tables.items() for key in keys}
    return found | {f"clusters.{name}.{key}" for name, keys in clusters.items() for key in keys}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_configuration_keys_exist(page: Path) -> None:
    """A key written as `daemon.ports` is one of config.toml."""
    named = {name for name in _named_in(prose(page)) if re.fullmatch(r"(daemon|notify|idle|clusters\.\w+)\.\w+", name)}
    assert set() == {name for name in named if not name.endswith((".py", ".log", ".sh"))} - _keys()


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_environment_variables_exist(page: Path) -> None:
    """A variable of ours that a page names is one that the code or a service reads."""
    sources = [*(ROOT / "sessiond").rglob("*.py"), *(ROOT / "services").rglob("*.sh"), *(ROOT / "scripts").iterdir()]
    known = set(re.findall(r"SESSIOND_[A-Z_]+", "\n".join(path.read_text() for path in sources)))
    assert set() == set(re.findall(r"SESSIOND_[A-Z_]+[A-Z]", page.read_text())) - known


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_commands_named_exist(page: Path) -> None:
    """`sessionctl VERB` names a verb of sessionctl."""
    verbs = {path.stem for path in (ROOT / "sessiond" / "cli").glob("*.py")}
    named = set(re.findall(r"(?:`|^\$ |^)sessionctl ([a-z]+)", page.read_text(), re.MULTILINE))
    assert set() == named - verbs


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_files_named_exist(page: Path) -> None:
    """A path of the clone in backticks is there."""
    tops = ("sessiond/", "services/", "systemd/", "tests/", "bench/", "docs/", "scripts/")
    named = {name for name in _named_in(prose(page)) if re.fullmatch(r"[\w./-]+", name) and name.startswith(tops)}
    known = {name for name in named if (ROOT / name).exists()}
    assert set() == named - known - {"sessiond/"}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_the_project_speaks_of_itself(page: Path) -> None:
    """No numbers of a tracker, no unfinished notes, no path of somebody's machine."""
    foreign = re.compile(r"(?<![\w&])#[0-9]+\b|\bTODO\b|\bFIXME\b|\bXXX\b|/work\b|\.\./shared|/root/")
    assert [] == foreign.findall(prose(page))


def test_the_licence_is_the_one_that_is_declared() -> None:
    """LICENSE is MIT, as pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "MIT" == project["license"]["text"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")


def test_the_change_log_has_this_version() -> None:
    """The version that is built has its heading."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] in re.findall(r"^## ([0-9.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_service_is_listed_and_told_how_it_was_tried() -> None:
    """docs/services.md names each folder of services twice: with what it is, and with where it was run."""
    text = (ROOT / "docs" / "services.md").read_text()
    listed, _, tried = text.partition("## What was run, and where")
    folders = {path.parent.name for path in (ROOT / "services").glob("*/start-template.sh")}
    assert folders == set(re.findall(r"^\| \[([\w-]+)\]\(", listed, re.MULTILINE))
    rows = re.findall(r"^\| ([\w, -]+) \|", tried, re.MULTILINE)
    assert folders == {name for row in rows for name in row.split(", ")} - {"service", "---"}
