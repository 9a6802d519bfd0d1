"""``workflows`` and ``workflow``: names, files, statuses, JSON."""

from __future__ import annotations

import base64
import json

from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import workflows
from tests.cli.conftest import Ctl


def test_json(ctl: Ctl, canned: Canned) -> None:
    """What the API says, as it says it."""
    assert workflows() == json.loads(ctl("workflows", "--json").out)
    assert workflows()[:1] == json.loads(ctl("workflows", "jupyterlab-host", "--json").out)
    assert workflows()[0] == json.loads(ctl("workflow", "show", "jupyterlab-host/general", "--json").out)
    done = ctl("workflow", "check", "webshell/broken", "--json")
    assert (1, workflows()[1]) == (done.status, json.loads(done.out))


def test_a_file_is_sent_to_be_checked(ctl: Ctl, canned: Canned) -> None:
    """Its bytes, under the name it was called; status 1 for problems, 0 for warnings alone."""
    file = ctl.home / "some.xml"
    file.write_bytes(b"<fine/>")
    done = ctl("workflow", "check", str(file))
    assert (0, "") == (done.status, done.err)
    assert f"{file}:1: this is odd (warning)\n{file}: it can be used; it asks for 6 of its 10 values\n" == done.out
    method, path, body = canned.requests[-1]
    assert ("POST", "/v1/workflows/check", str(file)) == (method, path, body["file"])
    assert b"<fine/>" == base64.b64decode(body["content"])
    file.write_bytes(b"\xff")
    done = ctl("workflow", "check", str(file))
    assert (1, "") == (done.status, done.err)
    assert "\x1b" not in done.out
    assert "cannot be started" in ctl("workflow", "show", str(file)).out.lower()


def test_what_is_not_there(ctl: Ctl, canned: Canned) -> None:
    """A name, a file, a service: status 3 and one sentence with a hint."""
    for args, word in (
        (("workflow", "show", "nothing"), "There is no workflow nothing."),
        (("workflow", "check", "nothing.xml"), "nothing.xml cannot be read: No such file"),
        (("workflow", "show", "."), "no workflow is called"),
        (("workflows", "nothing"), "there is no service 'nothing'"),
    ):
        done = ctl(*args)
        assert (3, "") == (done.status, done.out)
        assert word in done.err


def test_completion(ctl: Ctl, canned: Canned) -> None:
    """Forms by name, beside files."""
    done = ctl(_SESSIONCTL_COMPLETE="bash_complete", COMP_WORDS="sessionctl workflow show w", COMP_CWORD="3")
    assert ["plain,webshell/broken"] == done.out.split()
