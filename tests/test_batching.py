"""What goes into a DataLoader: batches cover each text once, save padding, and depend on seed and epoch alone."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from helpers import make_encoded

from course_utils import batching
from course_utils.batching import LengthBucketSampler, StatesDataset, TokenDataset

LENGTHS = np.random.default_rng(0).integers(1, 200, size=101)


def test_a_generator_shuffles_anew_each_time_and_the_seed_fixes_it():
    for bucketed in (True, False):
        generator = torch.Generator().manual_seed(0)
        first, second = (
            batching.make_batches(LENGTHS, batch_size=8, generator=generator, bucketed=bucketed) for _ in range(2)
        )
        assert [set(b) for b in first] != [set(b) for b in second]
        again = batching.make_batches(LENGTHS, batch_size=8, generator=torch.Generator().manual_seed(0), bucketed=bucketed)
        assert [b.tolist() for b in first] == [b.tolist() for b in again]
    longest = [LENGTHS[batch].max() for batch in batching.make_batches(LENGTHS, batch_size=8, generator=generator)]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)  # batches come in a random order


def test_without_a_generator_the_order_is_fixed():
    plain = batching.make_batches(LENGTHS, batch_size=8, bucketed=False)
    assert np.concatenate(plain).tolist() == list(range(101))
    bucketed = np.concatenate(batching.make_batches(LENGTHS, batch_size=8))
    assert bucketed.tolist() == sorted(range(101), key=lambda i: LENGTHS[i])


def test_buckets_save_padding():
    generator = torch.Generator().manual_seed(0)
    waste = {
        bucketed: batching.padding_waste(
            LENGTHS, batching.make_batches(LENGTHS, batch_size=8, generator=generator, bucketed=bucketed)
        )
        for bucketed in (True, False)
    }
    assert waste[True] < 0.1 < 0.3 < waste[False]


def test_padding_waste_by_hand():
    lengths = np.array([1, 3, 2, 2])
    assert batching.padding_waste(lengths, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(2 / 10)
    assert batching.padding_waste(lengths, [np.array([0]), np.array([1]), np.array([2, 3])]) == 0


def test_batches_by_tokens_by_hand():
    lengths = np.array([5, 1, 2, 9, 1, 4])
    by_tokens = [batch.tolist() for batch in batching.make_batches(lengths, max_batch_tokens=8)]
    assert by_tokens == [[1, 4, 2], [5], [0], [3]]  # 3 x 2 places; 2 x 5 would be 10; 9 is over 8 and stands alone
    assert [b.tolist() for b in batching.make_batches(lengths, max_batch_tokens=8, batch_size=2)] == [
        [1, 4],
        [2, 5],
        [0],
        [3],
    ]
    in_order = batching.make_batches(lengths, max_batch_tokens=10, bucketed=False)
    assert [batch.tolist() for batch in in_order] == [[0, 1], [2], [3], [4, 5]]
    assert batching.make_batches(lengths[:0], max_batch_tokens=8) == [] == batching.make_batches(lengths[:0], batch_size=8)


@pytest.mark.parametrize(("batch_size", "max_batch_tokens"), [(1, None), (5, None), (300, None), (None, 600), (5, 600)])
def test_batches_cover_each_text_once_and_keep_both_limits_and_could_not_be_longer(batch_size, max_batch_tokens):
    for seed, bucketed in product((None, 0), (True, False)):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        limits = {"batch_size": batch_size, "max_batch_tokens": max_batch_tokens}
        batches = batching.make_batches(LENGTHS, generator=generator, bucketed=bucketed, **limits)
        most, tokens = batch_size or 101, max_batch_tokens or 10**6
        assert sorted(np.concatenate(batches)) == list(range(101))
        assert max(len(batch) * LENGTHS[batch].max() for batch in batches) <= tokens
        assert max(map(len, batches)) <= most
        if seed is None:  # in a fixed order each batch is full: the next text would break a limit
            for batch, after in pairwise(batches):
                texts = len(batch) + 1
                assert texts * LENGTHS[[*batch, after[0]]].max() > tokens or texts > most


def test_a_budget_of_tokens_makes_batches_alike_in_cost():
    lengths = np.random.default_rng(1).integers(1, 200, size=2_000)
    fixed, by_tokens = batching.make_batches(lengths, batch_size=16), batching.make_batches(lengths, max_batch_tokens=1_600)
    places = [np.array([len(batch) * lengths[batch].max() for batch in batches]) for batches in (fixed, by_tokens)]
    assert places[1][:-1].min() > 0.85 * 1_600 and places[0].min() < 0.1 * places[0].max()
    assert max(batching.padding_waste(lengths, batches) for batches in (fixed, by_tokens)) < 0.02


def test_a_loose_budget_leaves_batches_of_fixed_size_as_they_were():
    for seed in (0, 1):
        draws = [torch.Generator().manual_seed(seed) for _ in range(2)]
        fixed = batching.make_batches(LENGTHS, batch_size=8, generator=draws[0])
        loose = batching.make_batches(LENGTHS, batch_size=8, generator=draws[1], max_batch_tokens=8 * 200)
        assert [b.tolist() for b in fixed] == [b.tolist() for b in loose]


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"batch_size": 0}, r"batch_size must be 1 or more, not 0"),
        ({"max_batch_tokens": -1}, r"max_batch_tokens must be 1 or more, not -1"),
        ({}, r"Give batch_size=32, or max_batch_tokens=2048"),
    ],
)
def test_a_batch_needs_a_size(limits, sentence):
    with pytest.raises(ValueError, match=sentence):
        batching.make_batches(LENGTHS, **limits)


# --- datasets and collate


def test_collate_is_pad_sequence_with_a_mask():
    texts = (np.array([5, 6]), np.array([7]), np.array([8, 9, 10]))
    dataset = TokenDataset(texts, np.array([1, 0, 1]))
    batch = batching.collate([dataset[i] for i in (2, 1)])
    expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(texts[i]) for i in (2, 1)], batch_first=True)
    torch.testing.assert_close(batch["input_ids"], expected)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_cached_states_and_probabilities_of_a_teacher_are_padded_and_stacked():
    states = (np.ones((2, 3), np.float32), np.full((1, 3), 2, np.float32))
    dataset = StatesDataset(states, np.array([[0.1, 0.9], [0.5, 0.5]], np.float32))
    batch = batching.collate([dataset[0], dataset[1]])
    assert set(batch) == {"hidden_states", "attention_mask", "labels"}  # a name that does not lie
    assert batch["hidden_states"].shape == (2, 2, 3) and batch["hidden_states"].dtype == torch.float32
    assert batch["hidden_states"][1].tolist() == [[2, 2, 2], [0, 0, 0]]
    np.testing.assert_allclose(batch["labels"], dataset.labels)


def test_texts_to_predict_have_no_labels():
    dataset = TokenDataset((np.array([5, 6]), np.array([7])))
    assert set(batching.collate([dataset[0], dataset[1]])) == {"input_ids", "attention_mask"}
    assert dataset.take(np.array([1])).labels is None


def test_taking_texts_keeps_kind_order_and_labels():
    states = StatesDataset(tuple(np.full((n, 2), n, np.float32) for n in (1, 2, 3)), np.array([7, 8, 9]))
    taken = states.take(np.array([2, 0]))
    assert type(taken) is StatesDataset and len(taken) == 2
    assert (taken.lengths.tolist(), taken.labels.tolist()) == ([3, 1], [9, 7]) and taken.hidden_states[0].max() == 3


# --- the loader


def order(sampler: LengthBucketSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_depends_on_seed_and_epoch_alone():
    first, second, other = (LengthBucketSampler(LENGTHS, batch_size=8, seed=seed) for seed in (0, 0, 1))
    epochs = [order(first, epoch) for epoch in range(3)]
    torch.rand(3)  # random numbers drawn in between do not matter, nor does the order of epochs
    assert [order(second, epoch) for epoch in (2, 1, 0)] == epochs[::-1]
    assert len({str(each) for each in [*epochs, order(other, 0), order(other, 1)]}) == 5
    assert order(LengthBucketSampler(LENGTHS, batch_size=8), 0) == order(LengthBucketSampler(LENGTHS, batch_size=8), 1)


@pytest.mark.parametrize(
    "limits", [{"batch_size": 8}, {"max_batch_tokens": 600}, {"batch_size": 8, "max_batch_tokens": 600}]
)
def test_a_sampler_says_how_many_batches_it_has(limits):
    sampler = LengthBucketSampler(LENGTHS, seed=0, **limits)
    assert len(sampler) == len(list(sampler))


def test_batches_of_an_epoch_are_made_once_however_often_they_are_asked_for(monkeypatch):
    made, make = [], batching.make_batches
    monkeypatch.setattr(batching, "make_batches", lambda *given, **limits: made.append(1) or make(*given, **limits))
    sampler = LengthBucketSampler(LENGTHS, max_batch_tokens=600, seed=0)
    first = order(sampler, 0)
    assert len(sampler) == len(first) and order(sampler, 0) == first and len(made) == 1
    assert order(sampler, 1) != first and len(made) == 2
    assert order(sampler, 0) == first


def test_a_loader_gives_the_samplers_batches_and_accelerate_moves_it_from_epoch_to_epoch():
    from course_utils.device import make_accelerator

    dataset = make_encoded(30, longest=9)
    loader = make_accelerator(mixed_precision="no").prepare(batching.make_loader(dataset, batch_size=4, seed=5))
    sampler = LengthBucketSampler(dataset.lengths, batch_size=4, seed=5)
    for epoch in range(3):
        expected = [batching.collate([dataset[i] for i in indices]) for indices in order(sampler, epoch)]
        for batch, wanted in zip(loader, expected, strict=True):
            assert set(batch) == set(wanted)
            assert all(torch.equal(batch[name].cpu(), wanted[name]) for name in wanted)
