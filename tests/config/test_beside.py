"""Descriptions and pictures beside forms and services: bounded, checked, and never more than not there."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.config.beside import BadPicture, description, picture
from sessiond.config.workflows import wrong_beside

HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def png(width: int, height: int, more: int = 0) -> bytes:
    """The beginning of a PNG of this size, and as many bytes more."""
    return HEAD + struct.pack(">II", width, height) + b"\x08\x06\0\0\0" + b"x" * more


def test_a_description(tmp_path: Path) -> None:
    """UTF-8 of any editor; what is none is replaced."""
    file = tmp_path / "a.md"
    assert ("", "") == description(file)
    file.write_bytes("\r\nEin Stück.\r\n\r\nMehr \xff\0davon.\r\n".encode("latin-1"))
    assert ("Ein St�ck.\n\nMehr �davon.", "") == description(file)


def test_descriptions_that_are_too_long_or_none(tmp_path: Path) -> None:
    """The beginning is shown; pipes and folders are not waited for."""
    file = tmp_path / "a.md"
    file.write_text("ä" * 10_000)
    assert ("ä" * 8192, "it has more than 16 KiB: the rest is left out") == description(file)
    file.write_text("a" + "ä" * 10_000)
    assert "a" + "ä" * 8191 == description(file)[0]
    file.unlink()
    os.mkfifo(file)
    assert ("", "it is not an ordinary file") == description(file)
    assert ("", "it cannot be read: Not a directory") == description(file / "x.md")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is no PNG"),
        (HEAD, "it is no PNG"),
        (b"GIF89a" + b"x" * 100, "it is no PNG"),
        (b"<svg onload='x'/>" * 9, "it is no PNG"),
        (png(120, 120)[:8] + b"\0\0\0\x0eIHDR" + b"x" * 20, "it is no PNG"),
        (png(0, 1), "it has 0 by 1 pixels; at most 512 by 512 are shown"),
        (png(513, 1), "it has 513 by 1 pixels; at most 512 by 512 are shown"),
        (png(1, 2**31), "it has 1 by 2147483648 pixels; at most 512 by 512 are shown"),
        (png(120, 120, 1 << 16), "it has more than 64 KiB"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, data: bytes, problem: str) -> None:
    """Its kind, its sides, its size."""
    file = tmp_path / "a.png"
    file.write_bytes(data)
    with pytest.raises(BadPicture) as error:
        picture(file)
    assert problem == str(error.value)
    assert [f"web/a.png:1: {problem}"] == wrong_beside(tmp_path / "a.xml", "web/a.xml")


def test_pictures(tmp_path: Path) -> None:
    """As they are; a pipe is none, and nothing is none."""
    file = tmp_path / "a.b.png"
    assert (None, []) == (picture(file), wrong_beside(tmp_path / "a.b.xml", "web/a.b.xml"))
    file.write_bytes(png(512, 512, 100))
    assert png(512, 512, 100) == picture(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BadPicture, match="it is not an ordinary file"):
        picture(file)


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda data: HEAD + data))
def test_nothing_else_is_raised(data: bytes) -> None:
    """Whatever the file holds."""
    file = Path(f"/proc/self/fd/{os.memfd_create('picture')}")
    try:
        file.write_bytes(data)
        picture(file)
    except BadPicture:
        pass
    finally:
        os.close(int(file.name))
