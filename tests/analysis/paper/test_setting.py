import polars as pl

from analysis.paper.setting import IMAGENET_SHAPE, Setting

ROW = {"dataset": "imagenet", "dataset_options": "{}", "model": "vgg19", "model_options": "{}", "epochs": 0}


def cause(setting, *rows):
    return setting.cause(pl.DataFrame(rows))


def test_what_is_as_published_has_no_cause_and_what_is_not_is_named():
    setting = Setting(datasets=(("imagenet", "{}"), IMAGENET_SHAPE), model="vgg19")
    shape = {"dataset": "blank", "dataset_options": '{"num_classes":1000,"shape":[3,224,224]}'}
    assert cause(setting, ROW) == cause(setting, ROW | shape) == cause(setting, ROW, ROW | shape) == ""
    small = shape | {"dataset_options": '{"num_classes":10,"shape":[3,32,32]}'}
    assert (
        cause(setting, ROW | small)
        == cause(setting, ROW, ROW | small)
        == 'data set blank {"num_classes":10,"shape":[3,32,32]}, published imagenet'
    )
    assert cause(setting, ROW | {"model": "vgg19_bn", "model_options": '{"width_factor":0.5}'}) == (
        'model vgg19_bn {"width_factor":0.5}, published vgg19'
    )
    trained = Setting(datasets=(("imagenet", "{}"),), model="vgg19", epochs=160)
    assert cause(trained, ROW | {"epochs": 4}) == "4 epochs, published 160"
    assert cause(trained, *(ROW | {"epochs": epochs} for epochs in (160, 4, 4, 8))) == (
        "4 epochs, published 160; 8 epochs, published 160"
    )
