"""Sentences of film reviews as records: the names after "directed by" and "starring"; and records read from answers."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from .data import Reviews
from .mentions import split_sentences, spread

_NAME = r"[A-Z][\w'-]*[a-z](?: [A-Z]\.| [A-Z][\w'-]*[a-z])? [A-Z][\w'-]*[a-z]"
_LIST = rf"{_NAME}(?:(?:, and |, | and | & ){_NAME})*"
TRIGGERS = {"director": "[Dd]irected by", "starring": "[Ss]tarring"}
Record = dict[str, str | list[str]]


class Example(NamedTuple):
    """A sentence, its record as JSON, and the block that its review came from."""

    sentence: str
    answer: str
    block: int


def names_after(sentence: str) -> dict[str, list[str]]:
    """Return the full names after "directed by" (`director`) and after "starring" (`starring`)."""
    found = {role: re.search(rf"\b{trigger} ({_LIST})", sentence) for role, trigger in TRIGGERS.items()}
    return {role: re.findall(_NAME, match[1]) if match else [] for role, match in found.items()}


def make_examples(reviews: Reviews, size: int) -> list[Example]:
    """Return at most `size` sentences with such names, from all over the reviews; the sentiment is that of the review."""
    examples = []
    for review, label, block in zip(reviews.texts, reviews.labels, reviews.blocks.tolist(), strict=True):
        for sentence in split_sentences(review):
            names = names_after(sentence)
            if 30 < len(sentence) < 200 and sentence.isascii() and any(names.values()):
                record = {"sentiment": reviews.class_names[label], **names}
                examples.append(Example(sentence, json.dumps(record), block))
    return spread(examples, size)


def read_record(answer: str) -> Record | None:
    """Return the record that an answer is, or None if it is not valid: other keys, other kinds of values, no JSON."""
    try:
        record = json.loads(answer)
    except json.JSONDecodeError:
        return None
    if not isinstance(record, dict) or record.keys() != {"sentiment", *TRIGGERS}:
        return None
    lists = [record[role] for role in TRIGGERS]
    strings = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
    return record if strings and record["sentiment"] in Reviews.class_names else None


def names_in(answer: str) -> set[tuple[str, str]]:
    """Return the pairs of role and name in an answer; none if it is not valid."""
    record = read_record(answer)
    return {(role, name) for role in TRIGGERS for name in record[role]} if record else set()


def name_f1(answers: list[str], examples: list[Example]) -> float:
    """Return the F1 of the pairs of role and name over all answers, 0 to 1."""
    said, given = ([names_in(text) for text in texts] for texts in (answers, [example.answer for example in examples]))
    right = sum(len(ours & theirs) for ours, theirs in zip(said, given, strict=True))
    return 2 * right / max(sum(map(len, said)) + sum(map(len, given)), 1)
