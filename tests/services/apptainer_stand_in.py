"""A stand-in for apptainer and singularity: it writes down how it is called, with its variables, and ends.

It is copied to where it is called, so it needs nothing but Python. Beside it lie, or may lie:
    calls/        each call's words and variables, in order
    unreachable   no registry can be reached
    keeping       the name of the part of the session's private folder of which it keeps a copy
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Do as apptainer does with these words; its exit status."""
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    if words == ["--version"]:
        return 0
    variables = "\0".join(f"{key}={value}" for key, value in os.environ.items())
    call = HERE / "calls" / f"{time.monotonic_ns():020d}"
    call.write_text(json.dumps({"words": [name, *words], "stdin": variables}))
    if words[0] == "pull":
        if (HERE / "unreachable").exists():
            print("FATAL: no such host", file=sys.stderr)
            return 255
        Path(words[2]).touch()
    elif (HERE / "keeping").exists():
        part = (HERE / "keeping").read_text()
        shared = next(word.partition(":")[0] for word in words if "/sd-" in word)
        shutil.copytree(Path(shared, part), HERE / part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
