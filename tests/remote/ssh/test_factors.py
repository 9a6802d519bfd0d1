"""Passwords and second factors of a real sshd with PAM: put to a person, and to nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import shutil
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from sessiond.core.command import Command
from sessiond.core.errors import AuthDenied, NeedsLogin
from sessiond.core.prompts import Prompt
from sessiond.remote.ssh.connector import SshConnector

from .house import Sshd, User, set_password, settings, sshd
from .person import Person, refused

pytestmark = pytest.mark.anyio

TRUE = Command(argv=("true",))
PAM = "pam_google_authenticator.so"
PASSWORD = "correct horse 7"


@pytest.fixture
def two_factors(place: Path, user: User) -> Iterator[tuple[Sshd, str]]:
    """A server that asks for a password and then a code, by PAM; and the secret of the codes."""
    if os.geteuid() != 0:
        pytest.skip("not root: cannot configure PAM")
    if not list(Path("/lib").glob(f"*/security/{PAM}")):
        pytest.skip(f"no {PAM}: install libpam-google-authenticator")
    name = f"sshd-sd{os.urandom(4).hex()}"
    program = place / name
    shutil.copy("/usr/sbin/sshd", program)  # PAM's service is the program's name
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
    codes = place / f"codes-{user.name}"
    codes.write_text(f'{secret}\n" TOTP_AUTH\n')
    codes.chmod(0o400)
    service = Path("/etc/pam.d") / name
    service.write_text(
        f"auth required pam_unix.so\nauth required {PAM} secret={codes} user=root no_increment_hotp\n"
        "account required pam_permit.so\nsession required pam_permit.so\n"
    )
    set_password(user, PASSWORD)
    try:
        options = ("KbdInteractiveAuthentication yes", "AuthenticationMethods keyboard-interactive")
        base = place / name.replace("sshd", "pam")
        with sshd(base, [user], *options, program=str(program), pam=True) as server:
            yield server, secret
    finally:
        service.unlink()


def code_of(secret: str) -> str:
    """The code of this half minute (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1)
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF) % 10**6:06d}"


async def test_a_password_and_a_code(
    two_factors: tuple[Sshd, str], user: User, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both questions reach the person one after the other, in PAM's words; the answers go nowhere else."""
    server, secret = two_factors
    caplog.set_level(logging.DEBUG)
    person = Person(PASSWORD, lambda: code_of(secret))
    connection = await SshConnector(settings(server, user, tmp_path)).open(person)
    try:
        assert 0 == (await connection.run(TRUE)).rc
    finally:
        await connection.aclose()
    assert [("Password: ", False), ("Verification code: ", False)] == person.asked
    assert PASSWORD not in caplog.text
    assert code_of(secret) not in caplog.text


async def test_two_factors_without_a_person(two_factors: tuple[Sshd, str], user: User, tmp_path: Path) -> None:
    """Nothing is begun that a person would have to finish: no question is even put."""
    server, _ = two_factors
    kind, message, hint = await refused(settings(server, user, tmp_path))
    assert (NeedsLogin, "127.0.0.1 needs an answer to its questions, which only you can give") == (kind, message)
    assert "Run `sessionctl login frontier`." == hint
    assert "Failed" not in server.log


async def test_wrong_answers_are_not_asked_for_again(two_factors: tuple[Sshd, str], user: User, tmp_path: Path) -> None:
    """One refusal is the end: no account is locked by us."""
    server, _ = two_factors
    person = Person("wrong", "000000")
    kind, message, _ = await refused(settings(server, user, tmp_path), person)
    assert (AuthDenied, "127.0.0.1 did not accept your answers") == (kind, message)
    assert 2 == len(person.asked)


async def test_a_person_who_does_not_answer(two_factors: tuple[Sshd, str], user: User, tmp_path: Path) -> None:
    """The login is given up in time; its questions are withdrawn."""
    server, _ = two_factors
    withdrawn = anyio.Event()

    async def silence(_prompt: Prompt) -> Sequence[str]:
        try:
            await anyio.sleep_forever()
        finally:
            withdrawn.set()
        raise AssertionError

    kind, message, _ = await refused(settings(server, user, tmp_path, login_s=0.5), silence)
    assert (NeedsLogin, "the questions of 127.0.0.1 were not answered within 0.5 s") == (kind, message)
    with anyio.fail_after(5):
        await withdrawn.wait()


async def test_what_asking_raises_passes(two_factors: tuple[Sshd, str], user: User, tmp_path: Path) -> None:
    """Where the person is gone the login ends with the reason that asking gave."""
    server, _ = two_factors

    async def gone(_prompt: Prompt) -> Sequence[str]:
        raise NeedsLogin("the login was given up")

    kind, message, _ = await refused(settings(server, user, tmp_path), gone)
    assert (NeedsLogin, "the login was given up") == (kind, message)


async def test_a_plain_password(place: Path, user: User, tmp_path: Path) -> None:
    """A server that knows passwords alone; its banner is shown with the question."""
    set_password(user, PASSWORD)
    (tmp_path / "banner").write_text("Authorised users only.\n")
    options = ("PasswordAuthentication yes", "PubkeyAuthentication no", f"Banner {tmp_path}/banner")
    with sshd(tmp_path / "server", [user], *options) as server:
        chosen = settings(server, user, tmp_path)
        kind, message, _ = await refused(chosen)
        assert (NeedsLogin, "127.0.0.1 needs your password, which only you can give") == (kind, message)
        person = Person(PASSWORD)
        connection = await SshConnector(chosen).open(person)
        await connection.aclose()
        assert [(f"Password for {user.name}@127.0.0.1: ", False)] == person.asked
        assert "Authorised users only." == person.prompts[0].instructions
        kind, message, _ = await refused(chosen, Person("wrong"))
        assert (AuthDenied, "127.0.0.1 did not accept your answers") == (kind, message)
