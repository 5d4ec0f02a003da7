"""Downloads one archive by package name from the registry that pip is configured with."""

import ast
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
from requests.adapters import HTTPAdapter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from tools.fetch.errors import FetchError
from tools.fetch.pins import Pin

CONNECT_AND_READ_TIMEOUT_S = (15.0, 60.0)
DOWNLOAD_DEADLINE_S = 900.0
PIP_TIMEOUT_S = 30.0
CONNECT_RETRIES = 3
_TRY_AGAIN = "Check the network and how pip is configured (`pip config list`), then run it again."


def download(pin: Pin, target: Path) -> None:
    """Writes the archive of `pin` to `target`, which is left there only if size and SHA-256 hold.

    Raises `FetchError`. Its text names no address: an index URL may carry a password.
    """
    try:
        with PyPISimple(_index_url(), session=_session()) as client:
            page = client.get_project_page(pin.package, timeout=CONNECT_AND_READ_TIMEOUT_S)
            found = [package for package in page.packages if package.filename == pin.file]
            if not found:
                raise FetchError(
                    pin.name,
                    "looking it up",
                    f"the registry's page of {pin.package} does not list {pin.file}",
                    "Use a registry that mirrors it, or pin another release.",
                )
            client.download_package(
                found[0],
                target,
                verify=False,  # against what the registry says; the pin below is what counts
                progress=_progress(pin),
                timeout=CONNECT_AND_READ_TIMEOUT_S,
            )
    except NoSuchProjectError:
        raise FetchError(
            pin.name,
            "looking it up",
            f"the registry has no package {pin.package}",
            "Use a registry that mirrors it (`pip config list` tells which one is configured).",
        ) from None
    except requests.RequestException as error:
        reason = _without_address(error)
        raise FetchError(pin.name, "downloading", reason, _TRY_AGAIN) from None
    try:
        _check(pin, target)
    except FetchError:
        target.unlink()
        raise


def _check(pin: Pin, archive: Path) -> None:
    size_bytes = archive.stat().st_size
    if size_bytes != pin.size_bytes:
        raise FetchError(
            pin.name,
            "downloading",
            f"{pin.file} came with {size_bytes} bytes instead of {pin.size_bytes}",
            _TRY_AGAIN,
        )
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != pin.sha256:
        raise FetchError(
            pin.name,
            "checking the archive",
            f"SHA-256 of {pin.file} is {digest}, pinned is {pin.sha256}",
            "Do not use it: the registry serves another file under this name.",
        )


def _pip_setting(name: str) -> str | None:
    """One of pip's settings: the environment first, then its configuration files, as pip does."""
    from_environment = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if from_environment:
        return from_environment
    # Not `pip config get`: it looks into the user's file, not into the machine's.
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_S,
        check=False,
    )
    for line in answer.stdout.splitlines():
        key, _, value = line.partition("=")
        if key == f"global.{name}":
            return str(ast.literal_eval(value)) or None
    return None


def _index_url() -> str:
    return _pip_setting("index-url") or PYPI_SIMPLE_ENDPOINT


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=CONNECT_RETRIES))
    # requests reads REQUESTS_CA_BUNDLE by itself, and that one wins; pip's choice comes second.
    certificates = _pip_setting("cert")
    if certificates:
        session.verify = certificates
    return session


def _without_address(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the registry answered {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "the registry's certificate could not be verified"
    if isinstance(error, requests.Timeout):
        return "the registry did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended before the whole file had arrived"
    if isinstance(error, requests.ConnectionError):
        return "the registry could not be reached"
    return type(error).__name__


class _BoundedDownload:
    """A progress bar that ends a download which grows past its pinned size or takes too long."""

    def __init__(self, pin: Pin) -> None:
        self._pin = pin
        self._received_bytes = 0
        self._deadline = time.monotonic() + DOWNLOAD_DEADLINE_S
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            transient=True,
        )
        self._task = self._bar.add_task(pin.file, total=pin.size_bytes)

    def __enter__(self) -> "_BoundedDownload":
        self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, increment: int) -> None:
        self._received_bytes += increment
        self._bar.update(self._task, advance=increment)
        if self._received_bytes > self._pin.size_bytes:
            raise FetchError(
                self._pin.name,
                "downloading",
                f"{self._pin.file} is longer than the pinned {self._pin.size_bytes} bytes",
                "Do not use it: the registry serves another file under this name.",
            )
        if time.monotonic() > self._deadline:
            raise FetchError(
                self._pin.name,
                "downloading",
                f"not finished after {DOWNLOAD_DEADLINE_S:.0f} s",
                _TRY_AGAIN,
            )


def _progress(pin: Pin) -> Callable[[int | None], _BoundedDownload]:
    return lambda _announced_bytes: _BoundedDownload(pin)
