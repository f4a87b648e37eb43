"""Names of persons in reviews, labelled by rules (weak supervision), and questions that a name answers.

Taught in: notebook 12, whose appendix shows what each rule finds and how often it is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from .data import Reviews, Splits

TAGS = ("O", "B-PER", "I-PER")  # of CoNLL-2003, for persons alone
WORD = re.compile(r"\w+|[^\w\s]")
NOT_NAMES = """A Actor Actress After Again All Also Although An And Another Any As At Bad Based Because Before Best Both
But By Can Co Despite Did Director Do Does Dr Each Enjoy Even Every Except Featuring First For From Future Good Great
He Her Here His How I If In Is It Its Just King Like Look Lord Many Maybe Meanwhile Miss Most Mr Mrs Ms My New No Not
Now Of Oh Old On Once One Only Or Other Our Over Perhaps Plus Poor Producer Queen See She Since Sir So Some Star
Starring Stars Still Such Than Thank That The Their Then There These They This Those Through To Too Two Under Unlike
Was Watch We Well What When Where While Who Why With Writer Yes You Young Your""".split()  # noqa: SIM905
_PART = r"(?:[A-Z]\.|[A-Z](?:[\w-]|'(?!s\b))*[a-z])"  # an initial, or from a capital to a lower-case letter
_MIDDLE = rf"(?: (?:{_PART}|de|di|la|van|von))?(?: {_PART})?"
NAME = re.compile(rf"(?=[A-Z])\b(?!(?:{'|'.join(NOT_NAMES)})\b){_PART}{_MIDDLE} (?!\w\.){_PART}\b(?!-)")

SEEN: tuple[str, ...] = ("directed by ", "written by ", "played by ", "portrayed by ", "starring ", "stars ", "starred ")
SEEN += ("performance by ", "performances by ", "performance from ", "performances from ", "(")
HELD_BEFORE: tuple[str, ...] = ("director ", "writer ", "producer ", "direction of ", "direction by ", "actor ", "actors ")
HELD_BEFORE += ("actress ", "comedian ", "featuring ", "features ", "including ", "includes ", "cast of ")
HELD_AFTER = (" plays ", " play ", " portrays ", " directs ", " directed ", " gives ", " delivers ", " as ")
_ROLE = re.compile(r"[A-Z]\w+ \($")  # Stefan (Jens Hultén)
_LINK = re.compile(r"(?: \([^)]*\))?(?:, and |, | and | & )")  # starring Bill Murray and ...
_END = re.compile(r"(?:<br />)+|(?<=[.!?])(?<![A-Z]\.)(?<![DMJS]r\.)(?<!Mrs\.)(?<!St\.) +")  # of a sentence

_ABOUT_FILM = dict.fromkeys(("directed by ", "director ", "direction of ", "direction by "), "Who directed it?")
_ABOUT_FILM |= {" directs ": "Who directed it?", "written by ": "Who wrote it?", "writer ": "Who wrote it?"}
_CHARACTER = r"([A-Z]\w+(?: [A-Z]\w+)?)"
_BEHIND = re.compile(_CHARACTER + r",?(?: is| was)? \(?(?:(?:played|portrayed) by )?$")  # Stefan, played by X
_AHEAD = re.compile(r" (?:plays|portrays|as) (?:the )?" + _CHARACTER + r"\b")  # X plays Stefan

T = TypeVar("T")
Mention = tuple[int, int, str]  # start, end (in characters), trigger
Row = dict[str, Any]


def find_mentions(sentence: str) -> list[Mention]:
    """Return start, end and trigger ("" for none) of everything that has the shape of a name, from left to right."""
    found: list[Mention] = []
    for start, end in (match.span() for match in NAME.finditer(sentence)):
        before, after = sentence[:start].lower(), sentence[end:]
        trigger = next((t for t in SEEN[:-1] + HELD_BEFORE if before.endswith(t)), "")
        trigger = trigger or next((t for t in HELD_AFTER if after.startswith(t)), "")
        if not trigger and _ROLE.search(sentence[:start]) and after.startswith(")"):
            trigger = "("
        if not trigger and found and _LINK.fullmatch(sentence[found[-1][1] : start]):  # a list of names
            trigger = found[-1][2] if found[-1][2] not in HELD_AFTER else ""
        found.append((start, end, trigger))
    return found


def tags_of(sentence: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return a tag for each word of a sentence: 1 for the first word of a span, 2 for its others, 0 elsewhere."""
    starts = [match.start() for match in WORD.finditer(sentence)]
    return [next((1 + (at > start) for start, end in spans if start <= at < end), 0) for at in starts]


def spread(rows: Sequence[T], size: int) -> list[T]:
    """Return at most `size` rows, evenly over all films."""
    return [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(size, len(rows))).astype(int))]


def split_sentences(review: str) -> Iterator[str]:
    """Yield the sentences of a review, without the spaces around them."""
    return map(str.strip, _END.split(review))


def sentences_of(reviews: Reviews) -> list[Row]:
    """Return a row for each sentence below 250 characters with something like a name: text, block, mentions."""
    rows = []
    for review, block in zip(reviews.texts, reviews.blocks.tolist(), strict=True):
        for sentence in split_sentences(review):
            if len(sentence) < 250 and (mentions := find_mentions(sentence)):
                rows.append({"text": sentence, "block": block, "mentions": mentions})
    return rows


class WeakLabels:
    """Sentences of the three parts of reviews, with names and questions labelled by the rules.

    A match of `NAME` counts as a person if it is next to a trigger somewhere in the reviews, or if it begins with a
    first name; a word is a first name if it begins three names next to triggers.

    found: rows of `sentences_of`, by part. known, first_names: what counts as a person.
    """

    def __init__(self, parts: Splits) -> None:
        self.found = {part: sentences_of(getattr(parts, part)) for part in parts._fields}
        rows = [row for rows in self.found.values() for row in rows]
        self.known = {row["text"][a:b] for row in rows for a, b, trigger in row["mentions"] if trigger}
        firsts = Counter(name.split()[0] for name in self.known)
        self.first_names = {first for first, times in firsts.items() if times >= 3}

    def tagged(self, row: Row) -> Row:
        """Return the row with `tokens` (words) and `ner_tags` (indices of `TAGS`), as in CoNLL-2003."""
        names = [((start, end), row["text"][start:end]) for start, end, _ in row["mentions"]]
        people = [span for span, name in names if name in self.known or name.split()[0] in self.first_names]
        return row | {"tokens": WORD.findall(row["text"]), "ner_tags": tags_of(row["text"], people)}

    def names(self, part: str, group: str, size: int) -> list[Row]:
        """Return at most `size` tagged sentences of a part, of up to 40 words, without control characters.

        Args:
            group: of the triggers in a sentence: "seen", "held-out", or "no trigger" (but a person).

        Raises:
            KeyError: no such part.
        """
        rows = [row for row in map(self.tagged, self.found[part]) if group_of(row) == group]
        return spread([row for row in rows if len(row["tokens"]) <= 40 and row["text"].isprintable()], size)

    def questions(self, part: str, *, seen: bool) -> list[Row]:
        """Return questions as in SQuAD (question, context, answers) and their block, from sentences with two names or more.

        Args:
            seen: those whose trigger is in `SEEN`; else those with a held-out trigger.

        Raises:
            KeyError: no such part.
        """
        rows = []
        for row in self.found[part]:
            for a, b, trigger in row["mentions"] if len(row["mentions"]) > 1 else ():
                if (trigger in SEEN) == seen and (question := question_about(row["text"], a, b, trigger)):
                    answers = {"text": [row["text"][a:b]], "answer_start": [a]}
                    rows.append({"question": question, "context": row["text"], "answers": answers, "block": row["block"]})
        return rows


def group_of(row: Row) -> str:
    """Return the group of a tagged row: all its triggers "seen", all "held-out", "no trigger" but a person, or "rest"."""
    seen = {trigger in SEEN for _, _, trigger in row["mentions"] if trigger}
    without = "no trigger" if any(row["ner_tags"]) else "rest"
    return {(True,): "seen", (False,): "held-out", (): without}.get(tuple(seen), "rest")


def question_about(sentence: str, start: int, end: int, trigger: str) -> str | None:
    """Return the question that the name from `start` to `end` answers, by its trigger, or None."""
    match = None
    if trigger in ("played by ", "portrayed by ", "("):
        match = _BEHIND.search(sentence[:start])
    elif trigger in (" plays ", " portrays ", " as "):
        match = _AHEAD.match(sentence[end:])
    return f"Who plays {match[1]}?" if match else _ABOUT_FILM.get(trigger)
