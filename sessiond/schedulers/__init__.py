"""Schedulers as dialects: they build commands and read answers, and run nothing."""
