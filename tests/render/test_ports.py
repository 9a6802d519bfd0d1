"""Which services may listen on the session's own port: what their scripts name."""

from __future__ import annotations

import pytest

from sessiond.core.spec import ServiceFile, ServiceSpec
from sessiond.render.ports import may_take_open_port, takes_open_port


def spec(start: str, **more: str) -> ServiceSpec:
    """A service with this template, and more files (``_`` in a name is a dot)."""
    files = {"start-template.sh": start, **{name.replace("_", "."): text for name, text in more.items()}}
    return ServiceSpec(
        name="x", title="", files=tuple(ServiceFile(path=path, content=text.encode()) for path, text in files.items())
    )


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("serve --port ${servicePort}\n", (False, False)),
        ("serve --port ${openPort}\n", (True, True)),
        ("serve --port $openPort # and not servicePort\n", (True, True)),
        ("echo ${servicePort}\nserve ${openPort}\n", (True, False)),
        ("serve --base /me/${openPort}/ ${servicePort}\n", (False, False)),
        ("serve --base=/sme/$openPort\n", (False, False)),
        ("serve --name ${openPort} --bind ${SESSIOND_BIND} --port ${servicePort}\n", (False, False)),
        ("# openPort is not used\nserve\n", (False, False)),
        ("serve ${#openPorts} ${myopenPort}\n", (False, False)),
        ("caf\xe9 $openPort\n", (True, True)),
    ],
)
def test_what_a_template_names(start: str, expected: tuple[bool, bool]) -> None:
    """Other than in a path, outside of comments, by its whole name."""
    one = spec(start)
    assert expected == (may_take_open_port(one), takes_open_port(one))


def test_other_files_count_if_they_can_run_there() -> None:
    """A program of the folder that reads the variable does; url.sh and texts for people do not."""
    program = spec("python3 service/app.py\n", app_py='port = os.environ["openPort"]\n')
    assert (True, True) == (may_take_open_port(program), takes_open_port(program))
    other = spec("serve ${openPort}\n", app_py='port = os.environ["servicePort"]\n')
    assert (True, False) == (may_take_open_port(other), takes_open_port(other))
    told = {"url_sh": 'export URLEND="?${openPort}\\""\n', "notes_md": "openPort\n", "form_xml": "openPort\n"}
    assert not may_take_open_port(spec("serve\n", **told))
