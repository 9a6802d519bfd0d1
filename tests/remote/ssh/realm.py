"""A real Kerberos realm of its own: MIT's KDC on a loopback port, throw-away principals, tickets by kinit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

from .house import PATIENCE_S, need_root, need_sshd

NAME = "SESSIOND.TEST"
HOST = "host/127.0.0.1"
"""The principal of sshd; ssh asks for the one of the host's name."""
PASSWORD = "correct horse 7"
_SBIN = "/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """A realm whose KDC is, or was, on ``port``."""

    base: Path
    port: int

    @property
    def cache(self) -> Path:
        """Where the tickets are that `kinit` gets: the default cache of this realm's configuration."""
        return self.base / "tickets"

    @property
    def keytab(self) -> Path:
        """The keys of `HOST`."""
        return self.base / "keytab"

    @property
    def environment(self) -> dict[str, str]:
        """Our own environment, with this realm in it and nothing of another one."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KRB5")}
        return {
            **kept,
            "KRB5_CONFIG": str(self.base / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.base / "kdc.conf"),
            "PATH": f"{os.environ.get('PATH', '')}:{_SBIN}",
            "LC_ALL": "C",
        }

    def admin(self, query: str) -> None:
        """Have the administrator's program do one thing."""
        self._run("kadmin.local", "-r", NAME, "-q", query)

    def add_user(self, name: str) -> None:
        """A principal with `PASSWORD`."""
        self.admin(f'addprinc -pw "{PASSWORD}" {name}')

    def kinit(self, name: str, *options: str) -> None:
        """Get a ticket, as a person does."""
        self._run("kinit", *options, name, said=f"{PASSWORD}\n")

    def kdestroy(self) -> None:
        """Throw all tickets away."""
        self.cache.unlink(missing_ok=True)

    def has_ticket(self) -> bool:
        """Whether there is one that is valid."""
        return subprocess.run(["klist", "-s"], env=self.environment, check=False).returncode == 0

    def tickets(self) -> str:
        """What `klist` says of them."""
        return subprocess.run(["klist"], env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def await_expiry(self) -> None:
        """Return when the tickets have expired."""
        give_up = time.monotonic() + PATIENCE_S
        while self.has_ticket():
            assert time.monotonic() < give_up
            time.sleep(0.05)

    def write_config(self, kdc_port: int | None = None) -> None:
        """The configuration of whoever uses the realm; with ``kdc_port`` they look for the KDC there."""
        (self.base / "krb5.conf").write_text(_config(self.base, kdc_port or self.port))

    def _run(self, *argv: str, said: str = "") -> None:
        done = subprocess.run(
            argv,
            env=self.environment,
            input=said,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stdout


def need_kerberos() -> None:
    """Skip where there is no KDC, no sshd or no Python package for it."""
    need_sshd()
    need_root()
    programs = {
        "krb5kdc": "krb5-kdc",
        "kdb5_util": "krb5-kdc",
        "kadmin.local": "krb5-admin-server",
        "kinit": "krb5-user",
    }
    for program, package in programs.items():
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SBIN}") is None:
            pytest.skip(f"no {program}: install {package}")
    if importlib.util.find_spec("gssapi") is None:
        pytest.skip("no Python package gssapi: pip install 'sessiond[kerberos]'")


@contextmanager
def realm(base: Path) -> Iterator[Realm]:
    """A realm with the principal `HOST`, its keys in a keytab, and a KDC that runs as long."""
    need_kerberos()
    base.mkdir()
    made = Realm(base=base, port=free_port())
    made.write_config()
    (base / "kdc.conf").write_text(_kdc_config(base, made.port))
    made._run("kdb5_util", "create", "-s", "-r", NAME, "-P", os.urandom(12).hex())
    made.admin(f"addprinc -randkey {HOST}")
    made.admin(f"ktadd -k {made.keytab} {HOST}")
    try:
        with _kdc(made):
            yield made
    finally:
        shutil.rmtree(base)


@contextmanager
def silent_kdc(made: Realm) -> Iterator[None]:
    """Have everybody look for the KDC where what is sent is taken and never answered, over UDP and over TCP."""
    port = free_port()
    try:
        with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", port))
            made.write_config(port)
            yield
    finally:
        made.write_config()
        # Now that the port is closed, libkrb5 gives up.
        for thread in threading.enumerate():
            if thread.name.startswith("kerberos "):
                thread.join(PATIENCE_S)
                assert not thread.is_alive()


@contextmanager
def _kdc(made: Realm) -> Iterator[None]:
    with (made.base / "kdc.out").open("wb") as out:
        process = subprocess.Popen(
            ["krb5kdc", "-n", "-r", NAME], env=made.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        give_up = time.monotonic() + PATIENCE_S
        while True:
            assert process.poll() is None, (made.base / "kdc.out").read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", made.port), 1):
                break
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _config(base: Path, kdc_port: int) -> str:
    return _profile(
        {
            "libdefaults": {
                "default_realm": NAME,
                # No names are looked up anywhere, and no file of the machine's is read.
                "dns_lookup_kdc": "false",
                "dns_lookup_realm": "false",
                "dns_canonicalize_hostname": "false",
                "rdns": "false",
                "qualify_shortname": '""',
                "default_ccache_name": f"FILE:{base}/tickets",
                "default_keytab_name": f"FILE:{base}/keytab",
                "default_client_keytab_name": f"FILE:{base}/no-client-keytab",
                "forwardable": "true",
            },
            "realms": {NAME: f"{{\n  kdc = 127.0.0.1:{kdc_port}\n}}"},
        }
    )


def _kdc_config(base: Path, port: int) -> str:
    return _profile(
        {
            "kdcdefaults": {"kdc_listen": f"127.0.0.1:{port}", "kdc_tcp_listen": f"127.0.0.1:{port}"},
            "realms": {
                NAME: f"{{\n  database_name = {base}/principal\n  key_stash_file = {base}/stash\n"
                f"  acl_file = {base}/acl\n  admin_keytab = {base}/admin-keytab\n"
                "  max_life = 10h\n  max_renewable_life = 1d\n}"
            },
            "logging": {"kdc": f"FILE:{base}/kdc.log", "admin_server": f"FILE:{base}/admin.log"},
        }
    )


def _profile(sections: Mapping[str, Mapping[str, str]]) -> str:
    """A profile of MIT Kerberos."""
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join([*lines, ""])
