"""tools.fetch against a package index on this machine: what is not as pinned is refused."""

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pytest

from tools.fetch import registry
from tools.fetch.errors import FetchError
from tools.fetch.install import install, is_installed
from tools.fetch.pins import Member, Pin, read_pins
from tools.pico.description import CLONE, describe_board

CONTENT = b"print('a pinned part')\n" * 40
PACKAGE = "some-part"
INNER_PATH = "some-part-1.0/part.py"


@dataclass
class Index:
    """A package index that serves files as told: `announced` overrides the Content-Length."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def index(monkeypatch) -> Iterator[Index]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            if self.path == f"/simple/{PACKAGE}/":
                links = "".join(f'<a href="/files/{file}">{file}</a>' for file in served.files)
                self._answer(200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
            elif self.path.startswith("/files/") and name in served.files:
                self._answer(200, served.files[name], served.announced.get(name))
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes, announced: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client hung up on a body too long
                self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Index(f"http://user:hunter2@127.0.0.1:{server.server_port}/simple/")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def tar_gz() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        header = tarfile.TarInfo(INNER_PATH)
        header.size = len(CONTENT)
        archive.addfile(header, io.BytesIO(CONTENT))
    return packed.getvalue()


def wheel() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(INNER_PATH, CONTENT)
    return packed.getvalue()


def pin_of(archive: bytes, file: str) -> Pin:
    member = Member(
        path=INNER_PATH,
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        destination=PurePosixPath("lib/part.py"),
    )
    return Pin(
        name="part",
        package=PACKAGE,
        version="1.0",
        file=file,
        size_bytes=len(archive),
        sha256=hashlib.sha256(archive).hexdigest(),
        members=(member,),
    )


@pytest.fixture
def source(index) -> Pin:
    """A pin that the index serves as pinned."""
    archive = tar_gz()
    index.files["some-part-1.0.tar.gz"] = archive
    return pin_of(archive, "some-part-1.0.tar.gz")


def assert_refused(pin: Pin, root: Path, *words: str) -> None:
    with pytest.raises(FetchError) as told:
        install(pin, root)
    for word in ("part", *words):
        assert word in str(told.value)
    assert "hunter2" not in str(told.value)
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("pack", "file"), [(tar_gz, "some-part-1.0.tar.gz"), (wheel, "some_part-1.0-py3-none-any.whl")]
)
def test_the_pinned_file_is_put_in_its_place(index, tmp_path, pack, file):
    index.files[file] = pack()
    pin = pin_of(index.files[file], file)
    assert not is_installed(pin, tmp_path)
    install(pin, tmp_path)
    assert (tmp_path / "lib" / "part.py").read_bytes() == CONTENT
    assert is_installed(pin, tmp_path)
    assert [path.name for path in (tmp_path / "lib").iterdir()] == ["part.py"]


def test_a_changed_file_is_replaced(source, tmp_path):
    install(source, tmp_path)
    (tmp_path / "lib" / "part.py").write_bytes(CONTENT.replace(b"a", b"b"))
    assert not is_installed(source, tmp_path)
    install(source, tmp_path)
    assert is_installed(source, tmp_path)


def test_another_archive_under_the_name_is_refused_with_both_digests(index, source, tmp_path):
    changed = bytearray(index.files[source.file])
    changed[-1] ^= 1
    index.files[source.file] = bytes(changed)
    digest = hashlib.sha256(changed).hexdigest()
    assert_refused(source, tmp_path, "SHA-256", digest, source.sha256)


def test_another_file_inside_the_archive_is_refused_with_both_digests(source, tmp_path):
    other = hashlib.sha256(b"other").hexdigest()
    member = replace(source.members[0], sha256=other)
    pin = replace(source, members=(member,))
    assert_refused(pin, tmp_path, other, source.members[0].sha256)


def test_nothing_is_written_when_one_of_two_files_is_wrong(source, tmp_path):
    wrong = replace(source.members[0], path="some-part-1.0/missing.py")
    pin = replace(source, members=(source.members[0], wrong))
    assert_refused(pin, tmp_path, "missing.py")


def test_a_file_in_the_place_of_a_folder_is_told(source, tmp_path):
    (tmp_path / "lib").write_text("mine")
    with pytest.raises(FetchError, match=r"writing: .*lib: .*\n.*Move away what is in its place"):
        install(source, tmp_path)
    assert (tmp_path / "lib").read_text() == "mine"


def test_a_download_that_is_cut_is_refused(index, source, tmp_path):
    whole = index.files[source.file]
    index.files[source.file] = whole[:-100]
    index.announced[source.file] = len(whole)
    assert_refused(source, tmp_path, "before the whole file")


def test_a_shorter_archive_is_refused(index, source, tmp_path):
    whole = index.files[source.file]
    index.files[source.file] = whole[:-100]
    assert_refused(source, tmp_path, f"{len(whole) - 100} bytes instead of {len(whole)}")


def test_a_longer_archive_is_refused_before_it_has_come(index, source, tmp_path):
    index.files[source.file] += bytes(1_000_000)
    assert_refused(source, tmp_path, "longer than the pinned")


def test_a_download_that_takes_too_long_is_ended(source, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "DOWNLOAD_DEADLINE_S", -1.0)
    assert_refused(source, tmp_path, "not finished")


def test_a_package_that_is_not_there_is_told(source, tmp_path):
    assert_refused(replace(source, package="no-such-part"), tmp_path, "no package no-such-part")


def test_a_release_that_is_not_there_is_told(source, tmp_path):
    assert_refused(replace(source, file="some-part-2.0.tar.gz"), tmp_path, "some-part-2.0.tar.gz")


def test_no_network_is_told(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hunter2@127.0.0.1:9/simple/")
    assert_refused(source, tmp_path, "could not be reached", "Check the network")


@pytest.mark.parametrize(
    ("line", "field_name"),
    [
        ('sha256 = "00"', "sha256"),
        ("size_bytes = 0", "size_bytes"),
        ("size_bytes = 99999999999", "size_bytes"),
        ('file = ""', "file"),
        ('destination = "../outside.py"', "destination"),
        ('destination = "/outside.py"', "destination"),
    ],
)
def test_a_wrong_pin_is_told_by_its_field(tmp_path, line, field_name):
    digest = "a" * 64
    good = {
        "package": 'package = "p"',
        "version": 'version = "1"',
        "file": 'file = "f"',
        "size_bytes": "size_bytes = 1",
        "sha256": f'sha256 = "{digest}"',
    }
    inner = {
        "path": 'path = "p"',
        "size_bytes": "size_bytes = 1",
        "sha256": f'sha256 = "{digest}"',
        "destination": 'destination = "d"',
    }
    (good if field_name in good else inner)[field_name] = line
    pins = tmp_path / "pins.toml"
    text = ["[part]", *good.values(), "[[part.members]]", *inner.values()]
    pins.write_text("\n".join(text))
    with pytest.raises(FetchError, match=field_name):
        read_pins(pins)


def test_the_index_is_found_where_the_whole_machine_is_configured(
    index, source, tmp_path, monkeypatch
):
    for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    machine_wide = tmp_path / "pip" / "pip.conf"
    machine_wide.parent.mkdir()
    machine_wide.write_text(f"[global]\nindex-url = {index.url}\n")
    install(source, tmp_path)
    assert is_installed(source, tmp_path)


def test_the_pins_of_this_clone_are_well_formed_and_agree_with_the_board():
    pins = read_pins()
    board = describe_board()
    (image,) = pins[board.image_part].members
    assert CLONE / image.destination == board.image_path
    assert image.sha256 == board.image_sha256
    (umqtt,) = pins["umqtt"].members
    assert str(umqtt.destination) == "firmware/lib/umqtt/simple.py"
