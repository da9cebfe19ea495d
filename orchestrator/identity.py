"""When two points of a grid are the same trial, and the name under which its result is kept.

A trial's id hashes every field that can change its result, by parts: each axis value's text is made once, so that a
million ids cost seconds. Points that must give equal results are first folded into one configuration:

- at density 1 nothing is removed, so the pruner cannot matter: one dense trial serves all pruners;
- a criterion whose scores do not depend on earlier rounds (random, magnitude) gives the same masks in any number of
  rounds, under any schedule;
- a criterion that does not run the network scores the same in either mode and precision;
- a criterion that sees no examples scores the same whatever the size of the prune set;
- a schedule's stops beyond the target density are not visited;
- with one round, and one level of training and pruning, the schedule has no densities to choose.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from pruning.schedules import SCHEDULES, stops_above
from pruning.table import ALL_PRUNERS, CUSTOM
from training.config import (
    DENSE_PRUNER,
    NUMERICS_VERSION,
    Component,
    LevelsConfig,
    PrunerConfig,
    Seeds,
    TrialConfig,
)

DENSE = PrunerConfig(name=DENSE_PRUNER)


HASHED_PARTS = ("density", "dataset", "model", "pruner", "seeds", "training", "levels")
"""Parts of a configuration in the order in which they are hashed."""


def trial_id(config: TrialConfig) -> str:
    """32 hexadecimal digits that stand for the configuration and the numerics version."""
    return id_of(*(hashed_text(getattr(config, name)) for name in HASHED_PARTS))


def hashed_text(part: Component | Decimal) -> bytes:
    """What of a part, or of a density, enters an id."""
    return (str(part) if isinstance(part, Decimal) else part.fragment).encode()


def id_of(*texts: bytes) -> str:
    """The id of the configuration whose `HASHED_PARTS` have these texts."""
    text = b"\n".join((b"%d" % NUMERICS_VERSION, *texts))
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def fold(config: TrialConfig) -> tuple[TrialConfig, str]:
    """The configuration that stands for all that must give its result, and why it is another one ("" if it is not)."""
    pruner, levels, reason = fold_pruner(config.pruner, config.levels, config.density)
    seeds = fold_seeds(config.seeds, config.density)
    return (replace(config, pruner=pruner, levels=levels, seeds=seeds), reason) if reason else (config, "")


def fold_seeds(seeds: Seeds, density: Decimal) -> Seeds:
    """At density 1 nothing is drawn for pruning."""
    return replace(seeds, prune=0) if density == 1 else seeds


@lru_cache(maxsize=4096)
def fold_pruner(pruner: PrunerConfig, levels: LevelsConfig, density: Decimal) -> tuple[PrunerConfig, LevelsConfig, str]:
    """What of a configuration's pruner and levels can matter at a density, and why it is less ("" if it is not)."""
    if density == 1:
        return DENSE, LevelsConfig(), "dense: at density 1 the pruner cannot matter"
    entry = ALL_PRUNERS.get(pruner.name, CUSTOM)
    folded, reasons = pruner, []
    if not entry.reads_network and (folded.mode, folded.score_dtype) != ("eval", "float32"):
        folded = replace(folded, mode="eval", score_dtype="float32")
        reasons.append(f"{pruner.name} does not run the network: its mode and precision cannot matter")
    if not (entry.reads_network and entry.reads_prune_set) and folded.examples_per_class != 10:
        folded = replace(folded, examples_per_class=10)
        reasons.append(f"{pruner.name} sees no examples: how many there are cannot matter")
    trains_between = levels.levels > 1
    if not entry.rescores and folded.iterations > 1:
        folded = replace(folded, iterations=1)
        reasons.append(f"{pruner.name} scores the same in every round: one round serves all")
    if folded.schedule not in SCHEDULES and (trains_between or folded.iterations > 1):
        stops = stops_above(folded.schedule, density)
        num_stops = levels.levels if trains_between else folded.iterations
        if len(stops) + 1 != num_stops:
            folded = replace(folded, schedule=",".join(f"{stop:f}" for stop in stops) or "exponential")
            if trains_between:
                levels = replace(levels, levels=len(stops) + 1)
            else:
                folded = replace(folded, iterations=len(stops) + 1)
            reasons.append("stops of a schedule beyond the target are not visited")
    if folded.iterations == levels.levels == 1 and folded.schedule != "exponential":
        folded = replace(folded, schedule="exponential")
        reasons.append("one round has no schedule")
    return folded, levels, "; ".join(reasons)
