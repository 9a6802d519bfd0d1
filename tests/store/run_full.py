"""Program: fill the place of the state folder given until nothing more fits, make room, go on; report as JSON.

The place is small because files may not grow (``limit``) or because the file system is (``disk``).
"""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

from sessiond.core import machine
from sessiond.core.errors import StateFull
from sessiond.store.store import Store

from .samples import dump, session

how, folder = sys.argv[1], Path(sys.argv[2])
store = Store.open(folder)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
ballast = folder / "ballast"
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
else:
    ballast.write_bytes(bytes(200_000))


def birth(number: int) -> machine.Step:
    """A session heavy enough that a few dozen of them fill the place."""
    young = session(number)
    return machine.create(replace(young, spec=replace(young.spec, params={"service_note": f"{number} " * 2000})))


said = ""
stored = 0
while not said and stored < 500:
    try:
        store.commit(birth(stored + 1), at=1.0)
        stored += 1
    except StateFull as error:
        said = error.message
while_full = len(store.load().sessions)
try:
    store.set_fact("big", "x" * 400_000)
    again = ""
except StateFull as error:
    again = error.code
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
else:
    ballast.unlink()
store.commit(birth(stored + 1), at=2.0)
after = [one.number for one in store.load().sessions]
store.close()
store = Store.open(folder)
reopened = [one.number for one in store.load().sessions]
store.close()
report = {
    "said": said,
    "stored": stored,
    "while_full": while_full,
    "again": again,
    "after": after,
    "reopened": reopened,
    "facts": dump(folder)["fact"],
}
print(json.dumps(report))
