"""A part of a sweep that is run apart: for sweeps too large for one driver, and for clusters without one.

Trials are dealt out by a hash of their id, so every shard is found from the sweep file alone, and what each has left to
run is still a question for the store that all share. Trials that share levels of training and pruning go to one shard.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.plan import PlannedTrial
from orchestrator.sharing import levels_key


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`; the first is 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/8`.

        >>> Shard.parse("2/8")
        Shard(number=2, count=8)
        """
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise BadInput(f"--shard {text}: expected a number of that many, from 1/4 to 4/4 for four")
        return cls(int(found[1]), int(found[2]))

    def holds(self, trial: PlannedTrial) -> bool:
        """Whether the trial is this shard's."""
        key = repr(levels_key(trial)).encode()
        dealt = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % self.count
        return dealt == self.number - 1
