"""Tokens and vocabulary (vectors: test_vectors; batches: test_batching; the real torchtext: test_torchtext)."""

from functools import partial

import pytest
from helpers import make_reviews

from course_utils import pretrained, text
from course_utils.text import PAD, UNKNOWN, Vocabulary


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


def test_both_ways_refuse_what_is_no_string(tokenizer):
    for value in (None, float("nan"), 3, b"bytes", ["a", "list"]):
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
def test_both_ways_truncate_a_text_of_a_megabyte_in_seconds(tokenizer):
    for million in ("word " * 200_000, "x" * 1_000_000, "!" * 1_000_000, "é" * 500_000):
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


def test_a_list_of_strings_to_predict_has_no_labels_and_reviews_bring_theirs(tokenizer):
    vocabulary = Vocabulary((PAD, UNKNOWN, "fine"))
    for encode in (partial(text.encode_words, vocabulary=vocabulary), partial(text.encode_wordpieces, tokenizer=tokenizer)):
        plain, reviewed = (encode(texts, max_length=5) for texts in (["fine", "not"], make_reviews("fine", "not")))
        assert plain.labels is None and reviewed.labels.tolist() == [0, 1]
        assert [ids.tolist() for ids in plain.input_ids] == [ids.tolist() for ids in reviewed.input_ids]
        assert len(encode([], max_length=5)) == 0
        with pytest.raises(ValueError, match=r"Give a list of texts: \[text\] for a single one"):
            encode("fine", max_length=5)


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
