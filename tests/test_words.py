"""tools/words.py: words that the field does not use are found, with their line and what to write instead."""

from pathlib import Path

import pytest

from tools import words as tool

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("# Mend it in the cell below.", ["Mend"]),
        ("# a model that knows nothing pays 0.69, and is a coin", ["that knows nothing", "is a coin"]),
        ("# batches of like length, alone and in company", ["of like length", "alone and in company"]),
        ("# No model that counts words can tell them apart.", ["tell them apart"]),
        ("print(f'{foretold:.0f} s foretold')", ["foretold"]),
        ("for name in rivals:  # beside honest rivals", ["rivals"]),
        ("# This is recommended: fix it, and amend the commit. A coin toss has two sides; the company of the director.", []),
        ("schedule = rate_factor(step)", []),
    ],
)
def test_words_are_found_where_they_stand_and_nowhere_else(line, found):
    assert sorted(words for _, words, _ in tool.hits(line, tool.load_words())) == sorted(found)


def test_a_planted_word_is_printed_with_its_line_and_remedy(tmp_path, capsys):
    (tmp_path / "docs" / "more").mkdir(parents=True)
    (tmp_path / "docs" / "more" / "page.md").write_text("Good.\nPlease mend this.\n", encoding="utf-8")
    (tmp_path / "docs" / "page.ipynb").write_text("mend", encoding="utf-8")
    (tmp_path / "README.md").write_text("Fix this.\n", encoding="utf-8")
    assert tool.main(tmp_path) == 1
    assert capsys.readouterr().out == "docs/more/page.md:2: 'mend' -> fix\n"
    assert tool.main(tmp_path, ["README.md"]) == 0


def test_the_course_uses_the_words_of_the_field(capsys):
    assert tool.main(ROOT) == 0, capsys.readouterr().out
