"""Figures: what is drawn is the data, colours can be distinguished, and no figure goes without alternative text."""

import html
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from course_utils import descent, plots
from course_utils.claims import Comparison
from course_utils.evaluation import Interval
from course_utils.training import EpochRecord, History


@pytest.fixture
def ax():
    with plt.rc_context():
        plots.use_style()
        yield plt.subplots()[1]


# --- alternative text


def test_a_figure_is_shown_with_its_alternative_text_and_closed(ax, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: shown.append((args, options)))
    alt = "Loss over steps, falling from one to nearly zero."
    ax.plot([1, 0])
    plots.show(ax.figure, alt=alt)
    ((bundle,), options) = shown[0]
    assert bundle["image/png"].startswith(b"\x89PNG") and bundle["text/plain"] == f"Figure: {alt}"
    assert f'alt="{html.escape(alt)}"' in bundle["text/html"] and 'src="data:image/png;base64,iVBOR' in bundle["text/html"]
    assert options == {"raw": True, "metadata": {"image/png": {"alt": alt}}}
    assert not plt.get_fignums()


@pytest.mark.parametrize("alt", ["", "   ", "loss curve", "A figure of the loss"])
def test_alternative_text_that_says_nothing_is_refused(ax, alt):
    with pytest.raises(ValueError, match=r"what the figure shows, its axes and its finding"):
        plots.show(ax.figure, alt=alt)


# --- distinguishing lines

# Full loss of one kind of cone, in linear RGB. Source: Machado, Oliveira and Fernandes, 2009, table 1.
VISION = {
    "trichromat": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(colour) -> np.ndarray:
    """Return the linear RGB (3,) of a colour."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colour) -> float:
    return float(TO_XYZ[1] @ linear(colour))


def lab(colour: str, vision: str) -> np.ndarray:
    """Return CIE L*a*b* of a colour as somebody with that vision sees it."""
    seen = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    ratio = np.array(TO_XYZ) @ seen / (np.array(TO_XYZ) @ np.ones(3))
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_every_two_colours_and_the_ground_differ_for_every_kind_of_colour_vision(vision):
    for a, b in combinations((*plots.COLOURS, "white"), 2):
        assert np.linalg.norm(lab(a, vision) - lab(b, vision)) > 10, (a, b)


def test_lines_differ_in_more_than_colour(ax):
    series = {f"line {i}": [i, i + 1, i] for i in range(6)}
    plots.curves(ax, series)
    for attribute in ("get_color", "get_marker", "get_linestyle"):
        styles = {str(getattr(line, attribute)()) for line in ax.lines}
        assert len(styles) == 6 or attribute == "get_linestyle", attribute
    assert len({str(line._dash_pattern) for line in ax.lines}) == 6


# --- what is drawn


def test_curves_hold_the_data_and_name_it(ax):
    assert plots.curves(ax, {"a": [3, 1], "b": [2, 5, 4]}) is ax
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1, 3], [2, 1]], [[1, 2], [2, 5], [3, 4]]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_curves_over_given_positions_and_without_marks(ax):
    plots.curves(ax, {"a": [3, 1]}, x=[0, 10, 20], marks=False)
    assert ax.lines[0].get_xydata().tolist() == [[0, 3], [10, 1]]
    assert ax.lines[0].get_marker() == "None" and ax.get_legend() is None


def test_smooth_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).random(50)
    naive = [values[max(0, i - 6) : i + 1].mean() for i in range(50)]
    np.testing.assert_allclose(plots.smooth(values, span=7), naive)


def test_intervals_are_drawn_at_their_ends_first_at_the_top(ax):
    results = {"majority": Interval(0.5, 0.48, 0.52), "encoder": Interval(0.83, 0.81, 0.84)}
    assert plots.bars_with_intervals(ax, results) is ax
    ends = [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert ends == [[0.48, 0.52], [0.81, 0.84]]
    assert [text.get_text() for text in ax.texts] == ["0.500", "0.830"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["majority", "encoder"] and ax.yaxis_inverted()
    assert "95 % interval" in ax.get_xlabel()


def test_a_confusion_matrix_writes_true_classes_down_and_predicted_across(ax):
    assert plots.confusion_matrix(ax, np.array([[5, 1], [2, 1_200]]), ("no", "yes")) is ax
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "5",
        (1, 0): "1",
        (0, 1): "2",
        (1, 1): "1,200",
    }
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_numbers_in_a_heat_map_stand_out_from_their_cell(ax):
    values = np.linspace(-1, 1, 12).reshape(3, 4)
    plots.heat_map(ax, values, rows="abc", columns="wxyz", numbers="{:.1f}")
    picture = ax.images[0]
    for text, value in zip(ax.texts, values.ravel(), strict=True):
        darker, brighter = sorted(luminance(colour) for colour in (text.get_color(), picture.to_rgba(value)))
        assert (brighter + 0.05) / (darker + 0.05) > 4.5, value  # WCAG 2.2, criterion 1.4.3


def test_a_heat_map_without_numbers_has_a_scale(ax):
    plots.heat_map(ax, np.eye(2), rows="ab", columns="cd", limits=(0, 2))
    assert len(ax.figure.axes) == 2 and ax.images[0].get_clim() == (0, 2)


def test_the_loss_surface_and_a_path_on_it(ax):
    loss, _ = descent.quadratic_bowl(10)
    assert plots.loss_surface(ax, loss) is ax and ax.get_xlim() == (-2.2, 2.2)
    path = np.array([[-2, 1.2], [-1, 0.5], [0, 0]])
    assert plots.descent_path(ax, path, label="walk") is ax
    line, ring = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), path)
    np.testing.assert_array_equal(ring.get_xydata(), path[:1])


def test_an_optimiser_has_one_colour_and_marker_in_curves_and_paths_whichever_are_drawn(ax):
    path = np.array([[-2, 1.2], [-1, 0.5], [0, 0]])
    names = ["Adam", "RMSprop", "gradient descent", "momentum"]
    plots.curves(ax, {name: [2, 1] for name in names})
    for name in names:
        plots.descent_path(ax, path, label=name)
    looks = {
        name: {(line.get_color(), line.get_marker()) for line in ax.lines if line.get_label() == name} for name in names
    }
    assert all(len(found) == 1 for found in looks.values()) and len(set.union(*looks.values())) == 4


def test_words_stand_at_their_points_with_their_group_in_the_legend(ax):
    points = np.array([[0, 0], [1, 1], [2, 0.0]])
    assert plots.scatter_words(ax, points, ["good", "bad", "fine"], [0, 1, 0], ["up", "down"]) is ax
    assert [(text.get_text(), *text.xy) for text in ax.texts] == [("good", 0, 0), ("bad", 1, 1), ("fine", 2, 0)]
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["up", "down"]


def test_labels_of_crowded_points_overlap_neither_each_other_nor_a_point_and_stay_inside(ax):
    points = np.random.default_rng(0).normal(size=(24, 2)) * [1, 0.3]
    points[1] = points[0]
    plots.scatter_words(ax, points, ["wonderful"] * 24, [0] * 12 + [1] * 12, ["up", "down"])
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(label) for label in ax.texts]
    dots = ax.transData.transform(points)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert not [1 for box in boxes for dot in dots if box.contains(*dot)]
    assert all(ax.bbox.containsx(x) and ax.bbox.containsy(y) for box in boxes for x, y in box.corners())
    assert not [box for box in boxes if box.overlaps(ax.get_legend().get_window_extent())]


@pytest.mark.parametrize("num_records", [0, 2])
def test_training_curves_stand_where_they_were_measured(num_records):
    records = [EpochRecord(i, 0.5, 0.6 - i / 10, 0.7 + i / 10, 1.0, 9, 2 * i) for i in range(1, num_records + 1)]
    history = History(3, 6, records, [0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    axes = plt.subplots(1, 2)[1]
    assert plots.training_curves(axes, history) is axes
    batches, _, validation = axes[0].lines
    assert batches.get_ydata().tolist() == history.step_losses
    assert validation.get_xydata().tolist() == [[2, 0.5], [4, pytest.approx(0.4)]][:num_records]
    assert axes[1].lines[0].get_xydata().tolist() == [[1, pytest.approx(0.8)], [2, pytest.approx(0.9)]][:num_records]


def test_a_compared_run_stands_above_the_stored_seeds_and_differs_in_shape_as_well(ax):
    plots.compared_run(ax, Comparison("words", 0.9, (0.7, 0.8), (0.6, 1.0)))
    seeds, run = ax.lines
    assert list(seeds.get_xdata()) == [0.7, 0.8] and list(run.get_xdata()) == [0.9]
    assert seeds.get_marker() != run.get_marker() and run.get_ydata()[0] > max(seeds.get_ydata())
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.6, 1.0))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["99 % tolerance", "stored seeds", "this run"]


def test_a_run_with_nothing_stored_stands_alone(ax):
    plots.compared_run(ax, Comparison("words", 0.9))
    assert len(ax.lines) == 1 and not ax.patches


def test_the_pareto_front_is_what_no_other_result_beats():
    rng = np.random.default_rng(0)
    for _ in range(5):
        names = [f"model {i}" for i in range(9)]
        results = {name: Interval(a, a - 0.1, a + 0.1) for name, a in zip(names, rng.random(9), strict=True)}
        costs = dict(zip(names, 10 ** rng.uniform(-2, 2, 9), strict=True))
        _, ax = plt.subplots()
        plots.accuracy_against_cost(ax, results, costs, unit="ms")
        marked = {text.get_text() for text in ax.texts if text.get_color() == plots.COLOURS[0]}
        beaten = {a for a in names for b in names if costs[b] < costs[a] and results[b].estimate > results[a].estimate}
        assert marked == set(names) - beaten and len(marked) > 1
        plt.close("all")


def test_of_two_costs_that_agree_in_two_digits_only_the_better_result_is_on_the_front(ax):
    results = {name: Interval(a, a - 0.1, a + 0.1) for name, a in (("alone", 0.69), ("taught", 0.72), ("slow", 0.73))}
    plots.accuracy_against_cost(ax, results, {"alone": 0.7095, "taught": 0.7101, "slow": 1.4}, unit="ms")
    assert {text.get_text() for text in ax.texts if text.get_color() == plots.COLOURS[0]} == {"taught", "slow"}
