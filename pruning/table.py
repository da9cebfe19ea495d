"""The pruners that ship, by name. Nothing here imports torch: a class is loaded when a trial needs it.

A new pruner is one file in `criteria/` and one entry here. A user's own is `package.module:Name` in a sweep file and
takes `CUSTOM`'s settings unless the file says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PrunerEntry:
    """A criterion and how it is used unless a sweep file says otherwise."""

    target: str
    """"module:Class"."""
    score: str
    """The score, as one formula."""
    needs: str
    """What the criterion looks at besides the weights."""
    source: str
    iterations: int = 1
    """Rounds unless given."""
    rescores: bool = True
    """Whether a second round can change the masks. If not, all numbers of rounds are one trial."""
    reads_network: bool = True
    """Whether scores come from running the network. If not, mode and precision of scoring cannot matter."""
    mode: str = "eval"
    """The network's mode while scoring: "eval" or "train"."""
    score_dtype: str = "float32"
    """Dtype of the copy that is scored."""
    options: tuple[str, ...] = ()
    """Names of the constructor's arguments."""


PRUNERS: dict[str, PrunerEntry] = {
    "random": PrunerEntry(
        target="pruning.criteria.random:Random",
        score="U(0, 1)",
        needs="nothing",
        source="baseline",
        rescores=False,
        reads_network=False,
    ),
    "magnitude": PrunerEntry(
        target="pruning.criteria.magnitude:Magnitude",
        score="|θ|",
        needs="nothing",
        source="Han et al. 2015",
        rescores=False,
        reads_network=False,
    ),
    "snip": PrunerEntry(
        target="pruning.criteria.snip:Snip",
        score="|θ ∂L/∂θ|",
        needs="data, labels, gradients",
        source="Lee et al. 2019, eq. 4",
        mode="train",
    ),
    "grasp": PrunerEntry(
        target="pruning.criteria.grasp:Grasp",
        score="θ (H ∂L/∂θ)",
        needs="data, labels, second derivatives",
        source="Wang et al. 2020, eq. 8",
        mode="train",
        options=("temperature",),
    ),
    "synflow": PrunerEntry(
        target="pruning.criteria.synflow:SynFlow",
        score="|θ ∂R/∂θ|, R = 1ᵀ ∏|θ| 1",
        needs="gradients of a ones input",
        source="Tanaka et al. 2020, eq. 4",
        iterations=100,
        score_dtype="float64",
    ),
}

CUSTOM = PrunerEntry(
    target="",
    score="your own",
    needs="what it asks for",
    source="your file",
    mode="train",
)
