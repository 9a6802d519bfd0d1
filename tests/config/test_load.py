"""config.toml: what it means, and every problem in it at once."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from sessiond.config.load import load
from sessiond.config.model import (
    ClusterConfig,
    Config,
    Gateway,
    IdleConfig,
    Login,
    NotifyConfig,
    PortRange,
    Route,
    Scheduler,
    Ssh,
)
from sessiond.core.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.toml"


def write(folder: Path, text: str) -> Path:
    """A config.toml in ``folder``."""
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    """What is wrong with ``text``."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    assert "\n".join(caught.value.problems) == str(caught.value)
    assert caught.value.hint
    return caught.value.problems


def test_no_file_is_every_default(tmp_path: Path) -> None:
    """Without a file there is this machine and nothing else."""
    config = load(tmp_path / "none" / "config.toml")
    assert Config() == config
    assert ["local"] == list(config.clusters)
    assert () == config.warnings


def test_the_example_holds_the_defaults() -> None:
    """The annotated example, as it stands, is the configuration of a machine without a file."""
    assert Config() == load(EXAMPLE)


def test_the_example_explains_every_key(tmp_path: Path) -> None:
    """With its commented keys put to work, the example names every key of the model with its default."""
    text = re.sub(r"(?m)^#(?=\S)", "", EXAMPLE.read_text())
    cluster = load(write(tmp_path, text)).clusters["frontier"]  # type: ignore[index]  # a plain str is clearer here
    assert isinstance(cluster.transport, Ssh)
    example = {
        "host": "frontier-login",
        "user": "alice",
        "port": 22,
        "jump": "alice@gate.example.org",
        "identity_files": ("~/.ssh/id_ed25519",),
        "known_hosts": "~/.ssh/known_hosts",
    }
    default = Ssh(host="frontier-login")
    for field in fields(Ssh):
        assert example.get(field.name, getattr(default, field.name)) == getattr(cluster.transport, field.name)
    expected = ClusterConfig(
        name=cluster.name,
        transport=cluster.transport,
        defaults={"partition": "batch", "account": "abc123", "time": "02:00:00"},
    )
    assert expected == cluster
    section = text.partition("[clusters.frontier]")[2]
    keys = {field.name.removesuffix("_s") for kind in (Ssh, ClusterConfig) for field in fields(kind)}
    assert set() == {
        key for key in keys - {"name", "transport", "defaults"} if not re.search(rf"(?m)^{key} = ", section)
    }


def test_everything_set(tmp_path: Path) -> None:
    """Each key arrives in the model, in its units."""
    (tmp_path / "mine").mkdir()
    config = load(
        write(
            tmp_path,
            f"""
[daemon]
gateway = "[::1]:0"
ports = "51000-51010"
own_origins = true
services_dirs = ["mine", "{tmp_path}"]
[notify]
command = ["notify-send", "{{title}}"]
[idle]
after = "1h30m"
warn = "90s"
[clusters.local]
workdir = "/scratch/alice"
setup = '''
module load python
'''
defaults.host.partition = "debug"
defaults."a.b" = 3
defaults.flag = true
[clusters.frontier]
host = "frontier-login"
user = "alice"
port = 2222
jump = "gate"
identity_files = ["~/.ssh/one", "~/.ssh/two"]
known_hosts = "/etc/hosts.known"
login = "interactive"
scheduler = "pbs"
workdir = "~/work"
route = "jump"
poll = "1m"
max_sessions = 4
setup = "true"
""",
        )
    )
    assert Gateway(host="::1", port=0) == config.daemon.gateway
    assert config.daemon.own_origins
    assert PortRange(first=51000, last=51010) == config.daemon.ports
    assert (tmp_path / "mine", tmp_path) == config.daemon.services_dirs
    assert NotifyConfig(command=("notify-send", "{title}")) == config.notify
    assert IdleConfig(after_s=5400, warn_s=90) == config.idle
    assert ("/scratch/alice", "module load python\n") == (config.local.workdir, config.local.setup)
    assert {"host_partition": "debug", "a_b": "3", "flag": "true"} == dict(config.local.defaults)
    frontier = config.clusters["frontier"]  # type: ignore[index]  # a plain str is clearer here
    assert (
        Ssh(
            host="frontier-login",
            user="alice",
            port=2222,
            jump="gate",
            identity_files=("~/.ssh/one", "~/.ssh/two"),
            known_hosts="/etc/hosts.known",
            login=Login.INTERACTIVE,
            route=Route.JUMP,
            max_sessions=4,
        )
        == frontier.transport
    )
    assert (Scheduler.PBS, "~/work", 60.0, "true") == (
        frontier.scheduler,
        frontier.workdir,
        frontier.poll_s,
        frontier.setup,
    )


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    """What was understood and does nothing is never accepted in silence; what does something is."""
    config = load(
        write(
            tmp_path, '[daemon]\nservices_dirs = ["/nowhere/at/all"]\n[notify]\ncommand = ["x"]\n[idle]\nafter = "1h"\n'
        )
    )
    assert (
        "config.toml:2 daemon.services_dirs[0]: there is no folder /nowhere/at/all at the moment",
    ) == config.warnings


def test_a_warning_time_without_an_end_has_no_effect(tmp_path: Path) -> None:
    """idle.warn alone does nothing, and that is said."""
    assert ("config.toml:2 idle.warn: has no effect: idle sessions are not ended",) == load(
        write(tmp_path, '[idle]\nwarn = "5m"\n')
    ).warnings


@pytest.mark.parametrize(
    ("gateway", "why"), [("", "the gateway is off"), ("127.0.0.2:0", "names below localhost do not lead to 127.0.0.2")]
)
def test_own_origins_without_a_place_have_no_effect(tmp_path: Path, gateway: str, why: str) -> None:
    """Where no name below localhost leads to the gateway, sessions have no host names, and that is said."""
    text = f'[daemon]\ngateway = "{gateway}"\nown_origins = true\n'
    assert (f"config.toml:3 daemon.own_origins: has no effect: {why}",) == load(write(tmp_path, text)).warnings
    for named in ("127.0.0.1:0", "[::1]:0", "localhost:0"):
        assert () == load(write(tmp_path, text.replace(f'"{gateway}"', f'"{named}"'))).warnings


BAD = """\
deamon = 1
notify = true
# a comment
[daemon]
gateway = "0.0.0.0:8700"
ports = 50000
services_dirs = ["/tmp",
  5]

[idle]
after = "10m"
[clusters.frontier]
poll = "soon"
scheduler = "lsf"
max_sessions = 0
user = "-oProxyCommand=x"
pool = "15s"
[clusters.local]
host = "x"
workdir = "work"
[clusters.local.defaults]
when = []
"not ok" = 1
[clusters]
two = 2
[clusters."-x y"]
"""

BAD_REPORT = """\
config.toml:1 deamon: unknown key, did you mean "daemon"?
config.toml:2 notify: expected a table, got true
config.toml:5 daemon.gateway: expected an address of this machine only (127.0.0.1, ::1 in brackets, localhost) such as \
"127.0.0.1:8700", got "0.0.0.0:8700"
config.toml:6 daemon.ports: expected a range of ports such as "50000-55500", got 50000
config.toml:8 daemon.services_dirs[1]: expected one line of text, got 5
config.toml:10 idle.warn: expected a time to warn that is shorter than idle.after = "10m", got "15m"
config.toml:12 clusters.frontier.host: missing, expected a name, an address or a Host of ~/.ssh/config such as \
"frontier-login"
config.toml:13 clusters.frontier.poll: expected a duration such as "15s", got "soon"
config.toml:14 clusters.frontier.scheduler: expected one of "slurm", "pbs", "none", got "lsf"
config.toml:15 clusters.frontier.max_sessions: expected an integer from 1 to 1000, got 0
config.toml:16 clusters.frontier.user: expected a name without blanks such as "alice", got "-oProxyCommand=x"
config.toml:17 clusters.frontier.pool: unknown key, did you mean "poll"?
config.toml:19 clusters.local.host: unknown key, known are defaults, setup, workdir
config.toml:20 clusters.local.workdir: expected a folder that begins with "/" or "~/", got "work"
config.toml:22 clusters.local.defaults.when: expected a text, a number, true or false, got an empty list
config.toml:23 clusters.local.defaults."not ok": expected a name of letters, digits and underscores (dots become \
underscores)
config.toml:25 clusters.two: expected a table, got 2
config.toml:26 clusters."-x y": a cluster's name is made of letters, digits, dots, dashes and underscores, 64 at most
"""


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Unknown keys, wrong types and impossible values: one line each, in the order of the file."""
    assert BAD_REPORT.splitlines() == list(problems(tmp_path, BAD))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('daemon.gateway = "example.org:80"', "an address of this machine only"),
        ('daemon.gateway = "127.0.0.1"', "an address with its port"),
        ('daemon.gateway = "127.0.0.1:65536"', "a port from 0 to 65535"),
        ("daemon.gateway = false", "an address with its port"),
        ('daemon.ports = "80-90"', "within 1024-65535"),
        ('daemon.ports = "6000-5000"', "within 1024-65535"),
        ('daemon.ports = "1024-99999"', "within 1024-65535"),
        ('daemon.services_dirs = "x"', "a list of texts"),
        ('daemon.services_dirs = [""]', "the path of a folder"),
        ('daemon.services_dirs = ["~nobodyhere/x"]', "the home of a user known here"),
        ('notify.command = [" "]', "the name of a program"),
        ('idle.after = ""', "a duration"),
        ('idle.after = "4"', "a duration"),
        ('idle.after = "m"', "a duration"),
        ('idle.after = "30m1h"', "a duration"),
        ("idle.after = 4", "a duration"),
        ('idle.after = "9999d"', 'a duration from "0" to "366d"'),
        ('idle.after = "\u0661s"', "a duration"),
        ('clusters.a = { host = "h", poll = "0" }', 'a duration from "1s" to "1h"'),
        ('clusters.a = { host = "h", port = 0 }', "an integer from 1 to 65535, got 0"),
        ('clusters.a = { host = "h", port = true }', "an integer from 1 to 65535, got true"),
        ('clusters.a = { host = "h", port = 0x' + "f" * 5000 + " }", "got a very large number"),
        ('clusters.a = { host = "a b" }', "a name without blanks"),
        ('clusters.a = { host = "me@h" }', 'the host alone, as in host = "h", user = "me", got "me@h"'),
        ('clusters.a = { host = "h:22" }', 'the host alone, as in host = "h", port = 22, got "h:22"'),
        ('clusters.a = { host = "ssh://h" }', 'the host alone, as in host = "h", got "ssh://h"'),
        ('clusters.a = { host = "ssh://me@h:22/" }', 'as in host = "h", user = "me", port = 22, got'),
        ('clusters.a = { host = "@h" }', "a name without blanks"),
        ('clusters.local.setup = "a\\u0000b"', "a text without NUL"),
        ('clusters.local.defaults = { "a.b" = 1, a_b = 2 }', "a_b has two values"),
        ("clusters.local.defaults = { at = 1979-05-27 }", "got 1979-05-27"),
        ('clusters.local.workdir = "~bob/x"', "a folder"),
    ],
)
def test_impossible_values(tmp_path: Path, line: str, expected: str) -> None:
    """Each kind of impossible value gets one sentence that says what was expected."""
    found = problems(tmp_path, f"\n{line}\n")
    assert [True] == [text.startswith("config.toml:2 ") for text in found]
    assert expected in found[0]


@pytest.mark.parametrize("host", ["frontier", "login.example.org", "10.0.0.2", "fe80::1", "::1", "fe80::1%eth0", "a_b"])
def test_hosts(tmp_path: Path, host: str) -> None:
    """Names and addresses of both kinds."""
    config = load(write(tmp_path, f'clusters.a.host = "{host}"\n'))
    assert Ssh(host=host) == config.clusters["a"].transport  # type: ignore[index]  # a plain str is clearer here


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[daemon\n", "config.toml:1: not valid TOML at column 8: Expected ']' at the end of a table declaration"),
        ("a = 1\nb = \n", "config.toml:2: not valid TOML at column 5: Invalid value"),
        ("a = 1\na = 2\n", "config.toml:2: not valid TOML at column 6: Cannot overwrite a value"),
        ("\n\na = '''", "config.toml:3: not valid TOML: Expected \"'''\" at the end of the file"),
    ],
)
def test_syntax_errors_have_a_line(tmp_path: Path, text: str, expected: str) -> None:
    """A file that is not TOML is one problem, where the parser gave up."""
    assert (expected,) == problems(tmp_path, text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a = 1\nb = '\xff'\n", "config.toml:2: not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "config.toml: lists or tables are nested too deeply"),
        (b"a = " + b"9" * 5000, "config.toml: not valid TOML: Exceeds the limit"),
        (b"#" * (2 << 20), "is larger than 1048576 bytes"),
        (b"\xef\xbb\xbfa = 1", "config.toml:1: not valid TOML at column 1"),
    ],
)
def test_hostile_bytes(tmp_path: Path, raw: bytes, expected: str) -> None:
    """No content whatever ends in anything but one clear problem."""
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [True] == [expected in problem for problem in caught.value.problems]


def test_a_folder_or_a_pipe_is_no_configuration(tmp_path: Path) -> None:
    """Neither is read; the pipe must not block."""
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert (f"{path.name}: {path} is not an ordinary file",) == caught.value.problems


def test_a_circle_of_links_is_no_configuration(tmp_path: Path) -> None:
    """What the system says about it reaches the user."""
    path = tmp_path / "config.toml"
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="cannot be read: Too many levels of symbolic links"):
        load(path)


def test_values_are_shown_harmless(tmp_path: Path) -> None:
    """What a terminal would act on is escaped, and what is long is cut."""
    found = problems(tmp_path, '[idle]\nafter = "\\u001b[2J\\u009b' + "x" * 100 + '"\n')
    shown = '"\\u001b[2J\\u009b' + "x" * 55 + '..."'
    assert (f'config.toml:2 idle.after: expected a duration such as "4h", got {shown}',) == found
