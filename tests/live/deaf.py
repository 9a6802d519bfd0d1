"""Runs a program that is to hear nothing of the machine's network interfaces: ``python deaf.py PROGRAM ARGUMENT...``.

Chromium cuts what it is loading, with ERR_NETWORK_CHANGED, whenever an address comes or goes anywhere on the machine,
as those of a cluster of tests do (measured, Chromium 156). It listens on a netlink socket; where it can have none it
takes the network as it is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from ctypes import CDLL, c_ulong, create_string_buffer

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_MODE_FILTER = 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT
# classic BPF: load a word of struct seccomp_data, jump if equal, return (linux/bpf_common.h)
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_CALL_AT, _ARCH_AT, _FAMILY_AT = 0, 4, 16
# a machine's name in the kernel's audit (linux/audit.h), and its number of socket(2)
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


def _filter(arch: int, call: int) -> bytes:
    """Allow everything but sockets of the family netlink."""
    steps = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_IF_EQUAL, 0, 5, arch),
        (_LOAD, 0, 0, _CALL_AT),
        (_IF_EQUAL, 0, 3, call),
        (_LOAD, 0, 0, _FAMILY_AT),
        (_IF_EQUAL, 0, 1, socket.AF_NETLINK),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def main() -> None:
    """Become the program. On machines of other kinds it hears everything."""
    if known := _MACHINES.get(platform.machine()):
        rules = _filter(*known)
        kept = create_string_buffer(rules, len(rules))
        program = create_string_buffer(struct.pack("@HP", len(rules) // 8, ctypes.addressof(kept)))
        libc = CDLL(None, use_errno=True)
        for option, value, more in (
            (_PR_SET_NO_NEW_PRIVS, c_ulong(1), c_ulong(0)),
            (_PR_SET_SECCOMP, c_ulong(_MODE_FILTER), program),
        ):
            if libc.prctl(option, value, more, c_ulong(0), c_ulong(0)):
                raise OSError(ctypes.get_errno(), "the filter cannot be set")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
