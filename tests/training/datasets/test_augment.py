"""Batched augmentation against torchvision's transforms of PIL images, and against the law it should follow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as reference

from training.datasets.augment import Augmentation, Placement
from training.datasets.contract import Normalisation, Split

NORMALISATION = Normalisation(mean=(0.507, 0.487, 0.441), std=(0.267, 0.256, 0.276))


def pictures(num: int, *shape: int) -> Tensor:
    return torch.randint(256, (num, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def through_pil(image: Tensor, padding: int, top: int, left: int, mirrored: bool) -> Tensor:
    """The transforms' own functions, on a PIL image."""
    height, width = image.shape[1:]
    picture = reference.pad(Image.fromarray(image.permute(1, 2, 0).numpy()), [padding])
    picture = reference.crop(picture, top, left, height, width)
    tensor = reference.to_tensor(reference.hflip(picture) if mirrored else picture)
    return reference.normalize(tensor, list(NORMALISATION.mean), list(NORMALISATION.std))


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_every_crop_is_torchvisions_to_the_bit(size: tuple[int, int], padding: int, seed: int) -> None:
    images = pictures(5, 3, *size)
    augmentation = Augmentation(padding=padding)
    placement = augmentation.draw(5, seed)
    ours = NORMALISATION(augmentation.apply(images, placement))
    for image, one, top, left, mirrored in zip(
        images, ours, placement.top, placement.left, placement.mirrored, strict=True
    ):
        assert torch.equal(one, through_pil(image, padding, int(top), int(left), bool(mirrored)))


def test_a_split_augments_as_torchvision_does_at_the_drawn_places() -> None:
    images = pictures(300, 3, 32, 32)
    augmentation = Augmentation()
    split = Split(
        images=images,
        labels=torch.zeros(300, dtype=torch.int64),
        normalisation=NORMALISATION,
        augmentation=augmentation,
    )
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    seen = torch.cat([batch[0] for batch in split.batches(order, 128, augment=7)])
    drawn = augmentation.draw(300, 7)
    for index, image in zip(order.tolist(), seen, strict=True):
        top, left, mirrored = int(drawn.top[index]), int(drawn.left[index]), bool(drawn.mirrored[index])
        assert torch.equal(image, through_pil(images[index], 4, top, left, mirrored))


def test_places_are_uniform_and_half_is_mirrored() -> None:
    num = 81_000
    placement = Augmentation(padding=4).draw(num, seed=3)
    counts = torch.zeros(9, 9)
    counts.index_put_((placement.top.long(), placement.left.long()), torch.ones(num), accumulate=True)
    assert float((counts - 1000).abs().max()) < 5 * 1000**0.5
    assert abs(int(placement.mirrored.sum()) - num / 2) < 5 * (num / 4) ** 0.5
    assert not Augmentation(mirror=False).draw(100, seed=3).mirrored.any()


def test_means_and_deviations_are_those_of_torchvisions_random_transforms() -> None:
    from torchvision import transforms

    images = pictures(400, 3, 32, 32)
    split = Split(
        images=images,
        labels=torch.zeros(400, dtype=torch.int64),
        normalisation=NORMALISATION,
        augmentation=Augmentation(),
    )
    random = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(NORMALISATION.mean, NORMALISATION.std),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torch.stack(
            [random(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images for _ in range(5)]
        )
    ours = torch.cat([batch[0] for seed in range(5) for batch in split.batches(None, 100, augment=seed)])
    assert ours.mean((0, 2, 3)).tolist() == pytest.approx(theirs.mean((0, 2, 3)).tolist(), abs=0.02)
    assert ours.std((0, 2, 3)).tolist() == pytest.approx(theirs.std((0, 2, 3)).tolist(), abs=0.02)
    # black borders from padding: the share of black pixels falls from edge to centre alike
    black = [((some == some.amin((0, 2, 3), keepdim=True)).all(1).double().mean(0)) for some in (ours, theirs)]
    assert float((black[0] - black[1]).abs().max()) < 0.06
    assert float(black[0][0, 0]) > 0.5 > 0.01 > float(black[0][16, 16])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_batches_on_a_gpu_are_those_on_the_cpu() -> None:
    split = Split(
        images=pictures(300, 3, 32, 32),
        labels=torch.arange(300),
        normalisation=NORMALISATION,
        augmentation=Augmentation(),
    )
    on_gpu = split.to(torch.device("cuda"))
    for one, two in zip(split.batches(None, 128, augment=7), on_gpu.batches(None, 128, augment=7), strict=True):
        assert two[0].device.type == "cuda"
        torch.testing.assert_close(one[0], two[0].cpu(), rtol=1e-6, atol=1e-6)
        assert torch.equal(one[1], two[1].cpu())


def test_floats_are_augmented_as_they_are() -> None:
    images = torch.arange(12.0).view(1, 1, 3, 4)
    placement = Placement(torch.tensor([2]), torch.tensor([0]), torch.tensor([True]))
    cropped = Augmentation(padding=1).apply(images, placement)
    expected = [[[[6.0, 5.0, 4.0, 0.0], [10.0, 9.0, 8.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    assert cropped.tolist() == expected
