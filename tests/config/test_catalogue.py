"""Folders of services: what is found, what is read, and what is refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sessiond.config.catalogue import Catalogue, Entry, resolve
from sessiond.config.manifest import Manifest
from sessiond.config.params import Param, ParamType
from sessiond.core.errors import NotFound, Refused, SpecError
from sessiond.core.spec import Prefix, Probe, ServiceFile, ServiceSpec


def service(parent: Path, name: str, manifest: str = "", **files: str) -> Path:
    """A service folder that can be started, with more files (``__`` in a name is ``/``, ``_sh`` is ``.sh``)."""
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "start-template.sh").write_text("true\n")
    if manifest:
        (folder / "service.toml").write_text(manifest)
    for file, text in files.items():
        path = folder / file.replace("__", "/").replace("_sh", ".sh")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def refusal(folder: Path) -> str:
    """Why the service in ``folder`` cannot be started."""
    with pytest.raises(Refused) as caught:
        Catalogue.read([folder.parent]).spec(folder.name)
    return str(caught.value)


def test_the_later_folder_is_over_the_earlier(tmp_path: Path) -> None:
    """The user's own service replaces the one that came with sessiond; what is no service is passed over."""
    service(tmp_path / "system", "jupyter", 'title = "Theirs"\n')
    service(tmp_path / "system", "shell")
    service(tmp_path / "system", "_lib")
    service(tmp_path / "system", ".git")
    (tmp_path / "system" / "README.md").write_text("not a folder")
    mine = service(tmp_path / "mine", "jupyter", 'title = "Mine"\ndescription = "one sentence"\n')
    catalogue = Catalogue.read([tmp_path / "system", tmp_path / "nowhere", tmp_path / "mine"])
    assert ["jupyter", "shell"] == list(catalogue.services)
    found = catalogue.services["jupyter"]
    assert ("Mine", "one sentence", mine, ()) == (found.title, found.description, found.folder, found.problems)
    assert ("shell", "") == (catalogue.services["shell"].title, catalogue.services["shell"].description)
    assert () == catalogue.problems


def test_a_folder_that_is_none_is_a_problem_and_no_more(tmp_path: Path) -> None:
    """A file where a folder of services should be does not hide the other folders."""
    (tmp_path / "file").write_text("")
    service(tmp_path / "mine", "shell")
    catalogue = Catalogue.read([tmp_path / "file", tmp_path / "mine"])
    assert ["shell"] == list(catalogue.services)
    assert (f"{tmp_path / 'file'} cannot be read: Not a directory",) == catalogue.problems


def test_bad_folders_are_entries_with_problems(tmp_path: Path) -> None:
    """A folder without its script, with a bad name or a bad service.toml says so and leaves the others alone."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "start-template.sh")
    os.mkfifo(tmp_path / "pipe" / "service.toml")
    service(tmp_path, "two words")
    service(tmp_path, "bad", "prefix = 'cut'\n\n[params.a]\ntype = 'number'\n")
    service(tmp_path, "good")
    catalogue = Catalogue.read([tmp_path])
    assert {
        "bad": (
            'bad/service.toml:1 prefix: expected one of "strip", "keep", got "cut"',
            'bad/service.toml:4 params.a.type: expected one of "text", "integer", "boolean", got "number"',
        ),
        "empty": ("empty/start-template.sh is missing: it is the script that starts the service",),
        "good": (),
        "pipe": (
            "pipe/start-template.sh is not an ordinary file",
            f"service.toml: {tmp_path}/pipe/service.toml is not an ordinary file",
        ),
        "two words": ("two words: a service's name is made of letters, digits, dots, dashes and underscores",),
    } == {name: entry.problems for name, entry in catalogue.services.items()}
    assert catalogue.services["bad"].problems == tuple(refusal(tmp_path / "bad").splitlines())
    assert "good" == catalogue.spec("good").name


def test_a_name_that_is_not_utf_8_can_be_told(tmp_path: Path) -> None:
    """An old folder of somebody's is no reason to show none: neither JSON nor SQLite could hold its name."""
    folder = service(tmp_path, os.fsdecode(b"caf\xe9"))
    service(tmp_path, "shell")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "form.xml").write_text("<tool/>")
    catalogue = Catalogue.read([tmp_path])
    assert ["caf\\xe9", "shell"] == list(catalogue.services)
    assert {} == catalogue.workflows
    entry = catalogue.entry("caf\\xe9")
    assert ("caf\\xe9", folder) == (entry.name, entry.folder)
    (problem,) = entry.problems
    assert "letters, digits" in problem


def test_an_unknown_service_has_a_hint(tmp_path: Path) -> None:
    """The nearest name, and all there are, if these are few."""
    service(tmp_path, "jupyterlab-host")
    service(tmp_path, "webshell")
    with pytest.raises(NotFound, match="there is no service jupyterlab") as caught:
        Catalogue.read([tmp_path]).spec("jupyterlab")
    assert "Did you mean jupyterlab-host? Services: jupyterlab-host, webshell." == caught.value.hint
    for number in range(7):
        service(tmp_path, f"more{number}")
    with pytest.raises(NotFound) as caught:
        Catalogue.read([tmp_path]).spec("jupyterlab")
    assert "Did you mean jupyterlab-host? `sessionctl services` lists all 9." == caught.value.hint
    with pytest.raises(NotFound, match=r"there is no service 'x\\x1b'") as caught:
        Catalogue().spec("x\x1b")
    assert "No service was found; see `sessionctl services`." == caught.value.hint


def test_what_a_service_speaks(tmp_path: Path) -> None:
    """Http unless its service.toml says https; existing folders of the name nicedcv have none and speak https."""
    expected = {"plain": "http", "secure": "https", "nicedcv": "https", "odd/nicedcv": "http"}
    service(tmp_path, "plain")
    service(tmp_path, "secure", 'scheme = "https"\n')
    service(tmp_path, "nicedcv")
    service(tmp_path / "odd", "nicedcv", 'scheme = "http"\n')
    here = Catalogue.read([tmp_path])
    found = {name: here.spec(name).scheme for name in ("plain", "secure", "nicedcv")}
    found["odd/nicedcv"] = Catalogue.read([tmp_path / "odd"]).spec("nicedcv").scheme
    assert expected == found
    service(tmp_path, "wrong", 'scheme = "ftp"\n')
    assert 'wrong/service.toml:1 scheme: expected one of "http", "https"' in refusal(tmp_path / "wrong")


def test_a_folder_is_read_whole_and_as_it_is_now(tmp_path: Path) -> None:
    """What came after the catalogue was read counts; what is for people only stays at home."""
    folder = service(
        tmp_path, "lab", "", README_md="x", thumbnail_png="x", deep__README="kept", url_sh="export URLEND=\n"
    )
    (folder / "controller.sh").write_text("true\n")
    (folder / "controller.sh").chmod(0o755)
    (folder / "link.sh").symlink_to("deep/README")
    service(folder, ".git")
    catalogue = Catalogue.read([tmp_path])
    manifest = 'title = "Lab"\nprefix = "keep"\nready_within = "5m"\n[probe]\nkind = "http"\npath = "api"\n'
    (folder / "service.toml").write_text(manifest)
    assert ServiceSpec(
        name="lab",
        title="Lab",
        files=(
            ServiceFile(path="controller.sh", content=b"true\n", executable=True),
            ServiceFile(path="deep/README", content=b"kept"),
            ServiceFile(path="link.sh", content=b"kept"),
            ServiceFile(path="service.toml", content=manifest.encode()),
            ServiceFile(path="start-template.sh", content=b"true\n"),
            ServiceFile(path="url.sh", content=b"export URLEND=\n"),
        ),
        prefix=Prefix.KEEP,
        probe=Probe(kind="http", path="api"),
        ready_within_s=300.0,
    ) == catalogue.spec("lab")


def test_a_linked_service_folder_is_fine(tmp_path: Path) -> None:
    """A link to one's checkout is how services are written; only links inside must stay inside."""
    service(tmp_path / "checkout", "lab")
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "mine").symlink_to(tmp_path / "checkout" / "lab")
    spec = Catalogue.read([tmp_path / "services"]).spec("mine")
    assert ("mine", ["start-template.sh"]) == (spec.name, [file.path for file in spec.files])


def test_files_that_cannot_be_taken(tmp_path: Path) -> None:
    """Links that leave, links to folders, circles, pipes, sockets, odd names: one sentence each, nothing blocks."""
    (tmp_path / "secret").write_text("private")
    (service(tmp_path / "a", "leaves") / "x").symlink_to(tmp_path / "secret")
    assert "leaves/x is a link that leaves the folder" == refusal(tmp_path / "a" / "leaves")
    (service(tmp_path / "a", "dangles") / "x").symlink_to("nothing")
    assert refusal(tmp_path / "a" / "dangles").endswith("nothing cannot be read: No such file or directory")
    (service(tmp_path / "a", "circle") / "x").symlink_to("x")
    assert refusal(tmp_path / "a" / "circle").endswith("x cannot be read: Too many levels of symbolic links")
    (service(tmp_path / "a", "inner", deep__x="x") / "y").symlink_to("deep")
    assert "inner/y is neither a file nor a folder of its own" == refusal(tmp_path / "a" / "inner")
    os.mkfifo(service(tmp_path / "a", "pipe") / "x")
    assert "pipe/x is neither a file nor a folder of its own" == refusal(tmp_path / "a" / "pipe")
    folder = service(tmp_path / "a", "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/x")
        os.close(here)
    assert "sock/x is neither a file nor a folder of its own" == refusal(folder)
    (service(tmp_path / "a", "odd") / "a\nb").write_text("")
    assert "odd: the file name 'a\\nb' has characters that cannot be printed" == refusal(tmp_path / "a" / "odd")
    (service(tmp_path / "a", "bytes") / os.fsdecode(b"\xff")).write_text("")
    assert "bytes: the file name '\\udcff' has characters that cannot be printed" == refusal(tmp_path / "a" / "bytes")


def test_too_many_and_too_large(tmp_path: Path) -> None:
    """A folder is bounded in files and in bytes."""
    many = service(tmp_path, "many")
    for n in range(1000):
        (many / f"{n}").touch()
    assert "many: more than 1000 files" == refusal(many)
    (many / "0").unlink()
    assert 1000 == len(Catalogue.read([tmp_path]).spec("many").files)
    large = service(tmp_path, "large")
    with (large / "data").open("wb") as file:
        file.truncate((16 << 20) - 5)
    assert 2 == len(Catalogue.read([tmp_path]).spec("large").files)
    (large / "more").write_text("x")
    assert "large: more than 16 MiB" == refusal(large)


PARAMS = """
title = "Lab"
[params.service_notebook_dir]
label = "Folder"
help = '''
Where notebooks are
'''
default = "~"
[params.service_theme]
options = ["light", "dark"]
default = "light"
[params.service_workers]
type = "integer"
min = 1
max = 8
default = 2
[params.service_gpu]
type = "boolean"
[params.service_password]
secret = true
required = true
label = "Password"
[params.service_pin]
secret = true
type = "integer"
"""


def lab(tmp_path: Path, manifest: str = PARAMS) -> Entry:
    """The entry of a service with this service.toml."""
    service(tmp_path, "lab", manifest)
    return Catalogue.read([tmp_path]).services["lab"]


def test_params_are_declared(tmp_path: Path) -> None:
    """A form's every property arrives."""
    entry = lab(tmp_path)
    assert () == entry.problems
    assert (
        Param(name="service_notebook_dir", label="Folder", help="Where notebooks are\n", default="~"),
        Param(name="service_theme", options=("light", "dark"), default="light"),
        Param(name="service_workers", type=ParamType.INTEGER, min=1, max=8, default="2"),
        Param(name="service_gpu", type=ParamType.BOOLEAN),
        Param(name="service_password", secret=True, required=True, label="Password"),
        Param(name="service_pin", secret=True, type=ParamType.INTEGER),
    ) == entry.params


def test_defaults_are_filled_in_and_values_brought_to_one_form(tmp_path: Path) -> None:
    """Every declared parameter has a value, for templates that test with -z; secrets are apart."""
    entry = lab(tmp_path)
    assert (
        {"service_notebook_dir": "~", "service_theme": "light", "service_workers": "2", "service_gpu": "false"},
        {"service_password": "hush", "service_pin": ""},
    ) == resolve(entry, {"service.password": "hush"})
    assert (
        {"service_notebook_dir": "", "service_theme": "dark", "service_workers": "7", "service_gpu": "true"},
        {"service_password": "a\nb $(x)", "service_pin": "12"},
    ) == resolve(
        entry,
        {
            "service_notebook_dir": "",
            "service_theme": "dark",
            "service_workers": "+07",
            "service_gpu": "Yes",
            "service_password": "a\nb $(x)",
            "service_pin": "0012",
        },
    )


def test_all_problems_of_a_request_at_once(tmp_path: Path) -> None:
    """One line each; a secret is never shown, and the known parameters are listed where one was not known."""
    with pytest.raises(SpecError) as caught:
        resolve(
            lab(tmp_path),
            {
                "service_notebook_dir": "a\0b",
                "service_themes": "dark",
                "other": "x",
                "service_theme": "blue\x1b",
                "service_workers": "9",
                "service.workers": "3",
                "service_gpu": "maybe",
                "service_pin": "hush",
                "a b": "1",
            },
        )
    assert [
        "lab has no parameter service_themes, did you mean service_theme?",
        "lab has no parameter other",
        "service_workers is given twice, as service_workers and as service.workers",
        '"a b" cannot be the name of a variable: use letters, digits and underscores',
        'service_notebook_dir: expected a text without NUL characters, got "a\\u0000b"',
        'service_theme: expected one of "light", "dark", got "blue\\u001b"',
        'service_workers: expected an integer from 1 up to 8, got "9"',
        'service_gpu: expected true or false, got "maybe"',
        "service_password is missing: Password",
        "service_pin: expected an integer",
    ] == str(caught.value).splitlines()
    assert (
        "Parameters of lab: service_notebook_dir, service_theme, service_workers, service_gpu, service_password,"
        " service_pin."
    ) == caught.value.hint


def test_a_folder_without_params_takes_any_name(tmp_path: Path) -> None:
    """Existing folders declare nothing: any identifier goes, and what is named like a secret is treated as one."""
    entry = lab(tmp_path, "title = 'Lab'\n")
    assert (
        {"service_notebook_dir": "/x", "_1": ""},
        {"service_password": "hush", "GITHUB_TOKEN": "t"},
    ) == resolve(entry, {"service.notebook_dir": "/x", "_1": "", "service.password": "hush", "GITHUB_TOKEN": "t"})
    with pytest.raises(SpecError, match="cannot be the name of a variable") as caught:
        resolve(entry, {"1x": "", "ü": "", "a-b": "", "": "", "x": "y" * 70_000})
    assert 5 == len(str(caught.value).splitlines())
    assert "x: expected at most 65536 characters" in str(caught.value)


def test_a_clusters_defaults_stand_between(tmp_path: Path) -> None:
    """The person's value goes over the cluster's, the cluster's over the service's; foreign ones are passed over."""
    defaults = {"service_theme": "dark", "service_workers": "3", "partition": "batch"}
    values, _ = resolve(lab(tmp_path), {"service.workers": "4", "service_password": "x"}, defaults)
    assert {
        "service_notebook_dir": "~",
        "service_theme": "dark",
        "service_workers": "4",
        "service_gpu": "false",
    } == values
    assert ({"partition": "debug", "account": "a"}, {}) == resolve(
        lab(tmp_path / "any", "title = 'x'\n"), {"partition": "debug"}, {"partition": "batch", "account": "a"}
    )


def test_an_empty_params_table_takes_none(tmp_path: Path) -> None:
    """[params] without any parameter is a statement: there is nothing to set."""
    entry = lab(tmp_path, "[params]\n")
    assert ({}, {}) == resolve(entry, {})
    with pytest.raises(SpecError, match="lab has no parameter x") as caught:
        resolve(entry, {"x": "1"})
    assert "Parameters of lab: none." == caught.value.hint


BAD = """
titel = "x"
title = 5
description = '''
two
lines'''
ready_within = "0"
probe = { kind = "tcp", path = "x" }
[params]
flat = 1
[params."no-name"]
[params.a]
options = ["x", "y"]
default = "z"
[params.b]
type = "integer"
default = "ten"
[params.c]
type = "integer"
min = 5
max = 1
[params.d]
type = "boolean"
options = ["x"]
min = 1
default = "perhaps"
[params.e]
required = "yes"
default = []
hint = "x"
[params.f]
secret = true
options = ["hush"]
default = "husher"
"""

BAD_REPORT = """\
lab/service.toml:2 titel: unknown key, did you mean "title"?
lab/service.toml:3 title: expected one line of text, got 5
lab/service.toml:4 description: expected one line of text, got "two\\nlines"
lab/service.toml:7 ready_within: expected a duration from "1s" to "366d", got "0"
lab/service.toml:8 probe.path: has no meaning with kind = "tcp": a connection has no path
lab/service.toml:10 params.flat: expected a table, got 1
lab/service.toml:11 params.no-name: a parameter's name is a shell variable's: letters, digits and underscores
lab/service.toml:14 params.a.default: expected one of "x", "y", got "z"
lab/service.toml:17 params.b.default: expected an integer, got "ten"
lab/service.toml:20 params.c.min: expected at most max = 1, got 5
lab/service.toml:24 params.d.options: are for type = "text", not "boolean"
lab/service.toml:25 params.d.min: is for type = "integer", not "boolean"
lab/service.toml:26 params.d.default: expected one of "x", got "perhaps"
lab/service.toml:28 params.e.required: expected true or false, got "yes"
lab/service.toml:29 params.e.default: expected a text, got an empty list
lab/service.toml:30 params.e.hint: unknown key, \
known are default, help, label, max, min, options, required, secret, type
lab/service.toml:34 params.f.default: expected one of "hush"
"""


def test_all_problems_of_a_service_toml_at_once(tmp_path: Path) -> None:
    """Every problem with its line, in the order of the file; the entry keeps the defaults."""
    entry = lab(tmp_path, BAD)
    assert BAD_REPORT.splitlines() == list(entry.problems)
    assert Manifest() == entry.manifest
