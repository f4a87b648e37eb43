"""Exercises of notebook 11, scale out."""

import numpy as np

from .definition import Case, Exercise, Mistake


def weighted(gradients, weights):
    return [sum(w * g[k] for w, g in zip(weights, gradients, strict=True)) for k in range(len(gradients[0]))]


def mean_of_means(gradients, counts):
    return weighted(gradients, [1 / len(counts)] * len(counts))


def total_of_all(gradients, counts):
    return weighted(gradients, counts)


def divided_by_workers(gradients, counts):
    return weighted(gradients, [count / len(counts) for count in counts])


def sum_of_gradients(gradients, counts):
    return weighted(gradients, [1] * len(counts))


def only_full_rounds(order, rank, size):
    full = len(order) // size * size
    return order[rank:full:size]


def in_one_piece(order, rank, size):
    length = len(order) // size
    return order[rank * length : (rank + 1) * length]


def in_pieces_that_cover(order, rank, size):
    return [int(one) for one in np.array_split(order, size)[rank]]


def filled_up(order, rank, size):
    missing = -len(order) % size
    return (order + order[:missing])[rank::size]


def in_bytes(billions, ranks, stage, *, sharded=(8, 4, 4), bytes_each=16):
    shared = sum(sharded[:stage])
    return billions * (bytes_each - shared + shared / ranks)


# The solutions.
def mean_gradient(gradients, counts):
    total = sum(counts)
    return [sum(n * g for n, g in zip(counts, column, strict=True)) / total for column in zip(*gradients, strict=True)]


def my_part(order, rank, size):
    return order[rank::size]


def gigabytes(billions, ranks, stage):
    adam, gradients, weights = 8, 4, 4
    if stage >= 1:
        adam /= ranks
    if stage >= 2:
        gradients /= ranks
    if stage >= 3:
        weights /= ranks
    return billions * (adam + gradients + weights)


# Other answers, right and wrong, that test the checks.
def mean_by_numpy(gradients, counts):
    return np.average(gradients, axis=0, weights=counts)


def mean_by_repeating(gradients, counts):
    return np.repeat(np.array(gradients), counts, axis=0).mean(axis=0).tolist()


def part_by_counting(order, rank, size):
    return [text for position, text in enumerate(order) if position % size == rank]


def part_by_steps(order, rank, size):
    return [order[position] for position in range(rank, len(order), size)]


def gigabytes_by_list(billions, ranks, stage):
    return sum(size * billions / (ranks if stage >= first else 1) for size, first in ((8, 1), (4, 2), (4, 3)))


EXERCISES = [
    Exercise(
        id="11.1",
        kind="complete",
        title="the mean over workers",
        solution=mean_gradient,
        cases=(
            Case("mean_gradient([[1.0], [4.0]], [1, 2])", ([[1.0], [4.0]], [1, 2]), [3.0]),
            Case("mean_gradient([[2.0, 0.0], [4.0, 6.0]], [3, 3])", ([[2.0, 0.0], [4.0, 6.0]], [3, 3]), [3.0, 3.0]),
            Case(
                "mean_gradient([[1.0, -1.0], [5.0, 3.0], [9.0, 9.0]], [2, 2, 0])",
                ([[1.0, -1.0], [5.0, 3.0], [9.0, 9.0]], [2, 2, 0]),
                [3.0, 1.0],
            ),
        ),
        mistakes=(
            Mistake(mean_of_means, "the mean of the means. A sentence of a small share counts more in it than another one."),
            Mistake(total_of_all, "the sum over all sentences. Divide it by their number."),
            Mistake(divided_by_workers, "divided by the number of workers. Divide by the number of sentences."),
            Mistake(
                sum_of_gradients, "the sum of the workers' gradients, whatever their counts. It should be a weighted mean."
            ),
        ),
        hints=(
            "each worker's gradient is a mean. How do you get the sum over its sentences back?",
            "multiply each gradient by its count, add them up entry by entry, and divide by the sum of all counts.",
            "np.average(gradients, axis=0, weights=counts) does it; so does a loop over zip(*gradients).",
        ),
        after="A worker without sentences gets the weight 0, so it can take part with whatever it has.",
        right=(mean_by_numpy, mean_by_repeating),
        wrong=(
            (lambda gradients, counts: np.mean(gradients, axis=0).tolist(), "the mean of the means"),
            (lambda gradients, counts: (np.array(counts) @ np.array(gradients)).tolist(), "Divide it by their number"),
            (lambda gradients, counts: np.sum(gradients, axis=0).tolist(), "weighted mean"),
            (lambda gradients, counts: gradients[0], "should give"),
        ),
    ),
    Exercise(
        id="11.2",
        kind="predict",
        title="what is sent",
        solution="my_megabytes = 2 * 3 / 4 * 25 * 4",
        expected=150,
        tolerance=0.005,
        mistakes=(
            Mistake(37.5, "The number of values is correct. How many bytes does a float32 take?"),
            Mistake(200, "Twice the vector is what it comes close to with very many workers. How much is it with 4?"),
            Mistake(100, "That is the size of the gradients. How often does a worker send them, in both phases together?"),
            Mistake(75, "That is one phase. There are two: reduce-scatter and all-gather."),
            Mistake(
                300,
                "That is what worker 0 would send in the obvious way. In the ring, each message is a quarter of the vector.",
            ),
        ),
        hints=(
            "how many megabytes are the gradients? And which part of them is one message?",
            "each worker sends N - 1 = 3 messages in each of the two phases, and each has a quarter of the 100 MB.",
        ),
        after="With 400 workers it would be 199.5 MB: hardly more.",
        right=(150.0, 2 * 3 * 25),
        wrong=((37.5, "How many bytes"), (200, "very many workers"), (100, "size of the gradients"), (75, "one phase")),
    ),
    Exercise(
        id="11.3",
        kind="debug",
        title="the sentences that nobody got",
        solution=my_part,
        given=only_full_rounds,
        cases=(
            Case("my_part([5, 0, 3, 1, 4, 2, 6], 0, 3)", ([5, 0, 3, 1, 4, 2, 6], 0, 3), [5, 1, 6]),
            Case("my_part([5, 0, 3, 1, 4, 2, 6, 7], 1, 3)", ([5, 0, 3, 1, 4, 2, 6, 7], 1, 3), [0, 4, 7]),
            Case("my_part([5, 0, 3, 1, 4, 2], 2, 3)", ([5, 0, 3, 1, 4, 2], 2, 3), [3, 2]),
            Case("my_part([8, 9], 2, 3)", ([8, 9], 2, 3), []),
        ),
        mistakes=(
            Mistake(
                in_one_piece, "a connected piece, and what is left over at the end gets lost. Take every `size`-th one."
            ),
            Mistake(
                in_pieces_that_cover,
                "a connected piece. All are covered, but positions rank, rank + size, ... are asked for: then the workers' "
                "batches together are a batch of the order.",
            ),
            Mistake(filled_up, "filled up with sentences from the beginning, which are then read twice."),
            Mistake(lambda order, rank, size: order[rank + 1 :: size], "one position too late. The first rank is 0."),
        ),
        hints=(
            "call it for all ranks with 7 sentences and 3 workers. Which sentence is missing?",
            "`full` cuts off the last round if it is not complete. Who needs that?",
            "a slice order[start:stop:step] may leave out the stop.",
        ),
        after="Parts may now differ by one sentence, so the workers' means need weights (exercise 11.1).",
        right=(part_by_counting, part_by_steps),
        wrong=(
            (in_one_piece, "gets lost"),
            (in_pieces_that_cover, "All are covered"),
            (filled_up, "read twice"),
            (lambda order, rank, size: order[rank + 1 :: size], "one position too late"),
            (lambda order, rank, size: order, "should give"),
        ),
    ),
    Exercise(
        id="11.4",
        kind="complete",
        title="does it fit",
        solution=gigabytes,
        cases=(
            Case("gigabytes(1, 4, 0)", (1, 4, 0), 16),
            Case("gigabytes(1, 4, 1)", (1, 4, 1), 10),
            Case("gigabytes(7, 8, 2)", (7, 8, 2), 38.5),
            Case("gigabytes(7, 8, 3)", (7, 8, 3), 14),
        ),
        mistakes=(
            Mistake(lambda billions, ranks, stage: 16 * billions / ranks, "everything sharded, whatever the stage."),
            Mistake(lambda billions, ranks, stage: 16 * billions, "what every rank keeps if nothing is sharded (stage 0)."),
            Mistake(
                lambda billions, ranks, stage: in_bytes(billions, ranks, stage, sharded=(4, 4, 8)),
                "sharded in another order. Stage 1 shards Adam's 8 bytes, stage 2 the gradients too, stage 3 the weights too.",
            ),
            Mistake(
                lambda billions, ranks, stage: in_bytes(billions, ranks, stage, sharded=(4, 4, 4), bytes_each=12),
                "4 bytes for Adam. It keeps two running means for each parameter.",
            ),
        ),
        hints=(
            "start with 8, 4 and 4 bytes. Which of them does each stage divide by the number of ranks?",
            "stage 1 and above divide 8, stage 2 and above also the gradients' 4, stage 3 also the weights' 4. A billion "
            "parameters of 1 byte are 1 gigabyte.",
        ),
        after="With stage 3 on 8 GPUs, the 7 B model needs 14 GB a GPU, and there is room for activations.",
        right=(gigabytes_by_list, in_bytes),
        wrong=(
            (lambda billions, ranks, stage: billions * 16 / ranks, "everything sharded"),
            (lambda billions, ranks, stage: billions * (4 + 4 + 8), "nothing is sharded"),
            (lambda billions, ranks, stage: in_bytes(billions, ranks, stage, sharded=(4, 4, 8)), "in another order"),
            (lambda billions, ranks, stage: 0, "should give"),
        ),
    ),
    Exercise(
        id="11.5",
        kind="predict",
        title="four slow machines",
        solution="my_seconds = 0.8 / 4 + 2 * 3 / 4 * 400e6 / 1e9",
        expected=0.8,
        tolerance=0.005,
        mistakes=(
            Mistake(0.2, "That is the computation. The gradients have to travel as well."),
            Mistake(0.6, "That is the traffic. The computation comes on top, a quarter of it for each."),
            Mistake(1.4, "Is the computation shared? Each of the 4 machines does a quarter of it."),
            Mistake(0.5, "That is one phase of the ring, or half of the traffic. Look at the factor 2 (N - 1) / N."),
            Mistake(
                1.0, "Twice the gradients is what it comes close to with very many machines. For N = 4 the factor is 1.5."
            ),
            Mistake(5.0, "A gigabyte is 8 gigabits; the network was given in bytes."),
        ),
        hints=(
            "t(N) = C / N + 2 (N - 1) / N · b / beta. Which number is which?",
            "C / N = 0.2 s, b / beta = 0.4 s, and the factor is 2 · 3 / 4 = 1.5.",
        ),
        after="That is the time of one machine: the other three only pay for the traffic.",
        right=(0.8, 0.2 + 0.6),
        wrong=((0.2, "have to travel"), (0.6, "comes on top"), (1.4, "a quarter of it"), (1.0, "the factor is 1.5")),
    ),
    Exercise(
        id="11.q1",
        kind="choice",
        title="the noisy curve",
        question="You go from 1 to 8 workers. Each epoch takes an eighth of the time, but the loss curve is as noisy as before, "
        "and the accuracy is lower. What do you look at first?",
        expected="b",
        options={
            "a": ("the network", "A slow network costs time. It does not change the loss."),
            "b": (
                "the first indices that each rank reads",
                "If all read the same sentences, the mean of 8 gradients is the gradient of one worker.",
            ),
            "c": ("the random seeds: each worker needs its own", "For shuffling it is the reverse: all need the same one."),
        },
    ),
    Exercise(
        id="11.q2",
        kind="choice",
        title="the job that stands still",
        question="A job trains well, then stands still at its first evaluation, without an error. The script says "
        "`if rank == 0: evaluate(...)`, and evaluate gathers predictions from all ranks. What happens?",
        expected="c",
        options={
            "a": ("rank 0 is slower than the others", "Then it would go on after a while."),
            "b": ("the evaluation does not fit into memory", "Then there would be an error."),
            "c": (
                "rank 0 waits for predictions that the others never send",
                "What gathers or reduces has to be called by all ranks. Only printing and writing belong under that `if`.",
            ),
        },
    ),
    Exercise(
        id="11.q3",
        kind="choice",
        title="which remedy",
        question="A 7 B model is to be fully fine-tuned in float32 on 8 GPUs of 40 GB. Weights, gradients and Adam take 112 GB. "
        "What helps?",
        expected="a",
        options={
            "a": ("FSDP: each rank keeps an eighth of everything", "14 GB each, and the rest is for activations."),
            "b": ("DDP: each rank gets an eighth of the batch", "The batch is smaller, but each rank still has 112 GB."),
            "c": ("ZeRO 1: each rank keeps an eighth of Adam", "56 GB for weights and gradients remain, more than 40."),
        },
    ),
]
