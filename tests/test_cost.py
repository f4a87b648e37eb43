"""FLOPs against torch's own counter, and rates against a clock that tells known times."""

import pytest
import torch
from helpers import batch_of, make_encoded, weights
from torch.utils.flop_counter import FlopCounterMode

from course_utils import cost, prediction
from course_utils.batching import make_batches

LONGER = make_encoded(200, longest=60)


@pytest.mark.parametrize(("frozen", "trains"), [(0, False), (0, True), (2, True)])
def test_flops_are_those_that_torch_counts(tiny_bert, frozen, trains):
    tiny_bert.set_attn_implementation("eager")
    batches = make_batches(LONGER.lengths, batch_size=50)
    tiny_bert.bert.embeddings.requires_grad_(False)
    tiny_bert.bert.encoder.layer[:frozen].requires_grad_(False)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(trains):
        for batch in batches:
            logits = prediction.model_logits(tiny_bert, batch_of(LONGER, batch))
            if trains:
                logits.sum().backward()
    counted = cost.count_flops(tiny_bert, LONGER.lengths, batches, trains=trains)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.06)


def test_the_median_of_several_calls_leaves_out_the_first_and_does_not_mind_one_slow_call(monkeypatch):
    clock, calls = iter([0, 50, 100, 101, 200, 202, 300, 399]), []  # calls of 50, 1, 2 and 99 seconds
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    assert cost.median_seconds(lambda: calls.append(1), repeats=3) == 2.0
    assert len(calls) == 4


def test_the_rate_of_matrix_products_is_their_flops_in_the_median_time(monkeypatch):
    monkeypatch.setattr(cost, "median_seconds", lambda call, *, repeats: call() / repeats)  # a product of ones: 8 a cell
    assert cost.gemm_rate(torch.device("cpu"), size=8, rounds=4) == 2 * 8 * 8 * 8 / (8 / 4)


def test_the_rate_of_steps_is_their_flops_in_the_median_time_and_the_model_is_not_trained(tiny_bert, monkeypatch):
    marks = iter([0, 9, 13, 15, 18])  # four steps of 9 (warming up), 4, 2 and 3 seconds

    def fit(twin, texts, validation, config, *, on_step):
        assert twin is not tiny_bert and len(texts) == 4 * config.batch_size == 16 and set(texts.lengths) == {6}
        for _ in range(4):
            on_step(None)

    monkeypatch.setattr(cost, "fit", fit)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(marks))
    rate = cost.step_rate(tiny_bert, batch_size=4, num_tokens=6)
    matrices = 3 * (4 * 16 * 16 + 2 * 16 * 32)
    assert rate == pytest.approx(4 * 6 * (6 * matrices + 12 * 3 * 16 * 6) / 3)


def test_a_real_copy_is_stepped_and_the_model_stays(tiny_bert):
    before = weights(tiny_bert)
    assert cost.step_rate(tiny_bert, batch_size=2, num_tokens=4) > 0
    assert torch.equal(weights(tiny_bert), before)


def test_calls_that_take_turns_are_timed_one_by_one_without_the_first_round(monkeypatch):
    marks = iter([0, 9, 10, 19, 20, 21, 30, 33, 40, 42, 50, 54])  # rounds of (9, 9), (1, 3) and (2, 4) seconds
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(marks))
    order = []
    seconds = cost.time_in_turn({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)
    assert {name: each.tolist() for name, each in seconds.items()} == {"a": [1, 2], "b": [3, 4]}
    assert order == ["a", "b"] * 3
