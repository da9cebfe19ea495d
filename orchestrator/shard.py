"""A part of a sweep that is run apart: for sweeps too large for one driver, and for clusters without one.

Trials are dealt out by their id, which is a hash, so every shard is found from the sweep file alone, and what each has
left to run is still a question for the store that all share. Trials that share levels of training and pruning go to one
shard.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import polars as pl

from orchestrator.errors import BadInput
from orchestrator.parts import Parts
from orchestrator.sharing import levels_key

DIGITS = 12
"""Of an id in base 16, that decide."""


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

    def part_of(self, trials: pl.DataFrame, parts: Parts) -> pl.DataFrame:
        """The trials (their ids, and the numbers of their `parts`) that are this shard's."""
        sharing = [number for number, levels in enumerate(parts.of["levels"]) if levels.pre_epochs]
        keys = (
            [
                _hashed(repr(levels_key(parts.config(row)))) if row["levels"] in sharing else row["trial_id"]
                for row in trials.iter_rows(named=True)
            ]
            if sharing
            else trials["trial_id"]
        )
        dealt = pl.Series(keys, dtype=pl.String).str.slice(0, DIGITS).str.to_integer(base=16, dtype=pl.UInt64)
        return trials.filter(dealt % self.count == self.number - 1)


def _hashed(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
