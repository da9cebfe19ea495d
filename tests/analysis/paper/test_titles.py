"""What a panel says of the data, model and epochs that it shows."""

import polars as pl

from analysis.paper.setting import Setting
from analysis.paper.titles import titled

PUBLISHED = {"dataset": "cifar10", "dataset_options": "{}", "model": "resnet18", "model_options": "{}", "epochs": 160}
SETTING = Setting(datasets=(("cifar10", "{}"),), model="resnet18", epochs=160)


def below(setting, *rows):
    return titled("a panel", pl.DataFrame([PUBLISHED | row for row in rows]), setting).subtitle


def test_a_panel_as_published_says_its_data_set_alone():
    assert below(SETTING, {}, {}) == ["cifar10"]


def test_options_models_and_epochs_that_differ_have_a_line_each():
    narrow = {"dataset": "cifar100", "dataset_options": '{"num_train":5000}', "model_options": '{"width_factor":0.25}'}
    assert below(SETTING, narrow | {"epochs": 6}) == [
        "cifar100, num_train 5000", "resnet18, width_factor 0.25", "6 epochs",
    ]  # fmt: skip
    assert below(SETTING, {"epochs": 160}, {"epochs": 4}) == ["cifar10", "4 and 160 epochs"]


def test_what_is_not_trained_has_no_epochs():
    assert below(Setting(datasets=SETTING.datasets, model="vgg19"), {"epochs": 0}) == ["cifar10", "resnet18"]
