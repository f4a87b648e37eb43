"""Scores against scikit-learn, intervals against simulation and SciPy, and bands that bite."""

import json
import os
import platform

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from course_utils import claims, evaluation

rng = np.random.default_rng(0)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_scores_equal_scikit_learn(num_classes):
    labels, predictions = rng.integers(0, num_classes, size=(2, 200))
    counts = evaluation.confusion(predictions, labels, num_classes=num_classes)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, predictions))
    f1 = metrics.f1_score(labels, predictions, average="macro")
    assert evaluation.macro_f1(predictions, labels, num_classes=num_classes) == pytest.approx(f1)
    assert evaluation.accuracy(predictions, labels) == metrics.accuracy_score(labels, predictions)


def test_a_class_never_seen_nor_predicted_counts_as_zero():
    labels = predictions = np.array([0, 1, 1])
    f1 = metrics.f1_score(labels, predictions, average="macro", labels=[0, 1, 2], zero_division=0)
    assert evaluation.macro_f1(predictions, labels, num_classes=3) == pytest.approx(f1) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        ([[0.1, 0.9]], [1], r"argmax\(axis=1\)"),
        ([0, 1], [1], r"shape \(2,\) and labels \(1,\)"),
        ([], [], r"n of 1 or more"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluation.accuracy(np.array(predictions), np.array(labels))


@pytest.mark.parametrize(("predictions", "labels"), [([2, 0], [0, 1]), ([0, 0], [2, 1]), ([0, -1], [0, 1])])
def test_a_class_outside_the_table_is_refused(predictions, labels):
    with pytest.raises(ValueError, match=r"num_classes=2: classes are 0 to num_classes - 1"):
        evaluation.confusion(np.array(predictions), np.array(labels))


def test_blocks_of_one_row_give_the_binomial_interval():
    correct = (np.arange(1_000) < 800).astype(float)
    interval = evaluation.block_interval(correct, np.arange(1_000), draws=4_000)
    low, high = stats.binom.ppf([0.025, 0.975], 1_000, 0.8) / 1_000
    assert interval.estimate == 0.8
    assert interval.low == pytest.approx(low, abs=0.003) and interval.high == pytest.approx(high, abs=0.003)


def test_uneven_blocks_agree_with_a_direct_simulation():
    blocks = np.repeat(np.arange(30), rng.integers(1, 40, size=30))
    values = (rng.random(len(blocks)) < rng.random(30)[blocks]).astype(float)  # blocks differ in difficulty
    other, means = np.random.default_rng(99), []
    for _ in range(3_000):
        drawn = np.concatenate([values[blocks == block] for block in other.integers(30, size=30)])
        means.append(drawn.mean())
    interval = evaluation.block_interval(values, blocks * 17 + 3, draws=3_000)  # names of blocks do not matter
    assert interval.estimate == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.015)
    rows = evaluation.block_interval(values, np.arange(len(values)), draws=3_000)
    assert interval.high - interval.low > 1.5 * (rows.high - rows.low)  # resemblance within blocks widens it


def test_a_difference_on_the_same_examples():
    a, b = np.array([1, 1, 1, 0] * 25), np.array([1, 0, 1, 0] * 25)
    interval = evaluation.difference_interval(a, b, np.arange(100))
    assert interval.estimate == 0.25 and 0.15 < interval.low < 0.25 < interval.high < 0.35
    same = evaluation.difference_interval(a, a, np.arange(100))
    assert (same.low, same.estimate, same.high) == (0, 0, 0)


def test_one_block_is_not_enough():
    with pytest.raises(ValueError, match=r"at least two blocks"):
        evaluation.block_interval(np.ones(5), np.zeros(5))


def test_an_interval_in_words():
    assert str(evaluation.Interval(0.8, 0.7754, 0.8246)) == "0.800 (0.775 to 0.825)"


# --- bands


@pytest.fixture
def bands(monkeypatch):
    band = {"low": 0.75, "high": 0.85, "values": [0.8] * 5}
    monkeypatch.setattr(evaluation, "_bands", lambda: {"profiles": {"workshop": {"03 accuracy": band}}})
    monkeypatch.setenv("COURSE_PROFILE", "workshop")


@pytest.mark.parametrize("value", [0.75, 0.8, 0.85])
def test_a_value_in_the_band_is_said_to_be(bands, value):
    sentence = claims.check_claim("03 accuracy", value)
    assert "03 accuracy" in sentence and "inside" in sentence and "0.750 to 0.850" in sentence


@pytest.mark.parametrize("value", [0.7499, 0.8501, 0.5, float("nan"), float("inf")])
def test_a_value_outside_fails_and_the_sentence_names_value_and_band(bands, value):
    with pytest.raises(claims.OutsideToleranceError, match=rf"03 accuracy is {value:.4f}.*0\.750 to 0\.850.*5 seeds"):
        claims.check_claim("03 accuracy", value)


def test_a_claim_never_measured_lists_those_that_were(bands):
    with pytest.raises(ValueError, match=r"No band is called '03 loss'.*03 accuracy"):
        claims.check_claim("03 loss", 0.1)


def test_other_profiles_are_not_held_to_it(bands, monkeypatch):
    for profile in ("smoke", "full"):
        monkeypatch.setenv("COURSE_PROFILE", profile)
        assert profile in claims.check_claim("03 accuracy", 0.1)


def test_record_mode_writes_the_value_and_its_seed(bands, monkeypatch, tmp_path):
    file = tmp_path / "values.jsonl"
    monkeypatch.setenv("COURSE_RECORD_BANDS", str(file))
    for seed in ("0", "4"):
        monkeypatch.setenv("COURSE_SEED", seed)
        claims.check_claim("03 accuracy", 0.1)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [{"name": "03 accuracy", "value": 0.1, "seed": seed} for seed in (0, 4)]


# --- a run beside the stored ones

STORED = {"low": 0.75, "high": 0.85, "values": [0.78, 0.79, 0.80, 0.81, 0.82], "seconds": [90.0, 100.0, 130.0]}
HERE = f"{os.cpu_count()} cores, {platform.machine()}"


@pytest.fixture
def stored(monkeypatch):
    """Return a function that stores a band for the workshop profile, measured on the hardware that is named."""

    def store(hardware: str = HERE, band: dict = STORED) -> None:
        kept = {"measured": {"hardware": hardware}, "profiles": {"workshop": {"06 accuracy": band}}}
        monkeypatch.setattr(evaluation, "_bands", lambda: kept)

    monkeypatch.setenv("COURSE_PROFILE", "workshop")
    store()
    return store


@pytest.mark.parametrize(
    ("value", "stands", "means"),
    [
        (0.81, "0.810, 0.010 above the mean of 5 stored seeds", "shows nothing"),
        (0.79, "0.790, 0.010 below the mean of 5 stored seeds", "shows nothing"),
        (0.8, "0.800, 0.000 above the mean", "shows nothing"),
        (0.85, "0.850, 0.050 above the mean", "shows nothing"),  # the end of the band belongs to it
        (0.8501, "0.850, 0.050 above the mean", "something else. The same test part?"),
        (0.95, "0.950, 0.150 above the mean", "something else. The same test part?"),
        (0.5, "0.500, 0.300 below the mean", "something else. Every cell run once"),
        (float("nan"), "nan, nan below the mean", "something else. Every cell run once"),
    ],
)
def test_a_run_is_placed_among_the_seeds_and_told_what_the_distance_means(stored, value, stands, means):
    compared = claims.compare_run("06 accuracy", value)
    assert compared.sentence.startswith(f"06 accuracy: {stands}") and means in compared.sentence
    assert "0.780 to 0.820, and a seed moves it by up to 0.050 (99 %)" in compared.sentence
    assert "Training took" not in compared.sentence
    assert compared.values == (0.78, 0.79, 0.80, 0.81, 0.82) and compared.band == (0.75, 0.85)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (110.0, "Training took 110 s, 1.10 times the 100 s on"),
        (149.0, "1.49 times the 100 s on {}: as usual."),
        (151.0, "1.51 times the 100 s on {}: what else is running"),
        (67.0, "0.67 times the 100 s on {}: as usual."),
        (66.0, "0.66 times the 100 s on {}: what else is running, or was left out?"),
    ],
)
def test_the_time_is_held_to_the_median_of_the_stored_times(stored, seconds, says):
    sentence = claims.compare_run("06 accuracy", 0.8, seconds=seconds).sentence
    assert says.format(HERE) in sentence and sentence.endswith((".", "left out?"))


def test_on_other_hardware_a_factor_compares_machines(stored):
    stored("64 cores, abacus")
    sentence = claims.compare_run("06 accuracy", 0.8, seconds=10.0).sentence
    assert "0.10 times the 100 s on 64 cores, abacus: another machine" in sentence and "as usual" not in sentence


def test_where_no_time_is_stored_none_is_compared(stored):
    stored(band={name: value for name, value in STORED.items() if name != "seconds"})
    assert "Training took" not in claims.compare_run("06 accuracy", 0.8, seconds=10.0).sentence


@pytest.mark.parametrize(("profile", "name"), [("smoke", "06 accuracy"), ("full", "06 accuracy"), ("workshop", "my own")])
def test_where_nothing_is_stored_it_says_so(stored, monkeypatch, profile, name):
    monkeypatch.setenv("COURSE_PROFILE", profile)
    compared = claims.compare_run(name, 0.8, seconds=10.0)
    assert compared.sentence == f"{name}: 0.800. Nothing is stored for it in the {profile} profile."
    assert compared.values == () and compared.band is None


def test_record_mode_writes_the_seconds_too_but_not_in_smoke(stored, monkeypatch, tmp_path):
    file = tmp_path / "values.jsonl"
    monkeypatch.setenv("COURSE_RECORD_BANDS", str(file))
    assert "Nothing is stored" in claims.compare_run("06 accuracy", 0.8, seconds=12.5).sentence
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    claims.compare_run("06 accuracy", 0.1, seconds=1.0)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"name": "06 accuracy", "value": 0.8, "seed": 0, "seconds": 12.5}
    ]
