"""`why --bundle`: one archive, and no other file's place."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from tests.cli.canned_daemon import Canned
from tests.cli.conftest import ROOT, SESSIONCTL, Ctl


def test_a_bundle_goes_to_a_pipe(ctl: Ctl, canned: Canned) -> None:
    """`-` is standard output, and nothing else is written there."""
    done = subprocess.run(
        [*SESSIONCTL, "why", "lost", "--bundle", "-"],
        env=ctl.env,
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout), mode="r:gz") as tar:
        names = tar.getnames()
    assert ["log.txt", "rendered/run.sh", "story.txt"] == sorted(name.removeprefix("sessiond-lost/") for name in names)
    assert b"" == done.stderr


def test_a_bundle_takes_no_file_s_place(ctl: Ctl, canned: Canned, tmp_path: Path) -> None:
    """Not a file's, not a dangling link's; and where it cannot be written, that is said."""
    taken, link = tmp_path / "taken", tmp_path / "link"
    taken.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (taken, link):
        done = ctl("why", "lost", "--bundle", str(path))
        assert (6, True) == (done.status, "is there already" in done.err)
    assert ("mine", False) == (taken.read_text(), (tmp_path / "elsewhere").exists())
    assert 2 == ctl("why", "lost", "--json", "--bundle", str(tmp_path / "json")).status
    assert not (tmp_path / "json").exists()
    done = ctl("why", "lost", "--bundle", str(tmp_path / "no" / "folder"))
    assert (6, True) == (done.status, "cannot be written: No such file or directory" in done.err)
    assert 0 == ctl("why", "lost", "--bundle", str(link), "--force").status
    assert (False, False) == (link.is_symlink(), (tmp_path / "elsewhere").exists())


def test_the_names_in_a_bundle_are_harmless(ctl: Ctl, canned: Canned, tmp_path: Path) -> None:
    """Whatever the session is called: its folder is one, below where the archive is unpacked."""
    assert 0 == ctl("why", "evil", "--bundle", str(tmp_path / "evil.tar.gz")).status
    with tarfile.open(tmp_path / "evil.tar.gz") as tar:
        assert all(re.fullmatch(r"sessiond-[\w.-]+/[\w./-]+", name) for name in tar.getnames())
        story = tar.extractfile(next(name for name in tar.getnames() if name.endswith("story.txt")))
        assert story is not None
        assert b"\x1b" not in story.read()
