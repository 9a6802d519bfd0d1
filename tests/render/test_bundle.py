"""The scripts that are rendered: their text, their order, where secrets are, and what shellcheck says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.core.errors import SpecError
from sessiond.core.spec import Listen, Mode, ServiceFile
from sessiond.render.bundle import bundle
from tests.render.sample import KILL, LIB_DIR, START, lib, session

GOLDEN = Path(__file__).parent / "golden"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.mark.parametrize("name", ["session.sh", "kill.sh", "inputs.sh", "secrets.sh"])
def test_golden(name: str) -> None:
    """The rendered text is the one in golden/. To accept a change, run with SESSIOND_GOLDEN=write and read the diff."""
    made = bundle(
        session(params={"service_load_env": "module load jupyter", "service_bin": 'it\'s "x"'}, setup="umask 027"),
        lib(),
    )[name]
    if os.environ.get("SESSIOND_GOLDEN") == "write":
        (GOLDEN / name).write_bytes(made)
    assert (GOLDEN / name).read_bytes() == made


@pytest.mark.parametrize(
    ("mode", "listen", "expected"),
    [
        (Mode.LOCAL, Listen.SOCKET, "SESSIOND_HOST=127.0.0.1 SESSIOND_LISTEN=socket"),
        (Mode.CONTROLLER, Listen.LOOPBACK, "SESSIOND_HOST=127.0.0.1 SESSIOND_LISTEN=loopback"),
        (Mode.SLURM, Listen.ANY, 'SESSIOND_HOST="${SESSIOND_NODE:-$(hostname)}" SESSIOND_LISTEN=any'),
        (Mode.PBS, Listen.SOCKET, 'SESSIOND_HOST="${SESSIOND_NODE:-$(hostname)}" SESSIOND_LISTEN=socket'),
    ],
)
def test_where_to_listen(mode: Mode, listen: Listen, expected: str) -> None:
    """The script says by what name the service is reached, and where the template may listen."""
    script = bundle(session(mode=mode, listen=listen), lib())["session.sh"].decode()
    assert [f"export {expected} SESSIOND_SCHEME=http"] == [
        line for line in script.splitlines() if "SESSIOND_LISTEN" in line
    ]


def test_everything_is_in_the_bundle() -> None:
    """All files by their path: what is rendered, the library, and the service's own."""
    extra = (ServiceFile(path="web/index.html", content=b"<p>"),)
    made = bundle(session(extra=extra), lib())
    assert {
        "inputs.sh",
        "secrets.sh",
        "session.sh",
        "kill.sh",
        "utils/notify.sh",
        *(f"lib/{name}" for name in lib() if name != "notify.sh"),
        "service/start-template.sh",
        "service/kill-template.sh",
        "service/web/index.html",
    } == set(made)
    assert b"<p>" == made["service/web/index.html"]


def test_templates_are_the_end_of_their_scripts_as_they_are() -> None:
    """The template's bytes are not altered, and nothing of ours follows them."""
    odd = b"#!/bin/bash\r\necho caf\xe9 'no new line"
    made = bundle(session(start=odd, kill=odd), lib())
    assert made["session.sh"].endswith(b"\n" + odd)
    assert made["kill.sh"].endswith(b"\n" + odd)


def test_secrets_are_in_one_file_only() -> None:
    """A password is in secrets.sh and nowhere else."""
    made = bundle(session(secrets={"service_password": "tr0ub4dor"}), lib())
    assert ["secrets.sh"] == [name for name, content in made.items() if b"tr0ub4dor" in content]


def test_a_service_needs_a_start_template() -> None:
    """A folder without start-template.sh is refused in words."""
    with pytest.raises(SpecError, match=r"trial has no start-template\.sh"):
        bundle(session(start=None), lib())


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ""])
def test_files_cannot_leave_the_folder(path: str) -> None:
    """A service file whose path leads out of the session's folder is refused."""
    with pytest.raises(SpecError):
        bundle(session(extra=(ServiceFile(path=path, content=b""),)), lib())


def test_without_a_kill_template_there_is_nothing_to_kill() -> None:
    """kill.sh exists for every service, and does nothing where there is no kill-template.sh."""
    assert bundle(session(kill=None), lib())["kill.sh"].endswith(b"\ntrue\n")


def test_shellcheck_and_bash_accept_every_script(tmp_path: Path) -> None:
    """The library and the rendered scripts are free of complaints (but for names that come from files they source)."""
    rendered = []
    for mode in Mode:
        made = bundle(session(start=START, kill=KILL, setup="umask 027", mode=mode), lib())
        for name in ("session.sh", "kill.sh", "inputs.sh", "secrets.sh"):
            rendered.append(tmp_path / f"{mode}-{name}")
            rendered[-1].write_bytes(made[name])
    scripts = [*LIB_DIR.glob("*.sh"), *rendered]
    for path in scripts:
        subprocess.run(["bash", "-n", path], check=True)
    shell = ["--shell=bash", "--exclude=SC1090,SC1091,SC2154"]
    done = subprocess.run([SHELLCHECK, *shell, *scripts], capture_output=True, text=True, check=False)
    assert "" == done.stdout + done.stderr
