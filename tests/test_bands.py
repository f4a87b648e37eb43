"""bench/bands.py: from recorded lines to bands, with times of runs that had the machine to themselves."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from bench import bands as tool


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Point the tool at files of its own and return a function that records lines."""
    monkeypatch.setattr(tool, "VALUES", tmp_path / "values.jsonl")
    monkeypatch.setattr(tool, "BANDS", tmp_path / "bands.json")

    def write(*lines: dict) -> None:
        tool.VALUES.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


def claim(seed: int, **more) -> dict:
    return {"name": "06 accuracy", "value": 0.8 + seed / 100, "seed": seed, **more}


def test_values_and_times_of_a_seed_are_joined_and_the_last_value_counts(files):
    others = [claim(seed) for seed in (1, 2, 3, 4)]
    files({**claim(0), "value": 0.1}, *others, claim(0, seconds=12.34), {"name": "06 rare", "value": 1.0, "seed": 0})
    tool.make()
    (bands,) = json.loads(tool.BANDS.read_text())["profiles"].values()
    assert list(bands) == ["06 accuracy"]  # one seed makes no band
    assert bands["06 accuracy"]["values"] == [0.8, 0.81, 0.82, 0.83, 0.84]
    assert bands["06 accuracy"]["seeds"] == [0, 1, 2, 3, 4] and bands["06 accuracy"]["seconds"] == [12.3]


def test_a_claim_without_times_has_none(files):
    files(*(claim(seed) for seed in range(5)))
    tool.make()
    assert "seconds" not in json.loads(tool.BANDS.read_text())["profiles"]["workshop"]["06 accuracy"]


def test_times_of_runs_that_shared_the_cores_are_dropped_and_values_stay(files):
    files(claim(0, seconds=1.0), claim(1, seconds=2.0))
    tool.forget_times([("06", 1), ("03", 0)])
    assert tool.recorded() == [claim(0, seconds=1.0), claim(1)]


def test_each_run_keeps_its_outputs_in_a_folder_of_its_own(files, monkeypatch):
    for name in ("COURSE_PROFILE", "COURSE_SEED", "COURSE_RECORD_CLAIMS"):
        monkeypatch.setenv(name, "")  # put back after the test: a run sets them for itself
    folders = []
    monkeypatch.setattr(tool.notebooks, "execute", lambda notebook, *, folder: folders.append(folder) or {"seconds": 1.0})
    for seed in (0, 1):
        tool.record("00", seed)
    assert len(set(folders)) == 2 and not any(folder.exists() for folder in folders)


def test_make_band_is_the_prediction_interval_of_scipy():
    values = [0.81, 0.83, 0.82, 0.85, 0.80]
    low, high = tool.make_band(values)
    scale = np.std(values, ddof=1) * math.sqrt(1 + 1 / 5)
    expected = stats.t.interval(0.99, df=4, loc=np.mean(values), scale=scale)
    assert (low, high) == pytest.approx(expected, abs=1e-4)


def test_a_band_is_never_narrower_than_its_least_and_needs_five_seeds():
    assert tool.make_band([0.8] * 5) == pytest.approx((0.795, 0.805))
    with pytest.raises(ValueError, match=r"at least 5 seeds, not 4"):
        tool.make_band([0.8] * 4)


def test_the_bands_that_are_kept_hold_their_own_values_and_are_tight_enough_to_mean_something():
    for profile, claims in json.loads(tool.BANDS.read_text())["profiles"].items():
        assert profile in ("workshop", "full")
        for name, band in claims.items():
            assert len(band["values"]) >= 5, name
            assert band["low"] <= min(band["values"]) and max(band["values"]) <= band["high"], name
            assert (band["low"], band["high"]) == pytest.approx(tool.make_band(band["values"]), abs=2e-4), name
