"""Downloads against a server on this machine that breaks off, lies, has no ranges, or sends another file."""

import hashlib
import io
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from course_utils import text
from course_utils.text import load_vectors

CONTENT = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; `server.ends` holds how many bytes each reply sends before it breaks off."""

    def do_GET(self):
        server, start = self.server, 0
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = start + server.ends.pop(0) if server.ends else len(server.content)
        self.wfile.write(server.content[start:end])

    def log_message(self, *_):
        pass


@contextmanager
def serving(content=CONTENT, *, ends=(), ranges=True):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.ends, server.ranges, server.asked = content, list(ends), ranges, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/file"
        yield server
        server.shutdown()


def test_a_file_is_fetched_once(tmp_path):
    target = tmp_path / "new" / "file"
    with serving() as server:
        for _ in range(2):
            assert download.fetch(server.url, target, sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == [None]
    assert list(target.parent.iterdir()) == [target]


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path):
    target = tmp_path / "file"
    with serving(ends=[1_500_000, 2_000_000]) as server:
        download.fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1500000-", "bytes=3500000-"]


def test_what_arrived_is_kept_for_the_next_call_and_never_used(tmp_path):
    target = tmp_path / "file"
    with serving(ends=[1_000_000]) as server:
        with pytest.raises(ConnectionError, match=r"1,000,000 of 5,120,000 bytes\. What has arrived is kept"):
            download.fetch(server.url, target, sha256=SHA256, attempts=1)
        assert not target.exists()
        download.fetch(server.url, target, sha256=SHA256)
    assert server.asked == [None, "bytes=1000000-"] and target.read_bytes() == CONTENT


def test_the_stop_button_keeps_what_arrived(tmp_path, monkeypatch):
    target = tmp_path / "file"

    class Stop:
        def __init__(self, *_, **__):
            self.blocks = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, _):
            self.blocks += 1
            if self.blocks == 2:
                raise KeyboardInterrupt

    with serving() as server:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("tqdm.auto.tqdm", Stop)
            download.fetch(server.url, target, sha256=SHA256)
        assert not target.exists()
        download.fetch(server.url, target, sha256=SHA256)
    assert server.asked == [None, "bytes=2097152-"] and target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(tmp_path):
    target = tmp_path / "file"
    with serving(ends=[1_000_000], ranges=False) as server:
        download.fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT and len(server.asked) == 2


def test_a_part_that_is_complete_is_only_checked(tmp_path):
    target = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(CONTENT)
    with serving() as server:
        download.fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(tmp_path):
    target = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    with serving() as server:
        download.fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT and server.asked == ["bytes=5120004-", None]


def test_another_file_than_the_published_one_is_never_kept(tmp_path):
    target = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(b"rubbish of an earlier day")
    with serving() as server:
        with pytest.raises(ValueError, match="is not the published file: expected SHA-256"):
            download.fetch(server.url, target, sha256=SHA256)
        assert not list(tmp_path.iterdir())
        download.fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_file_that_was_damaged_later_is_refused(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match="damaged or altered"):
        download.fetch("http://127.0.0.1:9/nobody", target, sha256=SHA256)


def test_without_a_network_one_sentence_says_so(tmp_path):
    with pytest.raises(ConnectionError, match=r"Could not fetch http://127\.0\.0\.1:9/file"):
        download.fetch("http://127.0.0.1:9/file", tmp_path / "file", sha256=SHA256)


@pytest.fixture
def archive(monkeypatch):
    vectors = b"the 0.1 0.2 0.3\ncat 1 2 3\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("glove.6B.50d.txt", b"other")
        zipped.writestr("glove.6B.100d.txt", vectors)
    monkeypatch.setattr(download, "GLOVE_ZIP_SHA256", hashlib.sha256(packed.getvalue()).hexdigest())
    monkeypatch.setattr(download, "GLOVE_SHA256", hashlib.sha256(vectors).hexdigest())
    return packed.getvalue()


def test_glove_is_fetched_unpacked_checked_and_read(tmp_path, monkeypatch, archive):
    with serving(archive, ends=[50]) as server:
        monkeypatch.setattr(download, "GLOVE_URL", server.url)
        path = text.glove_file(tmp_path)
        assert text.glove_file(tmp_path) == path
    assert len(server.asked) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["glove.6B.100d.txt"]
    assert load_vectors(path)[0] == ["the", "cat"]


def test_half_unpacked_vectors_are_never_used(tmp_path, monkeypatch, archive):
    with serving(archive) as server:
        monkeypatch.setattr(download, "GLOVE_URL", server.url)
        with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
            patch.setattr("shutil.copyfileobj", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            text.glove_file(tmp_path)
        assert not (tmp_path / "glove.6B.100d.txt").exists()
        assert load_vectors(text.glove_file(tmp_path))[0] == ["the", "cat"]
    assert len(server.asked) == 1
