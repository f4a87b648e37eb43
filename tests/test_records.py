"""Records: names from rules as a reader would mark them, answers that a program can read, and F1 worked out by hand."""

import json

import pytest
from helpers import make_reviews

from course_utils import data, records


@pytest.mark.parametrize(
    ("sentence", "director", "starring"),
    [
        ("Directed by Ron Howard and starring Tom Hanks.", ["Ron Howard"], ["Tom Hanks"]),
        ("A film starring Bill Murray, Harold Ramis and Dan Aykroyd.", [], ["Bill Murray", "Harold Ramis", "Dan Aykroyd"]),
        ("It was directed by Cecil B. DeMille in 1923", ["Cecil B. DeMille"], []),
        ("Well directed by someone, starring nobody you know.", [], []),
        ("starring Jack O'Connell and, once more, Judy Davis", [], ["Jack O'Connell"]),
    ],
)
def test_names_after_triggers(sentence, director, starring):
    assert records.names_after(sentence) == {"director": director, "starring": starring}


def test_examples_are_sentences_with_names_and_the_label_of_their_review():
    texts = ("A waste. It was directed by Ron Howard, of all people.<br />Avoid it.", "A joy, starring Judy Davis as a spy!")
    first, second = records.make_examples(make_reviews(*texts, labels=[0, 1]), 10)
    assert first.sentence == "It was directed by Ron Howard, of all people." and first.block == 0
    assert json.loads(first.answer) == {"sentiment": "negative", "director": ["Ron Howard"], "starring": []}
    assert json.loads(second.answer) == {"sentiment": "positive", "director": [], "starring": ["Judy Davis"]}


def test_real_examples_name_what_stands_in_the_sentence_and_are_valid():
    examples = records.make_examples(data.load_splits("imdb").test, 50)
    assert len(examples) == 50 and len({example.block for example in examples}) > 10
    for example in examples:
        assert all(name in example.sentence for _, name in records.names_in(example.answer))
        assert records.read_record(example.answer) == json.loads(example.answer)


GOOD = {"sentiment": "positive", "director": ["Ron Howard"], "starring": []}


@pytest.mark.parametrize(
    "answer",
    [
        "", "positive", "[]", "null", '{"sentiment": "positive"', f"Sure! {json.dumps(GOOD)}",
        json.dumps(GOOD | {"year": 1995}), json.dumps(GOOD | {"director": "Ron Howard"}),
        json.dumps(GOOD | {"starring": [1]}), json.dumps(GOOD | {"sentiment": "good"}),
        json.dumps(GOOD | {"sentiment": ["positive"]}), json.dumps({"sentiment": "positive", "director": []}),
    ],
)  # fmt: skip
def test_what_is_not_a_record_is_not_read(answer):
    assert records.read_record(answer) is None and records.names_in(answer) == set()


def test_f1_counts_pairs_of_role_and_name():
    examples = [
        records.Example("", json.dumps(GOOD), 0),
        records.Example("", json.dumps(GOOD | {"starring": ["Judy Davis"]}), 1),
    ]
    right = [example.answer for example in examples]
    assert records.name_f1(right, examples) == 1.0
    swapped = json.dumps(GOOD | {"director": [], "starring": ["Ron Howard"]})  # right name, wrong role
    assert records.name_f1([swapped, right[1]], examples) == pytest.approx(2 * 2 / (3 + 3))
    assert records.name_f1(["no JSON", right[1]], examples) == pytest.approx(2 * 2 / (2 + 3))
    assert records.name_f1(["", ""], examples) == 0.0
