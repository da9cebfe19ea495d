"""The pruners that ship, by name. Nothing here imports torch: a class is loaded when a trial needs it.

A new pruner is one file in `criteria/`, or in `dynamic/` if it acts during training, and one entry here. A user's own
is `package.module:Name` in a sweep file and takes `CUSTOM`'s settings unless the file says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

PRUNABLE_KINDS = ("weights", "biases", "batchnorm", "residual")
"""What may be prunable (`pruning.prunable`); the weights always are."""


@dataclass(frozen=True, kw_only=True)
class PrunerEntry:
    """A criterion and how it is used unless a sweep file says otherwise."""

    target: str
    """"module:Class"."""
    score: str
    """The score, as one formula."""
    needs: str
    """What the criterion looks at."""
    source: str
    iterations: int = 1
    """Rounds unless given."""
    rescores: bool = True
    """Whether a second round can change the masks. If not, all numbers of rounds are one trial."""
    reads_network: bool = True
    """Whether scores come from running the network. If not, mode and precision of scoring cannot matter."""
    reads_prune_set: bool = True
    """Whether the prune set's size or content can change scores. Never so where the network is not run."""
    sets_densities: bool = False
    """Whether it says itself how much each layer keeps, so that no scope can."""
    weights_only: bool = False
    """Whether it is defined for the weights of layers alone."""
    mode: str = "eval"
    """The network's mode while scoring: "eval" or "train"."""
    score_dtype: str = "float32"
    """Dtype of the copy that is scored."""
    options: tuple[str, ...] = ()
    """Names of the constructor's arguments."""
    trains_first: bool = False
    """Whether the network is trained by the whole recipe before each pruning and then rewound, unless a file says
    otherwise."""


PRUNERS: dict[str, PrunerEntry] = {
    "random": PrunerEntry(
        target="pruning.criteria.random:Random",
        score="U(0, 1)",
        needs="nothing",
        source="baseline",
        rescores=False,
        reads_network=False,
    ),
    "uniform": PrunerEntry(
        target="pruning.criteria.uniform:Uniform",
        score="U(0, 1) inside layers of equal density",
        needs="nothing",
        source="baseline",
        rescores=False,
        reads_network=False,
        sets_densities=True,
        weights_only=True,
    ),
    "balanced": PrunerEntry(
        target="pruning.criteria.balanced:Balanced",
        score="U(0, 1) inside layers of equal kept count",
        needs="nothing",
        source="Gadhikar et al. 2023",
        rescores=False,
        reads_network=False,
        sets_densities=True,
        weights_only=True,
    ),
    "erk": PrunerEntry(
        target="pruning.criteria.erk:Erk",
        score="U(0, 1) inside layers, density ∝ (c_in + c_out + kh + kw) / (c_in c_out kh kw)",
        needs="nothing",
        source="Evci et al. 2020",
        rescores=False,
        reads_network=False,
        sets_densities=True,
        weights_only=True,
    ),
    "igq": PrunerEntry(
        target="pruning.criteria.igq:Igq",
        score="U(0, 1) inside layers, density 1 / (F size + 1)",
        needs="nothing",
        source="Vysogorets and Kempe 2023",
        rescores=False,
        reads_network=False,
        sets_densities=True,
        weights_only=True,
    ),
    "smart_ratio": PrunerEntry(
        target="pruning.criteria.smart_ratio:SmartRatio",
        score="U(0, 1) inside layers, density ∝ k² + k from the output, linear 0.3",
        needs="nothing",
        source="Su et al. 2020",
        rescores=False,
        reads_network=False,
        sets_densities=True,
        weights_only=True,
        options=("linear_density",),
    ),
    "magnitude": PrunerEntry(
        target="pruning.criteria.magnitude:Magnitude",
        score="|θ|",
        needs="weights",
        source="Han et al. 2015",
        rescores=False,
        reads_network=False,
        options=("power",),
    ),
    "lamp": PrunerEntry(
        target="pruning.criteria.lamp:Lamp",
        score="θ² / Σ θ'² over |θ'| ≥ |θ| in its layer",
        needs="weights",
        source="Lee et al. 2021",
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
    "iterative_snip": PrunerEntry(
        target="pruning.criteria.iterative_snip:IterativeSnip",
        score="|θ ∂L/∂θ|, again every round",
        needs="data, labels, gradients",
        source="de Jorge et al. 2021",
        iterations=60,
        mode="train",
    ),
    "force": PrunerEntry(
        target="pruning.criteria.force:Force",
        score="|θ ∂L/∂(mθ)|, removed weights may return",
        needs="data, labels, gradients",
        source="de Jorge et al. 2021",
        iterations=60,
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
    "prospr": PrunerEntry(
        target="pruning.criteria.prospr:ProsPr",
        score="|∂L(w_M)/∂m| after M steps from w_0 = mθ",
        needs="data, labels, second derivatives",
        source="Alizadeh et al. 2022",
        mode="train",
        options=("steps", "lr"),
    ),
    "synflow": PrunerEntry(
        target="pruning.criteria.synflow:SynFlow",
        score="|θ ∂R/∂θ|, R = 1ᵀ ∏|θ| 1",
        needs="gradients of a ones input",
        reads_prune_set=False,
        source="Tanaka et al. 2020, eq. 4",
        iterations=100,
        score_dtype="float64",
    ),
    "synflow_l2": PrunerEntry(
        target="pruning.criteria.synflow_l2:SynFlowL2",
        score="θ² ∂R/∂θ², R = 1ᵀ ∏θ² 1",
        needs="gradients of a ones input",
        reads_prune_set=False,
        source="Patil and Dovrolis 2021",
        iterations=100,
        score_dtype="float64",
    ),
    "phew": PrunerEntry(
        target="pruning.criteria.phew:Phew",
        score="order of visits by random walks, step ∝ |θ|",
        needs="the network's wiring",
        reads_prune_set=False,
        source="Patil and Dovrolis 2021",
        weights_only=True,
        score_dtype="float64",
        options=("coverage",),
    ),
    "ntk_sap": PrunerEntry(
        target="pruning.criteria.ntk_sap:NtkSap",
        score="|∂/∂m ‖f(mθ) − f(m(θ + εη))‖²|, θ and input drawn anew",
        needs="Gaussian inputs, gradients",
        source="Wang et al. 2023",
        iterations=20,
        mode="train",
        options=("eps", "passes"),
    ),
    "imp": PrunerEntry(
        target="pruning.criteria.magnitude:Magnitude",
        score="|θ| after training, weights rewound",
        needs="training before each pruning",
        source="Frankle and Carbin 2019; Frankle et al. 2020",
        rescores=False,
        reads_network=False,
        options=("power",),
        trains_first=True,
    ),
}
"""Pruners with a score (`pruning.criteria`)."""

DYNAMIC_PRUNERS: dict[str, PrunerEntry] = {
    "gmp": PrunerEntry(
        target="pruning.dynamic.gmp:Gmp",
        score="|θ| during training, sparsity on a cubic",
        needs="training",
        source="Zhu and Gupta 2017, eq. 1",
        rescores=False,
        reads_network=False,
        options=("begin", "end", "every"),
    ),
    "set": PrunerEntry(
        target="pruning.dynamic.set:Set",
        score="drops low |θ|, grows at random, during training",
        needs="training",
        source="Mocanu et al. 2018",
        rescores=False,
        reads_network=False,
        options=("drop", "every", "stop", "distribution"),
    ),
    "rigl": PrunerEntry(
        target="pruning.dynamic.rigl:RigL",
        score="drops low |θ|, grows high |∂L/∂θ|, during training",
        needs="training, dense gradients",
        source="Evci et al. 2020, alg. 1",
        rescores=False,
        reads_network=False,
        options=("drop", "every", "stop", "distribution"),
    ),
}
"""Pruners whose masks change while the network trains (`pruning.dynamic`). They have no rounds, scope or ablation."""

SMALLER_NETWORKS: dict[str, PrunerEntry] = {
    "small_dense": PrunerEntry(
        target="",
        score="none: a narrower dense network of as many weights",
        needs="a model with width_factor",
        source="Zhu and Gupta 2017; Evci et al. 2020",
        rescores=False,
        reads_network=False,
    ),
}
"""Baselines without a mask: another network of the same size (`training.small_dense`). They have no target, and neither
rounds, scope nor ablation."""

ALL_PRUNERS = PRUNERS | DYNAMIC_PRUNERS | SMALLER_NETWORKS


def reads_prune_set(name: str) -> bool:
    """Whether a pruner may look at examples: a user's own may."""
    entry = ALL_PRUNERS.get(name, CUSTOM)
    return entry.reads_network and entry.reads_prune_set


CUSTOM = PrunerEntry(
    target="",
    score="your own",
    needs="what it asks for",
    source="your file",
    mode="train",
)
