"""`--gpus-per-trial fit`: as many trials on a GPU as fit by what trials like them took; one where nobody knows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from orchestrator import run as run_module
from orchestrator.cli import run_command
from orchestrator.errors import BadInput
from orchestrator.exit_codes import Exit
from orchestrator.gpu_fit import GIB, PROCESS_BYTES, Fit, fit
from orchestrator.plan import make_plan
from orchestrator.resources import trial_resources
from orchestrator.run import RunOptions
from orchestrator.saved_sweeps import latest_sweeps, save_sweep
from orchestrator.spending import accounts_of
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import config_columns
from orchestrator.store.schema import TRIALS
from orchestrator.sweepfile import SweepFile, parse_sweep
from orchestrator.trials import Trials
from tests.orchestrator.conftest import CommandLine
from training.config import TrialConfig

SWEEP = """
name: fits
dataset: digits
model: [{name: mlp, widths: [20]}, {name: mlp, widths: [40]}]
pruner: random
density: [0.5, 0.1]
seed: {count: 2}
training: {epochs: 1, batch_size: 64}
"""
ON_GPU = {"attempt": 1, "status": "completed", "device": "cuda", "engine": "compact"}
PEAK = 2 * GIB


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s")


def parsed(text: str, folder: Path) -> SweepFile:
    return parse_sweep(text, name="fits.yaml", folder=folder)


def to_run(text: str, store: Store, folder: Path) -> Trials:
    return make_plan(parsed(text, folder), store).to_run


def is_wide(config: TrialConfig) -> bool:
    return "40" in config.model.options


def commit(store: Store, rows: list[dict[str, Any]], name: str = "one") -> None:
    store.publish_table(pa.Table.from_pylist(rows, schema=TRIALS), "trials", f"{name}.parquet")


def row(config: TrialConfig, number: int = 0, **measured: Any) -> dict[str, Any]:
    key = {"trial_id": f"t{number}", "attempt_id": f"a{number}"}
    memory = {"peak_gpu_bytes": PEAK, "gpu_bytes": 16 * GIB}
    return key | config_columns(config) | ON_GPU | memory | measured


def measured_first(trials: Trials) -> list[TrialConfig]:
    """The densest trial of each of the two networks."""
    found = {one.config.model: one.config for one in sorted(trials, key=lambda one: one.config.density)}
    assert [float(config.density) for config in found.values()] == [0.5, 0.5]
    return list(found.values())


def fit_here(text: str, store: Store, folder: Path, engine: str = "compact") -> Fit:
    return fit(to_run(text, store, folder), store, device="cuda", engine=engine)


def commit_all(store: Store, folder: Path, **measured: Any) -> None:
    """The densest trial of both networks; the wide one takes three times as much."""
    configs = measured_first(to_run(SWEEP, store, folder))
    rows = [
        row(config, number, peak_gpu_bytes=PEAK * (3 if is_wide(config) else 1)) | measured
        for number, config in enumerate(configs)
    ]
    commit(store, rows)


def test_the_largest_of_several_networks_says_how_many_fit(store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path)
    found = fit_here(SWEEP, store, tmp_path)
    assert found.trials_on_one == 16 * GIB // (6 * GIB + PROCESS_BYTES) == 2
    assert found.gpus_per_trial == 0.5
    (wide,) = scan_trials(store).filter(peak_gpu_bytes=6 * GIB).collect()["trial_id"]
    assert found.line == (
        "gpus per trial: 0.5, 2 on one: the most that trials like those to run took is 6.00 GiB (mlp on digits by "
        f"random, trial {wide}), a process takes 0.59 GiB more, and the smallest GPU they ran on has 16.0 GiB"
    )


def test_networks_that_are_not_to_run_do_not_count(store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path)
    narrow = SWEEP.replace("[{name: mlp, widths: [20]}, {name: mlp, widths: [40]}]", "{name: mlp, widths: [20]}")
    assert fit_here(narrow, store, tmp_path).trials_on_one == 16 * GIB // (PEAK + PROCESS_BYTES) == 6


def test_the_smallest_gpu_counts_where_they_differ(store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path)
    (config, *_) = measured_first(to_run(SWEEP, store, tmp_path))
    commit(store, [row(config, 7, gpu_bytes=80 * GIB), row(config, 8, gpu_bytes=14 * GIB)], "more")
    assert fit_here(SWEEP, store, tmp_path).trials_on_one == 2
    assert "14.0 GiB" in fit_here(SWEEP, store, tmp_path).line
    commit(store, [row(config, 9, gpu_bytes=12 * GIB)], "small")
    assert fit_here(SWEEP, store, tmp_path).trials_on_one == 1


@pytest.mark.parametrize(
    "never",
    [
        {"peak_gpu_bytes": None, "gpu_bytes": None, "device": "cpu"},
        {"status": "failed"},
        {"engine": "reference"},  # asked for: of another run
        {"batch_size": 32},
        {"model_options": '{"widths":[7]}'},
        {"pruner": "grasp"},
        {"scope": "local"},
        {"density": 0.3},  # the densest to run may take more
        {"epochs": 0},
    ],
)
def test_what_says_nothing_of_the_trials_to_run_leaves_each_its_gpu(
    never: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    commit_all(store, tmp_path, **never)
    found = fit_here(SWEEP, store, tmp_path)
    assert (found.trials_on_one, found.gpus_per_trial) == (1, 1.0)
    assert found.line == (
        "gpus per trial: 1, for mlp on digits by random, batch size 64, was never measured on a GPU at density 0.5 or "
        "above, nor was 1 other kind of trial; after its first trials `prunesweep run` again fits more"
    )


def test_a_trial_that_its_engine_could_not_train_counts_for_that_engine(store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path, engine="reference", engine_fallback="cannot be followed")
    assert fit_here(SWEEP, store, tmp_path).trials_on_one == 2
    assert fit_here(SWEEP, store, tmp_path, engine="fused").trials_on_one == 2


def test_without_training_any_engine_does(store: Store, tmp_path: Path) -> None:
    only_pruned = SWEEP.replace("epochs: 1", "epochs: 0")
    rows = [row(one.config, n, engine="reference") for n, one in enumerate(to_run(only_pruned, store, tmp_path))]
    commit(store, rows)
    assert fit_here(only_pruned, store, tmp_path).trials_on_one == 6


def test_an_older_store_is_one_where_nothing_was_measured(store: Store, tmp_path: Path) -> None:
    configs = measured_first(to_run(SWEEP, store, tmp_path))
    old = pa.schema([field for field in TRIALS if field.name not in ("peak_gpu_bytes", "gpu_bytes")])
    rows = [row(config, number) for number, config in enumerate(configs)]
    store.publish_table(pa.Table.from_pylist(rows, schema=old), "trials", "old.parquet")
    assert fit_here(SWEEP, store, tmp_path).trials_on_one == 1


@pytest.mark.parametrize(
    ("peak", "on_one"),
    [(20 * GIB, 1), (16 * GIB - PROCESS_BYTES, 1), (8 * GIB - PROCESS_BYTES, 2), (8 * GIB - PROCESS_BYTES + 1, 1)],
)
def test_what_fits_exactly_fits(peak: int, on_one: int, store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path)
    (config, *_) = measured_first(to_run(SWEEP, store, tmp_path))
    commit(store, [row(config, 9, peak_gpu_bytes=peak)], "larger")
    assert fit_here(SWEEP, store, tmp_path).trials_on_one == on_one


@pytest.mark.parametrize("on_one", range(1, 101))
def test_as_many_shares_as_told_make_a_gpu_and_no_more(on_one: int) -> None:
    parts = round(Fit(trials_on_one=on_one, why="").gpus_per_trial * 10_000)  # Ray counts in these
    assert on_one * parts <= 10_000 < (on_one + 1) * parts


def test_trials_too_small_for_ray_to_tell_apart_are_a_hundred(store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path, peak_gpu_bytes=1, gpu_bytes=200 * GIB)
    found = fit_here(SWEEP, store, tmp_path)
    assert found.gpus_per_trial == 0.01
    assert "more than 100 never share one" in found.line


def test_on_a_cpu_there_is_nothing_to_fit(store: Store, tmp_path: Path) -> None:
    found = fit(to_run(SWEEP, store, tmp_path), store, device="cpu", engine="compact")
    assert found.line == "gpus per trial: 0, for trials run on the CPU"


def test_plan_says_what_it_chose_and_counts_with_it(prunesweep: CommandLine, store: Store, tmp_path: Path) -> None:
    commit_all(store, tmp_path, train_seconds=3600.0)
    (tmp_path / "fits.yaml").write_text(SWEEP + "resources: {gpu: fit}\n")
    command = ["plan", "fits.yaml", "--results", store.location, "--device", "cuda", "--price-per-gpu-hour", "8"]
    shared = json.loads(prunesweep(*command, "--json").stdout)
    assert (shared["fit"]["gpus_per_trial"], shared["fit"]["trials_on_one"]) == (0.5, 2)
    alone = json.loads(prunesweep(*command, "--json", "--gpus-per-trial", "1").stdout)
    assert alone["fit"] is None
    shared_money, alone_money = (one["estimate"]["money"]["expected"] for one in (shared, alone))
    assert 0 < 2 * shared_money == pytest.approx(alone_money)
    assert "gpus per trial: 0.5, 2 on one" in prunesweep(*command).stdout


def test_hours_are_counted_with_what_fit_was_when_it_ran(store: Store, tmp_path: Path) -> None:
    file = parsed(SWEEP + "resources: {gpu: fit}\nbudget: {gpu_hours: 10}\n", tmp_path)
    (trial, *_) = make_plan(file, store).to_run
    commit(store, [row(trial.config, train_seconds=7200.0) | {"trial_id": trial.trial_id}])
    save_sweep(file, store, {"gpus_fitted": 0.25})
    (account,) = accounts_of(file.sweep, latest_sweeps(store)["fits"].options, store)
    assert account.spent == 0.5
    (account,) = accounts_of(file.sweep, {"gpus_per_trial": 1.0, "gpus_fitted": 0.25}, store)  # typed instead
    assert account.spent == 2.0
    (account,) = accounts_of(file.sweep, {"gpus_per_trial": "fit"}, store)  # nothing was fitted yet
    assert account.spent == 2.0


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [("fitt", "'fitt' is no number of GPUs: did you mean 'fit'?"), ("-1", "expected a number from 0"), ("nan", "fit")],
)
def test_a_wrong_option_is_refused_with_the_nearest_choice(
    typed: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fits.yaml").write_text(SWEEP)
    assert run_command(["plan", str(tmp_path / "fits.yaml"), f"--gpus-per-trial={typed}"]) == 2
    assert complaint in " ".join(capsys.readouterr().err.replace("│", "").split())


@pytest.mark.parametrize(("word", "near"), [("fits", "did you mean 'fit'?"), ("aut", "did you mean 'auto'?")])
def test_a_wrong_word_in_the_sweep_file_is_refused_with_the_nearest_choice(
    word: str, near: str, tmp_path: Path
) -> None:
    text = f"{SWEEP}resources: {{gpu: {word}}}\n"
    with pytest.raises(BadInput) as refused:
        parsed(text, tmp_path)
    assert str(refused.value) == f"fits.yaml:9: resources.gpu: '{word}' is no number of GPUs: {near}"
    (tmp_path / "fits.yaml").write_text(text)
    assert run_command(["plan", str(tmp_path / "fits.yaml")]) == 2


def test_a_run_reserves_what_it_says_and_remembers_it_beside_what_was_typed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(store, tmp_path)
    reserved: list[Any] = []

    def stopped(file: Any, store: Any, plan: Any, options: RunOptions, *others: Any) -> tuple[list[str], bool]:
        reserved.append(trial_resources(file.sweep, options.gpus_per_trial, options.cpus_per_trial))
        return [], True

    monkeypatch.setattr(run_module, "_run_once", stopped)
    said = io.StringIO()
    options = RunOptions(address="host:1", gpus_per_trial="fit")
    outcome, _ = run_module.run_sweep(parsed(SWEEP, tmp_path), store, options, Console(file=said, width=80))
    assert outcome is Exit.INTERRUPTED
    assert reserved == [{"gpus_per_trial": 0.5, "cpus_per_trial": 1.0}]
    assert said.getvalue().startswith("gpus per trial: 0.5, 2 on one: the most that trials like those")
    assert latest_sweeps(store)["fits"].options == {"gpus_per_trial": "fit", "gpus_fitted": 0.5}


def test_where_nothing_is_to_run_what_fit_was_last_is_kept(store: Store, tmp_path: Path) -> None:
    file = parsed(SWEEP, tmp_path)
    planned = make_plan(file, store).to_run
    commit(store, [row(one.config, n) | {"trial_id": one.trial_id} for n, one in enumerate(planned)])
    told = {"gpus_per_trial": "fit", "gpus_fitted": 0.25}
    save_sweep(file, store, told)
    said = io.StringIO()
    outcome, _ = run_module.run_sweep(file, store, RunOptions(gpus_per_trial="fit"), Console(file=said))
    assert (outcome, said.getvalue()) == (Exit.DONE, "")
    assert latest_sweeps(store)["fits"].options == told


def test_a_run_on_a_cpu_says_so_and_remembers_what_was_typed(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "fits.yaml").write_text(SWEEP)
    ran = prunesweep("run", "fits.yaml", "--gpus-per-trial", "fit", "--device", "cpu", "--slots", "1")
    assert "gpus per trial: 0, for trials run on the CPU" in ran.stdout
    assert "8 of 8 trials completed" in ran.stdout
    assert latest_sweeps(Store(tmp_path / "results" / "fits"))["fits"].options["gpus_per_trial"] == "fit"
