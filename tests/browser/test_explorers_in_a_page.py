"""Explorers' pages in a real browser: they compute what their Python functions compute, and hands and ears can use them.

Slider to picture is measured and printed (pytest -s), never asserted.
"""

import functools
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import transformers

from course_utils import evaluation, explorers, pretrained, text
from course_utils.explorers import (
    attention,
    batch,
    compression,
    logit,
    next_token,
    pretraining,
    race,
    reading,
    splits,
    threshold,
)

RNG = np.random.default_rng(0)
TEXTS = [
    "A charming, funny film.",
    "I didn't laugh once: dull; dull!",
    'It\'s "Kafkaesque" <b>café</b> 😀 电影',
    "Ünïcode...naïve $5 co-op",
]
WORDS = text.Vocabulary.from_tokens([text.basic_english(TEXTS[0]), text.basic_english(TEXTS[1])], min_count=1)
LENGTHS = RNG.integers(5, 300, size=96)
WEIGHTS = np.round(RNG.standard_t(4, size=(16, 128)) / 20, 4)
PROBABILITIES = np.round(RNG.random(120), 4)
LABELS = (RNG.random(120) < PROBABILITIES).astype(int)


@functools.cache
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(pretrained.checkpoint_path())


PAGES = {
    "logit": explorers.logit_explorer,
    "race": explorers.race_explorer,
    "batch": lambda: explorers.batch_explorer(TEXTS, words=WORDS.tokens, pieces=tokenizer().get_vocab(), lengths=LENGTHS),
    "compression": lambda: explorers.compression_explorer(WEIGHTS, WEIGHTS[:, :1] * WEIGHTS[:1]),
    "threshold": lambda: explorers.threshold_explorer(PROBABILITIES, LABELS, ("negative", "positive")),
}
PROMPTS = {"The film is": [(" good", 3.1), (" bad", 2.9), ("<b>", 1.0), ("\n", -0.5)], "I": [(" am", 1.0), (" was", 0.9)]}
TOKENS = ["[CLS]", "a", "<b>", "film", "that", "was", "not", "good", ",", "but", "wonderful", "throughout", ".", "[SEP]"]
ATTENTION = RNG.dirichlet(np.ones(len(TOKENS)), size=(2, 3, len(TOKENS)))  # (layers, heads, T, T)
READ = ["not", "a", "<b>very</b>", "good", "film"]
GATES = {"forget gate": RNG.random((5, 6)), "input gate": RNG.random((5, 6))}
FRAMES, FRAME_LABELS = RNG.normal(size=(4, 30, 2)), np.arange(30) % 2
CHECKPOINTS = [
    explorers.Checkpoint(name, tokens, loss, {"a [MASK] .": [("film", p), ("<i>", 0.1)], "[MASK] !": [("wow", p / 2)]})
    for name, tokens, loss, p in (("start", 0, 9.1, 0.01), ("half", 40_000, 5.0, 0.2), ("end", 900_000, 3.0, 0.7))
]
PAGES |= {
    "next_token": lambda: explorers.next_token_explorer(PROMPTS),
    "attention": lambda: explorers.attention_explorer(TOKENS, ATTENTION, layer=1, head=2),
    "reading": lambda: explorers.reading_explorer(READ, [0.1, 0.2, -0.4, 1.2, 0.9], GATES),
    "words": lambda: explorers.words_explorer(
        {"not <b> good": {"LSTM": [-1, 0, 2], "BERT": [-3, 0.1, 1]}, "fine": {"LSTM": [1]}}
    ),
    "splits": lambda: explorers.splits_explorer({1: {"names": 0.6, "words": 0.9}, 100: {"names": 0.5, "words": 0.87}}),
    "pretraining": lambda: explorers.pretraining_explorer(CHECKPOINTS),
    "film": lambda: explorers.film_explorer(
        FRAMES, FRAME_LABELS, steps=[0, 5, 10, 30], accuracies=[0.5, 0.6, 0.8, 0.81], class_names=("negative", "positive")
    ),
}


@pytest.fixture(params=PAGES)
def opened(browser, show, request):
    """A page with an explorer, and its name; whatever it complains of or asks for fails the test."""
    wrong = []
    listeners = {
        "pageerror": lambda error: wrong.append(str(error)),
        "console": lambda message: wrong.append(message.text),
        "request": lambda asked: wrong.append(asked.url) if not asked.url.startswith("data:") else None,
    }
    for name, listener in listeners.items():
        browser.on(name, listener)
    show(PAGES[request.param]().html)
    yield browser, request.param
    for name, listener in listeners.items():
        browser.remove_listener(name, listener)
    assert not wrong


def compute(page, asked: dict):
    return page.evaluate("asked => document.querySelector('.course-explorer').explorer.compute(asked)", asked)


# --- the same numbers


def logit_cases():
    for logits in ([0, -6], [0, 0.1], [0, 6], [1, -2, 0.5], [6, 6, -6]):
        for label in range(len(logits)):
            yield {"logits": logits, "label": label}, vars(logit.losses_of_logits(logits, label))


def race_cases():
    starts, scales = ((-2.0, 1.2), (0.1, -0.05), (1.5, -1.0)), (0.2, 1.0, 5.0)
    for (i, surface), start, scale in itertools.product(enumerate(race.SURFACES), starts, scales):
        rates = {"gradient descent": 0.05 * scale, "momentum": 0.02 * scale, "RMSprop": 0.02 * scale, "Adam": 0.1 * scale}
        walks = race.run_race(surface, start, rates=rates, momentum=0.8, num_steps=40)
        asked = {"surface": i, "start": start, "rates": rates, "momentum": 0.8, "steps": 40}
        yield asked, {name: vars(walk) for name, walk in walks.items()}


def batch_cases():
    more = [
        "don't stop ... (ever)",
        "x" * 101,
        "\tTabs  and\u00a0spaces ",
        "Straße İstanbul ﬁn 한국어",
        "3.5/5 stars~ a^b `c` #tag @me",
    ]
    for kind, size, bucketed in itertools.product((0, 1), (1, 2, 4), (False, True)):
        texts = TEXTS + more
        if kind:
            ids = tokenizer()(texts)["input_ids"]
            tokens = [tokenizer().convert_ids_to_tokens(row) for row in ids]
        else:
            tokens = [text.basic_english(line) for line in texts]
            ids = [WORDS.encode(row) for row in tokens]
        batches, padding = batch.padded_batches([len(row) for row in ids], size=size, bucketed=bucketed)
        asked = {"texts": texts, "tokeniser": kind, "size": size, "bucketed": bucketed}
        yield asked, {"tokens": tokens, "ids": [list(map(int, row)) for row in ids], "batches": batches, "padding": padding}


def compression_cases():
    for bits, block in itertools.product((2, 3, 4, 8), (16, 32, 128, 0)):
        asked = {"weights": WEIGHTS.tolist(), "bits": bits, "block": block}
        yield (
            asked,
            {
                "rounded": compression.quantise_blocks(WEIGHTS, bits=bits, block=block),
                "error": compression.relative_error(WEIGHTS, bits=bits, block=block),
                "bits_per_weight": compression.bits_per_weight(WEIGHTS.size, bits=bits, block=block),
            },
        )


def threshold_cases():
    for t, cost_fp, cost_fn in itertools.product((0.0, 0.07, 0.5, 1.0), (1, 4), (1, 9)):
        given, costs = (PROBABILITIES, LABELS), {"cost_fp": cost_fp, "cost_fn": cost_fn}
        found, bins = threshold.decide(*given, threshold=t, **costs), evaluation.tenths(*given)
        decision = vars(found) | {"precision": found.precision, "recall": found.recall, "accuracy": found.accuracy}
        yield (
            {"probabilities": PROBABILITIES.tolist(), "labels": LABELS.tolist(), "threshold": t, **costs},
            {
                "decision": decision,
                "costs": [threshold.decide(*given, threshold=grid, **costs).cost for grid in threshold.GRID],
                "best": threshold.best_threshold(*given, **costs),
                "bins": bins,
                "gap": (np.abs(bins[:, 0] - bins[:, 1]) * bins[:, 2]).sum() / len(LABELS),
            },
        )


def next_token_cases():
    for logits, t, top_p in itertools.product(
        ([3.1, 2.9, 1.0, -0.5], [0, 0, 0], [700, -700, 2]), (0.1, 1.0, 1.7), (0.05, 0.6, 1.0)
    ):
        asked = {"logits": logits, "temperature": t, "top_p": top_p}
        yield asked, {"probabilities": next_token.shaped(logits, temperature=t, top_p=top_p)}


def attention_cases():
    for row, n in itertools.product((ATTENTION[0, 0, 0], np.array([0.2, 0.4, 0.4])), (1, 3)):
        yield {"row": row.tolist(), "n": n}, {"strongest": attention.strongest(row, n=n)}


def reading_cases():
    for logits in ([0.5], [0.1, -4.0, 30.0]):
        changes, probabilities = reading.opinion_changes(logits)
        yield {"logits": logits}, {"changes": changes, "probabilities": probabilities}


def words_cases():
    for effects in ([1, -4, 2], [0, 0]):
        yield {"effects": effects}, {"shares": np.array(effects) / (np.abs(effects).max() or 1)}


def splits_cases():
    for block, near in itertools.product((1, 7, 30), (1, 5)):
        test = splits.block_test(97, block=block)
        yield {"test": test.astype(int).tolist(), "near": near}, {"leaked": splits.leaked(test, near=near)}


def pretraining_cases():
    yield {"losses": [0.0, 2.5]}, {"perplexities": [1.0, pretraining.perplexity(2.5)]}


def film_cases():
    for frame in FRAMES:
        apart = frame[FRAME_LABELS == 0].mean(axis=0) - frame[FRAME_LABELS == 1].mean(axis=0)
        yield {"points": frame.tolist(), "labels": FRAME_LABELS.tolist()}, {"distance": np.linalg.norm(apart)}


CASES = {
    "next_token": next_token_cases,
    "attention": attention_cases,
    "reading": reading_cases,
    "words": words_cases,
    "splits": splits_cases,
    "pretraining": pretraining_cases,
    "film": film_cases,
    "logit": logit_cases,
    "race": race_cases,
    "batch": batch_cases,
    "compression": compression_cases,
    "threshold": threshold_cases,
}


def same(found, expected) -> None:
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):  # rows of their own lengths, and words
        assert found == expected or np.allclose(found, expected, rtol=1e-9)
    else:
        np.testing.assert_allclose(np.array(found, dtype=float), np.array(expected, dtype=float), rtol=1e-6, atol=1e-9)


def test_the_page_computes_what_the_function_computes(opened):
    page, name = opened
    for asked, expected in CASES[name]():
        same(compute(page, asked), expected)


# --- hands, ears and eyes


def test_the_picture_has_given_way_and_no_control_is_without_a_name(opened):
    page, _ = opened
    assert page.locator(".course-explorer > img").count() == 0
    controls = page.evaluate(
        """() => [...document.querySelectorAll('.course-explorer :is(input, select, button, textarea)')].map(node =>
            [node.getAttribute('aria-label') || node.labels?.[0]?.innerText.trim() || node.innerText.trim(),
             node.dataset.lmSuppressShortcuts])"""
    )
    assert controls and all(name and kept == "true" for name, kept in controls)
    assert len({name for name, _ in controls}) == len(controls)


def test_the_arrow_keys_move_every_slider_whose_value_reads_well(opened):
    page, _ = opened
    status = page.locator("[role=status]")
    status.evaluate("node => { node.dataset.same = 'yes' }")  # it must change in its place, or nobody hears it
    for slider in page.locator("input[type=range]").all():
        before, said = slider.get_attribute("aria-valuetext"), status.inner_text()
        slider.focus()
        key = "ArrowRight" if slider.input_value() == slider.get_attribute("min") else "ArrowLeft"
        for _ in range(3):
            page.keyboard.press(key)
        after = slider.get_attribute("aria-valuetext")
        assert after != before and len(after) <= 8 and "-" not in after.replace("e-", "")
        assert status.inner_text() != said or "step" in slider.evaluate("node => node.labels[0].innerText")
    assert status.get_attribute("data-same") == "yes" and page.locator("[role=status]").count() == 1


def test_it_fits_a_narrow_page_in_either_theme(opened, show, tmp_path):
    page, name = opened
    folder = Path(os.environ.get("COURSE_SCREENSHOTS") or tmp_path)
    for theme in ("light", "dark"):
        show(PAGES[name]().html, theme=theme)
        assert page.locator(".course-explorer[data-dark]").count() == (theme == "dark")
        for width in (1000, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=str(folder / f"explorer_{name}_{width}_{theme}.png"), full_page=True)


def test_another_theme_of_the_page_changes_the_colours_at_once(browser, show):
    show(explorers.logit_explorer().html)
    for colour, state in (("#eee", "attached"), ("#222", "detached")):
        browser.evaluate("colour => { document.body.style.color = colour }", colour)
        browser.locator(".course-explorer[data-dark]").wait_for(state=state)


def test_slider_to_picture_is_measured(opened):
    page, name = opened
    times = page.evaluate(
        """() => { const slider = document.querySelector('.course-explorer input[type=range]'), times = [];
        for (let i = 0; i < 40; i++) {
            slider.value = Number(slider.min) + (i % 10) * Number(slider.step);
            const start = performance.now();
            slider.dispatchEvent(new Event('input', {bubbles: true}));
            document.querySelector('.course-explorer').getBoundingClientRect();  // laid out
            times.push(performance.now() - start);
        } return times; }"""
    )
    print(f"{name}: slider to picture, median {np.median(times):.1f} ms, worst {max(times):.1f} ms")
    assert len(times) == 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_nothing_serious_to_say(opened, show, axe_at_every_width, theme):
    page, name = opened
    show(PAGES[name]().html, theme=theme)
    assert axe_at_every_width(page, ".course-explorer") == []
    for slider in page.locator("input[type=range]").all():  # and with every slider at its other end
        slider.fill(slider.get_attribute("min" if slider.input_value() == slider.get_attribute("max") else "max"))
    assert axe_at_every_width(page, ".course-explorer") == []


# --- each explorer by hand


def test_a_logit_is_dragged_in_the_picture(browser, show):
    show(explorers.logit_explorer().html)
    box = browser.locator(".pane svg").nth(1).bounding_box()
    browser.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    browser.mouse.down()
    browser.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    browser.mouse.up()
    z = float(browser.get_by_label("logit z").input_value())
    expected = logit.losses_of_logits([0, z], 1)
    assert z == pytest.approx(-6 + 12 * (0.9 * 400 - 56) / (400 - 56 - 12), abs=0.06)  # the margins of the picture
    assert f"probability {expected.probabilities[1]:.3f}" in browser.locator("[role=status]").inner_text()
    browser.get_by_label("classes").select_option(index=1)
    assert browser.locator("input[type=range]").count() == 3
    shown = browser.locator("td").all_inner_texts()[:4]
    expected = logit.losses_of_logits([-3, 0, 0], 2)
    assert shown == [f"{v:.3f}".replace("-", "−") for v in (expected.cross_entropy, *expected.cross_entropy_gradient)]


def test_the_race_plays_steps_and_starts_where_it_is_put(browser, show):
    show(explorers.race_explorer().html)
    step = browser.get_by_label("step", exact=True)
    browser.get_by_role("button", name="Step").click()
    assert step.input_value() == "0"
    browser.get_by_role("button", name="Play").click()
    browser.wait_for_function("() => [...document.querySelectorAll('input[max=\"80\"]')].some(i => Number(i.value) > 2)")
    browser.get_by_role("button", name="Pause").click()
    assert 2 < int(step.input_value()) < 80
    browser.emulate_media(reduced_motion="reduce")
    browser.get_by_role("button", name="Play").click()
    assert step.input_value() == "80"
    browser.emulate_media(reduced_motion="no-preference")
    ring = browser.locator("circle[fill=transparent]").bounding_box()
    browser.mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    browser.mouse.down()
    browser.mouse.move(ring["x"] + 120, ring["y"] + 80, steps=4)
    browser.mouse.up()
    moved = browser.locator("circle[fill=transparent]").bounding_box()
    assert moved["x"] + moved["width"] / 2 == pytest.approx(ring["x"] + 120, abs=3)  # sliders have steps
    assert moved["y"] + moved["height"] / 2 == pytest.approx(ring["y"] + 80, abs=3)
    settings = browser.evaluate("document.querySelector('.course-explorer').explorer.settings()")
    walk = race.run_race(race.SURFACES[0], settings["start"], rates=settings["rates"])["Adam"]
    assert float(browser.locator("tr:has-text('Adam') td").last.inner_text()) == pytest.approx(walk.losses[-1], rel=0.01)


def test_beyond_the_cliff_the_sentence_says_so(browser, show):
    show(explorers.race_explorer("gradient descent", momentum=0.0).html)
    rate = browser.get_by_label("learning rate of gradient descent")
    choices = race.CHOICES
    for value, grows in ((0.19, False), (0.21, True)):
        rate.fill(str(choices.index(value)))
        assert ("too large" in browser.locator("[role=status]").inner_text()) is grows
    mark = int(browser.locator("datalist option").first.get_attribute("value"))
    assert choices[mark] <= 0.2 < choices[mark + 1]


def test_what_is_typed_is_shown_as_text_in_tokens_ids_and_mask(browser, show):
    show(PAGES["batch"]().html)
    browser.get_by_label("your texts").fill("<img src=x onerror=document.title='caught'> dull\n\nfunny film, once!")
    assert browser.locator("td").all_inner_texts()[:2] == ["<img → <unk>", "src=x → <unk>"]
    assert browser.title() == "output" and browser.locator("td img").count() == 0
    browser.get_by_label("show").select_option("ids")
    ids = WORDS.encode(text.basic_english("funny film, once!"))
    assert browser.locator("tr").nth(1).locator("td").all_inner_texts()[: len(ids)] == [str(i) for i in ids]
    browser.get_by_label("show").select_option("mask")
    assert set(browser.locator("td").all_inner_texts()) == {"0", "1"}
    browser.get_by_label("tokeniser").select_option("WordPiece")
    browser.get_by_label("show").select_option("tokens")
    assert browser.locator("td").first.inner_text() == "[CLS]" and browser.locator("td.unknown").count() == 0
    browser.get_by_label("your texts").fill(" ")
    assert "Type a text" in browser.locator("[role=status]").inner_text()


def test_a_cost_moves_the_best_threshold_and_the_picture_can_be_dragged(browser, show):
    show(PAGES["threshold"]().html)
    browser.get_by_label("cost: positive, called negative").fill("9")
    best = threshold.best_threshold(PROBABILITIES, LABELS, cost_fn=9)
    assert f"at {best:.2f}" in browser.locator("[role=status]").inner_text()
    box = browser.locator(".pane svg").first.bounding_box()
    browser.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    browser.mouse.down()
    browser.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    browser.mouse.up()
    t = float(browser.get_by_label("threshold", exact=True).input_value())
    assert t == pytest.approx((0.3 * 400 - 56) / (400 - 56 - 12), abs=0.011)
    found = threshold.decide(PROBABILITIES, LABELS, threshold=t)
    assert browser.locator("td").all_inner_texts()[:4] == [str(n) for n in (found.tn, found.fp, found.fn, found.tp)]


def test_temperature_and_top_p_move_the_bars_and_a_token_is_drawn(browser, show):
    show(PAGES["next_token"]().html)
    browser.get_by_label("temperature").fill("0.5")
    browser.get_by_label("top-p").fill("0.5")
    p = next_token.shaped([z for _, z in PROMPTS["The film is"]], temperature=0.5, top_p=0.5)
    said = browser.locator("[role=status]").inner_text()
    assert f"{(p > 0).sum()} of 4 tokens can be drawn" in said and f"with probability {p[0]:.3f}" in said
    browser.get_by_role("button", name="Draw one").click()
    assert 'Drawn: "\u00b7good"' in browser.locator("[role=status]").inner_text()  # the only one that is left
    browser.get_by_label("prompt").select_option(index=1)
    assert "of 2 tokens" in browser.locator("[role=status]").inner_text()


def test_a_head_is_picked_and_a_token_hovered(browser, show):
    show(PAGES["attention"]().html)
    browser.get_by_role("button", name="layer 0, head 1").click()
    browser.locator("span", has_text="film").first.hover()
    (first, *_) = attention.strongest(np.round(ATTENTION[0, 1, 3] * 255), n=1)
    token = TOKENS[first]
    share = round(round(ATTENTION[0, 1, 3, first] * 255) / 2.55)
    assert f'Layer 0, head 1: "film" looks most at "{token}" ({share} %)' in browser.locator("[role=status]").inner_text()
    assert browser.get_by_role("button", name="layer 0, head 1").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize(("name", "slider"), [("reading", "words read"), ("film", "step")])
def test_a_film_plays_to_its_end_at_once_where_motion_is_unwelcome(browser, show, name, slider):
    browser.emulate_media(reduced_motion="reduce")
    show(PAGES[name]().html)
    control = browser.get_by_role("slider", name=slider)
    control.fill("1")
    before = browser.locator("[role=status]").inner_text()
    browser.get_by_role("button", name="Play").click()
    browser.emulate_media(reduced_motion="no-preference")
    assert control.input_value() == control.get_attribute("max")
    assert browser.locator("[role=status]").inner_text() != before


def test_a_sentence_is_chosen_and_small_effects_are_hidden(browser, show):
    show(PAGES["words"]().html)
    assert browser.locator("sup").all_inner_texts() == ["\u2212", "+", "\u2212", "+"]
    browser.get_by_label("show from").fill("1")
    assert browser.locator("sup").all_inner_texts() == ["+", "\u2212"]
    assert 'LSTM: "good" (+2.00)' in browser.locator("[role=status]").inner_text()
    browser.get_by_label("sentence").select_option(index=1)
    assert browser.locator("sup").count() == 1


def test_checkpoints_fill_the_blanks_and_long_blocks_leak_less(browser, show):
    show(PAGES["pretraining"]().html)
    browser.get_by_label("checkpoint").fill("2")
    assert "as uncertain as among 20 equally" in browser.locator("[role=status]").inner_text()  # e to the 3
    show(PAGES["splits"]().html)
    status = browser.locator("[role=status]")
    assert "Random rows" in status.inner_text() and "names 0.600" in status.inner_text()
    browser.get_by_label("rows in a block").fill("1")
    near = splits.leaked(splits.block_test(240, block=60), near=5)
    assert f"Blocks of 100 rows: {near:.0%}".replace("%", " %") in status.inner_text()
