"""Where a trial stands between its first step and its record, put aside and taken up again.

A snapshot is everything that the rest of a trial depends on. Two things use it: checkpoints, from which a trial that
was cut off goes on, and prefixes, the training that several trials share (dense training before the first pruning, the
levels of iterative pruning that sparser trials pass through). Both are named after what determines them, so what is
found under a name is what would be computed again, bit for bit in one execution class.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from pruning.masks import Masks
from pruning.prune import Round
from training.checkpoint import Checkpoint, Shelf, load_checkpoint, save_checkpoint
from training.config import NUMERICS_VERSION, WHOSE, TrialConfig, options_text
from training.device import ExecutionClass
from training.record import EpochRecord, LayerRecord
from training.state import State

TRAINING, START, REWIND, MASK = "training/", "start/", "rewind/", "mask/"
PREFIX_BYTES = 2 * 2**30
"""Prefixes kept in memory, beside those on the shelf."""

WORTH_SAVING_SECONDS = 2.0
"""Of work, below which a process that is asked to stop leaves no checkpoint of it."""
LOOK_SECONDS = 0.25
"""Between two looks whether that is so: a look is a file that is not there, a step may be shorter."""

PREFIXES_ON_SHELF = 4
"""Ends of levels that a process leaves on the shelf, beside the dense training that every level starts from."""


class Wish(Enum):
    """What somebody who waits for this process wants of it."""

    NONE = ""
    SAVE = "save"
    """A checkpoint of the trial in hand, which then goes on: it may be killed."""
    LEAVE = "leave"
    """A checkpoint of the trial in hand, and no more of it: it will be killed."""


class Interrupted(BaseException):
    """A trial wrote its checkpoint and went, as it was asked to. Not an error, and nothing that a trial may catch."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A trial at one moment."""

    stretch: int
    """The stretch (`training.levels`) that it is in; its training may be at an end."""
    masks: Masks
    training: State
    """The state of the training: of what is trained (`training.loop.Training.state`) while the stretch lasts, of the
    full network (`full_state`) at its end."""
    is_at_end: bool = False
    engine: str
    fallback: str
    """What trains, as in the trial's record."""
    fused_with: int | None = None
    """The most networks that trained side by side, this one among them."""
    start: State | None = None
    """The full network's state that the stretch started from, where a small network has to be made of it again."""
    rewind: State | None = None
    """The full network's state to rewind to, once it was passed."""
    epochs: list[EpochRecord] = field(default_factory=list)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """What earlier attempts at the trial have spent on each phase."""
    rounds: list[Round] = field(default_factory=list)
    layers: list[LayerRecord] = field(default_factory=list)
    is_connected: bool | None = None

    def to_checkpoint(self) -> Checkpoint:
        """As one file can hold it."""
        tensors = {f"{TRAINING}{name}": tensor for name, tensor in self.training[0].items()}
        tensors |= {f"{MASK}{name}": mask for name, mask in self.masks.items()}
        starts_at_rewind = self.start is not None and self.start is self.rewind  # one copy of it is enough
        for prefix, state in ((START, None if starts_at_rewind else self.start), (REWIND, self.rewind)):
            if state is not None:
                tensors |= {f"{prefix}{name}": tensor for name, tensor in state[0].items()}
        return Checkpoint(
            tensors=tensors,
            facts={
                "stretch": self.stretch,
                "training": self.training[1],
                "is_at_end": self.is_at_end,
                "engine": self.engine,
                "fallback": self.fallback,
                "fused_with": self.fused_with,
                "start": None if self.start is None or starts_at_rewind else self.start[1],
                "starts_at_rewind": starts_at_rewind,
                "rewind": None if self.rewind is None else self.rewind[1],
                "epochs": [asdict(one) for one in self.epochs],
                "seconds": dict(self.seconds),
                "rounds": [asdict(one) for one in self.rounds],
                "layers": [asdict(one) for one in self.layers],
                "is_connected": self.is_connected,
                "masks": list(self.masks),
            },
        )

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Snapshot:
        """What `to_checkpoint` wrote."""
        facts = checkpoint.facts
        start, rewind = (
            None if facts[name] is None else (_below(checkpoint.tensors, prefix), facts[name])
            for name, prefix in (("start", START), ("rewind", REWIND))
        )
        return cls(
            stretch=facts["stretch"],
            masks={name: checkpoint.tensors[f"{MASK}{name}"] for name in facts["masks"]},
            training=(_below(checkpoint.tensors, TRAINING), facts["training"]),
            is_at_end=facts["is_at_end"],
            engine=facts["engine"],
            fallback=facts["fallback"],
            fused_with=facts.get("fused_with"),  # a checkpoint may be older than the fused engine
            start=rewind if facts["starts_at_rewind"] else start,
            rewind=rewind,
            epochs=[EpochRecord(**one) for one in facts["epochs"]],
            seconds=facts["seconds"],
            rounds=[_round(one) for one in facts["rounds"]],
            layers=[LayerRecord(**one) for one in facts["layers"]],
            is_connected=facts["is_connected"],
        )

    @property
    def num_bytes(self) -> int:
        """Memory of its tensors."""
        parts = [self.masks, *(state[0] for state in (self.training, self.start, self.rewind) if state)]
        return sum(tensor.numel() * tensor.element_size() for part in parts for tensor in part.values())


class Snapshots:
    """Checkpoints and shared prefixes of the trials that one process runs."""

    def __init__(
        self,
        shelf: Shelf | None,
        execution: ExecutionClass,
        *,
        every_seconds: float,
        wish: Callable[[], Wish] = lambda: Wish.NONE,
    ) -> None:
        """Without a `shelf`, prefixes are shared within the process and nothing outlives it."""
        self._shelf, self._every_seconds, self._wish = shelf, every_seconds, wish
        self._granted = False
        self._last_look = 0.0
        self._class = options_text(asdict(execution))
        self._prefixes: OrderedDict[str, Snapshot] = OrderedDict()
        self._on_shelf: list[str] = []
        self._written: set[str] = set()
        self._labelled: set[tuple[str, str]] = set()
        self._left: set[str] | None = None
        """Checkpoints that earlier processes left, listed once: a request a trial would be slow on object storage."""
        self._last_save = time.monotonic()

    def start_cohort(self) -> None:
        """Look for others' checkpoints anew: since the last look a process may have died and left some."""
        self._left, self._granted = None, False

    def start_clock(self) -> None:
        """Count the seconds to the next checkpoint from now."""
        self._last_save = time.monotonic()

    def is_due(self) -> bool:
        """Whether a checkpoint should be written now."""
        if self._shelf is None:
            return False
        now = time.monotonic()
        since = now - self._last_save
        if since >= self._every_seconds:
            return True
        if self._granted or since < WORTH_SAVING_SECONDS or now - self._last_look < LOOK_SECONDS:
            return False
        self._last_look = now
        return self._wish() is not Wish.NONE

    def save(self, config: TrialConfig, snapshot: Snapshot) -> None:
        """Write a trial's checkpoint. Raises Interrupted where that is all that was waited for."""
        if self._shelf is None:
            return
        wish = self._wish()
        key = self._key(config.to_json())
        self._say_whose("checkpoints", key, config)
        save_checkpoint(self._shelf, snapshot.to_checkpoint(), "checkpoints", key)
        self._written.add(key)
        self._last_save = time.monotonic()
        self._granted = wish is not Wish.NONE
        if wish is Wish.LEAVE:
            raise Interrupted

    def find(self, config: TrialConfig, device: torch.device) -> Snapshot | None:
        """A trial's last checkpoint."""
        if self._shelf is None:
            return None
        if self._left is None:
            self._left = set(self._shelf.folders("checkpoints"))
        known = self._left | self._written
        key = self._key(config.to_json()) if known else ""
        if key not in known:
            return None
        found = load_checkpoint(self._shelf, "checkpoints", key, device=device)
        if found is None:
            return None
        self._written.add(key)
        return Snapshot.of(found)

    def forget(self, config: TrialConfig) -> None:
        """Delete a trial's checkpoints: its result is committed."""
        if self._shelf is None or not self._written:
            return
        key = self._key(config.to_json())
        if key in self._written:
            self._shelf.remove_folder("checkpoints", key)
            self._shelf.remove("checkpoints", f"{key}{WHOSE}")
            self._written.discard(key)

    def share(self, history: str, config: TrialConfig, snapshot: Snapshot, *, keep: bool) -> None:
        """Keep the end of a stretch of a trial for every other with the same history.

        On the shelf that is those to `keep`, and the last few: what a sweep that is taken up again starts from.
        """
        key = self._key(history)
        if key in self._prefixes:
            return
        self._prefixes[key] = snapshot
        while len(self._prefixes) > 1 and sum(one.num_bytes for one in self._prefixes.values()) > PREFIX_BYTES:
            self._prefixes.popitem(last=False)
        if self._shelf is None or self._shelf.files("prefixes", key):
            return
        self._say_whose("prefixes", key, config)
        save_checkpoint(self._shelf, snapshot.to_checkpoint(), "prefixes", key)
        if not keep:
            self._on_shelf.append(key)
        for old in self._on_shelf[:-PREFIXES_ON_SHELF]:
            self._shelf.remove_folder("prefixes", old)
            self._shelf.remove("prefixes", f"{old}{WHOSE}")
        self._on_shelf = self._on_shelf[-PREFIXES_ON_SHELF:]

    def free_memory(self) -> None:
        """Forget the prefixes in memory; those on the shelf are found again, the others are trained again."""
        self._prefixes.clear()

    def shared(self, history: str, device: torch.device) -> Snapshot | None:
        """What `share` kept, in this process or any other on the same shelf."""
        key = self._key(history)
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        found = None if self._shelf is None else load_checkpoint(self._shelf, "prefixes", key, device=device)
        if found is None:
            return None
        self._prefixes[key] = Snapshot.of(found)
        return self._prefixes[key]

    def _say_whose(self, kind: str, key: str, config: TrialConfig) -> None:
        """Keep the trial's configuration beside a snapshot: keys do not say who needs it (`orchestrator.leftovers`)."""
        assert self._shelf is not None
        if (kind, key) not in self._labelled:
            self._shelf.publish_bytes(config.to_json().encode(), kind, f"{key}{WHOSE}")
            self._labelled.add((kind, key))

    def _key(self, text: str) -> str:
        content = f"{NUMERICS_VERSION}\n{self._class}\n{text}"
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _round(fields: dict[str, Any]) -> Round:
    return Round(**fields | {"layer_scores": tuple(fields["layer_scores"])})
