"""The log: structured lines on stderr, one for each transition, from the same record that history and watchers get."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from sessiond.api.views import event_view
from sessiond.runtime.bus import Published

_SECRET_KEYS = frozenset({"token", "password", "secret", "cookie", "authorization", "secrets"})

# A traceback without the values of its variables: among those are sessions, and their secrets.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

log = structlog.get_logger("sessiond")


def redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A value that is named like a secret is not written, whoever passed it."""
    for key in event.keys() & _SECRET_KEYS:
        event[key] = "***"
    return event


def _renamed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """``ts`` and ``level`` first, as the documentation of log lines says."""
    head = {"ts": event.pop("timestamp", None), "level": event.pop("level", None)}
    return {**head, **event}


class _Patient(io.TextIOBase):
    """A stream that takes no offence: a log that cannot be written (disk full, reader gone) must not end the daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure(style: str, stream: TextIO = sys.stderr) -> None:
    """Log to ``stream`` as ``json`` lines or ``console`` text; ``auto`` is text on a terminal only."""
    text = style == "console" or (style == "auto" and stream.isatty())
    patient = cast("TextIO", _Patient(stream))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redacted,
    ]
    ending: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if text
        else [_TRACEBACKS, _renamed, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(patient),
        cache_logger_on_first_use=False,
    )
    # What libraries log through the standard library goes the same way, warnings and worse.
    handler = logging.StreamHandler(patient)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def transition(published: Published) -> None:
    """Write the line of one transition."""
    session = published.session
    job = session.job
    view = event_view(
        published.seq,
        published.record,
        name=session.name,
        cluster=session.spec.cluster,
        job=job.id if job is not None else None,
        node=",".join(job.nodes) or None if job is not None else None,
    )
    problem = view["problem"]
    log.info(
        view["event"],
        session=view["session"],
        name=view["name"],
        cluster=view["cluster"],
        **{"from": view["from_state"], "to": view["to_state"]},
        actions=",".join(view["actions"]) or "-",
        job=view["job"],
        node=view["node"],
        problem=problem["message"] if problem is not None else None,
    )
