"""Exercises of notebook 08, more with less."""

import torch

from .definition import Case, Exercise, Mistake

W = [[1.0, 0.0], [0.0, 1.0]]
UP, DOWN = [[1.0], [2.0]], [[3.0, 4.0]]  # B (2, 1), A (1, 2)
WIDE_W, WIDE_UP, WIDE_DOWN = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


def with_one_scale(weight):
    step = weight.abs().max() / 127
    return (weight / step).round() * step


def distil(student, teacher, temperature, power=2):
    p, q = (teacher / temperature).softmax(dim=1), (student / temperature).softmax(dim=1)
    return temperature**power * (p * (p.log() - q.log())).sum(dim=1).mean()


def turned(student, teacher, temperature):
    return distil(teacher, student, temperature)


# The solutions.
def merged_weight(W, A, B, alpha):
    r = A.shape[0]
    return W + alpha / r * B @ A


def rounded(weight):
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / step).round() * step


# Other answers, right and wrong, that test the checks.
def merged_by_loop(W, A, B, alpha):
    merged, r = W.clone(), len(A)
    for k in range(r):
        merged += alpha / r * torch.outer(B[:, k], A[k])
    return merged


def restored_by_rows(weight):
    rows = []
    for row in weight:
        scale = row.abs().max() / 127
        rows.append(((row / scale).round() * scale).tolist())
    return rows


EXERCISES = [
    Exercise(
        id="08.1",
        kind="complete",
        title="merging an adapter",
        solution=merged_weight,
        cases=(
            Case(
                "merged_weight(W=[[1, 0], [0, 1]], A=[[3, 4]], B=[[1], [2]], alpha=1)",
                (torch.tensor(W), torch.tensor(DOWN), torch.tensor(UP), 1.0),
                [[4.0, 4.0], [6.0, 9.0]],
            ),
            Case(
                "merged_weight(W=[[1, 0], [0, 1]], A=[[3, 4]], B=[[1], [2]], alpha=2)",
                (torch.tensor(W), torch.tensor(DOWN), torch.tensor(UP), 2.0),
                [[7.0, 8.0], [12.0, 17.0]],
            ),
            Case(
                "merged_weight(W=[[0, 0, 0], [0, 0, 0]], A=[[1, 0, 1], [0, 1, 0]], B=[[1, 0], [0, 2]], alpha=4)",
                (torch.tensor(WIDE_W), torch.tensor(WIDE_DOWN), torch.tensor(WIDE_UP), 4.0),
                [[2.0, 0.0, 2.0], [0.0, 4.0, 0.0]],
            ),
        ),
        mistakes=(
            Mistake(
                lambda W, A, B, alpha: W + B @ A,
                "the scale is missing: the change counts alpha / r times.",
            ),
            Mistake(
                lambda W, A, B, alpha: W + alpha * B @ A,
                "alpha without r. The rank r is the number of rows of A; divide by it, so that you can change r and keep the learning rate.",
            ),
            Mistake(
                lambda W, A, B, alpha: alpha / A.shape[0] * B @ A,
                "the change alone. Add it to W.",
            ),
            Mistake(
                lambda W, A, B, alpha: W - alpha / A.shape[0] * B @ A,
                "the sign: the change is added.",
            ),
            Mistake(
                lambda W, A, B, alpha: W + alpha / A.shape[1] * B @ A,
                "divided by the number of inputs. The rank r is the short side of A, its number of rows.",
            ),
        ),
        hints=(
            "what is the shape of W, and in which order do A and B give that shape?",
            "B @ A is (out, in), like W. The rank r is A.shape[0].",
            "W + alpha / A.shape[0] * B @ A.",
        ),
        after="After merging it is a plain layer again, as fast as before.",
        right=(
            lambda W, A, B, alpha: W + alpha / A.shape[0] * B @ A,
            lambda W, A, B, alpha: torch.addmm(W, B, A, alpha=alpha / B.shape[1]),
            merged_by_loop,
        ),
        wrong=(
            (lambda W, A, B, alpha: W + B @ A, "the scale is missing"),
            (lambda W, A, B, alpha: W + alpha * (B @ A), "alpha without r"),
            (lambda W, A, B, alpha: B @ A * alpha / len(A), "Add it to W"),
            (lambda W, A, B, alpha: W + alpha / A.numel() * B @ A, "should give"),
            (lambda W, A, B, alpha: W + A @ B, "should give"),
        ),
    ),
    Exercise(
        id="08.2",
        kind="predict",
        title="what LoRA trains in one layer",
        solution="my_lora_size = 8 * (384 + 1_536)",
        expected=15_360,
        tolerance=0.0005,
        mistakes=(
            Mistake(589_824, "That is the whole matrix, which stays frozen."),
            Mistake(1_920, "That is rank one: 384 + 1,536. The rank is r."),
            Mistake(12_288, "That is one of the two thin matrices, 8 x 1,536. There are two: A and B."),
            Mistake(3_072, "That is one of the two thin matrices, 8 x 384. There are two: A and B."),
            Mistake(4_718_592, "That is r whole matrices. A and B are thin."),
        ),
        hints=("two matrices: A is (r, in), B is (out, r).", "r times (in + out).", "8 * (384 + 1536)."),
        after="2.6 percent of the parameters of the frozen matrix.",
        right=(
            15360,
            8 * (384 + 1536),
            8 * 384 + 1536 * 8,
        ),
        wrong=(
            (384 * 1536, "stays frozen"),
            (8 * 1536, "There are two: A and B"),
            (384 + 1536, "rank one"),
            (8, "is not correct"),
        ),
    ),
    Exercise(
        id="08.3",
        kind="debug",
        title="one scale for all",
        solution=rounded,
        given=with_one_scale,
        tolerance=2e-3,
        cases=(
            Case(
                "rounded(weight=[[1, 0.25], [0.01, 0.0025]])",
                (torch.tensor([[1.0, 0.25], [0.01, 0.0025]]),),
                [[1.0, 32 / 127], [0.01, 0.32 / 127]],
            ),
            Case(
                "rounded(weight=[[127, 1], [0.25, -1]])",
                (torch.tensor([[127.0, 1.0], [0.25, -1.0]]),),
                [[127.0, 1.0], [32 / 127, -1.0]],
            ),
            Case("rounded(weight=[[3, -4, 1]])", (torch.tensor([[3.0, -4.0, 1.0]]),), [[380 / 127, -4.0, 128 / 127]]),
        ),
        mistakes=(
            Mistake(
                lambda weight: (
                    (weight * 127 / weight.abs().amax(0, keepdim=True)).round() * weight.abs().amax(0, keepdim=True) / 127
                ),
                "a scale for each column. An output channel is a row of the weight: (out, in).",
            ),
            Mistake(
                lambda weight: (
                    (weight / (weight.amax(1, keepdim=True) / 127)).round() * (weight.amax(1, keepdim=True) / 127)
                ),
                "the largest weight, with its sign. A row's largest size may be a negative weight: take abs() first.",
            ),
            Mistake(
                lambda weight: (weight / (weight.abs().amax(1, keepdim=True) / 127)).round(),
                "the integers. Multiply by the scale again to restore the weights.",
            ),
            Mistake(
                lambda weight: weight,
                "nothing is rounded: these are the original weights, four bytes each.",
            ),
        ),
        hints=(
            "look at the second row of the first case: what is left of the small weights?",
            "each row needs a scale of its own.",
            "scale = weight.abs().amax(dim=1, keepdim=True) / 127.",
        ),
        after="It costs one more number for each row.",
        right=(
            lambda weight: (weight / (s := weight.abs().amax(dim=1, keepdim=True) / 127)).round() * s,
            lambda weight: torch.round(weight.T / (s := weight.abs().max(dim=1).values / 127)).mul(s).T,
            restored_by_rows,
        ),
        wrong=(
            (lambda weight: torch.round(weight * 127 / weight.abs().max()) * weight.abs().max() / 127, "as it was given"),
            (lambda weight: (weight / (s := weight.abs().amax(dim=0) / 127)).round() * s, "a scale for each column"),
            (lambda weight: (weight / (weight.abs().amax(dim=1, keepdim=True) / 127)).round(), "Multiply by the scale"),
            (lambda weight: weight, "nothing is rounded"),
        ),
    ),
    Exercise(
        id="08.4",
        kind="choice",
        title="reading the table",
        solution='my_first_try = "b"',
        question="A colleague's model already runs in bfloat16. She needs predictions twice as fast on the same laptop, and can "
        "give up one point of accuracy. What do you try first?",
        expected="b",
        options={
            "a": ("LoRA", "It lowers the cost of training. Merged, the model predicts exactly as fast as before."),
            "b": (
                "a student with fewer layers",
                "Fewer layers mean fewer products; check the one point of accuracy with an interval.",
            ),
            "c": ("setting 60 % of the weights to zero", "A zero is multiplied like any other number: nothing gets faster."),
            "d": ("int8 through ONNX Runtime", "It is faster than float32, but it was not twice as fast as bfloat16."),
        },
        hints=("which methods make the matrix products fewer or smaller?",),
    ),
    Exercise(
        id="08.q1",
        kind="choice",
        title="why B starts at zero",
        question="In LoRA, A starts at random and B at zero. What if both started at zero?",
        expected="c",
        options={
            "a": (
                "training would start from a damaged model",
                "No: B A would be zero either way, so training starts from the pretrained model.",
            ),
            "b": ("nothing would change", "Look at the first gradients: each is multiplied by the other matrix."),
            "c": ("neither would ever get a gradient", "The gradient of A is multiplied by B, and that of B by A."),
        },
    ),
    Exercise(
        id="08.q2",
        kind="choice",
        title="the cache",
        question="When does caching the states of frozen layers save most?",
        expected="a",
        options={
            "a": ("many epochs or many trials on the same texts", "The states are computed once and read each time."),
            "b": ("one epoch on a very large data set", "Then each state is used only once, and storing it is extra work."),
            "c": ("when all layers are trained", "Then the states change with every step and cannot be cached."),
        },
    ),
    Exercise(
        id="08.q3",
        kind="choice",
        title="an interval and a goal",
        question="Student minus teacher: -0.8 points (-3.0 to 1.4). The goal was: within 1 point. Is it met?",
        expected="c",
        options={
            "a": ("yes, 0.8 is less than 1", "The estimate is; the interval reaches to 3 points below."),
            "b": ("no, since 3 is more than 1", "It may be that bad, but it may also be better than the teacher."),
            "c": (
                "this test is too small to decide",
                "A larger test part would make the interval narrower: four times the texts, half the width.",
            ),
        },
    ),
]
