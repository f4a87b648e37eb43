"""Word vectors: files read or refused, and vectors made from texts (for torchtext's own answers see test_torchtext)."""

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from course_utils import text
from course_utils.batching import TokenDataset
from course_utils.text import PAD, UNKNOWN, Vocabulary, load_vectors, ppmi_vectors, vectors_for


def written(folder, content: bytes):
    path = folder / "vectors.txt"
    path.write_bytes(content)
    return path


def test_words_and_numbers_are_read(tmp_path):
    words, vectors = load_vectors(written(tmp_path, b"2 3\nthe 0.5 -1 2e1\na\xc2\x85b 1 2 3\n"))
    assert words == ["the", "a\x85b"]
    torch.testing.assert_close(vectors, torch.tensor([[0.5, -1, 20], [1, 2, 3]]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There are no vectors in vectors.txt"),
        (b"400000 100\n", "There are no vectors in vectors.txt"),
        (b"a 1 2 3\nb 1 2\n", r"line 2 \(word b'b'\): 2 numbers, where 3 are expected"),
        (b"a 1 2 3\nb 1 2 3 4\n", "line 2 .* 4 numbers, where 3"),
        (b"a 1 2 3\n\nb 1 2 3\n", "line 2 .* 0 numbers"),
        (b"a 1 2 3\nb 7\n", "line 2 .* 1 numbers"),  # torchtext leaves such a line out
        (b"a 1 2 3\nb 1 two 3\n", "line 2 .*'two'"),
        (b"a 1  2 3\n", "line 1 .*could not convert"),
        (b"a\n", r"line 1 \(word b'a'\): 0 numbers, where some"),
        (b"PK\x03\x04 zip, not text \x00\xff\n", "line 1"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        load_vectors(written(tmp_path, content))


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"glove_file\(\)"):
        load_vectors(tmp_path / "glove.6B.100d.txt")


def test_each_token_gets_its_last_vector_or_zeros():
    vocabulary = Vocabulary((PAD, UNKNOWN, "cat", "dog", "the"))
    vectors = torch.tensor([[1.0, 1], [2, 2], [3, 3]])
    found = vectors_for(vocabulary, ["the", "cat", "the"], vectors)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0], [0, 0], [2, 2], [0, 0], [3, 3]]))


def test_ppmi_puts_words_in_similar_company_together():
    rng = np.random.default_rng(0)
    # ids 2 and 3 stand only beside 6 to 8, ids 4 and 5 only beside 9 to 11
    groups = ((2, 3), range(6, 9)), ((4, 5), range(9, 12))
    texts = []
    for _ in range(400):
        words, company = groups[rng.integers(2)]
        texts.append(np.array([rng.choice(list(company)), rng.choice(words), rng.choice(list(company))]))
    vectors = ppmi_vectors(TokenDataset(tuple(texts)), vocab_size=12, size=2)
    assert vectors.shape == (12, 2) and vectors.dtype == torch.float32
    near = torch.nn.functional.cosine_similarity(vectors[2], vectors[3], dim=0)
    far = torch.nn.functional.cosine_similarity(vectors[2], vectors[4], dim=0)
    assert near > 0.9 and far < 0.5
    assert vectors[:2].abs().max() < 1e-3


def naive_ppmi_gram(texts, vocab_size, window):
    """Return PPMI-based similarities U S U^T of all words by loops and a full decomposition."""
    counts = np.zeros((vocab_size, vocab_size))
    for ids in texts:
        for i, word in enumerate(ids):
            for j in range(max(0, i - window), min(len(ids), i + window + 1)):
                if i != j and word > 1 and ids[j] > 1:
                    counts[word, ids[j]] += 1
    smoothed = counts.sum(0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = counts / counts.sum()
        alone = (counts.sum(1) / counts.sum())[:, None] * (smoothed / smoothed.sum())
        ppmi = np.nan_to_num(np.maximum(np.log(joint / alone), 0), posinf=0)
    u, s, _ = np.linalg.svd(ppmi)
    return (u * s) @ u.T


def test_ppmi_vectors_equal_a_naive_dense_computation():
    rng = np.random.default_rng(0)
    texts = tuple(rng.integers(0, 9, size=rng.integers(1, 12)).astype(np.int64) for _ in range(60))
    vectors = ppmi_vectors(TokenDataset(texts), vocab_size=9, size=9, window=3).numpy()
    ours, naive = vectors @ vectors.T, naive_ppmi_gram(texts, 9, 3)
    np.testing.assert_allclose(ours / np.trace(ours), naive / np.trace(naive), atol=2e-5)
    assert vectors[2:].std() == pytest.approx(0.3, rel=1e-3)


# --- GloVe, from a hub that is not there

GLOVE = b"the 0.1 0.2 0.3\ncat 1 2 3\n"


@pytest.fixture
def asked(monkeypatch):
    """Stands in for the hub: notes what it is asked for, and puts an archive into the folder."""
    asked: list = []

    def fetch(repository, kind, *, patterns, instead, keep):
        asked.append((repository, patterns))
        assert "text.ppmi_vectors" in instead
        files = keep / "glove@main" / kind / "files"
        files.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(files / patterns[0], "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("glove.6B.50d.txt", b"other")
            zipped.writestr("glove.6B.100d.txt", GLOVE)
        return files

    monkeypatch.setattr(text.hub, "fetch", fetch)
    monkeypatch.setattr(text, "GLOVE_SHA256", hashlib.sha256(GLOVE).hexdigest())
    return asked


def test_glove_is_fetched_once_unpacked_and_checked(tmp_path, asked):
    folder = tmp_path / "new"
    for _ in range(2):
        assert load_vectors(text.glove_file(folder))[0] == ["the", "cat"]
    assert asked == [("stanfordnlp/glove", ("glove.6B.zip",))]
    assert {file.name for file in folder.iterdir()} - {"glove.6B.100d.txt.lock"} == {"glove.6B.100d.txt"}  # no archive


def test_two_kernels_that_want_glove_at_once_fetch_it_once(tmp_path, asked):
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(text.glove_file, [tmp_path] * 4))
    assert len(asked) == 1 and len(set(paths)) == 1 and paths[0].read_bytes() == GLOVE


def test_half_unpacked_vectors_are_never_used(tmp_path, asked, monkeypatch):
    def fail(source, target, length=0):
        target.write(source.read(5))
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("shutil.copyfileobj", fail)
        text.glove_file(tmp_path)
    assert not (tmp_path / "glove.6B.100d.txt").exists()
    assert load_vectors(text.glove_file(tmp_path))[0] == ["the", "cat"]


def test_vectors_that_are_not_the_published_ones_are_refused(tmp_path, asked):
    (tmp_path / "glove.6B.100d.txt").write_bytes(GLOVE[:-1])
    with pytest.raises(ValueError, match=r"damaged or altered.*Delete .*glove.6B.100d.txt and run this again"):
        text.glove_file(tmp_path)
