"""A Ray of our own listens on every interface of the machine (Ray 2.60): it is closed to whoever lacks its token."""

from __future__ import annotations

import os
import secrets
import sys


def close_to_others() -> None:
    """Give the Ray that this process is about to start a token that nobody else has.

    Ray reads it once, when it is imported: where that has happened, or where RAY_AUTH_MODE says what is wanted, nothing
    is changed.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
