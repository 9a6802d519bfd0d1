"""The parameters that say whose licences a session uses, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from sessiond.core.errors import SpecError, printable
from sessiond.core.spec import Licence, Mode
from sessiond.render.inputs import is_ours, is_reserved
from sessiond.render.quote import word

PREFIX = "advanced_options_license_"
NAMES = frozenset(f"{PREFIX}{name}" for name in ("env", "server_port", "daemon_port", "host", "wait"))
"""The parameters' names. Every service and every form takes them, whatever else they ask for."""

LONGEST_WAIT_S = 3600

_OURSELVES = ("localhost", "127.0.0.1")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def about_licences(said: Mapping[str, str], is_known: Callable[[str], bool]) -> dict[str, str]:
    """Of what is said, by parameters' names with dots or without, that which is about licences and which nobody else
    (``is_known``) asks for; by variables' names."""
    flat = {name: name.replace(".", "_") for name in said}
    return {flat[name]: value for name, value in said.items() if flat[name] in NAMES and not is_known(name)}


def licence_of(params: Mapping[str, str]) -> Licence | None:
    """What ``params`` say about licences; None where they name no variable. Raises SpecError, a line for each problem.

    Forms have ports as hidden defaults, for the case that a person fills in the variable: without it they mean nothing.
    """
    said = {name: params.get(name, "").strip() for name in NAMES}
    variable = said[f"{PREFIX}env"]
    if not variable:
        return None
    problems: list[str] = []

    def wrong(name: str, expected: str) -> None:
        got = f'got "{printable(said[name])}"' if said[name] else "it is missing"
        problems.append(f"{name}: expected {expected}, {got}")

    def number(name: str, least: int, most: int, what: str) -> int:
        text = said[name]
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            wrong(name, what)
            return least
        return int(text)

    if not _VARIABLE.fullmatch(variable):
        wrong(f"{PREFIX}env", "the name of a variable such as MLM_LICENSE_FILE")
    elif is_reserved(variable) or is_ours(variable) or variable == "servicePort" or variable in params:
        problems.append(f"{PREFIX}env: {variable} means something else already; what does the program call it?")
    ports = [number(f"{PREFIX}server_port", 1, 65535, "a port from 1 to 65535")]
    if said[f"{PREFIX}daemon_port"]:
        ports.append(number(f"{PREFIX}daemon_port", 1, 65535, "a port from 1 to 65535"))
    host = said[f"{PREFIX}host"]
    if host and not _is_host(host):
        wrong(f"{PREFIX}host", "the name or address of the licence server's host")
    wait_s = number(f"{PREFIX}wait", 0, LONGEST_WAIT_S, "seconds, 3600 at most") if said[f"{PREFIX}wait"] else None
    if problems:
        raise SpecError("\n".join(problems), hint="leave out advanced_options.license_env where none is needed")
    return Licence(
        variable=variable,
        ports=tuple(dict.fromkeys(ports)),
        host="" if host.lower() in _OURSELVES else host,
        **({} if wait_s is None else {"wait_s": wait_s}),
    )


def _is_host(text: str) -> bool:
    if _HOST.fullmatch(text):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def licence_sh(licence: Licence | None, mode: Mode) -> str:
    """The lines of session.sh that name the licence server and wait until its ports are there."""
    if licence is None:
        return ""
    lines = (
        f"# Whose licences are used, whatever the lines above say.\nexport {licence.variable}={word(licence.value)}\n"
    )
    if licence.is_there(mode):
        return lines
    ports = " ".join(map(str, licence.ports))
    return f'{lines}. "$SESSIOND_JOBDIR/lib/licences.sh" || exit 1\nsessiond_await_licences {licence.wait_s} {ports}\n'
