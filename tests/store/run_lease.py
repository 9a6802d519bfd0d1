"""Program: hold the lease of the state folder given until stdin ends, or say why it cannot be had."""

import sys
from pathlib import Path

from sessiond.core.errors import StateError
from sessiond.store.lease import Lease

try:
    with Lease.take(Path(sys.argv[1])):
        print("taken", flush=True)
        sys.stdin.read()
except StateError as error:
    print(error.message, flush=True)
