"""Word vectors: files read or refused, and vectors made from texts (for torchtext's own answers see test_torchtext)."""

import numpy as np
import pytest
import torch

from course_utils.text import PAD, UNKNOWN, EncodedTexts, Vocabulary, load_vectors, ppmi_vectors, vectors_for


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
        (b"", "holds no vectors"),
        (b"400000 100\n", "holds no vectors"),
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


def test_ppmi_puts_words_of_like_company_together():
    rng = np.random.default_rng(0)
    # ids 2 and 3 stand only beside 6 to 8, ids 4 and 5 only beside 9 to 11
    groups = ((2, 3), range(6, 9)), ((4, 5), range(9, 12))
    texts = []
    for _ in range(400):
        words, company = groups[rng.integers(2)]
        texts.append(np.array([rng.choice(list(company)), rng.choice(words), rng.choice(list(company))]))
    vectors = ppmi_vectors(EncodedTexts(tuple(texts), np.zeros(len(texts), np.int64)), vocab_size=12, size=2)
    assert vectors.shape == (12, 2) and vectors.dtype == torch.float32
    near = torch.nn.functional.cosine_similarity(vectors[2], vectors[3], dim=0)
    far = torch.nn.functional.cosine_similarity(vectors[2], vectors[4], dim=0)
    assert near > 0.9 and far < 0.5
    assert vectors[:2].abs().max() < 1e-3
