"""``python -m sessiond`` is the daemon."""

from sessiond.daemon import main

main()
