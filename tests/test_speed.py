"""`course bench`: sides in turn, medians and ranges by hand, one file that grows, and the table made from it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_encoded, make_reviews

from bench import speed, walk
from course_utils import cost, prediction
from tools import times as tool

ROOT = Path(__file__).parents[1]


class Clock:
    """A clock that only work moves on."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.ran = 0.0, []
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(cost, "gemm_rate", lambda: 1e9)
        monkeypatch.setattr(cost, "step_rate", lambda model: 5e8)

    def side(self, name: str, seconds: list[float], flops: float = 0.0):
        left = iter(seconds)

        def prepare(seed: int):
            def run() -> int:
                self.now += next(left)
                self.ran.append((name, seed))
                return 700

            return speed.Job(run, flops=flops)

        return speed.Side(name, f"{name} differs", prepare)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def two_sides(clock):
    sides = [clock.side("ours", [2, 4, 3], flops=1e9), clock.side("theirs", [4, 4, 9])]
    return speed.Comparison("How long?", "everything", sides, tokens=600, texts=30)


@pytest.mark.slow
def test_sides_run_in_turn_with_the_seed_of_the_round_and_the_order_turns_round(clock):
    speed.measure(two_sides(clock), 3)
    ours, theirs = "ours", "theirs"
    assert clock.ran == [(ours, 0), (theirs, 0), (theirs, 1), (ours, 1), (ours, 2), (theirs, 2)]


@pytest.mark.slow
def test_medians_ranges_and_ratios_within_rounds_by_hand(clock):
    comparison = two_sides(clock)
    kept = speed.record(comparison, *speed.measure(comparison, 3))
    ours, theirs = kept["sides"]
    assert ours["seconds"] == {"median": 3, "low": 2, "high": 4}
    assert theirs["times_first"] == {"median": 2, "low": 1, "high": 3}  # 4 / 2, 4 / 4, 9 / 3
    assert (ours["tokens_per_second"], ours["texts_per_second"], ours["places"]) == (200, 10, 700)
    assert ours["share_of_gemm"] == {"median": 0.333, "low": 0.25, "high": 0.5}  # 1 second at the rate of products
    assert ours["foretold_over_measured"] == {"median": 0.667, "low": 0.5, "high": 1}  # 2 seconds foretold
    assert "share_of_gemm" not in theirs and kept["gemm_gflops"]["median"] == 1
    assert {"hardware", "precision", "torch", "transformers", "commit", "date"} <= set(kept["measured"])


def test_trained_models_are_scored_and_compared_over_blocks(clock, monkeypatch):
    test, blocks = make_encoded(8), np.arange(8) // 2
    answers = iter([[1] * 8, [1] * 4 + [0] * 4])  # right everywhere; wrong in the last four
    wrong_or_right = lambda model, texts: prediction.Evaluation(  # noqa: E731
        0.0, 0.0, np.where(np.array(next(answers), bool), texts.labels, 1 - texts.labels)
    )
    monkeypatch.setattr(prediction, "evaluate", wrong_or_right)
    sides = [clock.side("ours", [1.0]), clock.side("theirs", [1.0])]
    for number, side in enumerate(sides):
        prepare = side.prepare
        sides[number] = speed.Side(side.name, "", lambda seed, p=prepare: speed.Job(p(seed).run, model=object()))
    comparison = speed.Comparison("How well?", "", sides, 1, 1, test=(test, blocks))
    ours, theirs = speed.record(comparison, *speed.measure(comparison, 1))["sides"]
    assert ours["accuracy"]["estimate"] == 1 and theirs["accuracy"]["estimate"] == 0.5
    gain = theirs["accuracy_over_first"]
    assert gain["estimate"] == -0.5 and gain["low"] < -0.5 < gain["high"] <= 0


def test_every_comparison_is_listed_and_an_unknown_one_lists_them(capsys):
    assert speed.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(speed.COMPARISONS)
    with pytest.raises(SystemExit) as end:
        speed.main(["lstn"])
    assert end.value.code == 2 and "no comparison lstn" in capsys.readouterr().err


@pytest.mark.slow
def test_a_comparison_measured_anew_replaces_its_own_record_only(clock, monkeypatch, tmp_path):
    sized = []
    makers = {name: (lambda sizes: sized.append(sizes) or two_sides(clock), "") for name in ("first", "second", "long")}
    monkeypatch.setattr(speed, "COMPARISONS", makers)
    monkeypatch.setattr(speed, "ONLY_IF_NAMED", {"long"})
    out = tmp_path / "new" / "speed.json"
    assert speed.main(["--out", str(out), "--rounds", "2"]) == 0
    before = json.loads(out.read_text())["comparisons"]
    assert list(before) == ["first", "second"] and before["first"]["rounds"] == 2
    assert speed.main(["--out", str(out), "--quick", "first"]) == 0
    after = json.loads(out.read_text())["comparisons"]
    assert after["second"] == before["second"] and after["first"]["rounds"] == 1
    assert sized == [speed.Sizes()] * 2 + [speed.QUICK]
    speed.main(["--out", str(out), "long", "--rounds", "1"])
    assert list(json.loads(out.read_text())["comparisons"]) == ["first", "second", "long"]


@pytest.mark.slow
def test_the_table_contains_what_was_measured(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, "RESULTS", tmp_path / "bench" / "results")
    assert "No speed has been measured yet" in tool.speed()
    monkeypatch.setattr(speed, "COMPARISONS", {"first": (lambda sizes: two_sides(clock), "")})
    speed.main(["--out", str(tmp_path / "bench" / "results" / "speed_cpu_float32.json")])
    table = tool.speed()
    assert "| How long? | ours: 3.0 s, 200 tokens/s | theirs | theirs differs | 2.00 (1.00 to 3.00) |" in table
    assert "Medians and ranges of 3 rounds" in table and f"torch {torch.__version__.split('+')[0]}" in table
    assert "Traded: Nothing" in table and "reached 33% (25% to 50%)" in table
    assert "estimated from three steps of 32 x 32 tokens were 0.67 (0.50 to 1.00) times those measured" in table
    results = tmp_path / "bench" / "results"
    (results / "speed_cuda_bfloat16.json").write_text((results / "speed_cpu_float32.json").read_text())
    times = {"06_x": {"off": 90, "as it is": 40}, "08_y": {"off": 30, "as it is": 20}}
    record = {"notebooks": times, "hardware": "2 cores", "date": "2026-01-01"}
    (results / "walk_cpu_float32.json").write_text(json.dumps(record))
    walked = (
        "2 cores, cpu, float32: notebooks 06, 08 take 2.0 minutes in place of 1.0, 2.0 times as long (one run each, 2026"
    )
    assert walked in tool.walks()
    both = tool.speed()
    assert both.startswith(table) and "another kind of machine: cuda, bfloat16" in both


# --- the sides themselves


@pytest.mark.slow
def test_an_epoch_of_ours_and_of_the_trainer_read_every_token_and_the_trainer_pads_more():
    encoded, _ = speed.wordpieces("rotten_tomatoes", 40, 32)
    jobs = {
        "ours": speed.course_run(encoded)(0),
        "grouped": speed.trainer_run(encoded, strategy="group_by_length")(0),
        "random": speed.trainer_run(encoded, strategy="random")(0),
    }
    before = {name: job.model.classifier.weight.detach().clone() for name, job in jobs.items()}
    places = {name: job.run() for name, job in jobs.items()}
    assert encoded.lengths.sum() <= places["ours"] <= places["grouped"] <= places["random"]
    assert all((job.model.classifier.weight != before[name]).any() for name, job in jobs.items())
    assert jobs["ours"].flops > 6 * 10.6e6 * encoded.lengths.sum()


@pytest.mark.slow
def test_both_ways_of_prediction_compute_what_they_say():
    reviews = make_reviews("Good.", "A long and rather dull evening.", "Bad.", "Not one moment of it is true.")
    ours, theirs = speed.course_prediction(reviews, 16)(0), speed.pipeline_prediction(reviews, 16)(0)
    tokens = speed.text.encode_wordpieces(reviews, speed.pretrained.load_tokenizer(), max_length=16).lengths
    assert ours.run() == theirs.run() == 4 * tokens.max()


@pytest.mark.slow
def test_a_quick_run_of_everything_that_is_not_long_gives_a_whole_record(tmp_path):
    out = tmp_path / "speed.json"
    assert speed.main(["--quick", "--out", str(out), *speed.COMPARISONS]) == 0
    kept = json.loads(out.read_text())["comparisons"]
    assert list(kept) == list(speed.COMPARISONS)
    for comparison in kept.values():
        assert comparison["sides"][0]["times_first"]["median"] == 1
        assert all(side["seconds"]["median"] > 0 and side["places"] > 0 for side in comparison["sides"])
    assert "accuracy_over_first" in kept["accuracy"]["sides"][1]


@pytest.mark.slow
def test_the_walk_with_every_choice_off_has_every_choice_off():
    ask = """
import numpy, torch
chosen = training.TrainingConfig(num_epochs=3)
assert (chosen.num_epochs, chosen.batch_size, chosen.bucketed, chosen.fused) == (3, 32, False, False)
assert device.choose_precision(torch.device("cpu")) == torch.float32
model = pretrained.load_classifier()
assert model.config.hidden_dropout_prob == 0.1 and model.config._attn_implementation == "sdpa"
assert batching.make_batches(numpy.array([5, 1, 3]), batch_size=3)[0].tolist() == [0, 1, 2]
places = []
model.bert.encoder.layer[-1].register_forward_hook(lambda layer, inputs, states: places.append(states.shape[1]))
prediction.predict_logits(model, batching.TokenDataset((numpy.array([101, 102, 103]),), numpy.array([0])))
assert places == [3]
"""
    subprocess.run([sys.executable, "-c", walk.OFF + ask], check=True)
