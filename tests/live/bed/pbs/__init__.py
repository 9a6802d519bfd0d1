"""A stand-in for OpenPBS 23.06.06: its commands, server and moms, as far as sessions meet them.

What it prints, and how its commands end, is what a real server of that version did
(tests/schedulers/recorded/openpbs). The package is copied into the folder of a bed and runs on the hosts there: it
needs the standard library alone and imports nothing of the tests.
"""
