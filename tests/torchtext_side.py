"""What the tests ask of the real torchtext. Run by the Python of the torchtext kernel: torchtext_side.py QUESTION.

A question ends in an AssertionError that names the first difference, or in a printed count of what was compared.
"""

import contextlib
import io
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torchtext

from course_utils import batching, data, text

torchtext.disable_torchtext_deprecation_warning()
warnings.simplefilter("ignore")

from torchtext.data import get_tokenizer  # noqa: E402
from torchtext.functional import to_tensor  # noqa: E402
from torchtext.vocab import Vectors, build_vocab_from_iterator  # noqa: E402

THEIRS = get_tokenizer("basic_english")
ODD_TEXTS = (
    "",
    " \t\n",
    'It\'s <br /><br />GREAT!!! "Really"; see: (1) a.b.c, d?',
    '<br "/> <BR /> <br/> <br <br />/>',
    "no\u00a0break\u2003space, ISTANBUL İstanbul ǅ ß",
    "emoji 🎬🍿 and 中文。",
    "\x85 \x1c \u2028 'quoted' ''twice''",
)


def all_texts() -> list[str]:
    return [review for source in ("imdb", "rotten_tomatoes") for review in data.load_reviews(source).texts]


def tokens() -> str:
    texts = [*all_texts(), *ODD_TEXTS]
    for number, sample in enumerate(texts):
        ours, theirs = text.basic_english(sample), THEIRS(sample)
        assert ours == theirs, (number, sample, ours, theirs)
    return f"{len(texts):,} texts give the same tokens"


def ids() -> str:
    lists = [THEIRS(sample) for sample in all_texts()]
    tricky = [["b", "a", "<unk>", "b", "<unk>", "a", "c", "<pad>", "é", "e", "B"], []]
    compared = 0
    for name, corpus in {"imdb": lists[:25_000], "rotten_tomatoes": lists[25_000:], "tricky": tricky}.items():
        for max_size, min_count in ((20_000, 2), (10**9, 1), (5_000, 5), (5, 1)):
            ours = text.Vocabulary.from_tokens(corpus, max_size=max_size, min_count=min_count)
            special = [text.PAD, text.UNKNOWN]
            theirs = build_vocab_from_iterator(corpus, min_freq=min_count, specials=special, max_tokens=max_size)
            theirs.set_default_index(1)
            assert list(ours.tokens) == theirs.get_itos(), (name, max_size, min_count)
            if max_size == 20_000 or name == "tricky":  # elsewhere the same list of tokens says as much
                for words in corpus:
                    assert ours.encode(words) == theirs(words), (name, words)
                compared += sum(map(len, corpus))
    return f"{compared:,} ids are the same"


def batches() -> str:
    lists = [text.basic_english(sample) for sample in data.load_reviews("imdb").texts[:256]]
    vocabulary = text.Vocabulary.from_tokens(lists)
    rows = [vocabulary.encode(words) for words in lists]
    encoded = batching.TokenDataset(tuple(np.array(row, dtype=np.int64) for row in rows), np.zeros(len(rows), np.int64))
    for start in range(0, len(rows), 32):
        ours = batching.collate([encoded[i] for i in range(start, start + 32)])["input_ids"]
        assert torch.equal(ours, to_tensor(rows[start : start + 32], padding_value=0)), start
    return f"{len(rows):,} reviews are padded alike"


def vectors(folder: str) -> str:
    files = sorted(Path(folder).glob("*.txt"))
    for path in files:
        with contextlib.redirect_stderr(io.StringIO()):
            theirs = Vectors(str(path), cache=str(Path(folder, "cache")))
        words, ours = text.load_vectors(path)
        assert words == theirs.itos, path.name
        # torchtext makes room for words that are not UTF-8 before it leaves them out: zeros at the end
        assert torch.equal(ours, theirs.vectors[: len(words)]), path.name
        assert not theirs.vectors[len(words) :].any(), path.name
        vocabulary = text.Vocabulary.from_tokens([[*words, "unheard-of"]], min_count=1)
        wanted = theirs.get_vecs_by_tokens(list(vocabulary.tokens))
        assert torch.equal(text.vectors_for(vocabulary, words, ours), wanted), path.name
    return f"{len(files)} files give the same tensors"


if __name__ == "__main__":
    print({"tokens": tokens, "ids": ids, "batches": batches, "vectors": vectors}[sys.argv[1]](*sys.argv[2:]))
