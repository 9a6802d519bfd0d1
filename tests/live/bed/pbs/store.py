"""What a server keeps on its disk: a file a job, and one for the rest; a server that was killed finds it again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from .complex import Complex
from .model import Job, Node, Placed, Queue, Switches


class Store:
    """The folder of a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs = folder / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)

    def load(self) -> Complex:
        """The server as it was when it last said anything to anybody."""
        rest = json.loads((self._folder / "server.json").read_text())
        complex_ = Complex(
            rest["server"],
            nodes=[Node(**{**node, "is_up": False}) for node in rest["nodes"]],
            queues=[Queue(**queue) for queue in rest["queues"]],
            switches=Switches(**rest["switches"]),
        )
        complex_.next_number = rest["next_number"]
        for file in sorted(self._jobs.glob("*.json"), key=lambda file: int(file.stem)):
            fields = json.loads(file.read_text())
            job = Job(**{**fields, "places": [Placed(**place) for place in fields["places"]]})
            complex_.jobs[job.number] = job
        return complex_

    def save(self, complex_: Complex) -> None:
        """Write down what has changed."""
        if not complex_.changed:
            return
        for number in complex_.changed:
            file = self._jobs / f"{number}.json"
            if number in complex_.jobs:
                self._write(file, asdict(complex_.jobs[number]))
            else:
                file.unlink(missing_ok=True)
        complex_.changed.clear()
        self.save_rest(complex_)

    def save_rest(self, complex_: Complex) -> None:
        """Write down everything but jobs."""
        rest = {
            "server": complex_.server,
            "nodes": [asdict(node) for node in complex_.nodes.values()],
            "queues": [asdict(queue) for queue in complex_.queues.values()],
            "switches": asdict(complex_.switches),
            "next_number": complex_.next_number,
        }
        self._write(self._folder / "server.json", rest)

    @staticmethod
    def _write(file: Path, content: object) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(content))
        fresh.replace(file)
