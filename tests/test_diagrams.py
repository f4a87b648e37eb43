"""Drawings: no text over another or out of its box, shapes that are true, text large enough, words for the blind."""

import inspect
import re
import subprocess
import sys
import warnings
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.transforms import Bbox

from course_utils import diagrams, plots
from course_utils.diagrams import shapes

NAMES = (
    "attention", "bert_from_ids_to_logits", "bootstrap", "chain_rule", "data_parallel_step", "dot_product",
    "four_bit_blocks", "heads", "labels_of_an_answer", "lora_and_adapter", "lstm_cell", "masked_and_causal",
    "new_head", "next_token_loop", "padded_batch", "preference_pair", "pretraining_road", "random_and_block_split",
    "ring_all_reduce", "seven_steps", "sharded_states", "shares_of_an_epoch", "structural_changes",
    "transformer_block", "unrolled_rnn",
)  # fmt: skip


def rendered(figure):
    """Return the figure with a canvas that can measure it."""
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.fixture(scope="module", params=NAMES)
def figure(request):
    return rendered(getattr(diagrams, request.param)())


def extents(figure, artists) -> list[Bbox]:
    renderer = figure.canvas.get_renderer()
    return [artist.get_window_extent(renderer) for artist in artists]


def texts(figure) -> list[tuple[str, Bbox]]:
    """Return what is written, with its extent in pixels at 100 %."""
    artists = figure.axes[0].texts
    return list(zip([text.get_text() for text in artists], extents(figure, artists), strict=True))


def overlap(a: Bbox, b: Bbox) -> bool:
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5


def inside(a: Bbox, b: Bbox) -> bool:
    return b.x0 <= a.x0 + 0.5 and a.x1 <= b.x1 + 0.5 and b.y0 <= a.y0 + 0.5 and a.y1 <= b.y1 + 0.5


def overprinted(figure) -> list:
    return [(a[0], b[0]) for a, b in combinations(texts(figure), 2) if overlap(a[1], b[1])]


def out_of_bounds(figure) -> list:
    """Return each text that leaves the figure, or is partly in and partly out of a box or a cell."""
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch | Rectangle) and p.get_linewidth() > 0.7]
    edges = extents(figure, boxes)
    wrong = [text for text, extent in texts(figure) if not inside(extent, figure.bbox)]
    return wrong + [t for t, extent in texts(figure) for e in edges if overlap(extent, e) and not inside(extent, e)]


def crossed_out(figure) -> list:
    """Return each text that an arrow runs through."""
    wrong = []
    for patch in figure.axes[0].patches:
        if isinstance(patch, FancyArrowPatch):
            corners = patch.get_transform().transform(patch.get_path().interpolated(40).vertices)
            wrong += [text for text, extent in texts(figure) if any(map(extent.contains, *corners.T))]
    return wrong


def tensors(figure) -> list[tuple[str, int, int]]:
    """Return name, rows and columns of each named tensor, counted from the cells that are drawn around its name."""
    grids: dict[str, list] = {}
    for patch in figure.axes[0].patches:
        if isinstance(patch, Rectangle) and patch.get_gid() and patch.get_linewidth() > 0:
            grids.setdefault(patch.get_gid(), []).append(patch.get_xy())
    counted = []
    for name, corners in grids.items():
        xs, ys = (np.unique(np.round(values, 3)) for values in zip(*corners, strict=True))
        assert len(corners) == len(xs) * len(ys), name
        counted.append((name.split(": ", 1)[1], len(ys), len(xs)))
    return counted


def sizes(figure) -> dict[str, set[int]]:
    """Return for each letter in the shapes of a drawing the numbers of cells it has; a number as a letter of its own."""
    found: dict[str, set[int]] = {}
    for name, rows, columns in tensors(figure):
        if shape := re.search(r"\(([^()]*, [^()]*)\)", name):
            letters = (
                [letter for letter in shape[1].split(", ") if letter != "B"] if "B" in shape[1] else shape[1].split(", ")
            )
            drawn = (rows, columns) if len(letters) == 2 else (columns,)
            for letter, count in zip(letters, drawn, strict=False):
                found.setdefault(letter, set()).add(count)
    return found


def wrong_sizes(figure) -> list:
    """Return letters that have two sizes in one drawing, and numbers, or D/3, that are not what is drawn."""
    found = sizes(figure)
    wrong = [(letter, counts) for letter, counts in found.items() if len(counts) > 1]
    wrong += [(letter, counts) for letter, counts in found.items() if letter.isdigit() and counts != {int(letter)}]
    return wrong + [(part, n) for part, n in found.items() if "/3" in part and {3 * i for i in n} != found[part[0]]]


# --- every drawing


def test_the_drawings_are_all_there_and_no_more():
    found = {name for name, value in vars(diagrams).items() if inspect.isfunction(value)}
    assert found == {*NAMES, "alt_text", "show"}
    assert {drawing.__name__ for drawing in diagrams.DRAWINGS} == set(NAMES)


def test_no_two_texts_overlap(figure):
    assert len(texts(figure)) >= 5
    assert not overprinted(figure)


def test_no_text_leaves_the_figure_or_its_box(figure):
    assert not out_of_bounds(figure)


def test_no_arrow_runs_through_a_text(figure):
    assert not crossed_out(figure)


def test_written_shapes_are_what_is_drawn(figure):
    assert not wrong_sizes(figure)


def test_a_drawing_is_of_readable_size(figure):
    width, height = figure.get_size_inches()
    assert width <= 9 and height <= 5
    smallest = min(text.get_fontsize() for text in figure.axes[0].texts)
    assert smallest >= 9
    assert smallest * figure.dpi / 72 * 400 / (width * figure.dpi) >= 7  # pixels of a text where the figure is 400 wide


def test_a_drawing_has_a_ground_of_its_own(figure):
    assert figure.get_facecolor() == (1, 1, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_describes_the_picture(name):
    alt = diagrams.alt_text(getattr(diagrams, name))
    assert 60 <= len(alt) <= 500 and alt.endswith(".") and "  " not in alt and "\n" not in alt


def test_drawings_leave_no_figure_open():
    before = plt.get_fignums()
    diagrams.chain_rule()
    assert plt.get_fignums() == before


# --- these tests can fail


def bad(**wrong) -> list:
    """Return the errors found in a small drawing, right but for what is given."""
    ax = shapes.canvas(30, 20)
    shapes.box(ax, 8, 8, 12, 5, wrong.get("label", "a box"))
    shapes.write(ax, 8, wrong.get("y", 14), "above")
    shapes.tensor(ax, 22, 8, (2, 3), wrong.get("name", "x (2, 3)"))
    shapes.tensor(ax, 22, 15, (wrong.get("rows", 1), 3), "y (R, 3)", cell=1.2)
    shapes.tensor(ax, 6, 2.5, (1, 3), "z (R, 3)", cell=1.2)
    shapes.arrow(ax, (1, wrong.get("arrow", 18)), (15, 18))
    figure = rendered(ax.figure)
    return [*overprinted(figure), *out_of_bounds(figure), *crossed_out(figure), *wrong_sizes(figure)]


def test_a_good_drawing_passes():
    assert bad() == []


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"y": 8.5}, ("a box", "above")),
        ({"label": "a label that is too long for it"}, "a label that is too long for it"),
        ({"y": 19.8}, "above"),
        ({"y": 10.5}, "above"),
        ({"arrow": 10}, "above"),
        ({"name": "x (2, 4)"}, ("4", {3})),
        ({"rows": 2}, ("R", {1, 2})),
    ],
)
def test_what_is_wrong_is_found(wrong, found):
    assert found in bad(**wrong)


# --- what single drawings say


def words(figure) -> str:
    return " ".join(text.get_text() for text in figure.axes[0].texts).replace("−", "-")


def numbers(figure, name: str) -> np.ndarray:
    """Return what is written in the cells of a tensor, float (rows, columns)."""
    ax = figure.axes[0]
    rectangles = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    cells = [p for p in rectangles if (p.get_gid() or "").split(": ")[-1].startswith(name) and p.get_linewidth() > 0]
    rows: dict[float, list] = {}
    for cell in cells:
        (text,) = (t for t in ax.texts if cell.get_bbox().contains(*t.get_position()))
        rows.setdefault(-cell.get_y(), []).append((cell.get_x(), float(text.get_text().replace("−", "-"))))
    return np.array([[value for _, value in sorted(row)] for _, row in sorted(rows.items())])


def test_the_chain_rule_multiplies_out():
    figure = diagrams.chain_rule()
    drawn, bold = words(figure), [text.get_text() for text in figure.axes[0].texts if text.get_weight() == "bold"]
    *local, gradient = map(float, re.search(r"∂loss/∂w = (\S+) · (\S+) · \((\S+)\) = (\S+)", drawn).groups())
    assert np.prod(local) == pytest.approx(gradient)
    shown = [float(text.replace("−", "-")) for text in bold if re.fullmatch(r"−?[\d.]+", text)]
    assert shown[4:] == local  # below the arrows
    x, b = (float(re.search(rf"{name} = ([\d.]+)", drawn)[1]) for name in "xb")
    w, z, p, loss = shown[:4]
    assert z == pytest.approx(w * x + b) and p == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-3)
    assert loss == pytest.approx(-np.log(p), abs=1e-3)

    def at(weight: float) -> float:
        return float(np.log(1 + np.exp(-(weight * x + b))))

    assert gradient == pytest.approx((at(w + 1e-4) - at(w - 1e-4)) / 2e-4, abs=1e-3)  # finite differences


def test_attention_computes_what_is_written():
    figure = diagrams.attention()
    q, k, v = (numbers(figure, name) for name in ("Q", "Kᵀ", "V"))
    scores, weights, output = (numbers(figure, name) for name in ("scores", "weights", "output"))
    np.testing.assert_allclose(scores, q @ k)
    powers = np.exp(scores[:, :2] / np.sqrt(2))
    np.testing.assert_allclose(weights[:, :2], powers / powers.sum(axis=1, keepdims=True), atol=0.05)
    assert (weights[:, 2] == 0).all()  # the padded token, whose value is far from the others
    np.testing.assert_allclose(output, weights @ v, atol=0.051)


def test_four_bits_and_their_sum():
    figure = diagrams.four_bit_blocks()
    codes, drawn = numbers(figure, "")[0], words(figure)
    assert len(codes) == 32 and codes.min() == 0 and codes.max() == 15
    bits = (16 + 16 + 32 * np.log2(16)) / 32
    assert f"= {bits:g} bits = {bits / 8:g} byte a weight" in drawn
    was, code, low, scale, again, back = map(
        float, re.search(r"(\S+) → (\d+) → (\S+) \+ (\S+) · (\d+) = (\S+)", drawn).groups()
    )
    assert code == again == codes[0] and f"minimum = {low}" in drawn and f"scale = {scale}" in drawn
    assert back == pytest.approx(low + scale * code) and abs(was - back) <= scale / 2


def test_workers_average_their_gradients():
    figure = diagrams.data_parallel_step()
    np.testing.assert_allclose(numbers(figure, "gradient").mean(axis=0), numbers(figure, "mean")[0])


def test_the_ring_ends_with_the_sums():
    texts = [
        [t.get_text() for t in diagrams.ring_all_reduce().axes[0].texts].count(total) for total in ("111", "222", "333")
    ]
    assert texts == [4, 4, 4]  # one complete sum each in the middle, all of them on the right


def test_the_workers_read_the_whole_order():
    numbers = [int(t.get_text()) for t in diagrams.shares_of_an_epoch().axes[0].texts if t.get_text().isdigit()]
    assert sorted(numbers[:12]) == sorted(numbers[12:]) == list(range(12))
    assert numbers[12:16] == numbers[:12:3]


def test_each_stage_keeps_what_its_bytes_say():
    *shown, _ = words(diagrams.sharded_states()).split(" bytes")
    assert [float(text.split()[-1]) for text in shown] == [16, 4 + 4 + 8 / 4, 4 + (4 + 8) / 4, 16 / 4]


def test_only_the_random_split_tests_on_known_films():
    drawn = words(diagrams.random_and_block_split())
    assert "6 of 6 test reviews" in drawn and "0 of 6 test reviews" in drawn


def test_a_drawing_is_shown_at_twice_its_pixels_with_its_docstring(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: shown.append((args, options)))
    diagrams.show(diagrams.lstm_cell)
    (((bundle,), options),) = shown
    metadata = options["metadata"]["image/png"]
    pixels = int.from_bytes(bundle["image/png"][16:20], "big")  # the header of a PNG
    assert pixels == pytest.approx(2 * metadata["width"], abs=1)
    assert metadata["alt"] == diagrams.alt_text(diagrams.lstm_cell) == bundle["text/plain"].removeprefix("Figure: ")


def test_drawing_needs_no_torch():
    code = "import sys; from course_utils import diagrams; diagrams.heads(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_drawing_warns_of_nothing_in_the_style_of_the_notebooks():
    with plt.rc_context(plots.STYLE), warnings.catch_warnings():
        warnings.simplefilter("error")
        rendered(diagrams.attention())
