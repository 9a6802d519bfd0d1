"""A session to render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.session import Session, State
from sessiond.core.spec import LaunchSpec, Listen, Mode, Resources, ServiceFile, ServiceSpec

LIB_DIR = Path(__file__).parents[2] / "services" / "_lib"
START = b'echo "serving on ${servicePort}"\nsleep 9999\n'
KILL = b'echo "ending ${job_number}"\n'


def lib() -> dict[str, bytes]:
    """The content of services/_lib by file name."""
    return {path.name: path.read_bytes() for path in LIB_DIR.iterdir()}


def session(
    *,
    start: bytes | None = START,
    kill: bytes | None = KILL,
    jobdir: str = "/home/ada/sessiond/0123456789ab",
    params: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    setup: str = "",
    ident: str = "0123456789ab",
    extra: tuple[ServiceFile, ...] = (),
    mode: Mode = Mode.LOCAL,
    listen: Listen = Listen.LOOPBACK,
) -> Session:
    """A session of a service called ``trial`` with the given template texts."""
    files = [
        ServiceFile(path=path, content=content)
        for path, content in (("start-template.sh", start), ("kill-template.sh", kill))
        if content is not None
    ]
    return Session(
        id=SessionId(ident),
        name="trial",
        number=7,
        spec=LaunchSpec(
            service=ServiceSpec(name="trial", title="Trial", files=(*files, *extra)),
            workflow="trial",
            cluster=ClusterName("local"),
            mode=mode,
            user="ada",
            jobdir=jobdir,
            params={} if params is None else params,
            secrets={"service_token": "s3cret"} if secrets is None else secrets,
            setup=setup,
            listen=listen,
        ),
        open_port=51234,
        created=0.0,
        state=State.RENDER,
        since=0.0,
    )


def pbs_session(*extra: str, **resources: object) -> Session:
    """A session under PBS that asks for these resources, with these directives of a person's own."""
    fresh = session(mode=Mode.PBS)
    asked = replace(Resources(extra=extra), **resources)  # type: ignore[arg-type]
    return replace(fresh, spec=replace(fresh.spec, resources=asked))
