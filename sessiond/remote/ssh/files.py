"""Reading files at the other side with nothing but POSIX tools."""

from __future__ import annotations

import re

from sessiond.core.command import Command, Completed
from sessiond.core.errors import NotSent, Unreadable, printable

TIMEOUT_S = 60.0
OVERHEAD = 65536
"""How much of the permitted output is left for what login shells print, in bytes."""

_COMMON = b"""\
LC_ALL=C; export LC_ALL
path=$1
case $path in
/*) ;;
"~") path=$HOME ;;
"~/"*) path=$HOME/${path#"~/"} ;;
*) path=$HOME/$path ;;
esac
answer() { printf '\\036sessiond-file %s\\n' "$1"; }
refuse() { answer "refused"; printf '%s\\036end\\n' "$1"; exit 0; }
if ! [ -e "$path" ]; then
    # A folder that may not be searched hides what is in it: that is not absence.
    said=$(ls -dL "$path" 2>&1)
    case $said in
    *"No such file"* | *"Not a directory"* | *"ot found"*) answer absent; printf '\\036end\\n'; exit 0 ;;
    esac
    refuse "${said##*: }"
fi
length() { stat -L -c %s "$path" 2>/dev/null || wc -c <"$path"; }
"""
_SIZE = (
    _COMMON
    + b"""\
size=$(length) || refuse "Permission denied"
answer size
printf '%s\\036end\\n' "$size"
"""
)
_READ = (
    _COMMON
    + b"""\
[ -f "$path" ] || refuse "not a regular file"
[ -r "$path" ] || refuse "Permission denied"
start=$2
if [ "$start" -lt 0 ]; then
    size=$(length) || refuse "its size is not known"
    start=$((size + start))
    [ "$start" -ge 0 ] || start=0
fi
answer bytes
exec 3>&1
said=$({ tail -c "+$((start + 1))" <"$path" | head -c "$3" >&3; } 2>&1)
case $said in
"" | *"roken pipe"*) printf '\\036ok\\036end\\n' ;;
*) printf '\\036failed %s\\036end\\n' "${said##*: }" ;;
esac
"""
)
_HEAD = re.compile(rb"\x1esessiond-file (absent|refused|size|bytes)\n")
_TAIL = b"\x1eend\n"
_WHOLE = b"\x1eok"
_FAILED = re.compile(rb"\x1efailed ([^\x1e]*)\Z")


def reading(path: str, offset: int, limit: int) -> Command:
    """A command that prints up to ``limit`` bytes of the file."""
    argv = ("sh", "-s", "--", path, str(offset), str(max(limit, 0)))
    return Command(argv=argv, stdin=_READ, timeout_s=TIMEOUT_S)


def sizing(path: str) -> Command:
    """A command that prints the size of the file."""
    return Command(argv=("sh", "-s", "--", path), stdin=_SIZE, timeout_s=TIMEOUT_S)


def read_bytes(path: str, done: Completed) -> bytes:
    """What `reading` printed. Raises NotSent where the file cannot be read, Unreadable for no answer of ours."""
    kind, body = _answer(path, done)
    if kind == b"absent":
        return b""
    if body.endswith(_WHOLE):
        return body.removesuffix(_WHOLE)
    failed = _FAILED.search(body)
    reason = failed[1].decode(errors="replace") if failed is not None else "its end is missing"
    raise NotSent(f"{printable(path)} cannot be read: {printable(reason)}")


def read_size(path: str, done: Completed) -> int:
    """What `sizing` printed. Raises like `read_bytes`."""
    kind, body = _answer(path, done)
    if kind == b"absent":
        return 0
    if not body.strip().isdigit():
        raise Unreadable(f"the size of {printable(path)} is not a number")
    return int(body)


def _answer(path: str, done: Completed) -> tuple[bytes, bytes]:
    head = _HEAD.search(done.stdout)
    if head is None or not done.stdout.endswith(_TAIL):
        said = printable(done.stderr.decode(errors="replace").strip()) or "nothing on stderr"
        raise Unreadable(f"the answer about {printable(path)} is cut off (exit status {done.rc}, {said})")
    body = done.stdout[head.end() :].removesuffix(_TAIL)
    if head[1] == b"refused":
        raise NotSent(f"{printable(path)} cannot be read: {printable(body.decode(errors='replace'))}")
    return head[1], body
