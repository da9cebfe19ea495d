"""Images read as they are asked for: the same bits whoever reads them, and torchvision's transforms."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms

from training.build import load_dataset
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext
from training.datasets.imagenet import NORMALISATION
from training.datasets.streamed import StreamedSplit
from training.trial import run_trial

from .conftest import NUM_CLASSES, Root

CONFIG = DatasetConfig(name="imagenet")


def train_split(root: Path, num_readers: int = 0) -> StreamedSplit:
    train = load_dataset(CONFIG, root).train
    assert isinstance(train, StreamedSplit)
    return replace(train, num_readers=num_readers)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more readers than cores
@pytest.mark.parametrize("num_readers", [1, 3])
@pytest.mark.parametrize("augment", [None, 5])
def test_batches_do_not_depend_on_how_many_processes_read(num_readers: int, augment: int | None, standin: Root) -> None:
    root = standin("imagenet")
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))[:40]
    state = torch.get_rng_state()
    alone = list(train_split(root).batches(order, 16, augment))
    shared = list(train_split(root, num_readers).batches(order, 16, augment))
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(labels) for _, labels in alone] == [16, 16, 8]
    for one, two in zip(alone, shared, strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
    assert torch.equal(torch.cat([labels for _, labels in alone]), train_split(root).labels[order])


def test_without_augmentation_an_image_is_resized_and_its_centre_cut_out_as_torchvision_does(standin: Root) -> None:
    root = standin("imagenet")
    split = train_split(root)
    plain = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(NORMALISATION.mean, NORMALISATION.std),
        ]
    )
    images, labels = next(split.batches(torch.arange(14), 14))
    files = sorted((root / "imagenet" / "train").rglob("*.JPEG"))[:14]
    assert labels.tolist() == [int(path.parent.name[1:]) for path in files]
    for image, path in zip(images, files, strict=True):
        assert torch.equal(image, plain(Image.open(path).convert("RGB")))


def test_augmented_images_follow_torchvisions_random_transforms(standin: Root) -> None:
    root = standin("imagenet")
    split = train_split(root)
    random = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(NORMALISATION.mean, NORMALISATION.std),
        ]
    )
    files = sorted((root / "imagenet" / "train").rglob("*.JPEG"))
    order = torch.arange(60)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torch.stack([random(Image.open(files[index]).convert("RGB")) for index in order])
    ours = torch.cat([images for images, _ in split.batches(order, 20, augment=1)])
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.05)
    assert float(ours.std()) == pytest.approx(float(theirs.std()), abs=0.08)


def test_a_trial_prunes_trains_and_repeats_on_a_streamed_data_set(standin: Root) -> None:
    root = standin("imagenet")
    config = TrialConfig(
        dataset=CONFIG,
        model=ModelConfig(name="mlp", options='{"widths":[2]}'),
        pruner=PrunerConfig(name="snip"),
        density=Decimal("0.5"),
        seeds=Seeds(init=0, data=0, prune=0),
        training=TrainingConfig(epochs=1, lr=0.001, batch_size=40),
    )
    first, second = (run_trial(config, CohortContext("cpu", data_root=str(root))) for _ in range(2))
    assert (first.num_train, first.num_test, first.num_classes) == (120, 50, NUM_CLASSES)
    assert first.epochs == second.epochs
    assert first.data_hash == second.data_hash


@pytest.mark.parametrize("num_readers", [0, 2])
def test_a_truncated_image_is_named_when_it_is_read(num_readers: int, standin: Root) -> None:
    root = standin("imagenet")
    path = sorted((root / "imagenet" / "train").rglob("*.JPEG"))[5]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{path}: not a whole image .*: replace it, or unpack"):
        list(train_split(root, num_readers).batches(None, 10))


def test_classes_that_are_missing_or_empty_are_named(standin: Root) -> None:
    root = standin("imagenet")
    folder = root / "imagenet" / "val" / "n00000004"
    files = list(folder.iterdir())
    for path in files:
        path.unlink()
    with pytest.raises(ValueError, match=f"{folder}: no image of this class: expected .jpeg"):
        load_dataset(CONFIG, root)
    folder.rmdir()
    with pytest.raises(ValueError, match="imagenet/val: 9 folders, expected one for each of 10 classes"):
        load_dataset(CONFIG, root)
    folder.with_name("other").mkdir()
    with pytest.raises(ValueError, match="imagenet/val: its folders are not those of train"):
        load_dataset(CONFIG, root)


def test_the_number_of_reading_processes_is_checked(standin: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    split = replace(train_split(standin("imagenet")), num_readers=None)
    monkeypatch.setenv("PRUNESWEEP_READERS", "many")
    with pytest.raises(ValueError, match="PRUNESWEEP_READERS=many: expected the number"):
        next(split.batches(None, 10))
