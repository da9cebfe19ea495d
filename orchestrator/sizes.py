"""What is known of a sweep's costs before it runs: the store's history, and the sizes of its networks."""

from __future__ import annotations

from orchestrator.cost import CostModel, Sizes
from orchestrator.plan import Plan
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile


def cost_model(
    file: SweepFile,
    store: Store,
    plan: Plan,
    *,
    device: str = "auto",
    data_root: str | None = None,
    always: bool = False,
) -> CostModel:
    """A model that knows the store's trials, and sizes where they say something: of several networks, or `always`.

    Of a single network all trials have the same sizes, and which of them is longer does not depend on them.
    """
    needs_sizes = always or len(plan.networks) > 1
    sizes = sizes_of(file, plan, data_root) if needs_sizes else None
    return CostModel.from_store(store, device=device, sizes=sizes)


def sizes_of(file: SweepFile, plan: Plan, data_root: str | None = None) -> dict[tuple[str, str, str, str], Sizes]:
    """By data set, its options, model and its options; what cannot be built is left out: its trials will say why."""
    from training.workload import workload  # torch: two seconds that not everybody who plans needs to wait

    UserCode(file.folder).make_importable()
    found = {}
    for dataset, model in plan.networks:
        try:
            load = workload(dataset, model, data_root=data_root)
        except Exception:  # whatever a user's code raises, every trial raises too and is a row that says so
            continue
        found[dataset.name, dataset.options, model.name, model.options] = Sizes(
            num_train=load.num_train, num_test=load.num_test, num_classes=load.num_classes, macs=load.macs
        )
    return found
