"""Profiles and seeds: where they come from, and what a seed fixes."""

import random

import numpy as np
import pytest
import torch

from course_utils import profiles


def test_profile_comes_from_the_argument_then_the_environment_and_is_workshop_with_a_gpu_too(monkeypatch):
    for cuda in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert profiles.get_profile().name == "workshop"
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    assert profiles.get_profile().name == "smoke"
    assert profiles.get_profile("full").name == "full"


def test_an_unknown_profile_lists_those_there_are(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    with pytest.raises(ValueError, match=r"no profile 'fast'.*smoke, workshop, full"):
        profiles.get_profile()


def test_profiles_grow_from_smoke_to_full():
    rising = [profiles.PROFILES[name] for name in ("smoke", "workshop", "full")]
    for field in ("reviews_max_length", "sentences_max_length", "lstm_epochs", "bert_epochs", "pretraining_steps"):
        sizes = [getattr(profile, field) for profile in rising]
        assert sizes == sorted(sizes) and sizes[0] < sizes[2], field
    assert (rising[2].reviews_train, rising[2].sentences_train, rising[2].test_size) == (None, None, None)


def test_a_seed_fixes_every_source_of_chance():
    def draw(seed: int) -> list[float]:
        own = profiles.set_seed(seed)
        return [random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1, generator=own).item()]

    first = draw(7)
    assert draw(7) == first
    assert all(a != b for a, b in zip(draw(8), first, strict=True))


def test_the_course_seed_is_read_from_the_environment(monkeypatch):
    assert profiles.get_seed() == 0
    monkeypatch.setenv("COURSE_SEED", "3")
    assert profiles.get_seed() == 3
    for wrong in ("three", "-1", "1.5"):
        monkeypatch.setenv("COURSE_SEED", wrong)
        with pytest.raises(ValueError, match=wrong):
            profiles.get_seed()
