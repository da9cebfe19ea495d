"""Memory that workers add to a node when all hold one data set: proportional set size against one copy of it.

    python -m benchmarks.data_memory [--data cifar100] [--root ../shared/data] [--workers 16] [--ray] [--quick]

Each worker is a process of its own, started afresh. It imports what a trial imports and draws batches from a tiny data
set; then the proportional set size of all processes is read (/proc/PID/smaps_rollup: memory that n processes share
counts 1/n in each). Then each loads the data set as a trial does and draws every image once; while all hold it, sizes
are read again. `--ray` puts the same bytes into Ray's object store instead, read by as many actors: the alternative.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Dataset, Split

WORKER = """
import sys
import torch
torch.set_num_threads(1)
import training.trial
from training.build import load_dataset
from training.config import DatasetConfig

def read(dataset):
    augment = 0 if dataset.train.augmentation else None
    for split, seed in ((dataset.train, augment), (dataset.test, None)):
        for images, _ in split.batches(torch.arange(len(split)), 128, seed):
            pass

small = '{"num_train":256,"num_test":128}'
read(load_dataset(DatasetConfig(name="synthetic", options=small)))
print("ready", flush=True)
sys.stdin.readline()
dataset = load_dataset(DatasetConfig(name=sys.argv[1], options=sys.argv[2]), sys.argv[3])
read(dataset)
print("loaded", flush=True)
sys.stdin.readline()
"""


def pss_bytes() -> int:
    """Proportional set size of this process and all that descend from it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # it ended meanwhile
            continue
    ours = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= grown
    total = 0
    for pid in ours:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def copy_bytes(dataset: Dataset) -> int:
    """One copy of a data set's images and labels, as they are kept."""
    splits = [part for part in (dataset.train, dataset.validation, dataset.test) if isinstance(part, Split)]
    return sum(tensor.nbytes for split in splits for tensor in (split.images, split.labels))


def mapped(config: DatasetConfig, root: Path, num_workers: int) -> int:
    """Bytes that workers add by mapping the decoded copy."""
    command = [sys.executable, "-c", WORKER, config.name, config.options, str(root)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(num_workers)
    ]
    try:
        _hear(workers, "ready")
        before = pss_bytes()
        _tell(workers)
        _hear(workers, "loaded")
        return pss_bytes() - before
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def in_object_store(dataset: Dataset, num_workers: int) -> int:
    """Bytes that as many Ray actors, the store and the driver add."""
    import ray

    assert isinstance(dataset.train, Split)
    assert isinstance(dataset.test, Split)
    arrays = [part.images.numpy() for part in (dataset.train, dataset.test)]

    class Reader:
        def read(self, held: Any) -> int:
            """Keep the arrays and look at every byte."""
            self.held = held
            return sum(int(array[start : start + 128].max()) for array in held for start in range(0, len(array), 128))

    ray.init(num_cpus=num_workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        actor: Any = ray.remote(Reader)
        actors = [actor.remote() for _ in range(num_workers)]
        ray.get([one.read.remote([arrays[0][:1]]) for one in actors])
        before = pss_bytes()
        stored = ray.put(arrays)
        ray.get([one.read.remote(stored) for one in actors])
        return pss_bytes() - before
    finally:
        ray.shutdown()


def _hear(workers: list[subprocess.Popen[str]], word: str) -> None:
    for worker in workers:
        assert worker.stdout is not None
        line = worker.stdout.readline().strip()
        if line != word:
            raise RuntimeError(f"a worker said {line!r} instead of {word!r}: its error is above")


def _tell(workers: list[subprocess.Popen[str]]) -> None:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar100")
    parser.add_argument("--options", default="{}", help="the data set's options, as JSON")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--quick", action="store_true", help="2 workers")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.workers = 2
    config = DatasetConfig(name=arguments.data, options=arguments.options)
    dataset = load_dataset(config, arguments.root)  # decoded before anything is measured
    one_copy = copy_bytes(dataset)
    if arguments.ray:
        added = in_object_store(dataset, arguments.workers)
    else:
        del dataset  # this process is no worker: what it maps is not to share the workers' count
        added = mapped(config, arguments.root, arguments.workers)
    figures = {
        "way": "Ray's object store" if arguments.ray else "mapped from the decoded copy",
        "data": arguments.data,
        "workers": arguments.workers,
        "one_copy_bytes": one_copy,
        "added_bytes": added,
        "copies": added / one_copy,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
