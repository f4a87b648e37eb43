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
                "the mask is turned round. Here, as in Hugging Face, 1 says that a place is real. (PyTorch's own attention layers "
                "want the opposite: look before you pass a mask on.)",
            ),
            Mistake(
                lambda texts: padded(texts, left=True),
                "the padding stands in front. This course pads behind the text; models that generate text often want it in front.",
            ),
            Mistake(
                lambda texts: padded(texts, length=min(len(ids) for ids in texts)),
                "every text was cut to the shortest. Nothing needs to be lost: fill up to the longest.",
            ),
            Mistake(
                lambda texts: padded(texts)[0],
                "only the ids are given back. Without the mask nobody can tell padding from text: return ids, mask.",
            ),
            Mistake(
                lambda texts: (padded(texts)[0], [[1] * max(map(len, texts)) for _ in texts]),
                "the mask says 1 everywhere, so the padding counts as text.",
            ),
            Mistake(
                lambda texts: padded(texts, fill=1),
                "filled up with id 1, which stands for an unknown word. Padding has id 0.",
            ),
        ),
        hints=(
            "how long is the longest text of the batch? Each row gets as many places.",
            "a text of k ids in a batch of length T needs T - k zeros, in the ids and in the mask.",
            "ids + [0] * (T - len(ids)) for the ids, [1] * len(ids) + [0] * (T - len(ids)) for the mask.",
        ),
        after="A mask that is made from the lengths is right even where id 0 is a word.",
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
                "These are means of two shares. A large batch has more places and must count for more: "
                "add up the padding, add up the places, then divide.",
            ),
            Mistake(
                [10 / 16, 6 / 16], "This divides the padding by the real tokens. Divide by all places, padding included."
            ),
            Mistake(
                [20 / 36, 20 / 36],
                "This pads both batches to the longest text of all. Each batch is padded to its own longest text.",
            ),
            Mistake([6 / 22, 10 / 26], "The two numbers are right, in the other order: first as they come, then sorted."),
            Mistake([16 / 26, 16 / 22], "These are the shares of real tokens. The padding is the rest."),
        ),
        hints=(
            "draw each batch as a rectangle: two rows, as wide as its longer text.",
            "as they come: 2 x 9 and 2 x 4 places for 16 tokens. Sorted: 2 x 2 and 2 x 9.",
            "26 places for 16 tokens, and 22 places for 16 tokens.",
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
                "honest, but reviews are lost: those that left the training part belong into the test part, not into the bin.",
            ),
            Mistake(
                moves_the_film_to_training,
                "the film that stands on both sides went to training, and the test part became smaller than was asked for.",
            ),
            Mistake(
                looks_at_neighbours_only,
                "only the rows beside the cut are looked at. A film may come back elsewhere in the file.",
            ),
        ),
        hints=(
            "which films stand on both sides of the cut?",
            "the last test_size rows name the films of the test part; then every row of these films belongs to it.",
            "held = set(films[-test_size:]); test the rows whose film is in held, train on the others.",
        ),
        after="Replace film by patient, customer or author, and this is the split that most data need.",
    ),
    Exercise(
        id="02.4",
        kind="choice",
        title="what the names-only model knows",
        question="The model sees nothing but rare names and still reaches about 0.66 under the random split. What has it learnt?",
        expected="b",
        options={
            "a": (
                "which names people mention when they are angry",
                "Then it would be better than a coin under the block split too, where the films are new. There it guesses.",
            ),
            "b": (
                "which films its training reviews liked, and it meets the same films again in the test part",
                "The names identify the film, and the verdict on a film is shared by its reviews. With new films this knowledge is worth nothing.",
            ),
            "c": (
                "the labels of the test reviews, which were in the training part",
                "No review stands in both parts. It is enough that another review of the same film does.",
            ),
            "d": (
                "nothing: 0.66 is what a coin gives with so few names",
                "Half of the reviews are positive, so a coin gives 0.5, and the interval of 0.66 does not reach down to it.",
            ),
        },
        hints=("compare the two bars: what is in the random split that the block split lacks?",),
    ),
    Exercise(
        id="02.q1",
        kind="choice",
        title="unknown words",
        question="A word occurs in the test part only. What does a vocabulary made from the training part do with it?",
        expected="a",
        options={
            "a": (
                "it becomes <unk>, like any word of tomorrow",
                "That is what a model in use will meet, so the test should have it too.",
            ),
            "b": ("it is left out", "Then the text would change its length and its order. An unknown word keeps its place."),
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
        question="Which test shows that padding does no harm to a model?",
        expected="c",
        options={
            "a": (
                "its accuracy stays above the baseline",
                "The bug of section 8 left the accuracy alone and still changed people's answers.",
            ),
            "b": ("training without an error message", "Forgotten masks raise no error: that is why they live long."),
            "c": (
                "a text gets the same answer alone and in a batch",
                "One line of code, and it holds for every model of this course.",
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
            "c": ("how many epochs it was trained", "Worth knowing later. First you need something to hold 0.86 against."),
        },
    ),
]
