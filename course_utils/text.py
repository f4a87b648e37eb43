"""From text to tensors: tokens, vocabulary, word vectors, length-bucketed batches, padding and masks."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .data import Reviews

PAD, UNKNOWN = "<pad>", "<unk>"
UNKNOWN_ID = 1  # padding has 0
_DROP = re.compile(r'"')
_BREAK = re.compile(r"<br />|[;:]")
_SPLIT = re.compile(r"([.,()!?'])")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return `text` with lone surrogates replaced by U+FFFD, so that every tokeniser accepts it.

    Raises:
        ValueError: `text` is not a string.
    """
    if not isinstance(text, str):
        raise ValueError(f"A text must be a string, not {type(text).__name__}. Type: str(value), or drop the row.")
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


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of n texts, each an int64 array of its own length, with labels int64 (n,)."""

    input_ids: tuple[np.ndarray, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, int64 (n,)."""
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)

    def take(self, indices: np.ndarray) -> EncodedTexts:
        """Return the texts at `indices`, in that order."""
        return EncodedTexts(tuple(self.input_ids[i] for i in indices), self.labels[indices])


def _at_least(max_tokens: int, least: int) -> None:
    if max_tokens < least:
        raise ValueError(f"max_tokens must be {least} or more, not {max_tokens}.")


def encode_words(reviews: Reviews, vocabulary: Vocabulary, *, max_tokens: int, keep: str = "first") -> EncodedTexts:
    """Return each review as the ids of its "first" or "last" `max_tokens` words; an empty text is one unknown token."""
    _at_least(max_tokens, 1)
    if keep not in ("first", "last"):
        raise ValueError(f"keep must be 'first' or 'last', not {keep!r}.")
    kept = slice(max_tokens) if keep == "first" else slice(-max_tokens, None)
    ids = (vocabulary.encode(basic_english(text)[kept]) or [1] for text in reviews.texts)
    return EncodedTexts(tuple(np.array(i, dtype=np.int64) for i in ids), reviews.labels)


def encode_wordpieces(reviews: Reviews, tokenizer, *, max_tokens: int) -> EncodedTexts:
    """Return each review as [CLS] pieces [SEP], cut to `max_tokens`, by a Hugging Face tokenizer."""
    _at_least(max_tokens, 3)
    texts = [clean_text(text) for text in reviews.texts]
    encoded = tokenizer(texts, truncation=True, max_length=max_tokens, padding=False)["input_ids"]
    return EncodedTexts(tuple(np.array(ids, dtype=np.int64) for ids in encoded), reviews.labels)


def make_batches(
    lengths: np.ndarray,
    *,
    batch_size: int | None = None,
    max_tokens: int | None = None,
    generator: torch.Generator | None = None,
    bucketed: bool = True,
) -> list[np.ndarray]:
    """Return batches of indices that cover every text once.

    Args:
        lengths: tokens per text, int (n,).
        batch_size: the most texts of a batch; the last batch may be smaller. None: no limit.
        max_tokens: the most token places B x T of a batch, padding counted, so that batches of short texts
            hold many and batches of long texts few. A longer text is a batch of its own. None: no limit.
        generator: shuffles texts of like length among batches, and the batches; None keeps a fixed order.
        bucketed: put texts of like length together, which saves padding.

    Raises:
        ValueError: neither limit is given, or one is below 1.
    """
    for name, limit in (("batch_size", batch_size), ("max_tokens", max_tokens)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name} must be 1 or more, not {limit}.")
    if batch_size is None and max_tokens is None:
        raise ValueError("How large is a batch? Give batch_size=32, or max_tokens=2048, or both.")
    lengths, count = np.asarray(lengths), len(lengths)
    order = torch.randperm(count, generator=generator).numpy() if generator else np.arange(count)
    if bucketed:
        noise = torch.rand(count, generator=generator).numpy() if generator else np.zeros(count)
        order = order[np.argsort((lengths + 2 * noise)[order], kind="stable")]
    batches = _cut(order, lengths, batch_size or math.inf, max_tokens or math.inf)
    if generator and bucketed:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
    return batches


def _cut(order: np.ndarray, lengths: np.ndarray, batch_size: float, max_tokens: float) -> list[np.ndarray]:
    """Return `order` cut into batches within the limits."""
    starts, longest = [0], 0
    for position, length in enumerate(lengths[order].tolist()):
        texts, longest = position - starts[-1] + 1, max(longest, length)
        if texts > 1 and (texts > batch_size or texts * longest > max_tokens):
            starts.append(position)
            longest = length
    return np.split(order, starts[1:]) if len(order) else []


def padding_waste(lengths: np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Return the fraction of token places, over all batches, that hold padding."""
    places = sum(len(batch) * lengths[batch].max() for batch in batches)
    return float(1 - sum(lengths[batch].sum() for batch in batches) / places)


def collate(encoded: EncodedTexts, indices: np.ndarray) -> dict[str, torch.Tensor]:
    """Return one padded batch: input_ids, attention_mask int64 (B, T) and labels int64 (B,).

    Where the texts hold hidden states (T, D) in place of ids, `input_ids` is float (B, T, D).
    """
    pieces = [encoded.input_ids[i] for i in indices]
    lengths = np.array([len(piece) for piece in pieces])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
    input_ids = np.zeros((*mask.shape, *pieces[0].shape[1:]), dtype=pieces[0].dtype)
    input_ids[mask] = np.concatenate(pieces)
    batch = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64), "labels": encoded.labels[indices]}
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def load_vectors(path: str | Path) -> tuple[list[str], torch.Tensor]:
    """Return the words and float32 (V, D) vectors of a file in GloVe text format, as `torchtext.vocab.Vectors` does.

    A line is a word and D numbers with one space between; only a line feed ends it, so a word may hold any
    other character (GloVe has words with U+0085 and no-break spaces). A first line of two fields, "V D", is a
    header. Words that are not UTF-8 are left out; a word that comes twice is kept twice.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no vectors, or a line has another width than the first or something that
            is not a number; the message holds the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. download.glove_file() fetches glove.6B.100d.txt.")
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
        raise ValueError(f"{path.name} holds no vectors.")
    return words, torch.frombuffer(numbers, dtype=torch.float32).view(-1, width)


def vectors_for(vocabulary: Vocabulary, words: Sequence[str], vectors: torch.Tensor) -> torch.Tensor:
    """Return float32 (V, D): the vector of each token of a vocabulary, zeros for a token without one.

    Of a word that comes twice in `words` the last vector is taken, as torchtext does.
    """
    row_of = {word: row for row, word in enumerate(words)}
    rows = torch.tensor([row_of.get(token, -1) for token in vocabulary.tokens])
    return vectors[rows] * (rows >= 0)[:, None]


def ppmi_vectors(encoded: EncodedTexts, *, vocab_size: int, size: int = 64, window: int = 4, seed: int = 0) -> torch.Tensor:
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
