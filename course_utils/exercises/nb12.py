"""Exercises of notebook 12, beyond classification."""

import itertools
from itertools import pairwise

import numpy as np

from .definition import Case, Exercise, Mistake


def on_every_piece(words, tags):
    return [-100 if word is None else tags[word] for word in words]


def side_by_side(words, tags):
    return [-100, *tags, *[-100] * len(words)][: len(words)]


def on_first_pieces(words, tags):
    return [-100 if word is None or word == before else tags[word] for before, word in pairwise([None, *words])]


def with_special_places_as_o(words, tags):
    inside = {1: 2, 2: 2, 0: 0}
    first = [word != before for before, word in pairwise([None, *words])]
    return [0 if word is None else tags[word] if new else inside[tags[word]] for word, new in zip(words, first, strict=True)]


def likeliest(scores, first=0):
    return max(range(first, len(scores)), key=lambda t: scores[t])


def best_pair(start, end, *, first=1, least=0, ordered=True):
    places = range(first, len(start))
    pairs = [(a, b) for a in places for b in places if not ordered or b - a >= least]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


def or_none(pair, start, end):
    return (0, 0) if start[0] + end[0] > start[pair[0]] + end[pair[1]] else pair


def touching_names_merged(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag == 0 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1 and start is None:
            start = k
    return names


def without_the_last(tags):
    names, start = [], None
    for k, tag in enumerate(tags):
        if tag != 2 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1:
            start = k
    return names


def ends_on_the_last_word(tags):
    closed = without_the_last([*tags, 0])
    return [(start, end - 1) for start, end in closed]


def restarted_without_closing(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag == 0 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1:
            start = k
    return names


# The solutions.
def piece_labels(words, tags):
    labels = []
    for before, word in zip([None, *words], words, strict=False):
        if word is None:
            labels.append(-100)
        else:
            labels.append(2 if word == before and tags[word] == 1 else tags[word])
    return labels


def names_of(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag != 2 and start is not None:  # an O or the B of the next name ends this one
            names.append((start, k))
            start = None
        if tag == 1:
            start = k
    return names


def span_or_none(start, end):
    best, span = start[0] + end[0], (0, 0)
    for a in range(1, len(start)):
        for b in range(a, len(start)):
            if start[a] + end[b] > best:
                best, span = start[a] + end[b], (a, b)
    return span


# Other answers, right and wrong, that test the checks.
def labels_by_loop(words, tags):
    labels, before = [], None
    for word in words:
        if word is None:
            labels.append(-100)
        elif word == before and tags[word] == 1:
            labels.append(2)
        else:
            labels.append(tags[word])
        before = word
    return labels


def labels_by_set(words, tags):
    begun = set()
    labels = []
    for word in words:
        if word is None:
            labels.append(-100)
            continue
        labels.append(2 if word in begun and tags[word] else tags[word])
        begun.add(word)
    return np.array(labels)


def labels_zero_everywhere_else(words, tags):
    labels = labels_by_loop(words, tags)
    return [0 if label == -100 else label for label in labels]


def span_by_loops(start, end):
    best, span = start[0] + end[0], (0, 0)
    for a in range(1, len(start)):
        for b in range(a, len(end)):
            if start[a] + end[b] > best:
                best, span = start[a] + end[b], (a, b)
    return span


def span_by_matrix(start, end):
    sums = np.add.outer(np.array(start, float), np.array(end, float))
    allowed = np.triu(np.ones(sums.shape, dtype=bool))
    allowed[0, 1:] = False
    return np.unravel_index(np.where(allowed, sums, -np.inf).argmax(), sums.shape)


def span_by_product(start, end):
    pairs = itertools.combinations_with_replacement(range(1, len(start)), 2)
    return max([(0, 0), *pairs], key=lambda pair: start[pair[0]] + end[pair[1]])


def names_mended(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag != 2 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1 and start is None:
            start = k
    return names


def names_by_beginnings(tags):
    begins = [k for k, tag in enumerate(tags) if tag == 1]
    return [[k, k + 1 + sum(1 for _ in itertools.takewhile(lambda tag: tag == 2, tags[k + 1 :]))] for k in begins]


EXERCISES = [
    Exercise(
        id="12.1",
        kind="complete",
        title="a label for every piece",
        solution=piece_labels,
        cases=(
            Case(
                "piece_labels(words=[None, 0, 1, 1, 2, None], tags=[0, 1, 0])",
                ([None, 0, 1, 1, 2, None], [0, 1, 0]),
                [-100, 0, 1, 2, 0, -100],
            ),
            Case(
                "piece_labels(words=[None, 0, 0, 0, 1, 1, None], tags=[1, 2])",
                ([None, 0, 0, 0, 1, 1, None], [1, 2]),
                [-100, 1, 2, 2, 2, 2, -100],
            ),
            Case(
                "piece_labels(words=[None, 0, 0, 1, None, None], tags=[0, 0])",
                ([None, 0, 0, 1, None, None], [0, 0]),
                [-100, 0, 0, 0, -100, -100],
            ),
            Case(
                "piece_labels(words=[None, 0, 0, 1, 1, None], tags=[1, 1])",
                ([None, 0, 0, 1, 1, None], [1, 1]),
                [-100, 1, 2, 1, 2, -100],
            ),
        ),
        mistakes=(
            Mistake(
                on_every_piece,
                "each piece repeats the tag of its word, so a word of three pieces that begins a name begins three names. "
                "After the first piece, B (1) becomes I (2).",
            ),
            Mistake(
                on_first_pieces, "this is the notebook's way: further pieces get -100. Here they should get a label too."
            ),
            Mistake(
                side_by_side,
                "the tags are not aligned with the pieces: they are shifted after the first word that is split.",
            ),
            Mistake(
                with_special_places_as_o, "[CLS], [SEP] and padding got O (0), so the loss counts them. Give them -100."
            ),
        ),
        hints=(
            "compare each entry of words with the one before: is this piece the first of its word?",
            "None gives -100; a first piece gives tags[word]; a further piece gives 2 if the tag is 1, else the tag.",
            "for before, word in zip([None, *words], words): tag = tags[word]; 2 if word == before and tag == 1 else tag.",
        ),
        after="Both ways are in use. With labels on all pieces, a word of five pieces counts five times in the loss.",
        right=(
            labels_by_loop,
            labels_by_set,
        ),
        wrong=(
            (lambda words, tags: [-100 if w is None else tags[w] for w in words], "begins three names"),
            (lambda words, tags: ([-100, *tags] + [-100] * len(words))[: len(words)], "shifted after the first word"),
            (labels_zero_everywhere_else, "Give them -100"),
            (lambda words, tags: tags, "should give"),
        ),
    ),
    Exercise(
        id="12.2",
        kind="debug",
        title="two adjacent names",
        solution=names_of,
        given=touching_names_merged,
        cases=(
            Case("names_of(tags=[0, 1, 2, 1, 2, 0])", ([0, 1, 2, 1, 2, 0],), [(1, 3), (3, 5)]),
            Case("names_of(tags=[1, 1])", ([1, 1],), [(0, 1), (1, 2)]),
            Case("names_of(tags=[1, 2, 0, 1])", ([1, 2, 0, 1],), [(0, 2), (3, 4)]),
            Case("names_of(tags=[1, 1, 2, 2])", ([1, 1, 2, 2],), [(0, 1), (1, 4)]),
        ),
        mistakes=(
            Mistake(
                restarted_without_closing,
                "a B begins a new name, but the one before it is never stored.",
            ),
            Mistake(without_the_last, "a name at the very end of the sentence is lost: nothing comes after it to close it."),
            Mistake(
                lambda tags: [(k, k + 1) for k, tag in enumerate(tags) if tag],
                "each word is a name of its own. B (1) begins a name, and the I (2) after it belong to it.",
            ),
            Mistake(
                ends_on_the_last_word,
                "the end should be the word after the last, as in range and in slices.",
            ),
        ),
        hints=(
            "by hand, for [1, 1]: what happens at the second 1?",
            "a name ends where the tag is not 2 (I), whether it is O or the B of the next name.",
            "in the first condition, tag != 2 instead of tag == 0.",
        ),
        after="Adjacent names are rare, since there is mostly a comma or an 'and' between them. So such a bug can go unnoticed for long.",
        right=(
            names_mended,
            names_by_beginnings,
        ),
        wrong=(
            (lambda tags: [(k, k + 1) for k in range(len(tags)) if tags[k] > 0], "a name of its own"),
            (lambda tags: [(k, k + 2) for k in range(len(tags)) if tags[k] == 1], "should give"),
            (lambda tags: [], "should give"),
            (lambda tags: names_mended(tags)[:1], "should give"),
        ),
    ),
    Exercise(
        id="12.3",
        kind="complete",
        title="an answer, or none",
        solution=span_or_none,
        cases=(
            Case("span_or_none(start=[0, 3, 1, 0], end=[0, 0, 2, 1])", ([0, 3, 1, 0], [0, 0, 2, 1]), (1, 2)),
            Case("span_or_none(start=[0, 1, 0, 4, 0], end=[0, 0, 5, 0, 1])", ([0, 1, 0, 4, 0], [0, 0, 5, 0, 1]), (1, 2)),
            Case("span_or_none(start=[5, 1, 2], end=[4, 1, 2])", ([5, 1, 2], [4, 1, 2]), (0, 0)),
            Case("span_or_none(start=[5, 4, 0], end=[0, 3, 4])", ([5, 4, 0], [0, 3, 4]), (1, 2)),
            Case("span_or_none(start=[0, 6, 1], end=[0, 6, 1])", ([0, 6, 1], [0, 6, 1]), (1, 1)),
        ),
        mistakes=(
            Mistake(
                best_pair,
                "[CLS] is never chosen. If start[0] + end[0] is larger than the best pair's sum, return (0, 0).",
            ),
            Mistake(
                lambda start, end: best_pair(start, end, first=0),
                "position 0 is [CLS], which is never part of an answer: pairs begin at position 1, and [CLS] is only allowed as (0, 0).",
            ),
            Mistake(
                lambda start, end: or_none(best_pair(start, end, least=1), start, end),
                "an answer of one piece has a == b, and you leave it out.",
            ),
            Mistake(
                (
                    lambda start, end: (likeliest(start), likeliest(end)),
                    lambda start, end: (likeliest(start, 1), likeliest(end, 1)),
                    lambda start, end: or_none(best_pair(start, end, ordered=False), start, end),
                ),
                "start and end are chosen independently, so the end can be before the start. Compare pairs, with a <= b.",
            ),
        ),
        hints=(
            "the two loops of span_in_loops, from position 1 to the last, without a maximum length.",
            "at the end compare the best sum with start[0] + end[0].",
            "return (0, 0) if start[0] + end[0] > best else span.",
        ),
        after="SQuAD 2.0 models work like this; you choose on the validation part how much larger the sum must be.",
        right=(
            span_by_loops,
            span_by_matrix,
            span_by_product,
        ),
        wrong=(
            (lambda start, end: (np.argmax(start), np.argmax(end)), "chosen independently"),
            (lambda start, end: (1 + np.argmax(start[1:]), 1 + np.argmax(end[1:])), "the end can be before the start"),
            (lambda start, end: (0, 0), "should give [1, 2]"),
            (lambda start, end: start + end, "should give"),
        ),
    ),
    Exercise(
        id="12.q1",
        kind="choice",
        title="an accuracy over words",
        question="A tagger's accuracy over words is 0.93. How good is it?",
        expected="c",
        options={
            "a": ("very good: 93 of 100 names are found", "It counts words, and most words are not part of a name."),
            "b": ("bad: a tagger needs 0.99", "A single number cannot tell you that."),
            "c": (
                "you cannot say before you know the accuracy of always O, and the F1 of whole names",
                "Always predicting O may reach 0.9, and it finds nothing.",
            ),
        },
    ),
    Exercise(
        id="12.q2",
        kind="choice",
        title="the further pieces",
        question="A word is split into four pieces, and the last three have the label -100. What is the effect?",
        expected="a",
        options={
            "a": (
                "the word counts once in the loss; the model still reads all four pieces",
                "The labels decide what the loss counts. The attention mask decides what the model reads.",
            ),
            "b": ("the model does not see the last three pieces", "That would need a 0 in the attention mask."),
            "c": (
                "the last three pieces are trained to be O",
                "O is the label 0. The loss ignores positions with -100.",
            ),
        },
    ),
    Exercise(
        id="12.q3",
        kind="choice",
        title="more of the same",
        question="A tagger was trained on sentences with 'directed by' and has an F1 of 0.85 on such sentences and of 0.60 on all "
        "others. You may label 1,000 more sentences by a rule. Which rule helps most?",
        expected="b",
        options={
            "a": (
                "'directed by' again: more data is more data",
                "It would improve sentences with 'directed by', which already work.",
            ),
            "b": (
                "other rules, such as 'played by' and 'starring'",
                "The gap is between kinds of sentences, so train on more kinds.",
            ),
            "c": ("any: only the number of sentences counts", "Then the two scores would not differ so much."),
        },
    ),
]
