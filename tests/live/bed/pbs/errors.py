"""The errors of PBS: their numbers, and what its commands say of them."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The numbers, named as pbs_error.h of OpenPBS 23.06.06 names them."""

    UNKJOBID = 15001
    IVALREQ = 15004
    PERM = 15007
    BADHOST = 15008
    # also what a command says when nobody listens
    SYSTEM = 15010
    UNKSIG = 15013
    BADATVAL = 15014
    MODATRRUN = 15015
    BADSTATE = 15016
    UNKQUE = 15018
    QUNOENB = 15021
    UNKRESC = 15035
    EXCQRESC = 15036
    HISTJOBID = 15139
    JOBHISTNOTSET = 15140
    ENTLIMCT = 15142


TEXTS = {
    Code.UNKJOBID: "Unknown Job Id",
    Code.IVALREQ: "Invalid request",
    # with a blank at its end
    Code.PERM: "Unauthorized Request ",
    Code.UNKSIG: "Unknown/illegal signal name",
    Code.BADATVAL: "Illegal attribute or resource value",
    Code.MODATRRUN: "Cannot modify attribute while job running ",
    Code.BADSTATE: "Request invalid for state of job",
    Code.UNKQUE: "Unknown queue",
    Code.QUNOENB: "Queue is not enabled",
    Code.UNKRESC: "Unknown resource",
    Code.EXCQRESC: "Job violates queue and/or server resource limits",
    Code.HISTJOBID: "Job has finished",
    # With it qstat and qselect end with 0 all the same: src/cmds/qstat.c and qselect.c of OpenPBS say so in a comment;
    # the words as in https://github.com/Azure/az-hop/issues/14.
    Code.JOBHISTNOTSET: "PBS is not configured to maintain job history",
}


class Refused(Exception):
    """What the server answers in place of what was asked for; ``said`` is the sentence without the job's id."""

    def __init__(self, code: Code, said: str | None = None) -> None:
        self.code = code
        self.said = TEXTS[code] if said is None else said
        super().__init__(self.said)


def status(code: int) -> int:
    """The exit status of a command that met an error."""
    return code % 256
