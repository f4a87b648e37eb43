"""The generated pages: numbers worked out another way, and pages that lack the part to be filled."""

import json
import re
import statistics

import pytest
from scipy import stats

from tools import accuracies, results, tables


def test_the_interval_of_a_mean_is_that_of_scipy():
    values = [0.81, 0.83, 0.82, 0.85, 0.80]
    expected = stats.t.interval(0.95, df=4, loc=statistics.mean(values), scale=stats.sem(values))
    assert accuracies.mean_interval(values) == pytest.approx(expected)


def test_the_headline_states_what_was_recorded():
    bands = json.loads(accuracies.CLAIMS.read_text(encoding="utf-8"))["profiles"]["workshop"]
    tuned, gain = (bands[f"06 {claim}"]["values"] for claim in (
        "fine-tuned encoder on Rotten Tomatoes, block split", "gain of fine-tuning over TF-IDF"))  # fmt: skip
    said = results.headline()
    assert f"**{100 * sum(tuned) / len(tuned):.1f}%**" in said
    counts = [score - more for score, more in zip(tuned, gain, strict=True)]  # the same in every run: no seed in it
    assert max(counts) - min(counts) < 2e-4 and f"reach {counts[0]:.1%}" in said
    assert f"mean of {len(tuned)} seeds" in said


def test_a_table_is_read_with_its_head_and_without_its_rule(tmp_path):
    script = tmp_path / "00.py"
    script.write_text("# ## The map\n#\n# Words.\n#\n# | a | b |\n# |---|---|\n# | 1 | 2 |\n#\n# | c |\n", encoding="utf-8")
    assert tables.table_after(script, "The map") == [["a", "b"], ["1", "2"]]
    with pytest.raises(ValueError, match=r"00.py has no table under 'The letters'"):
        tables.table_after(script, "The letters")


def test_a_part_is_replaced_and_the_rest_stays():
    page = "before\n<!-- generated: map -->\nold\n<!-- end: map -->\nafter\n"
    assert tables.fill(page, "map", "new") == page.replace("old", "new")


@pytest.mark.parametrize("page", ["", "<!-- generated: map -->\n", "<!-- generated: map -->\n\n<!-- end: map -->\n" * 2])
def test_a_page_without_the_one_pair_of_comments_is_refused(page):
    with pytest.raises(ValueError, match=re.escape("one pair of comments 'generated: map' and 'end: map'")):
        tables.fill(page, "map", "new")
