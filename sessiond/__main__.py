"""``python -m sessiond`` is the daemon."""

from sessiond.main import main

main()
