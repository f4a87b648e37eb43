"""Exercises of notebook 02, text to tensors."""

from .definition import Case, Exercise, Mistake


def padded(texts, *, mark=1, fill=0, left=False, length=None):
    longest = max(len(ids) for ids in texts) if length is None else length
    rows, masks = [], []
    for ids in texts:
        ids = list(ids)[:longest]
        gap = longest - len(ids)
        rows.append([fill] * gap + ids if left else ids + [fill] * gap)
        masks.append([1 - mark] * gap + [mark] * len(ids) if left else [mark] * len(ids) + [1 - mark] * gap)
    return rows, masks


def cuts_through_films(films, test_size):
    rows = list(range(len(films)))
    return rows[:-test_size], rows[-test_size:]


def drops_the_film(films, test_size):
    train, test = cuts_through_films(films, test_size)
    return [row for row in train if films[row] not in {films[row] for row in test}], test


def moves_the_film_to_training(films, test_size):
    train, test = cuts_through_films(films, test_size)
    known = {films[row] for row in train}
    return train + [row for row in test if films[row] in known], [row for row in test if films[row] not in known]


def looks_at_neighbours_only(films, test_size):
    cut = len(films) - test_size
    while cut > 0 and films[cut - 1] == films[cut]:
        cut -= 1
    rows = list(range(len(films)))
    return rows[:cut], rows[cut:]


EXERCISES = [
    Exercise(
        id="02.1",
        kind="complete",
        title="a padded batch with its mask",
        cases=(
            Case("my_batch([[5, 6, 7], [8]])", ([[5, 6, 7], [8]],), [[[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]]]),
            Case("my_batch([[4]])", ([[4]],), [[[4]], [[1]]]),
            Case(
                "my_batch([[9], [3, 2], [6, 6]])",
                ([[9], [3, 2], [6, 6]],),
                [[[9, 0], [3, 2], [6, 6]], [[1, 0], [1, 1], [1, 1]]],
            ),
            Case("my_batch([[], [7, 7]])", ([[], [7, 7]],), [[[0, 0], [7, 7]], [[0, 0], [1, 1]]]),
        ),
        mistakes=(
            Mistake(
                lambda texts: padded(texts, mark=0),
                "the mask is inverted. Here, as in Hugging Face, 1 marks a real token. (PyTorch's own attention layers "
                "want the opposite: check before you pass a mask on.)",
            ),
            Mistake(
                lambda texts: padded(texts, left=True),
                "the padding is on the left. This course pads on the right; models that generate text often need it on the left.",
            ),
            Mistake(
                lambda texts: padded(texts, length=min(len(ids) for ids in texts)),
                "every text was truncated to the shortest. Nothing needs to be lost: pad to the longest.",
            ),
            Mistake(
                lambda texts: padded(texts)[0],
                "only the ids are returned. Without the mask nobody can distinguish padding from text: return ids, mask.",
            ),
            Mistake(
                lambda texts: (padded(texts)[0], [[1] * max(map(len, texts)) for _ in texts]),
                "the mask says 1 everywhere, so the padding counts as text.",
            ),
            Mistake(
                lambda texts: padded(texts, fill=1),
                "padded with id 1, which means an unknown word. Padding has id 0.",
            ),
        ),
        hints=(
            "how long is the longest text of the batch? Each row gets that many positions.",
            "a text of k ids in a batch of length T needs T - k zeros, in the ids and in the mask.",
            "ids + [0] * (T - len(ids)) for the ids, [1] * len(ids) + [0] * (T - len(ids)) for the mask.",
        ),
        after="A mask made from the lengths is right even where id 0 is a word.",
    ),
    Exercise(
        id="02.2",
        kind="predict",
        title="the padding of two batches",
        expected=(10 / 26, 6 / 22),
        tolerance=0.02,
        mistakes=(
            Mistake(
                [(8 / 18 + 2 / 8) / 2, (1 / 4 + 5 / 18) / 2],
                "These are means of two shares. A large batch has more positions and must count for more: "
                "add up the padding, add up the positions, then divide.",
            ),
            Mistake(
                [10 / 16, 6 / 16], "This divides the padding by the real tokens. Divide by all positions, padding included."
            ),
            Mistake(
                [20 / 36, 20 / 36],
                "This pads both batches to the longest text of all. Each batch is padded to its own longest text.",
            ),
            Mistake(
                [6 / 22, 10 / 26],
                "The two numbers are right, but in the wrong order: first in the given order, then sorted.",
            ),
            Mistake([16 / 26, 16 / 22], "These are the shares of real tokens. The padding is the rest."),
        ),
        hints=(
            "draw each batch as a rectangle: two rows, as wide as its longer text.",
            "in the given order: 2 x 9 and 2 x 4 positions for 16 tokens. Sorted: 2 x 2 and 2 x 9.",
            "26 positions for 16 tokens, and 22 positions for 16 tokens.",
        ),
        after="Four texts gain little; with thousands to choose from, neighbours in a sorted list are nearly equal in length.",
    ),
    Exercise(
        id="02.3",
        kind="debug",
        title="a split that leaks films",
        given=cuts_through_films,
        cases=(
            Case("split_by_film(['A', 'A', 'B', 'B', 'C'], test_size=1)", (list("AABBC"), 1), [[0, 1, 2, 3], [4]]),
            Case("split_by_film(['A', 'A', 'B', 'B', 'C'], test_size=2)", (list("AABBC"), 2), [[0, 1], [2, 3, 4]]),
            Case("split_by_film(['A', 'B', 'A', 'C'], test_size=2)", (list("ABAC"), 2), [[1], [0, 2, 3]]),
            Case("split_by_film(['A', 'B', 'B', 'B'], test_size=1)", (list("ABBB"), 1), [[0], [1, 2, 3]]),
        ),
        mistakes=(
            Mistake(
                drops_the_film,
                "honest, but reviews are lost: those removed from the training set belong in the test set.",
            ),
            Mistake(
                moves_the_film_to_training,
                "the film that is in both sets went to training, and the test set became smaller than requested.",
            ),
            Mistake(
                looks_at_neighbours_only,
                "only the rows beside the border are checked. A film may appear again elsewhere in the file.",
            ),
        ),
        hints=(
            "which films are on both sides of the border?",
            "the last test_size rows name the films of the test set; every row of these films belongs to it.",
            "held = set(films[-test_size:]); test the rows whose film is in held, train on the others.",
        ),
        after="Replace film by patient, customer or author, and you have the split that most data need (a grouped split).",
    ),
    Exercise(
        id="02.4",
        kind="choice",
        title="what the names-only model knows",
        question="The model sees nothing but rare names and still reaches about 0.66 under the random split. What has it learned?",
        expected="b",
        options={
            "a": (
                "which names people mention when they are angry",
                "Then it would be better than chance under the block split too, where the films are new. There it is at chance level.",
            ),
            "b": (
                "which films its training reviews liked, and it meets the same films again in the test set",
                "The names identify the film, and reviews of the same film often share a verdict. For new films this knowledge is worth nothing.",
            ),
            "c": (
                "the labels of the test reviews, which were in the training set",
                "No review is in both sets. It is enough that another review of the same film is.",
            ),
            "d": (
                "nothing: 0.66 is what random guessing gives with so few names",
                "Half of the reviews are positive, so random guessing gives 0.5, and the interval around 0.66 does not include it.",
            ),
        },
        hints=("compare the two scores: what is in the random split that the block split lacks?",),
    ),
    Exercise(
        id="02.q1",
        kind="choice",
        title="unknown words",
        question="A word occurs only in the test set. What does a vocabulary made from the training set do with it?",
        expected="a",
        options={
            "a": (
                "it becomes <unk>, like any new word",
                "A model in use will meet new words too, so the test should contain them.",
            ),
            "b": (
                "it is left out",
                "Then the text would get shorter and its positions would shift. An unknown word keeps its position.",
            ),
            "c": (
                "it gets a new id, at the end",
                "The model has no vector for that id, and the test would have changed the model.",
            ),
        },
    ),
    Exercise(
        id="02.q2",
        kind="choice",
        title="padding that does harm",
        question="Which test shows that padding does not affect a model's answers?",
        expected="c",
        options={
            "a": (
                "its accuracy stays above the baseline",
                "The bug of section 8 left the accuracy alone and still changed people's answers.",
            ),
            "b": ("training without an error message", "A forgotten mask raises no error, so it often stays unnoticed."),
            "c": (
                "a text gets the same answer alone and in a batch",
                "This takes one line of code, and every model of this course is tested that way.",
            ),
        },
    ),
    Exercise(
        id="02.q3",
        kind="choice",
        title="a score without a baseline",
        question="A network reaches 0.86 on IMDB reviews. What do you ask first?",
        expected="b",
        options={
            "a": ("how many parameters it has", "That says what it costs, not whether it is any good."),
            "b": (
                "what a linear model reaches on the same split",
                "TF-IDF with logistic regression may well be ahead of it, in seconds.",
            ),
            "c": ("how many epochs it was trained", "Worth knowing later. First you need something to compare 0.86 with."),
        },
    ),
]
