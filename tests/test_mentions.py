"""Names of persons by rules: examples whose tags a reader knows, and properties of every row."""

import numpy as np
import pytest

from course_utils import data, mentions

EXAMPLE = "Directed by Ron Howard and with Tom Hanks as Jim Lovell."


def triggers(sentence: str) -> dict[str, str]:
    return {sentence[start:end]: trigger for start, end, trigger in mentions.find_mentions(sentence)}


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (EXAMPLE, {"Ron Howard": "directed by ", "Tom Hanks": " as ", "Jim Lovell": ""}),
        ("starring Bill Murray and Andie MacDowell.", {"Bill Murray": "starring ", "Andie MacDowell": "starring "}),
        ("Stefan (Jens Hultén) is good.", {"Jens Hultén": "("}),
        ("Danny Glover plays George Knox.", {"Danny Glover": " plays ", "George Knox": ""}),
        ("The Blob", {}),
        ("Cecil B. DeMille's epic", {"Cecil B. DeMille": ""}),
    ],
)
def test_names_are_found_with_their_triggers(sentence, found):
    assert triggers(sentence) == found


def test_tags_begin_each_name_with_b_and_agree_with_words():
    words, tags = mentions.WORD.findall(EXAMPLE), mentions.tags_of(EXAMPLE, [(12, 22), (32, 41)])
    assert [word for word, tag in zip(words, tags, strict=True) if tag == 1] == ["Ron", "Tom"]
    assert [word for word, tag in zip(words, tags, strict=True) if tag == 2] == ["Howard", "Hanks"]


@pytest.mark.parametrize(
    ("sentence", "name", "question"),
    [
        ("Stefan (Jens Hultén) is good.", "Jens Hultén", "Who plays Stefan?"),
        ("Danny Glover plays George Knox.", "Danny Glover", "Who plays George Knox?"),
        ("It was directed by Ron Howard.", "Ron Howard", "Who directed it?"),
        ("It was written by Ron Howard.", "Ron Howard", "Who wrote it?"),
        ("starring Bill Murray", "Bill Murray", None),
    ],
)
def test_a_trigger_asks_a_question_that_its_name_answers(sentence, name, question):
    start = sentence.index(name)
    assert mentions.question_about(sentence, start, start + len(name), triggers(sentence)[name]) == question


@pytest.fixture(scope="module")
def weak() -> mentions.WeakLabels:
    texts = (
        "A film directed by Ron Howard. Tom Hanks as Jim Lovell is good. I like Tom Hanks. Hong Kong is big.",
        "It is starring Tom Cruise. It stars Tom Baker. Nobody else is here.",
    )
    part = data.Reviews(texts, np.array([1, 0]), np.arange(2), np.arange(2), ("negative", "positive"))
    return mentions.WeakLabels(data.Splits(part, part, part))


def test_a_known_name_needs_no_trigger_and_a_city_is_no_person(weak):
    assert weak.known == {"Ron Howard", "Tom Hanks", "Tom Cruise", "Tom Baker"} and weak.first_names == {"Tom"}
    rows = [weak.tagged(row) for row in weak.found["train"]]
    named = {row["text"]: [row["tokens"][i] for i, tag in enumerate(row["ner_tags"]) if tag == 1] for row in rows}
    assert named["I like Tom Hanks."] == ["Tom"] and named["Hong Kong is big."] == []


def test_groups_are_told_by_their_triggers(weak):
    texts = {group: [row["text"] for row in weak.names("test", group, 10)] for group in ("seen", "held-out", "no trigger")}
    assert texts["seen"] == ["A film directed by Ron Howard.", "It is starring Tom Cruise.", "It stars Tom Baker."]
    assert texts["held-out"] == ["Tom Hanks as Jim Lovell is good."]
    assert texts["no trigger"] == ["I like Tom Hanks."]


def test_questions_have_their_answer_where_they_say(weak):
    assert weak.questions("train", seen=True) == []  # one name is no choice
    (row,) = weak.questions("train", seen=False)
    start, truth = row["answers"]["answer_start"][0], row["answers"]["text"][0]
    assert row["question"] == "Who plays Jim Lovell?" and truth == "Tom Hanks"
    assert row["context"][start : start + len(truth)] == truth


def test_rows_are_spread_evenly():
    rows = [{"k": k} for k in range(10)]
    assert [row["k"] for row in mentions.spread(rows, 4)] == [0, 3, 6, 9] and mentions.spread(rows, 20) == rows
