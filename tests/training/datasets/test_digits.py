"""The digits, to the bit: trials that are done keep their results."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from training.datasets.digits import load


def test_the_tensors_are_those_that_earlier_trials_were_trained_on() -> None:
    raw = load_digits()
    images = torch.from_numpy(raw.images).float().unsqueeze(1)
    labels = torch.from_numpy(raw.target).long()
    rest, test = train_test_split(range(1797), test_size=500, stratify=raw.target, random_state=0)
    train, validation = train_test_split(rest, test_size=200, stratify=raw.target[rest], random_state=0)
    expected = (images - images[train].mean()) / images[train].std()
    dataset = load()
    for split, index in ((dataset.train, train), (dataset.validation, validation), (dataset.test, test)):
        seen = list(split.batches(None, 100))
        assert torch.equal(torch.cat([batch[0] for batch in seen]), expected[index])
        assert torch.equal(torch.cat([batch[1] for batch in seen]), labels[index])
