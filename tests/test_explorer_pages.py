"""The functions behind the explorers' pages, against definitions; tests/browser compares the pages with them."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from course_utils import batching, descent, evaluation, explorers
from course_utils.explorers import (
    attention,
    batch,
    compression,
    film,
    logit,
    next_token,
    race,
    reading,
    splits,
    threshold,
    words,
)

FOLDER = Path(explorers.__file__).parent


def texts(page: explorers.Page) -> str:
    """Return what a page shows where scripts do not run."""
    return re.sub(r"(?s)<(style|script).*?</\1>", "", page.html)


# --- the page


@pytest.fixture
def page():
    import matplotlib.pyplot as plt

    return explorers.page("logit", {"names": [["</script><b>"]]}, plt.figure(), alt='Six "words" say <what> this shows.')


def test_an_output_is_alive_and_has_a_picture_with_alternative_text(page):
    bundle, metadata = page._repr_mimebundle_()
    assert bundle["text/plain"] == repr(page) == f"Figure: {page.alt}" and metadata == {"image/png": {"alt": page.alt}}
    assert bundle["image/png"].startswith("iVBORw0KGgo") and bundle["image/png"] in texts(page)
    assert 'alt="Six &quot;words&quot; say &lt;what&gt; this shows."' in texts(page)


def test_nothing_in_the_data_ends_the_script(page):
    assert page.html.count("</script>") == 1
    (data,) = re.findall(r"const data = (.*);", page.html)
    assert json.loads(data) == {"names": [["</script><b>"]]}


def test_pages_are_small_and_ask_nobody():
    for path in FOLDER.glob("*.js"):
        source = path.read_text()
        assert len(source.splitlines()) <= 150, path.name
        assert not re.search(r"fetch\(|import\(|XMLHttp|innerHTML|insertAdjacentHTML|document\.write|eval\(", source), (
            path.name
        )
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source), path.name


# --- drag a logit


@pytest.mark.parametrize("logits", [[0.0, -3.0], [0.0, 9.0], [1.0, -2.0, 0.5]])
def test_losses_and_slopes_of_logits_are_those_of_the_definition(logits):
    for label in range(len(logits)):
        found = logit.losses_of_logits(logits, label)
        shares = [math.exp(z) / sum(map(math.exp, logits)) for z in logits]
        np.testing.assert_allclose(found.probabilities, shares, rtol=1e-12)
        losses = {"cross_entropy": lambda p: -math.log(p), "squared_error": lambda p: (1 - p) ** 2}
        for name, loss in losses.items():
            assert getattr(found, name) == pytest.approx(loss(shares[label]))
            slopes = descent.finite_differences(lambda z, loss=loss, y=label: loss(softmax(z)[y]), np.array(logits))
            np.testing.assert_allclose(getattr(found, f"{name}_gradient"), slopes, atol=1e-8)


def test_extreme_logits_give_finite_losses():
    found = logit.losses_of_logits([-700.0, 700.0], 0)
    assert found.cross_entropy == 1400 and found.cross_entropy_gradient.tolist() == [-1, 1] and found.squared_error == 1


def test_two_classes_are_the_sigmoid_of_the_notebook():
    found = logit.losses_of_logits([0, -1.5], 1)
    assert found.probabilities[1] == pytest.approx(descent.sigmoid(np.array(-1.5)))
    assert found.cross_entropy_gradient[1] == pytest.approx(found.probabilities[1] - 1)


# --- the optimiser race


@pytest.mark.parametrize("surface", race.SURFACES, ids=lambda surface: surface.name)
def test_surfaces_have_their_minimum_gradient_and_steepness(surface):
    lowest = np.array(surface.minimum)
    assert surface.loss(lowest) == pytest.approx(0, abs=1e-12) and np.abs(surface.gradient(lowest)).max() < 1e-12
    for w in (np.array([0.3, 0.7]), np.array([-2.0, -1.1])):
        np.testing.assert_allclose(surface.gradient(w), descent.finite_differences(surface.loss, w), rtol=1e-6, atol=1e-6)
        assert surface.loss(w) > 0
    nudges = 1e-5 * np.eye(2)
    hessian = np.array([surface.gradient(lowest + n) - surface.gradient(lowest - n) for n in nudges]) / 2e-5
    assert surface.steepness == pytest.approx(np.linalg.eigvalsh(hessian).max(), rel=1e-6)


def test_the_racers_start_together_and_take_the_steps_of_their_formulas():
    rates = {"gradient descent": 0.05, "momentum": 0.02, "RMSprop": 0.03, "Adam": 0.1}
    walks = race.run_race(race.SURFACES[0], (-2.0, 1.2), rates=rates, momentum=0.7, num_steps=2)
    assert all(walk.path[0].tolist() == [-2.0, 1.2] and len(walk.losses) == 3 for walk in walks.values())
    first = {name: walk.path[1] for name, walk in walks.items()}  # the gradient at the start is (-2, 12)
    np.testing.assert_allclose(first["gradient descent"], [-1.9, 0.6])
    np.testing.assert_allclose(first["momentum"], [-1.96, 0.96])
    np.testing.assert_allclose(first["RMSprop"], [-2 + 0.3, 1.2 - 0.3], rtol=1e-6)  # 0.03 / sqrt(0.01)
    np.testing.assert_allclose(first["Adam"], [-1.9, 1.1], rtol=1e-6)
    np.testing.assert_allclose(walks["momentum"].path[2], [-1.96 + 0.02 * (1.96 + 0.7 * 2), 0.96 - 0.02 * (9.6 + 0.7 * 12)])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("surface", race.SURFACES, ids=lambda surface: surface.name)
def test_just_below_the_largest_stable_rate_it_settles_and_just_above_it_does_not(surface, momentum):
    most, start = race.largest_stable_rate(surface, momentum=momentum), np.array(surface.minimum) + 1e-4
    for factor, settles in ((0.97, True), (1.03, False)):
        rates = {"momentum": factor * most}
        losses = race.run_race(surface, start, rates=rates, momentum=momentum, num_steps=400)["momentum"].losses
        assert bool(losses[-1] < losses[0]) is settles


def test_the_cliff_of_the_valley_can_be_tried_on_both_sides():
    data = json.loads(re.findall(r"const data = (.*);", explorers.race_explorer().html)[0])
    assert {0.05, 0.19, 0.21} | set(data["rates"].values()) <= set(data["choices"])


def test_figures_say_what_was_run():
    alt = explorers.race_explorer("gradient descent", num_steps=40).alt
    along, across = -2.0 * (1 - 0.05) ** 40, 1.2 * (1 - 0.5) ** 40
    assert f"gradient descent {(along**2 + 10 * across**2) / 2:.1g}" in alt and "Adam" not in alt
    assert "slope -0.95" in explorers.logit_explorer().alt  # sigmoid(-3) - 1


# --- tokeniser and batch


@pytest.mark.parametrize("bucketed", [False, True])
@pytest.mark.parametrize("size", [1, 3, 16, 50])
def test_batches_and_padding_are_those_of_the_package(size, bucketed):
    lengths = np.random.default_rng(0).integers(1, 40, size=37)
    ours, padding = batch.padded_batches(lengths, size=size, bucketed=bucketed)
    theirs = batching.make_batches(lengths, batch_size=size, bucketed=bucketed)
    assert ours == [list(indices) for indices in theirs]
    assert padding == pytest.approx(batching.padding_waste(lengths, theirs), abs=1e-12)


# --- rank and bits


def test_what_a_rank_keeps_is_what_its_best_approximation_keeps():
    matrix = np.random.default_rng(0).normal(size=(6, 9))
    left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    for r in (1, 3, 6):
        lost = np.linalg.norm(matrix - left[:, :r] * strengths[:r] @ right[:r]) ** 2 / np.linalg.norm(matrix) ** 2
        assert compression.rank_shares(matrix)[r - 1] == pytest.approx(1 - lost)


def test_a_block_is_rounded_to_its_own_scale():
    weights = np.array([[0.7, -0.26, 0.1, 0.0, 7.0, 1.4, -3.6, 0.4]])
    expected = [0.7, -0.3, 0.1, 0.0, 7.0, 1.0, -4.0, 0.0]  # 4 bits: 7 steps in either direction
    np.testing.assert_allclose(compression.quantise_blocks(weights, bits=4, block=4)[0], expected, atol=1e-12)
    np.testing.assert_allclose(compression.quantise_blocks(weights, bits=4, block=0)[0], np.round(weights[0]), atol=1e-12)
    assert compression.quantise_blocks(np.zeros((2, 4)), bits=2, block=2).tolist() == [[0.0] * 4] * 2


def test_more_bits_and_smaller_blocks_lose_less_and_cost_more():
    weights = np.random.default_rng(0).standard_t(4, size=(8, 128))
    for block in (16, 128, 0):
        errors = [compression.relative_error(weights, bits=bits, block=block) for bits in range(2, 9)]
        assert errors == sorted(errors, reverse=True)
    errors = [compression.relative_error(weights, bits=4, block=block) for block in (16, 32, 64, 128, 0)]
    assert errors == sorted(errors)
    assert compression.bits_per_weight(1024, bits=4, block=32) == 4.5
    assert compression.bits_per_weight(1024, bits=4, block=0) == 4 + 1 / 64


# --- threshold and calibration


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    p = rng.random(200)
    return p, (rng.random(200) < p).astype(int)  # calibrated


def test_a_decision_is_what_scikit_learn_counts(answers):
    from sklearn import metrics

    p, y = answers
    for t in (0.1, 0.5, 0.85):
        found, called = threshold.decide(p, y, threshold=t, cost_fp=2, cost_fn=5), (p >= t).astype(int)
        assert [[found.tn, found.fp], [found.fn, found.tp]] == metrics.confusion_matrix(y, called).tolist()
        assert found.precision == pytest.approx(metrics.precision_score(y, called))
        assert found.recall == pytest.approx(metrics.recall_score(y, called))
        assert found.accuracy == pytest.approx(metrics.accuracy_score(y, called))
        assert found.cost == pytest.approx((2 * found.fp + 5 * found.fn) / 200)


def test_the_threshold_of_a_calibrated_model_follows_the_costs():
    p = (np.arange(1000) + 0.5) / 1000
    p, y = np.repeat(p, 1000), (np.arange(1000) < np.arange(1000)[:, None] + 0.5).ravel().astype(int)
    assert threshold.best_threshold(p, y) == pytest.approx(0.5, abs=0.011)
    assert threshold.best_threshold(p, y, cost_fn=4) == pytest.approx(1 / 5, abs=0.011)  # cost_fp / (cost_fp + cost_fn)


def test_tenths_are_the_calibration_curve_of_scikit_learn(answers):
    from sklearn.calibration import calibration_curve

    p, y = answers
    shares, means = calibration_curve(y, p, n_bins=10)
    found = evaluation.tenths(p, y)
    np.testing.assert_allclose(found[:, :2], np.stack([means, shares], axis=1))
    assert found[:, 2].sum() == 200 and evaluation.tenths(np.array([1.0]), np.array([1])).tolist() == [[1, 1, 1]]


def test_without_a_text_called_positive_there_is_no_precision():
    found = threshold.decide(np.array([0.2, 0.3]), np.array([0, 1]), threshold=0.9)
    assert math.isnan(found.precision) and found.recall == 0


# --- next token


def test_temperature_sharpens_and_top_p_cuts_as_by_hand():
    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    np.testing.assert_allclose(next_token.shaped(logits), [0.5, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(next_token.shaped(logits, temperature=0.5), np.array([25, 9, 2.25, 0.25]) / 36.5)
    np.testing.assert_allclose(next_token.shaped(logits, top_p=0.8), [0.625, 0.375, 0, 0])
    np.testing.assert_allclose(next_token.shaped(logits, top_p=0.81), np.array([0.5, 0.3, 0.15, 0]) / 0.95)
    for wrong in ({"temperature": 0}, {"top_p": 0}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match="must be above 0"):
            next_token.shaped(logits, **wrong)


def test_the_nucleus_is_that_of_transformers():
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    logits = torch.tensor(np.random.default_rng(0).normal(0, 2, size=(1, 30)))
    for temperature, top_p in ((0.7, 0.9), (1.5, 0.5)):
        theirs = TopPLogitsWarper(top_p)(None, TemperatureLogitsWarper(temperature)(None, logits)).softmax(1)[0]
        np.testing.assert_allclose(next_token.shaped(logits[0], temperature=temperature, top_p=top_p), theirs, atol=1e-9)


# --- attention, reading, words


def test_the_strongest_weights_come_first_and_wrong_shapes_are_refused():
    assert attention.strongest([0.1, 0.4, 0.1, 0.4], n=3) == [1, 3, 0]
    with pytest.raises(ValueError, match=r"with T = 2 tokens, not \(1, 1, 3, 3\)"):
        explorers.attention_explorer(["a", "b"], np.ones((1, 1, 3, 3)))
    with pytest.raises(ValueError, match="too many to see"):
        explorers.attention_explorer(["a"] * 41, np.ones((1, 1, 41, 41)))
    assert "a at b; b at b" in explorers.attention_explorer(["a", "b"], np.array([[[[0.2, 0.8], [0.1, 0.9]]]])).alt


def test_the_changes_of_an_opinion_add_up_to_it():
    changes, probabilities = reading.opinion_changes([0.5, -1.0, 3.0])
    assert changes.tolist() == [0.5, -1.5, 4.0] and probabilities[-1] == pytest.approx(1 / (1 + math.exp(-3)))
    with pytest.raises(ValueError, match="There are 2 words"):
        explorers.reading_explorer(["a", "b"], [1.0], {})


def test_the_effect_of_a_word_on_a_sum_of_words_is_its_own_weight():
    weights = {"good": 2.0, "not": -3.0, "film": 0.0}
    effects = words.occlusion_effects(
        lambda texts: [sum(weights[w] for w in t.split()) for t in texts], ["not", "good", "film"]
    )
    assert effects.tolist() == [-3.0, 2.0, 0.0]
    with pytest.raises(ValueError, match="must have 2 effects"):
        explorers.words_explorer({"a b": {"model": [1.0]}})


# --- splits, pretraining, film


def test_blocks_are_whole_and_of_one_row_random_and_the_leak_is_counted_by_hand():
    test = splits.block_test(100, block=10)
    assert test.reshape(10, 10).sum(axis=1).tolist().count(10) == 2 and test.sum() == 20
    assert splits.leaked([1, 1, 1, 0, 0, 0, 0, 0, 1], near=1) == 0.5  # row 2 of 0, 1, 2 and row 8
    assert splits.leaked([1, 1, 1, 0, 0, 0, 0, 0, 1], near=2) == 0.75
    leaks = [splits.leaked(splits.block_test(2000, block=block), near=5) for block in (1, 10, 50, 200)]
    assert leaks == sorted(leaks, reverse=True) and leaks[0] > 0.99 and leaks[-1] < 0.1


def test_states_are_seen_in_the_plane_of_the_last_frame():
    rng = np.random.default_rng(0)
    last = rng.normal(size=(50, 6)) * [0.1, 9, 0.1, 5, 0.1, 0.1]
    flat = film.flattened(np.stack([last[::-1] + 7, last]))
    assert flat.shape == (2, 50, 2) and np.abs(flat.mean(axis=1)).max() < 1e-9
    np.testing.assert_allclose(np.abs(flat[0]), np.abs(flat[1][::-1]), atol=1e-9)  # a frame's own middle does not matter
    centred = last - last.mean(axis=0)
    assert (flat[1] ** 2).sum() == pytest.approx((np.linalg.svd(centred)[1][:2] ** 2).sum())
    with pytest.raises(ValueError, match="as many steps"):
        explorers.film_explorer(flat, np.zeros(50), steps=[0], accuracies=[0.5, 0.6], class_names="ab")
