"""From parameters to the licences of a session, and the lines that its script has for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.errors import SpecError
from sessiond.core.spec import Licence, Mode
from sessiond.render.bundle import bundle
from sessiond.render.inputs import inputs_sh
from sessiond.render.licence import NAMES, about_licences, licence_of, licence_sh
from tests.render.sample import lib, session

MATLAB = {"env": "MLM_LICENSE_FILE", "server_port": "27010", "daemon_port": "1711"}


def said(**values: str) -> dict[str, str]:
    """Parameters, by the last part of their names."""
    return {f"advanced_options_license_{name}": value for name, value in {**MATLAB, **values}.items()}


def test_what_a_form_says() -> None:
    """The usual case, and what may be left out or said beside it."""
    assert Licence(variable="MLM_LICENSE_FILE", ports=(27010, 1711)) == licence_of(said())
    assert (27010,) == made(daemon_port="").ports
    assert (27010,) == made(daemon_port="27010").ports
    assert (1, 65535) == made(server_port=" 1 ", daemon_port="65535").ports
    assert ("lic.example.org", 5) == (made(host="lic.example.org", wait="5").host, made(wait="5").wait_s)
    assert (60, 0) == (made().wait_s, made(wait="0").wait_s)


def made(**values: str) -> Licence:
    """The licence that parameters name."""
    found = licence_of(said(**values))
    assert found is not None
    return found


@pytest.mark.parametrize("host", ["", "localhost", "LOCALHOST", "127.0.0.1", " localhost "])
def test_the_workspace_itself(host: str) -> None:
    """Its loopback address by any name is none: nothing leads from it to itself."""
    assert "" == made(host=host).host


@pytest.mark.parametrize("host", ["a", "licence-1.example.org", "10.1.2.3", "2001:db8::1", "127.0.0.2", "x" * 253])
def test_hosts(host: str) -> None:
    """Names and addresses."""
    assert host == made(host=host).host


def test_without_a_variable_there_is_none() -> None:
    """Forms keep ports as hidden defaults for those who fill in the variable."""
    assert None is licence_of(said(env="", server_port="nonsense"))
    assert None is licence_of({})


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"env": "1X"}, 'license_env: expected the name of a variable such as MLM_LICENSE_FILE, got "1X"'),
        ({"env": "A B"}, "license_env: expected"),
        ({"env": "A=b;rm -rf /"}, "license_env: expected"),
        ({"env": "LD_PRELOAD"}, "license_env: LD_PRELOAD means something else already"),
        ({"env": "PATH"}, "PATH means"),
        ({"env": "resource_jobdir"}, "resource_jobdir means"),
        ({"env": "servicePort"}, "servicePort means"),
        ({"env": "advanced_options_license_host"}, "license_env: expected"),
        ({"server_port": ""}, "license_server_port: expected a port from 1 to 65535, it is missing"),
        ({"server_port": "0"}, 'license_server_port: expected a port from 1 to 65535, got "0"'),
        ({"server_port": "65536"}, "license_server_port: expected a port"),
        ({"server_port": "-1"}, "license_server_port: expected a port"),
        ({"server_port": "27010@x"}, "license_server_port: expected a port"),
        ({"server_port": "²"}, "license_server_port: expected a port"),
        ({"daemon_port": "$(reboot)"}, "license_daemon_port: expected a port"),
        ({"host": "-oProxyCommand=x"}, "license_host: expected the name or address of the licence server's host"),
        ({"host": "a b"}, "license_host: expected"),
        ({"host": "a;b"}, "license_host: expected"),
        ({"host": "fe80::1%eth0"}, "license_host: expected"),
        ({"host": "x" * 254}, "license_host: expected"),
        ({"wait": "3601"}, "license_wait: expected seconds, 3600 at most"),
        ({"wait": "soon"}, "license_wait: expected seconds"),
    ],
)
def test_what_is_refused(values: dict[str, str], problem: str) -> None:
    """Each with what was expected and what came; nothing that a terminal would obey."""
    if values.get("env") == "advanced_options_license_host":
        values, problem = {**values, "host": "x"}, "license_env: advanced_options_license_host means something else"
    with pytest.raises(SpecError) as refused:
        licence_of(said(**values))
    assert problem in refused.value.message
    assert refused.value.message.isprintable()


def test_all_that_is_wrong_is_said_at_once() -> None:
    """A line for each."""
    with pytest.raises(SpecError) as refused:
        licence_of(said(env="-", server_port="", daemon_port="x\n", host="\x1b[2J", wait="x"))
    lines = refused.value.message.splitlines()
    assert sorted(NAMES) == sorted(line.split(":")[0] for line in lines)
    assert all(line.isprintable() for line in lines)


def test_whose_they_are() -> None:
    """With dots or without, but not what somebody else asks for."""
    given = {"advanced_options.license_host": "a", "advanced_options_license_env": "b", "other": "c"}
    assert {"advanced_options_license_host": "a", "advanced_options_license_env": "b"} == about_licences(
        given, lambda _name: False
    )
    assert {} == about_licences(given, lambda name: "license" in name)


# The script.


def licensed(mode: Mode, **changes: object) -> tuple[str, str]:
    """session.sh and inputs.sh of a session with licences."""
    bare = session(mode=mode, setup="module load matlab")
    one = replace(bare, spec=replace(bare.spec, licence=replace(made(), **changes)))  # type: ignore[arg-type]
    return bundle(one, lib())["session.sh"].decode(), inputs_sh(one).decode()


def test_the_script_says_and_waits() -> None:
    """After the cluster's set-up, which may name another server, and before what the template sees."""
    script, inputs = licensed(Mode.SLURM, wait_s=7)
    order = [
        script.index(text)
        for text in (
            "module load matlab",
            "lib/prelude.sh",
            "export MLM_LICENSE_FILE='27010@localhost'",
            "sessiond_await_licences 7 27010 1711",
            'eval "${service_load_env-}"',
        )
    ]
    assert sorted(order) == order
    assert "export MLM_LICENSE_FILE='27010@localhost'\n" in inputs


def test_where_the_server_is_nothing_is_waited_for() -> None:
    """Here the ports are there, or nobody can do anything about it."""
    script, inputs = licensed(Mode.LOCAL)
    assert "export MLM_LICENSE_FILE" in script
    assert "await" not in script
    assert "MLM_LICENSE_FILE" in inputs
    assert "await" in licensed(Mode.LOCAL, host="license.example")[0]
    assert "" == licence_sh(None, Mode.SLURM)
    assert "licence" not in bundle(session(mode=Mode.SLURM), lib())["session.sh"].decode()
