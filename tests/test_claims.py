"""Claims: what holds a value to its tolerance, what a reader's run is compared with, and bench/bands.py, which measures."""

import json
import math
import os
import platform

import numpy as np
import pytest
from scipy import stats

from bench import bands
from course_utils import claims

# --- a value that a test is held to


@pytest.fixture
def measured(monkeypatch):
    band = {"low": 0.75, "high": 0.85, "values": [0.8] * 5}
    monkeypatch.setattr(claims, "_stored", lambda: {"profiles": {"workshop": {"03 accuracy": band}}})
    monkeypatch.setenv("COURSE_PROFILE", "workshop")


def test_a_value_within_its_tolerance_is_said_to_be(measured):
    for value in (0.75, 0.8, 0.85):
        sentence = claims.check_claim("03 accuracy", value)
        assert "03 accuracy" in sentence and "within its tolerance" in sentence and "0.750 to 0.850" in sentence


def test_a_value_outside_fails_and_the_sentence_names_value_and_tolerance(measured):
    for value in (0.7499, 0.8501, 0.5, float("nan"), float("inf")):
        with pytest.raises(claims.OutsideToleranceError, match=rf"03 accuracy is {value:.4f}.*0\.750 to 0\.850.*5 seeds"):
            claims.check_claim("03 accuracy", value)


def test_a_claim_never_measured_lists_those_that_were(measured):
    with pytest.raises(ValueError, match=r"There is no claim '03 loss'.*03 accuracy"):
        claims.check_claim("03 loss", 0.1)


def test_other_profiles_are_not_held_to_it(measured, monkeypatch):
    for profile in ("smoke", "full"):
        monkeypatch.setenv("COURSE_PROFILE", profile)
        assert profile in claims.check_claim("03 accuracy", 0.1)


def test_record_mode_writes_the_value_and_its_seed(measured, monkeypatch, tmp_path):
    file = tmp_path / "values.jsonl"
    monkeypatch.setenv("COURSE_RECORD_CLAIMS", str(file))
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
    """Return a function that stores a claim for the workshop profile, measured on the hardware that is named."""

    def store(hardware: str = HERE, band: dict = STORED) -> None:
        kept = {"measured": {"hardware": hardware}, "profiles": {"workshop": {"06 accuracy": band}}}
        monkeypatch.setattr(claims, "_stored", lambda: kept)

    monkeypatch.setenv("COURSE_PROFILE", "workshop")
    store()
    return store


@pytest.mark.parametrize(
    ("value", "stands", "means"),
    [
        (0.81, "0.810, 0.010 above the mean of 5 stored seeds", "shows nothing"),
        (0.79, "0.790, 0.010 below the mean of 5 stored seeds", "shows nothing"),
        (0.8, "0.800, 0.000 above the mean", "shows nothing"),
        (0.85, "0.850, 0.050 above the mean", "shows nothing"),  # the end of the tolerance belongs to it
        (0.8501, "0.850, 0.050 above the mean", "more than a seed explains. Is it the same test part"),
        (0.95, "0.950, 0.150 above the mean", "more than a seed explains. Is it the same test part"),
        (0.5, "0.500, 0.300 below the mean", "more than a seed explains. Did every cell run once"),
        (float("nan"), "nan, nan below the mean", "more than a seed explains. Did every cell run once"),
    ],
)
def test_a_run_is_placed_among_the_seeds_and_says_what_the_distance_means(stored, value, stands, means):
    compared = claims.compare_run("06 accuracy", value)
    assert compared.sentence.startswith(f"06 accuracy: {stands}") and means in compared.sentence
    assert "0.780 to 0.820, and a seed moves it by up to 0.050 (99 %)" in compared.sentence
    assert "Training took" not in compared.sentence
    assert compared.values == (0.78, 0.79, 0.80, 0.81, 0.82) and compared.tolerance == (0.75, 0.85)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (110.0, "Training took 110 s, 1.10 times the 100 s on"),
        (149.0, "1.49 times the 100 s on {}: as usual."),
        (151.0, "1.51 times the 100 s on {}: something else was running"),
        (67.0, "0.67 times the 100 s on {}: as usual."),
        (66.0, "0.66 times the 100 s on {}: this processor is faster"),  # what else is running cannot make it faster
    ],
)
def test_the_time_is_held_to_the_median_of_the_stored_times(stored, seconds, says):
    sentence = claims.compare_run("06 accuracy", 0.8, seconds=seconds).sentence
    assert says.format(HERE) in sentence and sentence.endswith((".", "?"))


def test_stored_values_are_those_of_the_seeds_whatever_the_profile(stored, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    assert claims.stored_values("06 accuracy") == (0.78, 0.79, 0.80, 0.81, 0.82)
    assert claims.stored_values("my own") == () and claims.stored_values("06 accuracy", profile="full") == ()


def test_on_other_hardware_a_factor_compares_machines(stored):
    stored("64 cores, abacus")
    sentence = claims.compare_run("06 accuracy", 0.8, seconds=10.0).sentence
    assert "0.10 times the 100 s on 64 cores, abacus: another machine" in sentence and "as usual" not in sentence


def test_where_no_time_is_stored_none_is_compared(stored):
    stored(band={name: value for name, value in STORED.items() if name != "seconds"})
    assert "Training took" not in claims.compare_run("06 accuracy", 0.8, seconds=10.0).sentence


def test_where_nothing_is_stored_it_says_so(stored, monkeypatch):
    for profile, name in (("smoke", "06 accuracy"), ("full", "06 accuracy"), ("workshop", "my own")):
        monkeypatch.setenv("COURSE_PROFILE", profile)
        compared = claims.compare_run(name, 0.8, seconds=10.0)
        assert compared.sentence == f"{name}: 0.800. Nothing is stored for it in the {profile} profile."
        assert compared.values == () and compared.tolerance is None


def test_record_mode_writes_the_seconds_too_but_not_in_smoke(stored, monkeypatch, tmp_path):
    file = tmp_path / "values.jsonl"
    monkeypatch.setenv("COURSE_RECORD_CLAIMS", str(file))
    assert "Nothing is stored" in claims.compare_run("06 accuracy", 0.8, seconds=12.5).sentence
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    claims.compare_run("06 accuracy", 0.1, seconds=1.0)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"name": "06 accuracy", "value": 0.8, "seed": 0, "seconds": 12.5}
    ]


# --- bench/bands.py: from recorded lines to tolerances


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Point the tool at files of its own and return a function that records lines."""
    monkeypatch.setattr(bands, "VALUES", tmp_path / "values.jsonl")
    monkeypatch.setattr(bands, "BANDS", tmp_path / "claims.json")

    def write(*lines: dict) -> None:
        bands.VALUES.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


def claim(seed: int, **more) -> dict:
    return {"name": "06 accuracy", "value": 0.8 + seed / 100, "seed": seed, **more}


def test_values_and_times_of_a_seed_are_joined_and_the_last_value_counts(files):
    others = [claim(seed) for seed in (1, 2, 3, 4)]
    files({**claim(0), "value": 0.1}, *others, claim(0, seconds=12.34), {"name": "06 rare", "value": 1.0, "seed": 0})
    bands.make()
    (made,) = json.loads(bands.BANDS.read_text())["profiles"].values()
    assert list(made) == ["06 accuracy"]  # one seed makes no band
    assert made["06 accuracy"]["values"] == [0.8, 0.81, 0.82, 0.83, 0.84]
    assert made["06 accuracy"]["seeds"] == [0, 1, 2, 3, 4] and made["06 accuracy"]["seconds"] == [12.3]


def test_a_claim_without_times_has_none(files):
    files(*(claim(seed) for seed in range(5)))
    bands.make()
    assert "seconds" not in json.loads(bands.BANDS.read_text())["profiles"]["workshop"]["06 accuracy"]


def test_times_of_runs_that_shared_the_cores_are_dropped_and_values_stay(files):
    files(claim(0, seconds=1.0), claim(1, seconds=2.0))
    bands.forget_times([("06", 1), ("03", 0)])
    assert bands.recorded() == [claim(0, seconds=1.0), claim(1)]


def test_a_run_of_03_is_no_run_of_03b(files):
    files(*({"name": f"{number} accuracy", "value": 0.8, "seed": 0} for number in ("03", "03b")))
    bands.forget([("03", 0)])
    assert [line["name"] for line in bands.recorded()] == ["03b accuracy"]


def test_each_run_keeps_its_outputs_in_a_folder_of_its_own(files, monkeypatch):
    for name in ("COURSE_PROFILE", "COURSE_SEED", "COURSE_RECORD_CLAIMS"):
        monkeypatch.setenv(name, "")  # put back after the test: a run sets them for itself
    folders = []
    monkeypatch.setattr(bands.notebooks, "execute", lambda notebook, *, folder: folders.append(folder) or {"seconds": 1.0})
    for seed in (0, 1):
        bands.record("00", seed)
    assert len(set(folders)) == 2 and not any(folder.exists() for folder in folders)


def test_make_band_is_the_prediction_interval_of_scipy():
    values = [0.81, 0.83, 0.82, 0.85, 0.80]
    low, high = bands.make_band(values)
    scale = np.std(values, ddof=1) * math.sqrt(1 + 1 / 5)
    expected = stats.t.interval(0.99, df=4, loc=np.mean(values), scale=scale)
    assert (low, high) == pytest.approx(expected, abs=1e-4)


def test_a_band_is_never_narrower_than_its_least_and_needs_five_seeds():
    assert bands.make_band([0.8] * 5) == pytest.approx((0.795, 0.805))
    with pytest.raises(ValueError, match=r"at least 5 seeds, not 4"):
        bands.make_band([0.8] * 4)


def test_the_bands_that_are_kept_hold_their_own_values_and_are_tight_enough_to_mean_something():
    for profile, kept in json.loads(bands.BANDS.read_text())["profiles"].items():
        assert profile in ("workshop", "full")
        for name, band in kept.items():
            assert len(band["values"]) >= 5, name
            assert band["low"] <= min(band["values"]) and max(band["values"]) <= band["high"], name
            assert (band["low"], band["high"]) == pytest.approx(bands.make_band(band["values"]), abs=2e-4), name
