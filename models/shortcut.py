"""A shortcut that passes its input on, as a module, so that others can see it."""

from __future__ import annotations

from torch import nn


class IdentityShortcut(nn.Identity):
    """The identity past a residual branch. Without parameters; a pruner may close channels of it."""

    def __init__(self, residual_channels: int) -> None:
        super().__init__()
        self.residual_channels = residual_channels
        """Channels that it passes on: by this attribute a shortcut is known as one."""
