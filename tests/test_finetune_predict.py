"""Predictions of a table: every row, column and reason is kept, and what is done survives a stop."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from faults import malformed_finetune
from tiny_finetune import make_finished

from course_utils import cli
from course_utils.finetune import predict, spreadsheet


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_finished(tmp_path_factory.mktemp("model") / "mine")


def write(folder: Path, content: str, name: str = "new.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def written(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype=str)


STRANGE = "unknown: this model does not know most of the tokens"
MIXED = "\n".join(
    ["id,text,row", "007,good film,a", "008,,b", "009,a,b,c,d", f"010,{'good ' * 40},e", "011,\u200b,f",
     "012,=cmd|' /C calc'!A0,-5", ""]
)  # fmt: skip


def test_every_row_and_column_is_kept_and_each_gap_has_its_reason(model, tmp_path):
    lines = predict.predict_table(model, write(tmp_path, MIXED), tmp_path / "out.csv", text_column="text")
    frame = written(tmp_path / "out.csv")
    assert list(frame) == ["row", "id", "text", "row (table)", "prediction", "confidence", "p(no)", "p(yes)", "note"]
    assert frame["row"].tolist() == list("234567") and frame["id"].tolist() == ["007", "008", "", "010", "011", "012"]
    assert frame["note"].tolist() == [
        "", "missing text", "set aside: ragged row: 5 cells, the header has 3",
        "truncated: the first 32 of 42 tokens were read", "missing text", STRANGE,
    ]  # fmt: skip
    assert (frame["prediction"] == "").tolist() == [False, True, True, False, True, False]
    assert frame["text"][5] == "'=cmd|' /C calc'!A0" and frame["row (table)"][5] == "-5"  # a number is no formula
    assert lines[-5:] == [
        f"{tmp_path / 'out.csv'}: 6 rows; 3 got no prediction", "- missing text (2): see the column note",
        "- set aside (1): see the column note", "- truncated (1): see the column note", "- unknown (1): see the column note",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if path.name != "new.csv"] == ["out.csv"]


def test_pieces_give_the_answers_of_single_texts(model, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PIECE", (3, 30))
    texts = [f"{'good' if i % 3 else 'bad'} film {'one ' * (i % 5)}".strip() for i in range(11)]
    table = write(tmp_path, "text\n" + "\n".join(texts) + "\n")
    predict.predict_table(model, table, tmp_path / "out.csv", text_column="text")
    frame = pd.read_csv(tmp_path / "out.csv")
    assert frame["text"].tolist() == texts
    singly = pd.concat([predict.predict(model, [text]) for text in texts], ignore_index=True)
    np.testing.assert_allclose(frame["p(yes)"], singly["p(yes)"], atol=1e-2)  # bfloat16 on some processors
    assert (frame["prediction"] == np.where(frame["p(yes)"] > 0.5, "yes", "no")).all()


def test_a_stopped_work_goes_on_and_computes_nothing_twice(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict, "PIECE", (4, 10**9))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "text\n" + "\n".join(f"film {i}" for i in range(10)))
    asked, original = [], predict.Classifier.answers

    def answers(self, texts, **options):
        asked.append(len(texts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return original(self, texts, **options)

    monkeypatch.setattr(predict.Classifier, "answers", answers)
    typed = ["predict", str(model), "new.csv", "--text-column", "text", "--out", "out.csv"]
    assert cli.main(typed) == 2
    says = capsys.readouterr().err
    assert "The run so far is in out.csv.unfinished. To go on with it: course predict" in says and "Traceback" not in says
    assert {path.name for path in Path("out.csv.unfinished").iterdir()} >= {"000000000000.csv", "work.txt"}
    assert cli.main([*typed, "--unsure-below", "0.9"]) == 2  # another work does not go on with these pieces
    assert "out.csv.unfinished contains predictions of another table or model" in capsys.readouterr().err
    assert cli.main(typed) == 0
    assert asked == [4, 4, 4, 2] and "out.csv: 10 rows; 0 got no prediction" in capsys.readouterr().out
    assert len(written(Path("out.csv"))) == 10 and not Path("out.csv.unfinished").exists()


def test_a_prediction_below_the_threshold_is_left_out_and_noted(model, tmp_path):
    table = write(tmp_path, "text\ngood film\nbad film\none\n")
    predict.predict_table(model, table, tmp_path / "all.csv", text_column="text")
    everything = pd.read_csv(tmp_path / "all.csv")
    limit = float(everything["confidence"].median())
    predict.predict_table(model, table, tmp_path / "sure.csv", text_column="text", unsure_below=limit)
    sure = written(tmp_path / "sure.csv")
    below = everything["confidence"] < limit
    assert (sure["prediction"] == "").tolist() == below.tolist() and below.sum() == 1
    (note,) = sure["note"][below]
    assert note == f"unsure: {everything['prediction'][below].item()} with a confidence of " + "{:.2f}".format(
        everything["confidence"][below].item()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "new.csv is empty"),
        ("text\n", "No row of new.csv has a text in the column 'text'"),
        ('text\n" "\n""\n', "No row of new.csv has a text in the column 'text'"),
        ("text\n\u200b\n\ufeff\u200b\n", "No row of new.csv has a text in the column 'text'"),
        ("text,id\na,b,c\n", r"No row .* ragged row \(1\): set aside, first in row 2"),
        ("words\nfilm\n", "There is no column 'text'"),
    ],
)
def test_a_table_without_texts_is_one_sentence_and_nothing_is_written(model, tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        predict.predict_table(model, write(tmp_path, content), tmp_path / "out.csv", text_column="text")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_text_is_one_sentence(model, text):
    with pytest.raises(ValueError, match=r"Text 2 is empty, so there is nothing to predict"):
        predict.predict(model, ["film", text])


def test_an_output_that_is_there_or_a_folder_that_is_not_is_said_before_anything_is_computed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "load", lambda folder: pytest.fail("the model was loaded"))
    table = write(tmp_path, "text\nfilm\n")
    with pytest.raises(FileExistsError, match=r"new.csv already exists"):
        predict.predict_table(model, table, table, text_column="text")
    with pytest.raises(FileNotFoundError):
        predict.predict_table(model, table, tmp_path / "absent" / "out.csv", text_column="text")


def test_a_text_of_which_the_model_knows_next_to_nothing_is_predicted_with_a_note(model, tmp_path):
    table = write(tmp_path, f"text\n电影\n{'z' * 100_000}\ngood 电 bad\n")
    predict.predict_table(model, table, tmp_path / "out.csv", text_column="text")
    assert written(tmp_path / "out.csv")["note"].tolist() == [STRANGE, STRANGE, ""]


def test_a_folder_without_a_stated_length_is_asked_for_its_positions(model, tmp_path, capsys):
    copy = shutil.copytree(model, tmp_path / "plain")
    (copy / "manifest.json").unlink()
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert predict.load(copy).max_length == 32  # max_position_embeddings
    predict.predict_table(copy, write(tmp_path, f"text\n{'good ' * 100}\n"), tmp_path / "out.csv", text_column="text")
    assert written(tmp_path / "out.csv")["note"].tolist() == ["truncated: the first 32 of 102 tokens were read"]


def test_a_console_without_the_letters_of_a_table_ends_nothing(model, tmp_path, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    assert cli.main(["predict", str(model), "--text", "水壶很好用 film"]) == 0
    console.flush()
    assert b"? film" in console.buffer.getvalue()


def test_formulas_become_texts_and_numbers_stay(tmp_path):
    cells = ["=1+1", "+cmd", "-2.5", "+3", "@SUM(A1)", "\tx", "- nice", "plain", "a=b"]
    others = ["two\rlines", None, 4.5, ["a", 1], "half \ud83d"]
    spreadsheet.write_csv(pd.DataFrame({"=head": cells + others}, dtype=object), tmp_path / "a.csv")
    back = written(tmp_path / "a.csv")
    assert list(back) == ["'=head"]
    assert back["'=head"].tolist()[: len(cells)] == [
        "'=1+1", "'+cmd", "-2.5", "+3", "'@SUM(A1)", "'\tx", "'- nice", "plain", "a=b",
    ]  # fmt: skip
    assert back["'=head"].tolist()[len(cells) :] == ["two\rlines", "", "4.5", '["a", 1]', "half \ufffd"]


@pytest.mark.parametrize("seed", range(40))
def test_of_malformed_files_every_row_is_used_or_set_aside_and_predicted_or_explained(model, tmp_path, seed):
    outcomes = malformed_finetune.attempt(seed, tmp_path, model)
    assert all(outcome.ok for outcome in outcomes), outcomes
