"""Tokens, vocabulary, batches and padding (vectors: test_vectors; the real torchtext: test_torchtext)."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import make_reviews

from course_utils import batching, pretrained, text
from course_utils.text import PAD, UNKNOWN, EncodedTexts, Vocabulary


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer()


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("You can now install it!", ["you", "can", "now", "install", "it", "!"]),
        ('It\'s "good"; really: 8/10.<br /><br />Go', ["it", "'", "s", "good", "really", "8/10", ".", "go"]),
        ("(well, yes?)", ["(", "well", ",", "yes", "?", ")"]),
        ("ÉTÉ İ", ["été", "i̇"]),
        ("a\u00a0b\tc\n", ["a", "b", "c"]),
        ("great 😀👍🏽", ["great", "😀👍🏽"]),
        ("", []),
        (" \t\n\u2003", []),
        ("\ud83d alone", ["\ufffd", "alone"]),
    ],
)
def test_basic_english_by_hand(sentence, words):
    assert text.basic_english(sentence) == words


@pytest.mark.parametrize("value", [None, float("nan"), 3, b"bytes", ["a", "list"]])
def test_both_ways_refuse_what_is_no_string(value, tokenizer):
    reviews = make_reviews(value, "fine")
    vocabulary = Vocabulary((PAD, UNKNOWN, "fine"))
    name = type(value).__name__
    with pytest.raises(ValueError, match=rf"must be a string, not {name}"):
        text.encode_words(reviews, vocabulary, max_length=5)
    with pytest.raises(ValueError, match=rf"must be a string, not {name}"):
        text.encode_wordpieces(reviews, tokenizer, max_length=5)


def test_both_ways_give_blank_texts_the_shortest_real_input(tokenizer):
    reviews = make_reviews("", "   ", "\n\t")
    words = text.encode_words(reviews, Vocabulary((PAD, UNKNOWN)), max_length=5)
    assert [ids.tolist() for ids in words.input_ids] == [[1]] * 3
    pieces = text.encode_wordpieces(reviews, tokenizer, max_length=5)
    assert [ids.tolist() for ids in pieces.input_ids] == [[101, 102]] * 3  # [CLS] [SEP]


def test_both_ways_read_a_lone_surrogate_as_the_replacement_character(tokenizer):
    for ids in (
        text.encode_wordpieces(make_reviews("a \udfff b", "a \ufffd b"), tokenizer, max_length=9).input_ids,
        text.encode_words(
            make_reviews("a \ud800", "a \ufffd"), Vocabulary((PAD, UNKNOWN, "a", "\ufffd")), max_length=9
        ).input_ids,
    ):
        assert ids[0].tolist() == ids[1].tolist()


def test_the_first_or_the_last_words_are_kept():
    reviews, vocabulary = make_reviews("a b c", "c"), Vocabulary((PAD, UNKNOWN, "a", "b", "c"))
    kept = {keep: text.encode_words(reviews, vocabulary, max_length=2, keep=keep).input_ids for keep in ("first", "last")}
    assert [ids.tolist() for ids in kept["first"]] == [[2, 3], [4]]
    assert [ids.tolist() for ids in kept["last"]] == [[3, 4], [4]]
    with pytest.raises(ValueError, match=r"keep must be 'first' or 'last', not 'middle'"):
        text.encode_words(reviews, vocabulary, max_length=2, keep="middle")


def test_emoji_reach_both_ways_as_one_unknown_token(tokenizer):
    assert text.encode_words(make_reviews("😀"), Vocabulary((PAD, UNKNOWN)), max_length=9).input_ids[0].tolist() == [1]
    assert text.encode_wordpieces(make_reviews("😀"), tokenizer, max_length=9).input_ids[0].tolist() == [101, 100, 102]


@pytest.mark.slow
@pytest.mark.parametrize("million", ["word " * 200_000, "x" * 1_000_000, "!" * 1_000_000, "é" * 500_000])
def test_both_ways_cut_a_text_of_a_megabyte_in_seconds(million, tokenizer):
    import time

    started, reviews = time.monotonic(), make_reviews(million)
    assert text.encode_words(reviews, Vocabulary((PAD, UNKNOWN)), max_length=48).lengths.max() <= 48
    assert text.encode_wordpieces(reviews, tokenizer, max_length=48).lengths.max() <= 48
    assert time.monotonic() - started < 30


def test_wordpieces_are_those_of_the_library(tokenizer):
    sentences = ("A well-made, utterly unpretentious film.", "no")
    encoded = text.encode_wordpieces(make_reviews(*sentences), tokenizer, max_length=8)
    whole = [tokenizer.convert_tokens_to_ids(["[CLS]", *tokenizer.tokenize(s), "[SEP]"]) for s in sentences]
    assert encoded.input_ids[0].tolist() == [*whole[0][:7], 102]
    assert encoded.input_ids[1].tolist() == whole[1]


def test_no_token_left_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"1 or more, not 0"):
        text.encode_words(make_reviews("a"), Vocabulary((PAD, UNKNOWN)), max_length=0)
    with pytest.raises(ValueError, match=r"3 or more, not 2"):
        text.encode_wordpieces(make_reviews("a"), tokenizer, max_length=2)


def test_vocabulary_by_hand():
    lists = [["b", "a", "c"], ["b", "a"], ["b", "d", "c"]]
    vocabulary = Vocabulary.from_tokens(lists, max_size=4)  # counts: b 3, a 2, c 2, d 1
    assert vocabulary.tokens == (PAD, UNKNOWN, "b", "a")
    assert Vocabulary.from_tokens(lists).tokens == (PAD, UNKNOWN, "b", "a", "c")
    assert len(Vocabulary.from_tokens(lists, min_count=1)) == 6
    assert vocabulary.encode(["a", "zebra", "b"]) == [3, 1, 2]
    assert vocabulary.decode([3, 1, 0]) == ["a", UNKNOWN, PAD]


def test_a_vocabulary_without_its_two_special_tokens_is_refused():
    with pytest.raises(ValueError, match=r"starts with '<pad>' and '<unk>'"):
        Vocabulary(("the", "cat"))


# --- batches


LENGTHS = np.random.default_rng(0).integers(1, 200, size=101)


@pytest.mark.parametrize("bucketed", [True, False])
@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("batch_size", [1, 8, 200])
def test_batches_cover_each_text_once(bucketed, seed, batch_size):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = batching.make_batches(LENGTHS, batch_size=batch_size, generator=generator, bucketed=bucketed)
    assert sorted(np.concatenate(batches)) == list(range(101))
    assert sum(len(batch) != batch_size for batch in batches) <= 1


def test_a_generator_shuffles_anew_each_time_and_the_seed_fixes_it():
    for bucketed in (True, False):
        generator = torch.Generator().manual_seed(0)
        first, second = (batching.make_batches(LENGTHS, batch_size=8, generator=generator, bucketed=bucketed) for _ in range(2))
        assert [set(b) for b in first] != [set(b) for b in second]
        again = batching.make_batches(LENGTHS, batch_size=8, generator=torch.Generator().manual_seed(0), bucketed=bucketed)
        assert [b.tolist() for b in first] == [b.tolist() for b in again]
    longest = [LENGTHS[batch].max() for batch in batching.make_batches(LENGTHS, batch_size=8, generator=generator)]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)  # batches come in a random order


def test_without_a_generator_the_order_is_fixed():
    plain = batching.make_batches(LENGTHS, batch_size=8, bucketed=False)
    assert np.concatenate(plain).tolist() == list(range(101))
    bucketed = np.concatenate(batching.make_batches(LENGTHS, batch_size=8))
    assert bucketed.tolist() == sorted(range(101), key=lambda i: LENGTHS[i])


def test_buckets_save_padding():
    generator = torch.Generator().manual_seed(0)
    waste = {
        bucketed: batching.padding_waste(
            LENGTHS, batching.make_batches(LENGTHS, batch_size=8, generator=generator, bucketed=bucketed)
        )
        for bucketed in (True, False)
    }
    assert waste[True] < 0.1 < 0.3 < waste[False]


def test_padding_waste_by_hand():
    lengths = np.array([1, 3, 2, 2])
    assert batching.padding_waste(lengths, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(2 / 10)
    assert batching.padding_waste(lengths, [np.array([0]), np.array([1]), np.array([2, 3])]) == 0


def test_batches_by_tokens_by_hand():
    lengths = np.array([5, 1, 2, 9, 1, 4])
    by_tokens = [batch.tolist() for batch in batching.make_batches(lengths, max_batch_tokens=8)]
    assert by_tokens == [[1, 4, 2], [5], [0], [3]]  # 3 x 2 places; 2 x 5 would be 10; 9 is over 8 and stands alone
    assert [b.tolist() for b in batching.make_batches(lengths, max_batch_tokens=8, batch_size=2)] == [[1, 4], [2, 5], [0], [3]]
    in_order = batching.make_batches(lengths, max_batch_tokens=10, bucketed=False)
    assert [batch.tolist() for batch in in_order] == [[0, 1], [2], [3], [4, 5]]
    assert batching.make_batches(lengths[:0], max_batch_tokens=8) == [] == batching.make_batches(lengths[:0], batch_size=8)


@pytest.mark.parametrize("batch_size", [None, 1, 5, 300])
@pytest.mark.parametrize("bucketed", [True, False])
@pytest.mark.parametrize("seed", [None, 0])
def test_batches_by_tokens_keep_both_limits_and_could_not_be_longer(seed, bucketed, batch_size):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    options = {"batch_size": batch_size, "generator": generator, "bucketed": bucketed}
    batches = batching.make_batches(LENGTHS, max_batch_tokens=600, **options)
    assert sorted(np.concatenate(batches)) == list(range(101))
    assert max(len(batch) * LENGTHS[batch].max() for batch in batches) <= 600
    assert max(map(len, batches)) <= (batch_size or 101)
    if seed is None:  # in a fixed order each batch is full: the next text would break a limit
        for batch, after in pairwise(batches):
            texts = len(batch) + 1
            assert texts * LENGTHS[[*batch, after[0]]].max() > 600 or texts > (batch_size or 101)


def test_a_budget_of_tokens_makes_batches_alike_in_cost():
    lengths = np.random.default_rng(1).integers(1, 200, size=2_000)
    fixed, by_tokens = batching.make_batches(lengths, batch_size=16), batching.make_batches(lengths, max_batch_tokens=1_600)
    places = [np.array([len(batch) * lengths[batch].max() for batch in batches]) for batches in (fixed, by_tokens)]
    assert places[1][:-1].min() > 0.85 * 1_600 and places[0].min() < 0.1 * places[0].max()
    assert max(batching.padding_waste(lengths, batches) for batches in (fixed, by_tokens)) < 0.02


def test_a_loose_budget_leaves_batches_of_fixed_size_as_they_were():
    for seed in (0, 1):
        draws = [torch.Generator().manual_seed(seed) for _ in range(2)]
        fixed = batching.make_batches(LENGTHS, batch_size=8, generator=draws[0])
        loose = batching.make_batches(LENGTHS, batch_size=8, generator=draws[1], max_batch_tokens=8 * 200)
        assert [b.tolist() for b in fixed] == [b.tolist() for b in loose]


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"batch_size": 0}, r"batch_size must be 1 or more, not 0"),
        ({"max_tokens": -1}, r"max_tokens must be 1 or more, not -1"),
        ({}, r"Give batch_size=32, or max_tokens=2048"),
    ],
)
def test_a_batch_needs_a_size(limits, sentence):
    with pytest.raises(ValueError, match=sentence):
        batching.make_batches(LENGTHS, **limits)


def test_collate_is_pad_sequence_with_a_mask():
    texts = (np.array([5, 6]), np.array([7]), np.array([8, 9, 10]))
    batch = batching.collate([EncodedTexts(texts, np.array([1, 0, 1]))[i] for i in [2, 1]])
    expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(texts[i]) for i in (2, 1)], batch_first=True)
    torch.testing.assert_close(batch["input_ids"], expected)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [1, 1 - 1]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_collate_takes_hidden_states_too():
    states = (np.ones((2, 3), np.float32), np.full((1, 3), 2, np.float32))
    batch = batching.collate([EncodedTexts(states, np.array([0, 1]))[i] for i in [0, 1]])
    assert batch["input_ids"].shape == (2, 2, 3) and batch["input_ids"].dtype == torch.float32
    assert batch["input_ids"][1].tolist() == [[2, 2, 2], [0, 0, 0]]


# --- word vectors from texts


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
    vectors = text.ppmi_vectors(EncodedTexts(texts, np.zeros(60, int)), vocab_size=9, size=9, window=3).numpy()
    ours, naive = vectors @ vectors.T, naive_ppmi_gram(texts, 9, 3)
    np.testing.assert_allclose(ours / np.trace(ours), naive / np.trace(naive), atol=2e-5)
    assert vectors[2:].std() == pytest.approx(0.3, rel=1e-3)
