"""``workflows`` and ``workflow``: names, files, statuses, JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import workflows
from tests.cli.conftest import Ctl


def test_json(ctl: Ctl, canned: Canned) -> None:
    """What the API says, as it says it."""
    assert workflows() == json.loads(ctl("workflows", "--json").out)
    assert workflows()[:1] == json.loads(ctl("workflows", "jupyterlab-host", "--json").out)
    assert workflows()[0] == json.loads(ctl("workflow", "show", "jupyterlab-host/general", "--json").out)


FORM = """<tool name="Desk">
  <inputs>
    <section name="service">
      <param name="size" type="integer" label="Size" value="3"/>
      <param name="load_env" type="hidden" value=""/>
    </section>
  </inputs>
</tool>
"""


def _service(folder: Path) -> Path:
    """A service with a form, its description and its picture."""
    forms = folder / "workflows"
    forms.mkdir(parents=True)
    (folder / "start-template.sh").write_text("true\n")
    (forms / "general.xml").write_text(FORM)
    (forms / "general.md").write_text("A desk.\n")
    return forms / "general.xml"


def test_a_file_is_checked_without_a_daemon(ctl: Ctl) -> None:
    """For the service in whose folder it lies, wherever that is; status 1 for problems, 0 for warnings alone."""
    file = _service(ctl.home / "anywhere" / "desk")
    done = ctl("workflow", "check", str(file))
    assert (0, f"{file}: it can be used; it asks for 1 of its 2 values\n", "") == (done.status, done.out, done.err)
    found = json.loads(ctl("workflow", "check", str(file), "--json").out)
    assert ("Desk", "A desk.", "desk", []) == (
        found["title"],
        found["description"],
        found["service"],
        found["warnings"],
    )
    assert "\n    service.size  Size; a whole number; default 3\n" in ctl("workflow", "show", str(file)).out
    file.with_suffix(".png").write_bytes(b"GIF89a")
    done = ctl("workflow", "check", str(file))
    assert (0, f"{file.with_suffix('.png')}:1: it is no PNG (warning)") == (done.status, done.out.splitlines()[0])
    file.write_text(FORM.replace('"3"', '"\x1b"'))
    done = ctl("workflow", "check", str(file))
    assert (1, "") == (done.status, done.err)
    assert f"{file}:4: it is not well-formed XML: not well-formed (invalid token)\n" in done.out
    alone = ctl.home / "alone.xml"
    alone.write_text(FORM.replace("</section>", '<param name="a" type="text" show_if="b"/></section>'))
    done = ctl("workflow", "check", str(alone))
    assert (1, [f"{alone}:6: service.a depends on 'b', which the form does not have"]) == (
        done.status,
        done.out.splitlines()[:1],
    )
    assert "it names no service" in done.out
    assert not ctl.state.exists()
    assert not ctl.socket.exists()


def test_a_form_is_checked_by_its_name(ctl: Ctl) -> None:
    """In the user's folder, in those of the configuration, and in spite of a configuration with mistakes."""
    config = ctl.home / ".config" / "sessiond"
    _service(config / "services" / "desk")
    _service(ctl.home / "more" / "bench")
    (config / "config.toml").write_text(f'[daemon]\nservices_dirs = ["{ctl.home}/more"]\n')
    for name in ("desk/general", "bench/general"):
        assert (0, f"{name}: it can be used; it asks for 1 of its 2 values\n") == (
            (done := ctl("workflow", "check", name)).status,
            done.out,
        )
    done = ctl("workflow", "check", "general")
    assert (6, True) == (done.status, "workflows are called general" in done.err)
    (config / "config.toml").write_text("nonsense")
    done = ctl("workflow", "check", "desk/general")
    assert (0, True) == (done.status, "config.toml:1: it has problems" in done.out)
    assert (3, "") == ((done := ctl("workflow", "check", "bench/general")).status, done.out)
    assert not ctl.socket.exists()


def test_what_is_not_there(ctl: Ctl, canned: Canned) -> None:
    """A name, a file, a service: status 3 and one sentence with a hint."""
    for args, word in (
        (("workflow", "show", "nothing"), "There is no workflow nothing."),
        (("workflow", "check", "nothing"), "there is no workflow nothing"),
        (("workflow", "check", "nothing.xml"), "nothing.xml cannot be read: No such file"),
        (("workflow", "show", "."), "no workflow is called"),
        (("workflows", "nothing"), "there is no service 'nothing'"),
        (("services", "nothing"), "there is no service nothing"),
        (("services", ""), "no service is called ''"),
    ):
        done = ctl(*args)
        assert (3, "") == (done.status, done.out)
        assert word in done.err


def test_a_start_says_that_values_are_kept(ctl: Ctl, canned: Canned) -> None:
    """On a terminal, in one line, of what is not said now; not to programs, nor to who takes them."""
    kept = r"What was said the last time \(theme\) is not taken over; --again takes it\."
    for args, said in (
        (("--name", "a"), True),
        (("--name", "b", "--set", "theme=dark"), False),
        (("--name", "c", "--again"), False),
    ):
        terminal = ctl.terminal("start", "jupyterlab-host", "--no-wait", *args, columns=120)
        assert 0 == terminal.end()
        assert said is bool(re.search(kept, terminal.seen.decode()))
    done = ctl("start", "jupyterlab-host", "--no-wait", "--name", "d")
    assert (0, False) == (done.status, "--again" in done.err)


def test_completion(ctl: Ctl, canned: Canned) -> None:
    """Forms by name, beside files."""
    done = ctl(_SESSIONCTL_COMPLETE="bash_complete", COMP_WORDS="sessionctl workflow show w", COMP_CWORD="3")
    assert ["plain,webshell/broken"] == done.out.split()
