"""First come, first served, past those who do not fit now; whoever stays behind is told why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from . import resources
from .complex import Complex
from .model import Job, Placed


@dataclass(slots=True, kw_only=True)
class _Free:
    """What is left of a node."""

    ncpus: int
    mem_kb: int
    slots: set[int]


def schedule(complex_: Complex, now: float) -> list[Job]:
    """Place what fits; the jobs that are to be started."""
    complex_.wake(now)
    if not complex_.switches.scheduling:
        return []
    free, placed = _left(complex_), []
    for job in list(complex_.jobs.values()):
        queue = complex_.queues.get(job.attributes["queue"])
        if job.state != "Q" or queue is None:
            continue
        places = _places(free, job) if queue.started else None
        if places is not None:
            complex_.place(job, places, now)
            placed.append(job)
            free = _left(complex_)
            continue
        why = _why_not(complex_, job) if queue.started else "Not Running: Queue not started."
        if why != job.attributes.get("comment"):
            job.attributes["comment"] = why
            complex_.changed.add(job.number)
    return placed


def _left(complex_: Complex) -> dict[str, _Free]:
    up = [node for node in complex_.nodes.values() if node.is_up]
    free = {node.name: _Free(ncpus=node.ncpus, mem_kb=node.mem_kb, slots=set()) for node in up}
    for job in complex_.jobs.values():
        for place in job.places:
            if (node := free.get(place.node)) is not None:
                node.ncpus -= place.ncpus
                node.mem_kb -= place.mem_kb
                node.slots.add(place.slot)
    return free


def _places(left: dict[str, _Free], job: Job) -> list[Placed] | None:
    """A place for each chunk, None where one finds none; ``left`` stays as it is."""
    free = {name: replace(node, slots=set(node.slots)) for name, node in left.items()}
    is_apart = "scatter" in job.attributes["Resource_List.place"]
    places: list[Placed] = []
    for chunk in resources.chunks(job.attributes["Resource_List.select"]):
        used = {place.node for place in places} if is_apart else set()
        fits = (
            name
            for name, node in free.items()
            if node.ncpus >= chunk.ncpus
            and node.mem_kb >= chunk.mem_kb
            and chunk.host in ("", name)
            and name not in used
        )
        name = next(fits, None)
        if name is None:
            return None
        node = free[name]
        slot = next(number for number in count() if number not in node.slots)
        node.slots.add(slot)
        node.ncpus -= chunk.ncpus
        node.mem_kb -= chunk.mem_kb
        places.append(Placed(node=name, slot=slot, ncpus=chunk.ncpus, mem_kb=chunk.mem_kb))
    return places


def _why_not(complex_: Complex, job: Job) -> str:
    nodes = complex_.nodes.values()
    total, asked = sum(node.ncpus for node in nodes), int(job.attributes["Resource_List.ncpus"])
    if asked > total:
        return f"Can Never Run: Insufficient amount of resource: ncpus (R: {asked} A: {total} T: {total})"
    biggest = max(chunk.ncpus for chunk in resources.chunks(job.attributes["Resource_List.select"]))
    if all(node.ncpus < biggest for node in nodes):
        return "Can Never Run: Not enough total nodes available"
    return "Not Running: Not enough free nodes available"
