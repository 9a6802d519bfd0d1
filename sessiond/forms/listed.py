"""Options and values in JSON, as attributes of forms hold them."""

from __future__ import annotations

from sessiond.forms import loose
from sessiond.forms.model import Option


def options_in(found: object) -> tuple[Option, ...]:
    """Options in JSON. Raises ValueError for anything else."""
    if not isinstance(found, list):
        raise ValueError("no list")  # noqa: TRY004 - of a text that was to be JSON, like what json raises
    options: list[Option] = []
    for one in found:
        if isinstance(one, dict) and "value" in one:
            value = as_text(one["value"])
            options.append(
                Option(value=value, label=as_text(one.get("label", value)), selected=bool(one.get("selected")))
            )
        elif isinstance(one, str | int | bool):
            options.append(Option(value=as_text(one), label=as_text(one)))
        else:
            raise ValueError("no option")
    return tuple(options)


def several(text: str) -> tuple[str, ...]:
    """The values of a ``show_if``: a text, or a list in JSON."""
    if text.startswith("["):
        try:
            found = loose.loads(text)
            return tuple(map(as_text, found if isinstance(found, list) else [text]))
        except (ValueError, RecursionError):
            pass
    return (text,)


def as_text(found: object) -> str:
    """A value of JSON as the text that forms compare."""
    return str(found).lower() if isinstance(found, bool) else str(found)
