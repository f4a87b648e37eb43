"""`course bench`: sides in turn, medians and ranges by hand, one file, the table made from it; before and after."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_encoded, make_reviews, weights

from bench import before_after, comparisons, course_runs, other_runs, speed, torchtext_listing, walk
from bench.jobs import Job
from course_utils import batching, cost, language_model, models, pretrained, text, training
from tools import times as tool

ROOT = Path(__file__).parents[1]


class Clock:
    """A clock that only work moves on."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.ran = 0.0, []
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(speed, "import_what_fit_needs", lambda: None)
        monkeypatch.setattr(cost, "gemm_rate", lambda: 1e9)
        monkeypatch.setattr(cost, "step_rate", lambda model: 5e8)

    def side(self, name: str, seconds: list[float], flops: float = 0.0):
        left = iter(seconds)

        def prepare(seed: int):
            def run() -> int:
                self.now += next(left)
                self.ran.append((name, seed))
                return 700

            return Job(run, flops=flops)

        return speed.Side(name, f"{name} differs", prepare)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def two_sides(clock):
    sides = [clock.side("ours", [2, 4, 3], flops=1e9), clock.side("theirs", [4, 4, 9])]
    return speed.Comparison("How long?", "everything", sides, tokens=600, texts=30)


@pytest.mark.slow
def test_sides_run_in_turn_with_the_seed_of_the_round_and_the_order_is_reversed(clock):
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
    assert ours["foretold_over_measured"] == {"median": 0.667, "low": 0.5, "high": 1}  # 2 seconds predicted
    assert "share_of_gemm" not in theirs and kept["gemm_gflops"]["median"] == 1
    assert {"hardware", "precision", "torch", "transformers", "commit", "date"} <= set(kept["measured"])


def test_trained_models_are_scored_and_compared_over_blocks(clock):
    answers = iter([[True] * 8, [True] * 4 + [False] * 4])  # right everywhere; wrong in the last four
    scoring = comparisons.Scoring(lambda model: np.array(next(answers)), blocks=np.arange(8) // 2)
    sides = [clock.side("ours", [1.0]), clock.side("theirs", [1.0])]
    for number, side in enumerate(sides):
        prepare = side.prepare
        sides[number] = speed.Side(side.name, "", lambda seed, p=prepare: Job(p(seed).run, model=object()))
    comparison = speed.Comparison("How well?", "", sides, 1, 1, test=scoring)
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


@pytest.mark.parametrize("config", [{}, {"learning_rate": 1e-2, "max_grad_norm": 0.1, "seed": 3}])
def test_the_loop_of_the_ablation_is_the_loop_of_fit(config):
    dataset, trained = make_encoded(10), []
    config = training.TrainingConfig(num_epochs=1, batch_size=4, **config)
    loader = batching.make_loader(dataset, batch_size=4, seed=config.seed)
    ways = (
        lambda model: training.fit(model, dataset, dataset.take(np.arange(1)), config, on_step=lambda history: None),
        lambda model: course_runs.train_on_batches(model, loader, config),
    )
    for train in ways:
        torch.manual_seed(1)
        model = models.LSTMClassifier(12, embedding_size=4, hidden_size=5)
        before = weights(model)
        train(model)
        trained.append(weights(model))
        assert not torch.equal(before, trained[-1])
    assert torch.equal(*trained)


def test_a_step_of_the_listing_is_a_step_of_fit():
    dataset, trained = make_encoded(6), []
    config = training.TrainingConfig(num_epochs=1, batch_size=6, learning_rate=3e-3)
    for name in ("listing", "fit"):
        torch.manual_seed(1)
        model = models.LSTMClassifier(12, embedding_size=4, hidden_size=5, dropout=0)
        if name == "fit":  # one batch, so no warm-up
            training.fit(model, dataset, dataset.take(np.arange(1)), config, on_step=lambda history: None)
        else:
            optimizer = training.make_optimizer(model, config)
            side = torchtext_listing.Side(model, optimizer, dataset, dataset, np.arange(6), 6)
            (indices,) = batching.LengthBucketSampler(dataset.lengths, batch_size=6, seed=0)
            torchtext_listing.train_step(side, dataset, np.array(indices))
        trained.append(weights(model))
    torch.testing.assert_close(*trained)
    assert trained[0].abs().max() > 0


def test_models_are_plain_within_the_block_only(monkeypatch):
    asked = lambda: os.environ.get("COURSE_PLAIN_MODELS")  # noqa: E731
    for outside in (None, "0"):
        if outside:
            monkeypatch.setenv("COURSE_PLAIN_MODELS", outside)
        with pytest.raises(KeyError), course_runs.plain_models():
            assert asked() == "1"
            raise KeyError
        assert asked() == outside


@pytest.mark.slow
def test_an_epoch_of_ours_and_of_the_trainer_read_every_token_and_the_trainer_pads_more():
    dataset, _ = comparisons.wordpieces("rotten_tomatoes", 70, 32)
    jobs = {
        "ours": course_runs.course_run(dataset)(0),
        "grouped": other_runs.trainer_run(dataset, strategy="group_by_length")(0),
        "random": other_runs.trainer_run(dataset, strategy="random")(0),
        "shuffled": course_runs.shuffled_run(dataset)(0),
        "cached": course_runs.cached_run(dataset, frozen=4, first_epoch=True)(0),
    }
    before = {name: job.model.classifier.weight.detach().clone() for name, job in jobs.items()}
    tokens = {name: job.run() for name, job in jobs.items()}
    assert dataset.lengths.sum() <= tokens["ours"] <= tokens["grouped"] <= tokens["random"]
    assert tokens["ours"] == tokens["cached"] < min(tokens["random"], tokens["shuffled"])
    assert all((job.model.classifier.weight != before[name]).any() for name, job in jobs.items())
    assert jobs["ours"].flops > 6 * 10.6e6 * dataset.lengths.sum()


@pytest.mark.slow
def test_each_choice_of_a_run_reaches_its_model():
    dataset, _ = comparisons.wordpieces("rotten_tomatoes", 2, 8)
    run = course_runs.course_run
    default, plain, frozen, dropout = (
        run(dataset, **choice)(0).model for choice in ({}, {"plain": True}, {"frozen": 4}, {"dropout": 0.1})
    )
    assert default.bert.embeddings._forward_hooks and not plain.bert.embeddings._forward_hooks
    trained = [layer.output.dense.weight.requires_grad for layer in frozen.bert.encoder.layer]
    assert trained == [False] * 4 + [True] * 2
    assert (dropout.dropout.p, default.dropout.p) == (0.1, 0)


@pytest.mark.slow
def test_both_ways_of_prediction_compute_what_they_say():
    reviews = make_reviews("Good.", "A long and rather dull evening.", "Bad.", "Not one moment of it is true.")
    ours, theirs = course_runs.course_prediction(reviews, 16)(0), other_runs.pipeline_prediction(reviews, 16)(0)
    lengths = text.encode_wordpieces(reviews, pretrained.load_tokenizer(), max_length=16).lengths
    assert ours.run() == theirs.run() == 4 * lengths.max()


@pytest.mark.slow
def test_a_quick_run_of_everything_that_is_not_long_gives_a_whole_record(tmp_path):
    out = tmp_path / "speed.json"
    names = [name for name in speed.COMPARISONS if name != "language" or language_model.is_here()]
    assert speed.main(["--quick", "--out", str(out), *names]) == 0
    kept = json.loads(out.read_text())["comparisons"]
    assert list(kept) == names
    for comparison in kept.values():
        assert comparison["sides"][0]["times_first"]["median"] == 1
        assert all(side["seconds"]["median"] > 0 and side["places"] > 0 for side in comparison["sides"])
    assert "accuracy_over_first" in kept["accuracy"]["sides"][1]


@pytest.mark.slow
def test_the_walk_with_every_choice_off_has_every_choice_off():
    ask = """
import numpy
from course_utils import prediction
assert device.choose_precision(torch.device("cpu")) == torch.float32
assert device.make_accelerator().mixed_precision == "no"
model = pretrained.load_classifier()
assert model.config.hidden_dropout_prob == 0.1 and model.config._attn_implementation == "sdpa"
assert not model.bert.embeddings._forward_hooks
dataset = batching.TokenDataset(tuple(numpy.ones(length, dtype=int) for length in (5, 1, 3)))
assert next(iter(batching.make_loader(dataset, batch_size=2)))["attention_mask"].sum(dim=1).tolist() == [5, 1]
"""
    subprocess.run([sys.executable, "-c", walk.OFF + ask], check=True, cwd=ROOT)


# --- before and after


def fake_course(folder: Path, *, new: bool, length: str = "3") -> Path:
    """Write a course of a few lines, whose texts are numbers, that says what it was asked for; return its folder."""
    package = folder / "course_utils"
    package.mkdir(parents=True)
    argument, called = ("max_length", "on_step") if new else ("max_tokens", "on_progress")
    predict = "def predict_proba(model, dataset):\n    print('predicts', len(dataset))\n"
    training = f"""
from dataclasses import dataclass
@dataclass
class {"TrainingConfig" if new else "Settings"}:
    num_epochs: int; learning_rate: float; batch_size: int; seed: int
def fit(model, train, validation, config, *, {called}):
    print("trains", len(train), len(validation), config.seed)
"""
    files = {
        "__init__": "",
        "data": "from types import SimpleNamespace\nload_splits = lambda s: SimpleNamespace(train=range(9), test=range(5))\n"
        "evenly = lambda texts, count: texts[:count]\n",
        "pretrained": "load_tokenizer = load_classifier = lambda seed=0: None\n",
        "text": f"""
import numpy as np
class Texts(list):
    take = lambda self, indices: Texts(self[i] for i in indices)
    input_ids = property(list)
encode_wordpieces = lambda texts, tokenizer, *, {argument}: Texts(np.arange({length}) for _ in texts)
""",
        "training": training + ("" if new else predict),
    } | ({"prediction": predict} if new else {})
    for name, content in files.items():
        (package / f"{name}.py").write_text(content)
    return folder


TWO_TASKS = {"tune": ("a", "train", 7, 5, "train"), "answer": ("b", "test", 4, 5, "predict")}


def test_an_old_and_a_new_course_are_asked_for_the_same_in_turn(tmp_path, capfd):
    folders = {"before": fake_course(tmp_path / "old", new=False), "after": fake_course(tmp_path / "new", new=True)}
    seconds = before_after.run_tasks(folders, 1, TWO_TASKS)
    assert list(seconds) == ["tune", "answer"]
    assert list(seconds["tune"]) == ["after", "before"] and list(seconds["answer"]) == ["before", "after"]
    assert all(0 < value < 60 for task in seconds.values() for value in task.values())
    said = capfd.readouterr().err.splitlines()
    assert sorted(said) == sorted(["trains 7 1 1", "predicts 4"] * 4)  # a first run and the one that is timed, twice


def test_sides_that_read_other_texts_are_not_compared(tmp_path):
    folders = {
        "before": fake_course(tmp_path / "old", new=False),
        "after": fake_course(tmp_path / "new", new=True, length="4"),
    }
    with pytest.raises(RuntimeError, match="do not read the same texts"):
        before_after.run_tasks(folders, 0, TWO_TASKS)


def test_ratios_are_taken_within_rounds():
    rounds = [{"before": 2.0, "after": 1.0}, {"before": 4.0, "after": 6.0}, {"before": 10.0, "after": 9.0}]
    kept = before_after.record({"tune": rounds})["tune"]
    assert kept["after_over_before"] == {"median": 0.9, "low": 0.5, "high": 1.5}
    assert kept["before"] == {"median": 4, "low": 2, "high": 10}
