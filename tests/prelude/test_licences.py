"""The script waits for the ports of its licence server, as long as it was told to, and not for anything else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import replace

import pytest

from sessiond.core.spec import Licence, Mode
from sessiond.render.bundle import bundle
from tests.prelude.conftest import MakeTrial, Trial
from tests.render.sample import lib

GO = 'echo "file $TINY_LICENSE_FILE"\n'


@pytest.fixture
def ports() -> tuple[socket.socket, socket.socket]:
    """Two ports that are ours, on which nobody listens yet."""
    made = (socket.socket(), socket.socket())
    for one in made:
        one.bind(("127.0.0.1", 0))
    return made


def licensed(trial: MakeTrial, ports: tuple[socket.socket, socket.socket], wait_s: int, setup: str = "") -> Trial:
    """A session that waits for the ports."""
    one = trial(GO, setup=setup)
    numbers = tuple(port.getsockname()[1] for port in ports)
    licence = Licence(variable="TINY_LICENSE_FILE", ports=numbers, host="license.example", wait_s=wait_s)
    spec = replace(one.session.spec, licence=licence, mode=Mode.LOCAL)
    (one.folder / "session.sh").write_bytes(bundle(replace(one.session, spec=spec), lib())["session.sh"])
    return one


def test_it_starts_when_the_ports_are_there(trial: MakeTrial, ports: tuple[socket.socket, socket.socket]) -> None:
    """Both of them: the first alone is not enough. Its endpoint is published before, for that is how the ports come."""
    one = licensed(trial, ports, 60, setup="export TINY_LICENSE_FILE=1@site\nset -f")
    process = one.start()
    with ports[0], ports[1]:
        while not (one.folder / "endpoint").exists():
            assert process.poll() is None, one.log()
        ports[0].listen()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
        assert "" == one.log()
        ports[1].listen()
        assert 0 == process.wait(30)
    assert f"file {ports_of(one)}@localhost\n" == one.log()


def ports_of(one: Trial) -> str:
    """The first port, as the script has it."""
    return one.folder.joinpath("session.sh").read_text().partition("sessiond_await_licences 60 ")[2].split()[0]


def test_in_the_end_it_starts_without(trial: MakeTrial, ports: tuple[socket.socket, socket.socket]) -> None:
    """What is missing is said in the log, and the session goes on."""
    one = licensed(trial, ports, 1)
    with ports[0], ports[1]:
        ports[1].listen()
        missing = ports[0].getsockname()[1]
        assert 0 == one.run()
    said = f"sessiond: no licence port {missing} here after 1 s; starting without. sessionctl why says what is wrong."
    assert [said, f"file {missing}@localhost"] == one.log().splitlines()


def test_none_is_waited_for_when_told_so(trial: MakeTrial, ports: tuple[socket.socket, socket.socket]) -> None:
    """Zero seconds."""
    one = licensed(trial, ports, 0)
    with ports[0], ports[1]:
        began = time.monotonic()
        assert 0 == one.run()
    assert time.monotonic() - began < 30
    assert "here after 0 s" in one.log()


def test_term_ends_the_waiting(trial: MakeTrial, ports: tuple[socket.socket, socket.socket]) -> None:
    """A session that is stopped does not wait for anything."""
    one = licensed(trial, ports, 3600)
    process = one.start()
    with ports[0], ports[1]:
        while not (one.folder / "endpoint").exists():
            assert process.poll() is None, one.log()
        os.killpg(process.pid, signal.SIGTERM)
        assert 143 == process.wait(30)
    assert "" == one.log()
