"""The experiment: the same bits in any company, failures as records, and the paper's claim on real digits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import torch

from pruning.masks import Masks, count_kept
from pruning.packing import unpack
from pruning.table import PRUNERS
from training.build import build_model
from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext, build_network
from training.evaluate import evaluate
from training.pruning_step import prune_model
from training.record import TrialRecord
from training.trial import run_cohort, run_trial

MLP = ModelConfig(name="mlp", options='{"widths":[30,20]}')
CONVNET = ModelConfig(name="convnet", options='{"widths":[4,6]}')


def pruner(name: str, iterations: int | None = None) -> PrunerConfig:
    """A pruner as the table uses it, in few rounds."""
    if name == "none":
        return PrunerConfig(name="none")
    entry = PRUNERS[name]
    return PrunerConfig(
        name=name,
        iterations=iterations or min(entry.iterations, 4),
        mode=entry.mode or "eval",
        score_dtype=entry.score_dtype or "float32",
    )


def trial(
    name: str = "synflow", density: str = "0.1", *, model: ModelConfig = MLP, seed: int = 0, epochs: int = 1
) -> TrialConfig:
    return TrialConfig(
        dataset=DatasetConfig(name="digits"),
        model=model,
        pruner=pruner(name),
        density=Decimal(density),
        seeds=Seeds(init=seed, data=seed, prune=seed),
        training=TrainingConfig(epochs=epochs),
    )


def measured(record: TrialRecord) -> TrialRecord:
    """The record without what a clock says."""
    return replace(record, seconds={})


def masks_of(config: TrialConfig, context: CohortContext) -> Masks:
    dataset = context.dataset(config.dataset)
    model = build_model(
        config.model,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        init_seed=config.seeds.init,
    )
    return prune_model(model, config, context).masks


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own, with randomness of its own."""
    (tmp_path / "users_own_networks.py").write_text(
        "import numpy as np, torch\n"
        "from torch import nn\n"
        "def noisy(*, input_shape, num_classes):\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 10))\n"
        "    model[1].weight.data = torch.from_numpy(np.random.randn(20, 64)).float()\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "users_own_networks:noisy"


def a_cohort() -> list[TrialConfig]:
    """Neighbours that share scores, and neighbours that must not."""
    return [
        *(trial(name, density) for name in PRUNERS for density in ("0.3", "0.05")),
        trial("synflow", "0.3", seed=1),
        trial("snip", "0.3", model=CONVNET),
        trial("none", "1"),
    ]


def test_a_trial_gives_the_same_bits_alone_and_in_a_cohort_in_any_order() -> None:
    configs = a_cohort()
    alone = [measured(run_trial(config, CohortContext("cpu"))) for config in configs]
    assert all(record.error is None for record in alone)
    together = [measured(record) for record in run_cohort(configs, CohortContext("cpu"))]
    assert together == alone
    torch.rand(11)
    backwards = [measured(record) for record in run_cohort(reversed(configs), CohortContext("cpu"))]
    assert backwards[::-1] == alone


def test_masks_are_the_same_with_and_without_shared_scores() -> None:
    shared = CohortContext("cpu")
    for config in [*a_cohort(), *reversed(a_cohort())]:
        alone, together = masks_of(config, CohortContext("cpu")), masks_of(config, shared)
        assert all(torch.equal(alone[name], together[name]) for name in alone)


def test_a_users_model_with_dropout_and_numpy_weights_gives_the_same_bits_in_any_order(users_module: str) -> None:
    model = ModelConfig(name=users_module)
    configs = [trial("snip", "0.3", model=model), trial("random", "0.1"), trial("grasp", "0.3", model=model)]
    forwards = [measured(record) for record in run_cohort(configs, CohortContext("cpu"))]
    backwards = [measured(record) for record in run_cohort(configs[::-1], CohortContext("cpu"))]
    assert forwards == backwards[::-1]
    assert all(record.error is None for record in forwards)


def test_trials_leave_global_randomness_as_it_was() -> None:
    before = torch.get_rng_state()
    run_trial(trial("random"), CohortContext("cpu"))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trial_that_raises_is_a_failed_record_and_the_others_finish() -> None:
    broken = [
        trial(model=ModelConfig(name="mlp", options='{"depht":3}')),
        trial(density="0.0000001"),
        replace(trial(), dataset=DatasetConfig(name="no_such_module:load")),
        replace(trial(), pruner=PrunerConfig(name="synflow", mode="training")),
    ]
    good = trial("magnitude", "0.2")
    configs = [config for bad in broken for config in (good, bad)] + [good]
    records = list(run_cohort(configs, CohortContext("cpu")))
    assert [record.config for record in records] == configs
    assert {record.error.type for record in records if record.error} == {
        "TypeError",
        "ValueError",
        "ModuleNotFoundError",
    }
    failed = records[1]
    assert failed.error is not None
    assert "depht" in failed.error.message
    assert "Traceback" in failed.error.traceback
    assert (failed.final, failed.layers, failed.is_connected) == (None, [], None)
    finished = [measured(record) for record in records[::2]]
    assert finished == [measured(run_trial(good, CohortContext("cpu")))] * 5


def test_an_error_leaves_run_trial_for_debuggers() -> None:
    with pytest.raises(ValueError, match="leaves none"):
        run_trial(trial(density="0.0000001"), CohortContext("cpu"))


def test_a_trial_that_asks_to_exit_is_a_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_own_exit.py").write_text(
        "import sys\n\nclass Exit:\n    def score(self, model, data, generator):\n        sys.exit('enough')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    leaving = replace(trial(), pruner=PrunerConfig(name="users_own_exit:Exit"))
    first, second = run_cohort([leaving, trial("random")], CohortContext("cpu"))
    assert first.error is not None
    assert (first.error.type, first.error.message) == ("SystemExit", "enough")
    assert second.error is None


def test_an_interrupted_trial_is_not_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_own_stop.py").write_text(
        "class Stop:\n    def score(self, model, data, generator):\n        raise KeyboardInterrupt\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    interrupted = replace(trial(), pruner=PrunerConfig(name="users_own_stop:Stop"))
    records = run_cohort([trial("random"), interrupted], CohortContext("cpu"))
    assert next(records).error is None
    with pytest.raises(KeyboardInterrupt):
        next(records)


def test_the_record_counts_what_the_masks_keep() -> None:
    config = trial("snip", "0.05", model=CONVNET)
    record = run_trial(config, CohortContext("cpu"))
    masks = masks_of(config, CohortContext("cpu"))
    assert [(layer.layer, layer.num_weights, layer.kept) for layer in record.layers] == [
        (name.removesuffix(".weight"), mask.numel(), int(mask.sum())) for name, mask in masks.items()
    ]
    assert [layer.position for layer in record.layers] == [0, 1, 2]
    assert sum(layer.kept for layer in record.layers) == count_kept(masks) == record.rounds[-1].kept == 16  # of 312
    assert all(0 <= layer.live <= layer.kept for layer in record.layers)
    assert sum(layer.score_sum or 0 for layer in record.layers) == pytest.approx(3 * record.rounds[0].flow, rel=1e-6)
    assert (record.num_train, record.num_test, record.num_classes) == (1097, 500, 10)
    assert set(record.seconds) == {"load", "build", "prune", "train"}
    assert [epoch.epoch for epoch in record.epochs] == [1]


def test_without_epochs_a_network_is_pruned_and_nothing_is_measured_on_data() -> None:
    kept: list[torch.nn.Module] = []
    record = run_trial(trial(epochs=0), CohortContext("cpu"), keep=kept.append)
    assert record.epochs == []
    assert (record.final, record.best, record.selected) == (None, None, None)
    assert (record.execution.engine, record.fallback) == ("compact", "")
    weights = [weight for name, weight in kept[0].named_parameters() if name.endswith("weight")]
    assert [int(weight.count_nonzero()) for weight in weights] == [layer.kept for layer in record.layers]


BLANK = DatasetConfig(name="blank", options='{"num_classes":10,"shape":[1,8,8]}', validation="0")


def test_without_images_a_network_is_pruned_to_the_same_masks() -> None:
    """Digits are 8x8 and of ten classes: to a pruner that looks at no image the two are one data set."""
    for name in ("random", "magnitude", "synflow"):
        config = trial(name, "0.05", epochs=0)
        blank, real = (
            run_trial(one, CohortContext("cpu", save_masks=True)) for one in (replace(config, dataset=BLANK), config)
        )
        assert [mask.bits for mask in blank.masks] == [mask.bits for mask in real.masks]
        assert blank.layers == real.layers
        assert (blank.num_train, blank.num_test) == (0, 0)


@pytest.mark.parametrize(
    ("pruner_name", "epochs", "expected"),
    [("snip", 0, "more than the 0 trained on"), ("magnitude", 1, "no images to train on: write epochs: 0")],
)
def test_without_images_whatever_asks_for_one_is_refused(pruner_name: str, epochs: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        run_trial(replace(trial(pruner_name, epochs=epochs), dataset=BLANK), CohortContext("cpu"))


def test_masks_that_move_during_training_need_epochs() -> None:
    with pytest.raises(ValueError, match="rigl removes weights while the network trains, and epochs is 0"):
        run_trial(replace(trial(epochs=0), pruner=PrunerConfig(name="rigl")), CohortContext("cpu"))


def ablated(ablation: str, config: TrialConfig | None = None) -> TrialConfig:
    config = config or trial("snip")
    return replace(config, pruner=replace(config.pruner, ablation=ablation))


def test_shuffling_keeps_the_layers_counts_and_inverting_does_not() -> None:
    context = CohortContext("cpu")
    plain, shuffle, invert = (masks_of(ablated(one), context) for one in ("none", "shuffle", "invert"))
    counts = [{name: int(mask.sum()) for name, mask in masks.items()} for masks in (plain, shuffle, invert)]
    assert counts[0] == counts[1] != counts[2]
    assert sum(counts[2].values()) == sum(counts[0].values())
    assert all(not torch.equal(plain[name], shuffle[name]) for name in plain)
    assert not any((plain[name] & invert[name]).any() for name in plain)  # a tenth from either end


def test_reinitialising_trains_other_weights_under_the_same_masks() -> None:
    context = CohortContext("cpu", save_masks=True)
    plain, again, repeat = (run_trial(ablated(one), context) for one in ("none", "reinitialise", "reinitialise"))
    assert plain.masks == again.masks
    assert plain.epochs != again.epochs
    assert measured(again) == measured(repeat)


def test_a_layer_kept_dense_is_dense_for_pruners_of_one_and_of_many_rounds() -> None:
    for name in ("snip", "synflow"):
        config = replace(trial(name), pruner=replace(pruner(name), scope='{"first":"1"}'))
        dense = next(iter(masks_of(replace(config, density=Decimal("0.9")), CohortContext("cpu")).values()))
        assert dense.all()


def test_an_unknown_ablation_is_refused() -> None:
    with pytest.raises(ValueError, match="ablation 'shufle': expected one of none, shuffle, reinitialise, invert"):
        run_trial(ablated("shufle"), CohortContext("cpu"))


def test_masks_are_recorded_only_where_they_are_asked_for() -> None:
    assert run_trial(trial(), CohortContext("cpu")).masks == []
    record = run_trial(trial(), CohortContext("cpu", save_masks=True))
    kept = {mask.layer: int(unpack(mask.bits, tuple(mask.shape)).sum()) for mask in record.masks}
    assert kept == {layer.layer: layer.kept for layer in record.layers}


def test_scores_of_units_are_recorded_only_where_they_are_asked_for() -> None:
    config = trial("synflow", "0.5", model=CONVNET, epochs=0)
    assert {layer.unit_scores_in for layer in run_trial(config, CohortContext("cpu")).layers} == {None}
    *hidden, last = run_trial(config, CohortContext("cpu", save_unit_scores=True)).layers
    assert last.unit_scores_in is last.unit_scores_out is None
    for layer in hidden:
        assert layer.unit_scores_in == pytest.approx(layer.unit_scores_out, rel=1e-10)
        assert sum(layer.unit_scores_in or []) == pytest.approx(layer.score_sum, rel=1e-10)


def test_the_dense_network_keeps_everything_without_a_round() -> None:
    record = run_trial(trial("none", "1", epochs=5), CohortContext("cpu"))
    assert all(layer.kept == layer.live == layer.num_weights for layer in record.layers)
    assert record.is_connected
    assert record.rounds == []
    assert [(layer.score_sum, layer.initial_score_sum, layer.unit_conservation_error) for layer in record.layers] == [
        (None, None, None)
    ] * 3
    assert record.final is not None
    assert record.final.test_accuracy > 0.8


def test_the_dense_network_at_another_density_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pruner 'none' keeps every weight: density 0\.1 needs another pruner"):
        run_trial(trial("none", "0.1"), CohortContext("cpu"))


def test_a_pruner_with_layer_densities_keeps_them() -> None:
    record = run_trial(trial("balanced", "0.1"), CohortContext("cpu"))
    assert [(layer.num_weights, layer.kept) for layer in record.layers] == [(1920, 91), (600, 91), (200, 90)]


def test_weights_may_return_under_the_pruner_that_lets_them() -> None:
    """FORCE and iterated SNIP agree on the first round's masks and on nothing but the counts later."""
    context = CohortContext("cpu")
    forced, iterated = (masks_of(trial(name, "0.05"), context) for name in ("force", "iterative_snip"))
    assert count_kept(forced) == count_kept(iterated)
    assert any(not torch.equal(forced[name], iterated[name]) for name in forced)
    one_round = [
        masks_of(replace(trial(name, "0.05"), pruner=pruner(name, 1)), context) for name in ("force", "iterative_snip")
    ]
    assert all(torch.equal(one_round[0][name], one_round[1][name]) for name in forced)


def test_a_quota_that_cannot_be_met_is_a_failed_trial_that_says_what_would_do() -> None:
    config = trial("smart_ratio", "0.03", model=CONVNET)
    (record,) = run_cohort([config], CohortContext("cpu"))
    assert record.error is not None
    assert "layer classifier.weight: smart_ratio keeps 0.3 of linear layers" in record.error.message
    options = replace(config.pruner, options='{"linear_density":0.05}')
    (record,) = run_cohort([replace(config, pruner=options)], CohortContext("cpu"))
    assert record.error is None


@pytest.mark.parametrize("model", [MLP, CONVNET], ids=["mlp", "convnet"])
def test_all_pruners_of_a_seed_start_from_the_same_weights_and_see_the_same_batches(model: ModelConfig) -> None:
    """At density 1 nothing is removed, so equal weights and batches are exactly equal metrics."""
    context = CohortContext("cpu")
    dense, *others = [run_trial(trial(name, "1", model=model), context).epochs for name in ["none", *PRUNERS]]
    assert others == [dense] * len(PRUNERS)
    assert run_trial(trial("none", "1", model=model, seed=1), context).epochs != dense


@pytest.mark.parametrize("which", ["init", "data", "prune"])
def test_each_seed_changes_its_own_source_of_randomness_alone(which: str) -> None:
    config = trial("random", "0.2", epochs=1)
    other = replace(config, seeds=replace(config.seeds, **{which: 9}))
    context = CohortContext("cpu")
    first, second = masks_of(config, context), masks_of(other, context)
    same_masks = all(torch.equal(first[name], second[name]) for name in first)
    assert same_masks == (which != "prune")
    assert run_trial(config, context).epochs != run_trial(other, context).epochs


def test_synflow_in_100_rounds_keeps_every_layer_alive_where_others_collapse() -> None:
    """The paper's claim (figure 1 and 7): iterations and conservation avoid layer-collapse at extreme compression."""
    network = ModelConfig(name="mlp")
    total = 64 * 500 + 500 * 500 + 500 * 10

    def run(name: str, iterations: int) -> TrialRecord:
        config = replace(trial(density="0.0001", model=network), pruner=pruner(name, iterations))
        record = run_trial(config, CohortContext("cpu"))
        assert sum(layer.kept for layer in record.layers) == round(total * 0.0001) == 29
        return record

    iterative = run("synflow", 100)
    assert iterative.num_collapsed_layers == 0
    assert iterative.is_connected
    assert all(layer.live == layer.kept > 0 for layer in iterative.layers)
    # Figure 7's sufficient condition: no round cut more than the flow R of a layer.
    assert all(done.score_cut < done.flow for done in iterative.rounds)
    for name in ("synflow", "magnitude"):
        collapsed = run(name, 1)
        assert collapsed.num_collapsed_layers > 0
        assert not collapsed.is_connected
        assert sum(layer.live for layer in collapsed.layers) == 0
        assert collapsed.final is not None
        assert iterative.final is not None
        assert iterative.final.test_accuracy > collapsed.final.test_accuracy
        assert collapsed.final.test_accuracy == pytest.approx(0.1, abs=0.03)


CONSERVED = 1e-10


@pytest.mark.parametrize("density", ["0.999", "0.05"])
@pytest.mark.parametrize("model", [MLP, CONVNET, ModelConfig(name="resnet20", options='{"width":4}')])
def test_synflows_record_shows_conservation_by_unit_and_by_layer(model: ModelConfig, density: str) -> None:
    """Figures 3, 4 and 7 from what is recorded, at initialisation (just below density 1) and under a mask."""
    record = run_trial(trial("synflow", density, model=model, epochs=0), CohortContext("cpu"))
    *hidden, last = [layer.unit_conservation_error for layer in record.layers]
    assert last is None
    assert all(error is not None and error < CONSERVED for error in hidden)
    assert len(record.rounds) == 4
    first, ranked_last = record.rounds[0], record.rounds[-1]
    assert [layer.initial_score_sum for layer in record.layers] == pytest.approx(first.layer_scores, rel=CONSERVED)
    assert [layer.score_sum for layer in record.layers] == pytest.approx(ranked_last.layer_scores, rel=CONSERVED)
    is_straight = model.name != "resnet20"
    for done in record.rounds:
        assert done.layer_deviation is not None
        assert (done.layer_deviation < CONSERVED) == is_straight
    if is_straight:
        assert [layer.initial_score_sum for layer in record.layers] == pytest.approx(
            [first.flow] * len(record.layers), rel=CONSERVED
        )
    assert ranked_last.collapsed_layers == record.num_collapsed_layers


def test_other_pruners_records_show_that_nothing_is_conserved() -> None:
    record = run_trial(trial("magnitude", "0.5", epochs=0), CohortContext("cpu"))
    first, second, last = [layer.unit_conservation_error for layer in record.layers]
    assert first is not None
    assert second is not None
    assert min(first, second) > 0.1
    assert last is None
    assert all(layer.score_sum == layer.initial_score_sum != 0 for layer in record.layers)  # one round
    assert record.rounds[0].layer_deviation is not None
    assert record.rounds[0].layer_deviation > 0.1


def test_in_a_network_that_nothing_flows_through_conservation_is_not_defined() -> None:
    config = replace(trial("synflow", "0.004", model=CONVNET, epochs=0), pruner=pruner("synflow", 12))
    record = run_trial(config, CohortContext("cpu"))  # 2 weights in 3 layers before the last round, 1 after it
    assert record.rounds[-1].flow == 0
    assert [layer.unit_conservation_error for layer in record.layers] == [None] * 3
    assert [layer.score_sum for layer in record.layers] == [0.0] * 3


def test_collapse_is_recorded_in_the_round_in_which_it_happens() -> None:
    many = replace(trial("magnitude", "0.002", epochs=0), pruner=replace(pruner("magnitude"), iterations=8))
    record = run_trial(many, CohortContext("cpu"))
    collapsed = [done.collapsed_layers for done in record.rounds]
    assert collapsed == sorted(collapsed)
    assert collapsed[0] == 0 < collapsed[-1] == record.num_collapsed_layers


def test_a_network_that_cannot_be_probed_is_trained_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_own_batch.py").write_text(
        "from torch import nn\n"
        "class Mixed(nn.Module):\n"
        "    def __init__(self, *, input_shape, num_classes):\n"
        "        super().__init__()\n"
        "        self.a, self.b = nn.Linear(64, 8), nn.Linear(8, num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.b(self.a(x.flatten(1)).reshape(1, -1, 8)).flatten(0, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    model = ModelConfig(name="users_own_batch:Mixed")
    record = run_trial(trial("synflow", "0.5", model=model), CohortContext("cpu"))
    assert [layer.unit_conservation_error for layer in record.layers] == [None, None]
    assert record.epochs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("name", [*PRUNERS])
@pytest.mark.parametrize("model", [MLP, CONVNET], ids=["mlp", "convnet"])
def test_a_gpu_repeats_bit_for_bit(name: str, model: ModelConfig) -> None:
    try:
        first, second = (measured(run_trial(trial(name, "0.1", model=model), CohortContext("cuda"))) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert first == second
    assert first.execution.device == "cuda"
    assert first.rounds[-1].kept == run_trial(trial(name, "0.1", model=model), CohortContext("cpu")).rounds[-1].kept


def test_rounds_at_once_are_the_rounds_that_a_trial_would_score_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(trial(density="0.1"), pruner=PrunerConfig(name="synflow", iterations=8, score_dtype="float64"))
    context = CohortContext("cpu")
    network = build_network(config, context)
    at_once = prune_model(network, config, context)
    monkeypatch.setattr(CohortContext, "prune_at_once", lambda self, config, model, density: None)
    one_by_one = prune_model(network, config, context)
    assert all(torch.equal(mask, one_by_one.masks[name]) for name, mask in at_once.masks.items())
    assert [done.kept for done in at_once.rounds] == [done.kept for done in one_by_one.rounds]
    for mine, theirs in zip(at_once.rounds, one_by_one.rounds, strict=True):
        assert (mine.score_cut, mine.flow) == pytest.approx((theirs.score_cut, theirs.flow), rel=1e-9)


@pytest.mark.parametrize("engine", ["compact", "reference"])
@pytest.mark.parametrize("name", ["snip", "magnitude", "rigl", "imp"])
def test_the_trained_network_is_the_full_one_and_gives_the_recorded_accuracy(name: str, engine: str) -> None:
    config = trial("snip", "0.1", model=CONVNET, epochs=2)
    if name == "magnitude":
        config = trial(name, "0.004", model=CONVNET)  # collapsed
    elif name == "rigl":
        config = replace(config, pruner=PrunerConfig(name=name, options='{"every":4}'))
    elif name == "imp":
        levels = LevelsConfig(pre_epochs=2, rewind="weights")
        config = replace(config, pruner=PrunerConfig(name=name), levels=levels)
    context = CohortContext("cpu", engine=engine, save_masks=True)
    kept: list[torch.nn.Module] = []
    record = run_trial(config, context, kept.append)
    (network,) = kept
    assert network.state_dict().keys() == build_network(config, context).state_dict().keys()
    masks = {f"{one.layer}.weight": unpack(one.bits, tuple(one.shape)) for one in record.masks}
    for weight, mask in masks.items():
        assert not network.get_parameter(weight)[~mask].any()
    metrics = evaluate(network, context.dataset(config.dataset).test)
    assert metrics is not None
    assert record.final is not None
    assert metrics.accuracy == record.final.test_accuracy
    assert metrics.loss == pytest.approx(record.final.test_loss, rel=1e-5)
