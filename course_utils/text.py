"""From text to token ids: tokenising, vocabulary, word vectors."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from . import hub
from .batching import TokenDataset
from .data import Reviews
from .files import made_once, verify_file, write_aside

PAD, UNKNOWN = "<pad>", "<unk>"
PAIR = "\x1f"  # between the halves of a pair of texts: ASCII's unit separator
UNKNOWN_ID = 1  # padding has 0
_DROP = re.compile(r'"')
_BREAK = re.compile(r"<br />|[;:]")
_SPLIT = re.compile(r"([.,()!?'])")
_SURROGATE = re.compile("[\ud800-\udfff]")
GLOVE_NAME = "glove.6B.100d.txt"
GLOVE_SHA256 = "95dde4dfd627ab26608d33e76d1195ec059734bd29089ea52cadb08d07c64544"


def clean_text(text: str) -> str:
    """Return `text` with lone surrogates replaced by U+FFFD, so that every tokeniser accepts it.

    Raises:
        ValueError: `text` is not a string.
    """
    if not isinstance(text, str):
        raise ValueError(f"A text must be a string, not {type(text).__name__}. Convert it with str(value), or drop the row.")
    return _SURROGATE.sub("\ufffd", text)


def basic_english(text: str) -> list[str]:
    """Return lower-case words and punctuation marks, by the rules of torchtext's `basic_english`.

    Empty or blank text gives an empty list.
    """
    text = _DROP.sub("", clean_text(text).lower())
    return _SPLIT.sub(r" \1 ", _BREAK.sub(" ", text)).split()


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with ids 0..V-1; id 0 is padding, id 1 stands for every unknown token."""

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[:2] != (PAD, UNKNOWN):
            raise ValueError(f"A vocabulary starts with {PAD!r} and {UNKNOWN!r}; use Vocabulary.from_tokens(...).")
        object.__setattr__(self, "_ids", {token: i for i, token in enumerate(self.tokens)})

    @classmethod
    def from_tokens(cls, token_lists: Iterable[Sequence[str]], *, max_size: int = 20_000, min_count: int = 2) -> Vocabulary:
        """Return the `max_size` commonest tokens (ties in alphabetical order) that occur `min_count` times."""
        counts = Counter(token for tokens in token_lists for token in tokens)
        common = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
        return cls((PAD, UNKNOWN, *(t for t in common[: max(max_size - 2, 0)] if t not in (PAD, UNKNOWN))))

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids (int) of tokens; 1 for tokens that are not in the vocabulary."""
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        return [ids.get(token, UNKNOWN_ID) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the tokens of ids."""
        return [self.tokens[i] for i in ids]


def _texts_and_labels(texts: Reviews | Sequence[str], max_length: int, least: int) -> tuple[list[str], np.ndarray | None]:
    if max_length < least:
        raise ValueError(f"max_length must be {least} or more, not {max_length}.")
    if isinstance(texts, str):
        raise ValueError("Give a list of texts: [text] for a single one.")
    strings, labels = (texts.texts, texts.labels) if isinstance(texts, Reviews) else (texts, None)
    return [clean_text(text) for text in strings], labels


def encode_words(
    texts: Reviews | Sequence[str], vocabulary: Vocabulary, *, max_length: int, keep: str = "first"
) -> TokenDataset:
    """Return each text as the ids of its "first" or "last" `max_length` words; an empty text is one unknown token.

    Args:
        texts: reviews, whose labels come along, or a list of strings to predict.

    Raises:
        ValueError: `max_length` below 1, another `keep`, or something that is not a list of strings.
    """
    strings, labels = _texts_and_labels(texts, max_length, 1)
    if keep not in ("first", "last"):
        raise ValueError(f"keep must be 'first' or 'last', not {keep!r}.")
    kept = slice(max_length) if keep == "first" else slice(-max_length, None)
    ids = (vocabulary.encode(basic_english(text)[kept]) or [UNKNOWN_ID] for text in strings)
    return TokenDataset(tuple(np.array(i, dtype=np.int64) for i in ids), labels)


def encode_wordpieces(texts: Reviews | Sequence[str], tokenizer, *, max_length: int) -> TokenDataset:
    """Return each text as [CLS] WordPieces [SEP], truncated to `max_length`, by a Hugging Face tokenizer.

    Args:
        texts: reviews, whose labels come along, or a list of strings to predict. One with `PAIR` in it is a pair of texts,
            which the tokenizer joins in its own way; the longer half is truncated first.

    Raises:
        ValueError: `max_length` below 3, or something that is not a list of strings.
    """
    strings, labels = _texts_and_labels(texts, max_length, 3)
    halves = [tuple(half.split(PAIR, 1)) if PAIR in half else half for half in strings]
    encoded = tokenizer(halves, truncation=True, max_length=max_length, padding=False)["input_ids"] if strings else []
    return TokenDataset(tuple(np.array(ids, dtype=np.int64) for ids in encoded), labels)


def glove_file(folder: Path | None = None) -> Path:
    """Return the path of glove.6B.100d.txt, for `load_vectors`: 400,000 words with 100 numbers each.

    At first use 862 MB are fetched from the hub (an interrupted download goes on at the next call), of which 347 MB are
    kept in the cache folder. Needs a network once.
    Source: Pennington, Socher and Manning, 2014; trained on Wikipedia 2014 and Gigaword 5.

    Raises:
        ConnectionError: it could not be fetched; without a network use `ppmi_vectors`.
        ValueError: the file is not what was published.
    """
    import platformdirs

    folder = folder or platformdirs.user_cache_path("fine-tuning-course")
    target = folder / GLOVE_NAME

    def fetch() -> None:
        instead = "What has arrived is kept: run this again, or use text.ppmi_vectors, which needs no network."
        files = hub.fetch("stanfordnlp/glove", "vectors", patterns=("glove.6B.zip",), instead=instead, keep=folder)
        with zipfile.ZipFile(files / "glove.6B.zip") as zipped:
            unpacked = zipped.extract(GLOVE_NAME, files.parents[1])
        write_aside(target, partial(os.replace, unpacked))
        shutil.rmtree(files.parents[1])

    made_once(target, fetch)
    return verify_file(target, GLOVE_SHA256, f"Delete {target} and run this again.")


def load_vectors(path: str | Path) -> tuple[list[str], torch.Tensor]:
    """Return the words and float32 (V, D) vectors of a file in GloVe text format, as `torchtext.vocab.Vectors` does.

    A line is a word and D numbers with one space between; only a line feed ends it, so a word may contain any
    other character (GloVe has words with U+0085 and no-break spaces). A first line of two fields, "V D", is a
    header. Words that are not UTF-8 are left out; a word that occurs twice is kept twice.

    Raises:
        FileNotFoundError: no such file.
        ValueError: there are no vectors in the file, or a line has another width than the first or something that
            is not a number; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. text.glove_file() fetches glove.6B.100d.txt.")
    words: list[str] = []
    numbers, width = array("f"), 0
    with path.open("rb") as file:
        for line_number, line in enumerate(file, start=1):
            word, *fields = line.rstrip().split(b" ")
            if line_number == 1 and len(fields) == 1:
                continue
            try:
                row = [float(field) for field in fields]
                if len(row) != (width := width or len(row)) or not width:
                    raise ValueError(f"{len(row)} numbers, where {width or 'some'} are expected")
            except ValueError as error:
                raise ValueError(f"{path.name}, line {line_number} (word {word[:20]!r}): {error}.") from None
            try:
                words.append(word.decode("utf-8"))
            except UnicodeDecodeError:
                continue
            numbers.extend(row)
    if not words:
        raise ValueError(f"There are no vectors in {path.name}.")
    return words, torch.frombuffer(numbers, dtype=torch.float32).view(-1, width)


def vectors_for(vocabulary: Vocabulary, words: Sequence[str], vectors: torch.Tensor) -> torch.Tensor:
    """Return float32 (V, D): the vector of each token of a vocabulary, zeros for a token without one.

    Of a word that occurs twice in `words` the last vector is taken, as torchtext does.
    """
    row_of = {word: row for row, word in enumerate(words)}
    rows = torch.tensor([row_of.get(token, -1) for token in vocabulary.tokens])
    return vectors[rows] * (rows >= 0)[:, None]


def ppmi_vectors(encoded: TokenDataset, *, vocab_size: int, size: int = 64, window: int = 4, seed: int = 0) -> torch.Tensor:
    """Return word vectors float32 (V, D) made from the texts themselves.

    Counts neighbours within `window` words, keeps positive pointwise mutual information, and takes the
    first `size` singular vectors, each weighted by the square root of its singular value.
    Source: Levy, Goldberg and Dagan, 2015, sections 2.1 and 3.3 (context smoothing 0.75).
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    flat = np.concatenate([np.append(ids, [0] * window) for ids in encoded.input_ids])
    counts = sparse.csr_matrix((vocab_size, vocab_size), dtype=np.float32)
    for distance in range(1, window + 1):
        left, right = flat[:-distance], flat[distance:]
        keep = (left > 1) & (right > 1)
        ones = np.ones(keep.sum(), dtype=np.float32)
        counts += sparse.coo_matrix((ones, (left[keep], right[keep])), shape=counts.shape).tocsr()
    counts = (counts + counts.T).tocoo()
    words = np.asarray(counts.sum(axis=1)).ravel()
    contexts = words**0.75 / (words**0.75).sum()
    with np.errstate(divide="ignore"):
        pmi = np.log(counts.data / (words[counts.row] * contexts[counts.col]))
    ppmi = sparse.csr_matrix((np.maximum(pmi, 0), (counts.row, counts.col)), shape=counts.shape)
    left_vectors, strengths, _ = randomized_svd(ppmi, size, n_iter=3, random_state=seed)
    vectors = (left_vectors * np.sqrt(strengths)).astype(np.float32)
    return torch.from_numpy(vectors / max(vectors[2:].std(), 1e-8) * 0.3)
