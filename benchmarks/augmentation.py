"""Augmented batches per second: ours from bytes in memory against torchvision's transforms of PIL images.

    python -m benchmarks.augmentation [--root ../shared/data] [--batches 100] [--repeats 5] [--quick]

CIFAR-100, or synthetic images of its shape where it is not there; batches of 128, zero-padding 4, random crop,
mirroring, normalisation; one thread; the two ways take turns. Before that: the same crops give the same bits, and means
and deviations of randomly augmented images agree.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import functional as reference

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Split
from training.datasets.table import DATASETS

BATCH = 128


def training_split(root: Path) -> tuple[str, Split]:
    """CIFAR-100's training images, or synthetic ones of its shape."""
    real = all((root / file).exists() for file in DATASETS["cifar100"].files)
    options = "{}" if real else '{"num_classes":100,"num_train":20000}'
    name = "cifar100" if real else "synthetic"
    train = load_dataset(DatasetConfig(name=name, options=options), root).train
    assert isinstance(train, Split)
    return name, train


def pictures(split: Split) -> list[Image.Image]:
    """The images as PIL holds them: decoding is not what is compared."""
    return [Image.fromarray(image) for image in split.images.permute(0, 2, 3, 1).numpy()]


def through_pil(split: Split, images: list[Image.Image], order: Tensor, batch_size: int = BATCH) -> Iterator[Tensor]:
    """Batches as torchvision's reference scripts make them."""
    assert split.normalisation is not None
    transform = transforms.Compose(
        [
            transforms.RandomCrop(split.image_shape[1:], padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(split.normalisation.mean, split.normalisation.std),
        ]
    )
    for batch in order.split(batch_size):
        yield torch.stack([transform(images[index]) for index in batch.tolist()])


def ours(split: Split, order: Tensor, seed: int) -> Iterator[Tensor]:
    """Batches as a trial sees them."""
    for images, _ in split.batches(order, BATCH, augment=seed):
        yield images


def same_for_fixed_crops(split: Split, images: list[Image.Image], num: int) -> bool:
    """Whether torchvision's crop, flip and normalisation at the places that we drew give the same bits."""
    assert split.augmentation is not None
    assert split.normalisation is not None
    drawn = split.augmentation.draw(len(split), 0)
    height, width = split.image_shape[1:]
    equal = True
    for index, image in enumerate(torch.cat(list(ours(split, torch.arange(num), 0)))):
        padded = reference.pad(images[index], [4])
        crop = reference.crop(padded, int(drawn.top[index]), int(drawn.left[index]), height, width)
        tensor = reference.to_tensor(reference.hflip(crop) if drawn.mirrored[index] else crop)
        normal = reference.normalize(tensor, list(split.normalisation.mean), list(split.normalisation.std))
        equal &= torch.equal(image, normal)
    return equal


def measure(root: Path, num_batches: int, repeats: int) -> dict[str, object]:
    """Equality, statistics and batches per second, the best of interleaved repeats."""
    name, split = training_split(root)
    num = min(num_batches * BATCH, len(split))
    images = pictures(split)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:num]
    seconds: dict[str, list[float]] = {"pil": [], "ours": []}
    moments: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for way, batches in (("pil", through_pil(split, images, order)), ("ours", ours(split, order, repeat))):
            start = time.process_time()
            made = [batch for batch in batches if repeat == 0]
            seconds[way].append(time.process_time() - start)
            if repeat == 0:
                pixels = torch.cat(made).double()
                moments[way] = [float(pixels.mean()), float(pixels.std())]
    rate = {way: num / BATCH / min(times) for way, times in seconds.items()}
    return {
        "data": name,
        "images": num,
        "same_bits_for_fixed_crops": same_for_fixed_crops(split, images, min(1000, num)),
        "mean_and_deviation_pil": moments["pil"],
        "mean_and_deviation_ours": moments["ours"],
        "batches_per_second_pil": rate["pil"],
        "batches_per_second_ours": rate["ours"],
        "times_faster": rate["ours"] / rate["pil"],
        "torch": torch.__version__,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="10 batches, twice")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batches, arguments.repeats = 10, 2
    torch.set_num_threads(1)
    print(json.dumps(measure(arguments.root, arguments.batches, arguments.repeats), indent=2))


if __name__ == "__main__":
    main()
