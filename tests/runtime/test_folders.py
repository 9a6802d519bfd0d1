"""A session's folder in the workspace: five fields for existing tools, whole files, no secrets."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.core.machine import create
from sessiond.core.session import Outcome, State
from sessiond.core.spec import Scheme
from sessiond.runtime.bus import Published
from sessiond.runtime.folders import Folders, job_status, service_json
from tests.core.builders import NOW, WRONG, a_session


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.RENDER, "Initializing"),
        (State.SUBMIT, "Submitted"),
        (State.RECONCILE, "Submitted"),
        (State.WAIT_FOR_NODE, "Submitted"),
        (State.START, "Submitted"),
        (State.TUNNEL, "Submitted"),
        (State.RUNNING, "Running"),
        (State.VERIFY, "Running"),
        (State.KILL, "Cancelled"),
        (State.ABANDON, "Failed"),
        (State.ENDED, "Completed"),
    ],
)
def test_the_status_in_the_words_of_existing_tools(state: State, expected: str) -> None:
    """Six words for eleven states."""
    assert expected == job_status(a_session(state))


def test_the_status_of_what_ran_before_and_of_each_end() -> None:
    """A service that answered once stays Running for tools while it is reconnected to."""
    assert "Running" == job_status(a_session(State.TUNNEL, ready_at=NOW))
    assert "Failed" == job_status(a_session(State.KILL, ending=Outcome.FAILED))
    ends = {o: job_status(a_session(State.ENDED, outcome=o)) for o in Outcome}
    fine = {Outcome.COMPLETED: "Completed", Outcome.CANCELLED: "Cancelled"}
    assert {o: fine.get(o, "Failed") for o in Outcome} == ends


def test_the_five_fields() -> None:
    """All of them texts; a message only where it failed."""
    failed = json.loads(service_json(a_session(State.ENDED, outcome=Outcome.FAILED, problem=WRONG), "lab"))
    expected = {"URL": "/me", "PORT": "50000", "SLUG": "lab", "JOB_STATUS": "Failed", "ERROR_MESSAGE": "it went wrong"}
    assert expected == failed
    assert "" == json.loads(service_json(a_session(State.TUNNEL, problem=WRONG), ""))["ERROR_MESSAGE"]


def test_the_url_of_a_service_that_speaks_https() -> None:
    """Is /sme."""
    one = a_session()
    secure = replace(one, spec=replace(one.spec, service=replace(one.spec.service, scheme=Scheme.HTTPS)))
    assert ["/me", "/sme"] == [json.loads(service_json(each, ""))["URL"] for each in (one, secure)]


def test_what_is_kept_of_the_rendered_files(tmp_path: Path) -> None:
    """Scripts and inputs, for the user alone; neither secrets nor the service's own files."""
    folders, session = Folders(tmp_path / "sessions"), a_session()
    folders.keep(session.id, {"session.sh": b"a", "secrets.sh": b"s3cret", "service/x": b"b", "utils/notify.sh": b"c"})
    found = {p.relative_to(folders.of(session.id)).as_posix(): p for p in tmp_path.rglob("*") if p.is_file()}
    assert {"rendered/session.sh", "rendered/utils/notify.sh"} == set(found)
    assert {0o600} == {stat.S_IMODE(p.stat().st_mode) for p in found.values()}


def test_scripts_are_read_while_they_are_written_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may look at any moment: they see whole files alone, and what is gone meanwhile is no error."""
    folders, session = Folders(tmp_path), a_session()
    assert {} == folders.rendered(session.id)
    folders.keep(session.id, {"session.sh": b"a", "utils/notify.sh": b"b"})
    replace_file, seen = Path.replace, list[Mapping[str, bytes]]()

    def looked_at(aside: Path, target: Path) -> Path:
        seen.append(folders.rendered(session.id))
        return replace_file(aside, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", looked_at)
        folders.keep(session.id, {"session.sh": b"c", "inputs.sh": b"d"})
    assert [{"session.sh": b"a", "utils/notify.sh": b"b"}, {"session.sh": b"c", "utils/notify.sh": b"b"}] == seen
    assert ["inputs.sh", "session.sh", "utils/notify.sh"] == list(folders.rendered(session.id))
    read = Path.read_bytes

    def forgotten(path: Path) -> bytes:
        folders.remove(session.id)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", forgotten)
    assert {} == folders.rendered(session.id)


def test_every_folder_is_the_users_own(tmp_path: Path) -> None:
    """Not only the innermost one."""
    folders, session = Folders(tmp_path / "sessions"), a_session()
    before = os.umask(0o022)
    try:
        folders.write(session.id, "rendered/utils/x", b"")
    finally:
        os.umask(before)
    assert {0o700} == {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "sessions").rglob("*") if p.is_dir()}


def test_a_file_is_replaced_whole_and_a_folder_goes_whole(tmp_path: Path) -> None:
    """Nothing half-written is ever seen under the name; removing twice is no error."""
    folders, session = Folders(tmp_path), a_session()
    assert b"" == folders.log_tail(session.id)
    for content in (b"long" * 1000, b"short"):
        folders.write(session.id, "logs.out", content)
    assert b"short" == folders.log_tail(session.id)
    assert ["logs.out"] == [p.name for p in folders.of(session.id).iterdir()]
    folders.remove(session.id)
    folders.remove(session.id)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_stops_no_transition(tmp_path: Path) -> None:
    """The next transition writes it."""
    first = create(a_session())
    assert first.record is not None
    published = Published(seq=1, record=first.record, session=first.after)
    folders = Folders(tmp_path / "sessions")
    (tmp_path / "sessions").touch()
    folders.publish(published)
    (tmp_path / "sessions").unlink()
    folders.publish(published)
    assert "Initializing" in (folders.of(first.after.id) / "service.json").read_text()
