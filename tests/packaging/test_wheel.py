"""The wheel has all that is needed and nothing more, and what is installed from it works without this tree."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond import __version__
from tests.daemon import traces
from tests.daemon.workspace import fetch

from . import house
from .house import ROOT

# Packages are fetched and built.
pytestmark = pytest.mark.timeout(300)

SHIPPED = ("services", "systemd")
MAN = ("sessiond.1", "sessionctl.1")


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """The wheel."""
    with house.folder() as made:
        yield house.wheel(made)


@pytest.fixture(scope="module", params=house.pythons(), ids=lambda python: Path(python).name)
def installed(request: pytest.FixtureRequest, built: Path) -> Iterator[house.Pipx]:
    """What pipx has installed, with each Python; afterwards it takes all of it away."""
    with house.folder() as made:
        here = house.pipx(request.param, built, made / "pipx")
        yield here
        here.run("uninstall", "sessiond")
        assert [] == [*here.programs.iterdir(), *here.man.rglob("*.1")]


class Place:
    """A home in which the installed programs are used."""

    def __init__(self, root: Path, installed: house.Pipx) -> None:
        self.installed = installed
        self.programs = programs = installed.programs
        self.home = root / "home"
        config = self.home / ".config/sessiond/config.toml"
        config.parent.mkdir(parents=True)
        config.write_text('[daemon]\ngateway = "127.0.0.1:0"\n')
        self.env = {"HOME": str(self.home), "PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def ctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The installed sessionctl, in a folder with nothing in it."""
        return house.run(self.programs / "sessionctl", *args, cwd=self.home, env=self.env, check=check)


@pytest.fixture
def place(installed: house.Pipx) -> Iterator[Place]:
    """A home; its daemon is ended afterwards."""
    with house.folder() as made:
        yield (here := Place(made, installed))
        status = here.ctl("status", check=False).stdout
        if pid := re.search(r"\bpid (\d+)", status):
            os.kill(int(pid[1]), signal.SIGTERM)
            traces.until(lambda: not Path(f"/proc/{pid[1]}").exists(), "the daemon does not end")


def test_it_holds_the_tree_and_nothing_else(built: Path) -> None:
    """The package, services, units and man pages, each file as it is, with its mode; no tests, no leavings."""
    expected = {
        f"sessiond/_data/{path.relative_to(ROOT)}": path
        for top in SHIPPED
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        str(path.relative_to(ROOT)): path
        for path in (ROOT / "sessiond").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = f"sessiond-{__version__}"
    expected |= {f"{about}.data/data/share/man/man1/{name}": ROOT / "man" / name for name in MAN}
    with zipfile.ZipFile(built) as archive:
        held = {entry.filename: entry for entry in archive.infolist()}
        own = {name for name in held if name.startswith(f"{about}.dist-info/")}
        assert expected.keys() == held.keys() - own
        for name, path in expected.items():
            assert path.read_bytes() == archive.read(name)
            modes = (entry_mode(held[name]) & stat.S_IXUSR, path.stat().st_mode & stat.S_IXUSR)
            assert modes[0] == modes[1], name
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses"} == {name.split("/")[1] for name in own}


def entry_mode(entry: zipfile.ZipInfo) -> int:
    """The mode that a file has in the archive."""
    return entry.external_attr >> 16


def test_every_kind_of_file_is_there(built: Path) -> None:
    """What services are made of: templates, forms, descriptions, pictures, and what they share."""
    with zipfile.ZipFile(built) as archive:
        names = [name.removeprefix("sessiond/_data/") for name in archive.namelist()]
    for pattern in (
        r"services/[\w-]+/start-template\.sh",
        r"services/[\w-]+/service\.toml",
        r"services/[\w-]+/thumbnail\.png",
        r"services/[\w-]+/workflows/[\w-]+\.xml",
        r"services/[\w-]+/workflows/[\w-]+\.md",
        r"services/_lib/toolkit\.sh",
        r"systemd/sessiond\.socket",
        r"sessiond/py\.typed",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_the_programs_run_elsewhere(place: Place) -> None:
    """Without the tree, PYTHONPATH, or a daemon both say the version; the package is found in the environment."""
    assert f"sessionctl {__version__}\nsessiond not running\n" == place.ctl("version").stdout
    assert f"sessiond {__version__}\n" == house.run(place.programs / "sessiond", "--version", env=place.env).stdout
    environment = place.installed.environment
    asked = "import sessiond; print(sessiond.__file__)"
    where = house.run(environment / "bin/python", "-c", asked, env=place.env).stdout
    assert environment in Path(where).parents
    assert {"sessiond", "sessionctl"} == {path.name for path in place.programs.iterdir()}
    assert set(MAN) == {path.name for path in (place.installed.man / "man1").iterdir()}
    assert (ROOT / "man/sessionctl.1").read_bytes() == (place.installed.man / "man1/sessionctl.1").read_bytes()


def test_all_services_and_forms_are_known(place: Place) -> None:
    """The daemon starts by itself and lists what this tree has."""
    listed = {line.split()[0] for line in place.ctl("services").stdout.splitlines()[1:]}
    assert {path.parent.name for path in (ROOT / "services").glob("*/start-template.sh")} == listed
    forms = place.ctl("workflows").stdout
    for path in (ROOT / "services").glob("*/workflows/*.xml"):
        assert path.stem in forms, path


@pytest.mark.skipif(shutil.which("ncat") is None, reason="no ncat here (Debian's package ncat)")
def test_a_session_runs(place: Place) -> None:
    """A service of the wheel runs, answers behind its URL, and ends."""
    url = place.ctl("start", "netcat-tester", "--name", "page").stdout.strip()
    status, text = fetch(url)
    assert (200, True) == (status, "It works" in text)
    assert "page: stopped\n" == place.ctl("stop", "page").stdout


def test_without_systemd_it_says_what_works_instead(place: Place) -> None:
    """`install` does nothing where no user manager answers, and `uninstall` finds nothing to do."""
    place.env["XDG_RUNTIME_DIR"] = str(place.home)
    done = place.ctl("install", check=False)
    assert (1, "", 2) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert done.stderr.startswith("sessionctl: no systemd of yours answers here (")
    assert "the first sessionctl that needs the daemon starts it" in done.stderr
    assert not (place.home / ".config/systemd").exists()
    units = place.home / ".config/systemd/user"
    assert f"there is no unit of sessiond in {units}\n" == place.ctl("uninstall").stdout


def test_which_pythons_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one, and pyenv's, whose word on the PATH answers for a chosen version alone; none that does not run."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    other = next(minor for minor in house.MINORS if minor != sys.version_info.minor)
    for path in (f"shims/python3.{other}", f"versions/3.{other}.1/bin/python3.{other}"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / path).chmod(0o755)
    assert [sys.executable] == house.pythons()
    (tmp_path / f"versions/3.{other}.1/bin/python3.{other}").write_text(f"#!/bin/sh\necho {other}\n")
    assert {sys.executable, str(tmp_path / f"versions/3.{other}.1/bin/python3.{other}")} == set(house.pythons())
