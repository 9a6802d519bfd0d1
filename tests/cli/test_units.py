"""The units that `sessionctl install` writes: which program they start, and how somebody's edit is seen."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from sessiond import paths
from sessiond.cli import units
from sessiond.client import ClientError


def programs(folder: Path) -> Path:
    """An installation's two programs; the path of its sessionctl."""
    folder.mkdir(parents=True)
    for name in ("sessiond", "sessionctl"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder / "sessionctl"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for links; this environment's own scripts are out of sight."""
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path / "nothing"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def called(monkeypatch: pytest.MonkeyPatch, program: Path) -> Path:
    """What the unit starts where sessionctl was called as ``program``."""
    monkeypatch.setattr("sys.argv", [str(program), "install"])
    return units.program()


def test_links_into_the_installation_are_kept(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pipx makes them for both programs, and as a site does with a folder: an upgrade puts something else behind."""
    real = programs(tmp_path / "venv/bin")
    for name in ("sessiond", "sessionctl"):
        (elsewhere / name).symlink_to(real.with_name(name))
    assert elsewhere / "sessiond" == called(monkeypatch, elsewhere / "sessionctl")
    (tmp_path / "current").symlink_to(tmp_path / "venv")
    assert tmp_path / "current/bin/sessiond" == called(monkeypatch, tmp_path / "current/bin/sessionctl")


def test_another_installations_daemon_is_not_taken(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to this sessionctl beside somebody else's sessiond."""
    real = programs(tmp_path / "venv/bin")
    programs(tmp_path / "old/bin")
    (elsewhere / "sessionctl").symlink_to(real)
    (elsewhere / "sessiond").symlink_to(tmp_path / "old/bin/sessiond")
    assert real.with_name("sessiond") == called(monkeypatch, elsewhere / "sessionctl")


def test_without_an_installation_there_is_nothing_to_start(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that is only on Python's path."""
    with pytest.raises(ClientError, match="this sessionctl is not installed"):
        called(monkeypatch, elsewhere / "sessionctl")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/home/me/.local/bin/sessiond", "/home/me/.local/bin/sessiond"),
        ("/a b/s", '"/a b/s"'),
        ("/50%/s", "/50%%/s"),
        ('/a"\\/s', '"/a\\"\\\\/s"'),
        ("/größe/s", '"/größe/s"'),
    ],
)
def test_paths_are_quoted_for_systemd(path: str, word: str) -> None:
    """systemd.service(5), command lines; systemd.unit(5), specifiers."""
    assert word == units.quoted(Path(path))


def test_a_path_that_would_be_two_lines_is_refused() -> None:
    """Nothing can be smuggled into a unit."""
    with pytest.raises(ClientError, match="such characters"):
        units.quoted(Path("/a\nExecStartPre=/bin/evil/s"))


def test_kinds(tmp_path: Path) -> None:
    """Each byte counts; what somebody copied from the package is ours, a link is not."""
    text = units.rendered(Path("/opt/sessiond"))["sessiond.service"]
    unit = tmp_path / "units" / "sessiond.service"
    found = [units.kind(unit)]
    units.write(unit, text)
    found.append(units.kind(unit))
    unit.write_text(text + "\n")
    found.append(units.kind(unit))
    unit.write_text(text.replace("ExecStart=/opt", "ExecStart=/srv"))
    found.append(units.kind(unit))
    unit.write_bytes((paths.data_dir("systemd") / unit.name).read_bytes())
    found.append(units.kind(unit))
    other = tmp_path / "other"
    other.write_text(text)
    unit.unlink()
    unit.symlink_to(other)
    found.append(units.kind(unit))
    kind = units.Kind
    assert [kind.MISSING, kind.OURS, kind.EDITED, kind.EDITED, kind.OURS, kind.EDITED] == found
    assert ["sessiond.service"] == [path.name for path in unit.parent.iterdir()]


def test_a_unit_starts_one_program(tmp_path: Path) -> None:
    """ExecStart is replaced, and nothing else of what the package has."""
    text = units.rendered(Path("/opt/sessiond"))["sessiond.service"]
    assert ["ExecStart=/opt/sessiond"] == [line for line in text.splitlines() if line.startswith("ExecStart=")]
    shipped = (paths.data_dir("systemd") / "sessiond.service").read_text().splitlines()
    assert [line for line in shipped if not line.startswith("ExecStart=")] == [
        line for line in text.splitlines()[1:] if not line.startswith("ExecStart=")
    ]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """One sentence, and no half a file."""
    (tmp_path / "file").touch()
    with pytest.raises(ClientError, match=r"sessiond\.service cannot be written: "):
        units.write(tmp_path / "file" / "sessiond.service", "x")
