"""Profiles, devices, precision, seeds and the doctor."""

import random
from importlib import metadata

import numpy as np
import pytest
import torch

from course_utils import batching, cost, data, device, pretrained, profiles, text


def test_profile_comes_from_the_argument_then_the_environment_then_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert profiles.get_profile().name == "workshop"
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    assert profiles.get_profile().name == "smoke"
    assert profiles.get_profile("full").name == "full"
    monkeypatch.delenv("COURSE_PROFILE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert profiles.get_profile().name == "full"


def test_an_unknown_profile_lists_those_there_are(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    with pytest.raises(ValueError, match=r"no profile 'fast'.*smoke, workshop, full"):
        profiles.get_profile()


def test_profiles_grow_from_smoke_to_full():
    smoke, workshop, full = (profiles.PROFILES[name] for name in ("smoke", "workshop", "full"))
    assert smoke.reviews_max_tokens < workshop.reviews_max_tokens < full.reviews_max_tokens
    assert smoke.lstm_epochs <= workshop.lstm_epochs < full.lstm_epochs
    assert (full.reviews_train, full.sentences_train, full.test_size) == (None, None, None)


@pytest.mark.parametrize(("cuda", "mps", "best"), [(False, False, "cpu"), (False, True, "mps"), (True, True, "cuda")])
def test_the_best_device_is_chosen(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device.choose_device().type == best
    assert device.choose_device("cpu").type == "cpu"


def test_an_unknown_device_lists_those_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "quantum"):
        with pytest.raises(ValueError, match=f"no device '{name}'. Choose one of: cpu."):
            device.choose_device(name)


@pytest.mark.parametrize(("amx", "avx", "dtype"), [(0, 0, torch.float32), (1, 0, torch.bfloat16), (0, 1, torch.bfloat16)])
def test_bfloat16_only_where_hardware_has_it(monkeypatch, amx, avx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx), raising=False)
    assert device.choose_precision(torch.device("cpu")) == dtype
    assert device.choose_precision(torch.device("mps")) == torch.float32


def test_records_are_named_by_what_times_depend_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.machine_kind() == "cpu_float32"
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda: True)
    assert device.machine_kind() == "cpu_bfloat16"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert device.machine_kind() == "cpu_bfloat16_amx"


def test_a_seed_fixes_every_source_of_chance():
    def draw() -> list[float]:
        return [random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1, generator=own).item()]

    own = profiles.set_seed(7)
    first = draw()
    own = profiles.set_seed(7)
    assert draw() == first
    own = profiles.set_seed(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_the_course_seed_is_read_from_the_environment(monkeypatch):
    assert profiles.get_seed() == 0
    monkeypatch.setenv("COURSE_SEED", "3")
    assert profiles.get_seed() == 3
    monkeypatch.setenv("COURSE_SEED", "three")
    with pytest.raises(ValueError, match=r"three"):
        profiles.get_seed()


def test_the_rate_of_matrix_products_is_their_flops_in_the_median_time(monkeypatch):
    ticks = iter([0, 9, 10, 14, 20, 22, 30, 33])  # seconds 9 (warming up), 4, 2, 3
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(ticks))
    assert cost.gemm_rate(torch.device("cpu"), size=8, rounds=3) == 2 * 8 * 8 * 8 / 3


def test_the_doctor_foretells_notebook_06_from_the_rate_of_training_steps(monkeypatch):
    details, frozen = [], []
    for rate in (100e9, 400e9):
        monkeypatch.setattr(training, "step_rate", lambda model, rate=rate: frozen.append(count_frozen(model)) or rate)
        details.append(by_topic()["notebook 06"].detail)
    flops = (3 * 155_000 * 2 + 500_000) * 1.85e7
    minutes = [round(flops / rate / 60) for rate in (100e9, 400e9)]
    assert minutes[0] > 2 * minutes[1] > 0
    assert details[0] == f"about {minutes[0]} min in the workshop profile (training at 100 GFLOP/s)"
    assert details[1].startswith(f"about {minutes[1]} min ")
    assert set(frozen) == {11_918_592}  # as notebook 06 trains: without the table of word pieces


def count_frozen(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)


@pytest.mark.slow
def test_the_work_of_notebook_06_is_what_its_data_and_model_ask_for():
    from course_utils import text

    tokenizer, model, profile = pretrained.load_tokenizer(), pretrained.load_classifier(), profiles.get_profile("workshop")
    places, per_place = {}, 0.0
    for name, part in data.load_splits("rotten_tomatoes")._asdict().items():
        lengths = text.encode_wordpieces(part, tokenizer, max_length=profile.sentences_max_length).lengths
        for bucketed in (True, False):
            batches = batching.make_batches(
                lengths, batch_size=32, generator=torch.Generator().manual_seed(0), bucketed=bucketed
            )
            places[name, bucketed] = sum(len(batch) * lengths[batch].max() for batch in batches)
            if (name, bucketed) == ("train", True):
                per_place = cost.count_flops(model, lengths, batches, trains=False) / places[name, bucketed]
    trained, predicted, flops = doctor.NOTEBOOK_06
    assert trained == pytest.approx(places["train", True], rel=0.02)
    # features of train and test, validation after each piece and before training; the test set by predict_proba, and
    # in random batches with and without the mask
    asked = places["train", True] + 5 * places["validation", True] + 2 * places["test", True] + 2 * places["test", False]
    assert predicted == pytest.approx(asked, rel=0.02)
    assert flops == pytest.approx(per_place, rel=0.02)


def by_topic() -> dict[str, doctor.Finding]:
    return {finding.topic: finding for finding in doctor.examine()}


def test_the_doctor_looks_at_everything(monkeypatch):
    found = by_topic()
    topics = ["Python", "torch", "transformers", "ipywidgets", "device", "cores", "memory", "disk", "notebook 06"]
    assert {*topics, "reviews", "checkpoint", "profile"} <= set(found)
    assert found["torch"].detail == metadata.version("torch")
    assert found["reviews"].detail.startswith("verified") and found["checkpoint"].detail.startswith("verified")
    assert all(finding.remedy for finding in found.values() if not finding.ok)


def test_the_doctor_names_the_remedy_of_each_problem(monkeypatch, tmp_path):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    def damaged(package, name):
        raise ValueError(f"{name} is damaged")

    monkeypatch.setenv("COURSE_PROFILE", "fast")
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(files.PackagedFiles, "verify", damaged)
    found = by_topic()
    for topic in ("torch", "transformers", "ipywidgets", "reviews", "checkpoint", "profile"):
        assert not found[topic].ok and found[topic].remedy, topic
    assert data.PACKAGE.pinned in found["reviews"].remedy
    assert pretrained.PACKAGE.pinned in found["checkpoint"].remedy
    assert "fast" in found["profile"].detail


def test_the_median_of_several_calls_leaves_out_the_first_and_does_not_mind_one_slow_call(monkeypatch):
    clock, calls = iter([0, 50, 100, 101, 200, 202, 300, 399]), []  # calls of 50, 1, 2 and 99 seconds
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(clock))
    assert cost.median_seconds(lambda: calls.append(1), repeats=3) == 2.0
    assert len(calls) == 4
