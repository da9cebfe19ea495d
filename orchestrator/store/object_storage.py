"""Object stores: how an address becomes a filesystem, and how long one that does not answer is waited for.

Credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine's role; for
Google's application default credentials), never from the address: addresses stand in plans, in messages and in shell
histories. A store that has answered before and fails now is having a bad time: it is asked again for
`PATIENCE_SECONDS`. One that never answered probably has a wrong address: `FIRST_PATIENCE_SECONDS`. What asking again
cannot mend (no such bucket, no permission) is said at once.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from datetime import timedelta
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
SECONDS_OF_A_REQUEST = 5
"""The same for Google's, which counts seconds."""

OPTIONS = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme")}
"""What may stand after the `?` of an address."""
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the machine's service account",
}
ANONYMOUS = "anonymous"
"""`gs://anonymous@bucket/path`: without credentials, for a public bucket or an emulator."""
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

_REFUSED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE|SIGNATURE_DOES_NOT_MATCH|EXPIRED_TOKEN"
    r"|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|HTTP status 40[13]|PERMISSION_DENIED|UNAUTHENTICATED"
)
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|HTTP status 404|Bucket '[^']*' not found")

_GONE = re.compile(r"^No such directory|^Cannot move source .* does not exist|NO_SUCH_KEY during CopyObject")
"""How Arrow says it of Google's storage, and of a move in S3, and not as a FileNotFoundError."""

T = TypeVar("T")


class StoreUnreachable(BadInput):
    """The object store did not answer for as long as it was waited for. What is committed there stays."""


def connect(address: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of an object store and the store's path in it. Raises BadInput for an address that is wrong."""
    refuse_credentials(address)
    parts = urlsplit(address)
    if parts.scheme in OPTIONS:
        bucket = parts.netloc.rpartition("@")[2]
        if not bucket:
            raise BadInput(f"{address} names no bucket: expected {parts.scheme}://bucket/path")
        options = _options(address)
        filesystem = _s3(address, bucket, options) if parts.scheme == "s3" else _google(address, options)
        return filesystem, f"{bucket}{unquote(parts.path)}".rstrip("/")
    try:
        filesystem, path = pafs.FileSystem.from_uri(address)
    except (ValueError, OSError) as error:
        raise BadInput(f"{address} is no address of a store: {error}; expected a folder, s3:// or gs://") from None
    return filesystem, path


def refuse_credentials(address: str) -> None:
    """Raise BadInput for an address that holds any."""
    parts = urlsplit(address)
    if "@" in parts.netloc and (parts.scheme == "s3" or parts.netloc.split("@")[0] != ANONYMOUS):
        raise BadInput(
            f"{parts.scheme}://...@{parts.netloc.rsplit('@', 1)[1]}{parts.path}: an address may not hold credentials, "
            f"which would be written into plans and messages: expected {_credentials(address)}"
        )


def _options(address: str) -> dict[str, str]:
    parts = urlsplit(address)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    for name in options:
        if name not in OPTIONS[parts.scheme]:
            hint = did_you_mean(name, OPTIONS[parts.scheme])
            raise BadInput(f"{parts.scheme}://{parts.netloc}{parts.path}?{name}=...: no such option, {hint}")
    return options


def _google(address: str, options: dict[str, str]) -> pafs.FileSystem:
    scheme, endpoint = _endpoint(options, options.get("endpoint_override"))
    return pafs.GcsFileSystem(
        anonymous=urlsplit(address).netloc.startswith(f"{ANONYMOUS}@"),
        endpoint_override=endpoint,
        scheme=scheme,
        retry_time_limit=timedelta(seconds=SECONDS_OF_A_REQUEST),  # a quarter of an hour if nobody says
    )


def _endpoint(options: dict[str, str], endpoint: str | None) -> tuple[str, str | None]:
    """(scheme, host and port); the scheme may stand before an endpoint."""
    if endpoint and "://" in endpoint:
        scheme, endpoint = endpoint.rstrip("/").split("://", 1)
        return scheme, endpoint
    return options.get("scheme", "https"), endpoint


def _s3(address: str, bucket: str, options: dict[str, str]) -> pafs.FileSystem:
    scheme, endpoint = _endpoint(options, options.get("endpoint_override") or _first_set(ENDPOINT_VARIABLES))
    region = options.get("region") or _first_set(REGION_VARIABLES)
    if region is None and endpoint is None:
        region = _region_of(bucket, address)
    return pafs.S3FileSystem(
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
                if _GONE.search(str(error)):
                    self.has_answered = True
                    raise FileNotFoundError(str(error)) from None
                refusal = explained(error, self._address)
                if refusal is not None:
                    raise refusal from None
                patience = PATIENCE_SECONDS if self.has_answered else FIRST_PATIENCE_SECONDS
                give_up_at = give_up_at or time.monotonic() + patience
                if time.monotonic() + pause > give_up_at:
                    raise StoreUnreachable(
                        f"{self._address} does not answer: {_reason(error)}. What is committed there stays; the same "
                        f"command goes on from it. If the address is new, check it {_endpoint_hint(self._address)}"
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
            f"{address}: access was refused. Credentials come from the environment: {_credentials(address)}; they must "
            "allow to list the bucket and to read, write and delete its objects"
        )
    return None


def _credentials(address: str) -> str:
    return CREDENTIALS.get(urlsplit(address).scheme, CREDENTIALS["s3"])


def _endpoint_hint(address: str) -> str:
    return (
        "and AWS_ENDPOINT_URL" if urlsplit(address).scheme == "s3" else f"and the credentials: {_credentials(address)}"
    )


def _reason(error: OSError) -> str:
    """The cause without the client library's detail: "NETWORK_CONNECTION during HeadObject operation"."""
    found = re.search(r"AWS Error (.*?operation)|with a last message of (.*?)(?: error_info|\. The |$)", str(error))
    return (found[1] or found[2]) if found else str(error)
