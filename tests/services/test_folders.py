"""What holds for the folders of services without starting one."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.config.catalogue import Catalogue
from sessiond.core.command import Completed
from sessiond.core.spec import Listen, Prefix
from sessiond.render.url import landing, read_urlend
from tests.services.house import SERVICES, TOKEN, build

NOVNC = "autoconnect=true&reconnect=true&reconnect_delay=2000&resize=remote&show_dot=true&path=me/50123/websockify"
FOLDERS = sorted(path.parent.name for path in SERVICES.glob("*/start-template.sh"))
DESKTOP = "autoconnect=true&resize=remote&show_dot=true"
KEEP = {"jupyter-host", "jupyterlab-host", "matlab", "streamlit-host"} | {
    "docker-service",
    "jupyter-docker",
    "jupyter-singularity",
    "matlab-docker",
}
"""The services that have an option for the path below which they are."""


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_can_be_started(name: str) -> None:
    """The folder has no mistakes, says what it is, and every parameter is explained."""
    entry = Catalogue.read([SERVICES]).entry(name)
    assert () == entry.problems
    assert entry.title
    assert entry.description.endswith(".")
    assert all(param.label and param.help for param in entry.params)
    assert Prefix("keep" if name in KEEP else "strip") == entry.prefix


@pytest.mark.parametrize("name", FOLDERS)
def test_every_declared_parameter_is_used_and_explained(name: str) -> None:
    """No parameter is dead: a script reads it, and the README has it."""
    scripts = "".join(path.read_text() for path in (SERVICES / name).glob("*.sh"))
    scripts += "".join((SERVICES / "_lib" / found).read_text() for found in re.findall(r"/lib/(\w+\.sh)", scripts))
    # The cluster's lines and this one come from the prelude around the template.
    readme = (SERVICES / name / "README.md").read_text()
    for param in Catalogue.read([SERVICES]).entry(name).params:
        assert param.name in scripts or param.name == "service_load_env"
        assert f"| `{param.name}` |" in readme


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jupyter-host", f"/me/50123/tree?token={TOKEN}"),
        ("jupyterlab-host", f"/me/50123/lab?token={TOKEN}"),
        ("matlab", f"/me/50123/index.html?mwi-auth-token={TOKEN}"),
        ("netcat-tester", f"/me/50123/?token={TOKEN}"),
        ("openvscode", f"/me/50123/?token={TOKEN}"),
        ("streamlit-host", f"/me/50123/?token={TOKEN}"),
        ("nicedcv", f"/me/50123/?authToken={TOKEN}#sessiond-job"),
        ("scw", "/me/50123/"),
        ("turbovnc", f"/me/50123/vnc.html?token={TOKEN}&{NOVNC}"),
        ("docker-service", "/me/50123/"),
        ("jupyter-docker", f"/me/50123/?token={TOKEN}"),
        ("jupyter-singularity", f"/me/50123/?token={TOKEN}"),
        ("matlab-docker", f"/me/50123/?mwi-auth-token={TOKEN}"),
        ("novnc-docker", f"/me/50123/vnc.html?{DESKTOP}&path=me/50123/websockify#password={TOKEN[:8]}"),
        ("nginx-docker", "/me/50123/"),
        ("pvweb-singularity", f"/me/50123/#secret={TOKEN}"),
        ("r-singularity", f"/me/50123/#password={TOKEN}"),
        ("webshell", f"/me/50123/?token={TOKEN}"),
    ],
)
def test_the_browser_lands_with_the_token(tmp_path: Path, name: str, expected: str) -> None:
    """url.sh gives the address with the session's token in it."""
    needed = {param.name: "docker run it" for param in Catalogue.read([SERVICES]).entry(name).params if param.required}
    house = build(tmp_path, name, Listen.LOOPBACK, **needed)
    script = '. ./inputs.sh; . ./secrets.sh; . ./service/url.sh; printf "\\036%s\\036" "$URLEND"'
    done = subprocess.run(["bash", "-c", script], cwd=house.jobdir, capture_output=True, check=True)
    urlend = read_urlend(Completed(rc=0, stdout=done.stdout, stderr=b""))
    assert expected == landing(urlend, "/me/50123", "127.0.0.1:8700", 0)


@pytest.mark.parametrize("name", FOLDERS)
def test_shellcheck_has_nothing_to_say(name: str) -> None:
    """Every script passes shellcheck, followed into what it sources."""
    checker = Path(sys.executable).parent / "shellcheck"
    scripts = sorted(str(path) for path in (SERVICES / name).glob("*.sh"))
    done = subprocess.run([checker, "-x", "-P", SERVICES.parent, *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_form_can_be_used_and_is_described(name: str) -> None:
    """A form has no mistakes, is for its folder's service, asks only for what that knows, and has a description."""
    catalogue = Catalogue.read([SERVICES])
    forms = [file for file in catalogue.workflows.values() if file.folder == name]
    assert forms
    known = {param.name for param in catalogue.entry(name).params} | {"service_name", "service_servicePort"}
    for file in forms:
        form = file.read()
        assert ((), (), name) == (form.problems, form.warnings, form.service)
        asked = [param for param in form.params if param.path[0] != form.label]
        own = {param.variable for param in asked if not param.variable.startswith("advanced_options_license_")}
        assert set() == own - known
        assert file.path.with_suffix(".md").read_text().strip()


PICTURES = sorted([*SERVICES.glob("*/thumbnail.png"), *SERVICES.glob("*/workflows/*.png")])


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.relative_to(SERVICES).as_posix())
def test_pictures_are_small(path: Path) -> None:
    """A PNG of 120 by 120 pixels, and light."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert (120, 120) == struct.unpack(">II", content[16:24])
    assert len(content) < 6000


def test_every_service_has_a_picture() -> None:
    """A form has one of its own, or its service's."""
    folders = [path.parent for path in SERVICES.glob("*/start-template.sh")]
    assert [] == [folder.name for folder in folders if not (folder / "thumbnail.png").exists()]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """The page has relative links only: none with a host, none from the root, which the gateway would not find."""
    folder = SERVICES / "webshell"
    text = "".join((folder / name).read_text() for name in ("page.html", "page.css", "page.js"))
    assert "://" not in text
    links = re.findall(r'(?:href|src)="([^"]+)"|(?:from|fetch\()\s*"([^"]+)"', text)
    found = {one or other for one, other in links}
    assert {"./xterm.js", "./xterm.css", "./page.js", "./page.css", "./new", "data:,"} == found
