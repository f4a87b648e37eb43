"""Answers to the exercises of notebook 08 that people give: right ones, and wrong ones with a part of their message."""

import torch


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


RIGHT = {
    "08.1": [
        lambda W, A, B, alpha: W + alpha / A.shape[0] * B @ A,
        lambda W, A, B, alpha: torch.addmm(W, B, A, alpha=alpha / B.shape[1]),
        merged_by_loop,
    ],
    "08.2": [15360, 8 * (384 + 1536), 8 * 384 + 1536 * 8],
    "08.3": [
        lambda weight: (weight / (s := weight.abs().amax(dim=1, keepdim=True) / 127)).round() * s,
        lambda weight: torch.round(weight.T / (s := weight.abs().max(dim=1).values / 127)).mul(s).T,
        restored_by_rows,
    ],
}
WRONG = {
    "08.1": [
        (lambda W, A, B, alpha: W + B @ A, "the scale is missing"),
        (lambda W, A, B, alpha: W + alpha * (B @ A), "alpha without r"),
        (lambda W, A, B, alpha: B @ A * alpha / len(A), "Add it to W"),
        (lambda W, A, B, alpha: W + alpha / A.numel() * B @ A, "should give"),
        (lambda W, A, B, alpha: W + A @ B, "should give"),
    ],
    "08.2": [(384 * 1536, "stays frozen"), (8 * 1536, "There are two: A and B"), (384 + 1536, "rank one"), (8, "is not it")],
    "08.3": [
        (lambda weight: torch.round(weight * 127 / weight.abs().max()) * weight.abs().max() / 127, "as it was given"),
        (lambda weight: (weight / (s := weight.abs().amax(dim=0) / 127)).round() * s, "a scale for each column"),
        (lambda weight: (weight / (weight.abs().amax(dim=1, keepdim=True) / 127)).round(), "Multiply by the scale"),
        (lambda weight: weight, "nothing is rounded"),
    ],
}
