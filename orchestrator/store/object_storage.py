"""Object stores: how an address becomes a filesystem, and how long one that does not answer is waited for.

Credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine's role),
never from the address: addresses stand in plans, in messages and in shell histories. A store that has answered before
and fails now is having a bad time: it is asked again for `PATIENCE_SECONDS`. One that never answered probably has a
wrong address: `FIRST_PATIENCE_SECONDS`. What asking again cannot mend (no such bucket, no permission) is said at once.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow.fs as pafs

from orchestrator.errors import BadInput, did_you_mean

PATIENCE_SECONDS = 180.0
FIRST_PATIENCE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 15.0
CONNECT_SECONDS = 3.0
STALL_SECONDS = 10.0
"""A request that passes no byte for so long is given up."""
TRIES_OF_A_REQUEST = 3
"""By the client library, within one operation: what readers that hold the filesystem itself get."""

S3_OPTIONS = ("endpoint_override", "region", "scheme")
"""What may stand after the `?` of an address."""
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

_REFUSED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE|SIGNATURE_DOES_NOT_MATCH|EXPIRED_TOKEN"
    r"|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|HTTP status 40[13]"
)
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|HTTP status 404|Bucket '[^']*' not found")

T = TypeVar("T")


class StoreUnreachable(BadInput):
    """The object store did not answer for as long as it was waited for. What is committed there stays."""


def connect(address: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of an object store and the store's path in it. Raises BadInput for an address that is wrong."""
    refuse_credentials(address)
    parts = urlsplit(address)
    if parts.scheme == "s3":
        return _connect_s3(address)
    try:
        filesystem, path = pafs.FileSystem.from_uri(address)
    except (ValueError, OSError) as error:
        raise BadInput(f"{address} is no address of a store: {error}; expected a folder, s3:// or gs://") from None
    return filesystem, path


def refuse_credentials(address: str) -> None:
    """Raise BadInput for an address that holds any."""
    parts = urlsplit(address)
    if "@" in parts.netloc and parts.netloc.split("@")[0] != "anonymous":
        raise BadInput(
            f"{parts.scheme}://...@{parts.netloc.rsplit('@', 1)[1]}{parts.path}: an address may not hold credentials, "
            "which would be written into plans and messages: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def _connect_s3(address: str) -> tuple[pafs.FileSystem, str]:
    parts = urlsplit(address)
    if not parts.netloc:
        raise BadInput(f"{address} names no bucket: expected s3://bucket/path")
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    for name in options:
        if name not in S3_OPTIONS:
            hint = did_you_mean(name, S3_OPTIONS)
            raise BadInput(f"{parts.scheme}://{parts.netloc}{parts.path}?{name}=...: no such option, {hint}")
    endpoint = options.get("endpoint_override") or _first_set(ENDPOINT_VARIABLES)
    scheme = options.get("scheme", "https")
    if endpoint and "://" in endpoint:
        scheme, endpoint = endpoint.rstrip("/").split("://", 1)
    region = options.get("region") or _first_set(REGION_VARIABLES)
    if region is None and endpoint is None:
        region = _region_of(parts.netloc, address)
    filesystem = pafs.S3FileSystem(
        endpoint_override=endpoint,
        scheme=scheme,
        region=region,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=STALL_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=TRIES_OF_A_REQUEST),
        allow_delayed_open=True,  # a small file is a single PUT
        # Not the default's matter of speed: without it, closing after a part that failed publishes the parts that did
        # not (pyarrow 26), a file cut short under its final name.
        background_writes=True,
    )
    return filesystem, f"{parts.netloc}{unquote(parts.path)}".rstrip("/")


def _region_of(bucket: str, address: str) -> str:
    try:
        return str(pafs.resolve_s3_region(bucket))
    except OSError as error:
        raise explained(error, address) or StoreUnreachable(f"{address} does not answer: {_reason(error)}") from None


def _first_set(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


class Waiting:
    """Does an operation on an object store again while the store is away, for a bounded time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.has_answered = False

    def __call__(self, operation: Callable[[], T]) -> T:
        """The operation's result. Raises FileNotFoundError as it comes, BadInput for a refusal, StoreUnreachable."""
        give_up_at = None
        pause = 0.5
        while True:
            try:
                result = operation()
            except FileNotFoundError:
                self.has_answered = True
                raise
            except OSError as error:
                refusal = explained(error, self._address)
                if refusal is not None:
                    raise refusal from None
                patience = PATIENCE_SECONDS if self.has_answered else FIRST_PATIENCE_SECONDS
                give_up_at = give_up_at or time.monotonic() + patience
                if time.monotonic() + pause > give_up_at:
                    raise StoreUnreachable(
                        f"{self._address} does not answer: {_reason(error)}. What is committed there stays; the same "
                        "command goes on from it. If the address is new, check it and AWS_ENDPOINT_URL"
                    ) from None
            else:
                self.has_answered = True
                return result
            # SystemRandom: a trial's generators are none of ours; jitter, so that workers do not come back all at once
            time.sleep(pause * random.SystemRandom().uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def explained(error: OSError, address: str) -> BadInput | None:
    """What to tell the user of an error that asking again cannot mend; None for any other."""
    text = str(error)
    if _NO_BUCKET.search(text):
        return BadInput(f"{address}: there is no such bucket; create it first, prunesweep does not")
    if _REFUSED.search(text):
        return BadInput(
            f"{address}: access was refused. Credentials come from the environment: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role; they must allow to list the bucket and to "
            "read, write and delete its objects"
        )
    return None


def _reason(error: OSError) -> str:
    """The cause without the client library's detail: "NETWORK_CONNECTION during HeadObject operation"."""
    found = re.search(r"AWS Error (.*?operation)", str(error))
    return found[1] if found else str(error)
