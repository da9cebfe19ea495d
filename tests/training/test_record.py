"""What is read off a record."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.device import ExecutionClass
from training.evaluate import Metrics
from training.record import TRACEBACK_CHARACTERS, EpochRecord, LayerRecord, PhaseTimer, TrialError, TrialRecord


def epoch(number: int, test: float, validation: float | None) -> EpochRecord:
    return EpochRecord.of(
        epoch=number,
        lr=0.1,
        train_loss=1.0,
        validation=None if validation is None else Metrics(loss=2.0, accuracy=validation, top5=1.0),
        test=Metrics(loss=3.0, accuracy=test, top5=0.9),
    )


def record(*epochs: EpochRecord, kept: tuple[int, ...] = ()) -> TrialRecord:
    return TrialRecord(
        config=TrialConfig(
            dataset=DatasetConfig(name="digits"),
            model=ModelConfig(name="mlp"),
            pruner=PrunerConfig(name="random"),
            density=Decimal("0.5"),
            seeds=Seeds(init=0, data=0, prune=0),
            training=TrainingConfig(epochs=len(epochs)),
        ),
        execution=ExecutionClass(device="cpu", dtype="float32", engine="reference", threads=1),
        layers=[
            LayerRecord(
                layer=str(i),
                position=i,
                num_weights=9,
                kept=count,
                live=0,
                score_sum=0.0,
                initial_score_sum=0.0,
                unit_conservation_error=None,
            )
            for i, count in enumerate(kept)
        ],
        epochs=list(epochs),
    )


def numbers(of: TrialRecord) -> list[int | None]:
    return [one.epoch if one else None for one in (of.final, of.best, of.selected)]


@pytest.mark.parametrize(
    ("rows", "final_best_selected"),
    [
        ([], [None, None, None]),
        ([(0.5, None)], [1, 1, None]),
        ([(0.5, 0.1), (0.9, 0.3), (0.7, 0.4)], [3, 2, 3]),
        ([(0.9, 0.3), (0.9, 0.3), (0.2, 0.1)], [3, 1, 1]),
        ([(0.0, 0.0), (0.0, 0.0)], [2, 1, 1]),
    ],
)
def test_final_is_the_last_epoch_best_and_selected_the_first_of_the_highest(
    rows: list[tuple[float, float | None]], final_best_selected: list[int | None]
) -> None:
    epochs = [epoch(number, test, validation) for number, (test, validation) in enumerate(rows, start=1)]
    assert numbers(record(*epochs)) == final_best_selected


def test_a_collapsed_layer_is_one_without_a_kept_weight() -> None:
    assert record(kept=(3, 0, 1, 0)).num_collapsed_layers == 2


def test_an_empty_test_split_is_refused() -> None:
    with pytest.raises(ValueError, match="the data set's test split is empty"):
        EpochRecord.of(epoch=1, lr=0.1, train_loss=1.0, validation=None, test=None)


def test_an_error_keeps_its_type_message_and_the_end_of_its_traceback() -> None:
    with pytest.raises(ValueError, match="the end") as caught:
        raise ValueError("x" * TRACEBACK_CHARACTERS + " the end")
    error = TrialError.of(caught.value)
    assert (error.type, error.message[-7:]) == ("ValueError", "the end")
    assert len(error.traceback) == TRACEBACK_CHARACTERS
    assert error.traceback.endswith("the end\n")


def test_a_message_that_no_file_could_hold_is_shortened_and_spelled_out() -> None:
    error = TrialError.of(ValueError("first " + "x" * 100_000 + " last \ud800"))
    assert error.message.startswith("first x")
    assert error.message.endswith("x last \\ud800")
    assert len(error.message) < 2000
    assert error.traceback.encode().endswith(b"last \\ud800\n")


def test_phases_are_timed_by_name() -> None:
    timer = PhaseTimer()
    with timer("load"):
        time.sleep(0.02)
    with timer("train"):
        pass
    assert list(timer.seconds) == ["load", "train"]
    assert timer.seconds["load"] >= 0.02 > timer.seconds["train"]
