"""Program: live `samples.life` in the state folder given, saying after each call that it returned.

A second argument is the list of mounts to go by.
"""

import sys
from pathlib import Path

from sessiond.store.place import MOUNTINFO
from sessiond.store.store import Store

from .samples import life

store = Store.open(Path(sys.argv[1]), mountinfo=Path(sys.argv[2]) if len(sys.argv) > 2 else MOUNTINFO)
for count, call in enumerate(life(), start=1):
    call(store)
    print(count, flush=True)
store.close()
