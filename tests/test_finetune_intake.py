"""A table of your own: files with faults made by hand, each fault counted by hand, and splits that keep copies together."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import make_reviews

from course_utils.finetune import intake, vocabulary

CLEAN = "".join(f"text {i},{'up' if i % 2 else 'down'}\n" for i in range(6))  # 3 different texts of each class


def write(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def read(path: Path, **options) -> intake.Table:
    return intake.read_table(path, **{"text_column": "text", "label_column": "kind"} | options)


def found(table: intake.Table) -> dict[str, int]:
    return {fault.kind: fault.number for fault in table.faults}


def aside(table: intake.Table) -> list[tuple[int, str]]:
    return [(row, reason.partition(":")[0]) for row, reason in table.set_aside[["row", "reason"]].itertuples(index=False)]


# --- reading


def test_a_clean_table_is_read_whole_with_its_lines_and_classes_in_order(tmp_path):
    table = read(write(tmp_path, 'text,kind\n"good, really",up\nbad,down\n"so\nso 😀",up\nNA,down\nc,up\nd,down\n'))
    assert table.reviews.texts == ("good, really", "bad", "so\nso 😀", "NA", "c", "d")
    assert table.reviews.class_names == ("down", "up") and table.reviews.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert table.reviews.rows.tolist() == [2, 3, 4, 6, 7, 8]  # the third row takes two lines
    assert len(table.set_aside) == 0 and found(table) == {"small classes": 2}


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("mine.tsv", "kind\ttext\n" + "".join(f"{k}\ta, {i}\n" for i, k in enumerate("xyxyxy")), [2, 3, 4, 5, 6, 7]),
        ("mine.csv", "text;kind\n" + "".join(f"a, {i};{k}\n" for i, k in enumerate("xyxyxy")), [2, 3, 4, 5, 6, 7]),
        (
            "mine.csv",
            "\r\n\r\ntext,kind\r\n" + "".join(f'"a, {i}",{k}\r\n' for i, k in enumerate("xyxyxy")),
            [4, 5, 6, 7, 8, 9],
        ),
        (
            "mine.JSONL",
            "".join(json.dumps({"id": i, "text": f"a, {i}", "kind": k}) + "\n" for i, k in enumerate("xyxyxy")),
            [1, 2, 3, 4, 5, 6],
        ),
    ],
)
def test_other_separators_and_json_lines_give_the_same_rows(tmp_path, name, content, rows):
    table = read(write(tmp_path, content, name))
    assert table.reviews.texts == tuple(f"a, {i}" for i in range(6))
    assert table.reviews.labels.tolist() == [0, 1] * 3 and table.reviews.rows.tolist() == rows
    assert ("separator" in found(table)) is (";" in content)


def test_parquet_is_read_with_numbers_as_labels_and_gaps_as_missing(tmp_path):
    frame = pd.DataFrame({"text": [f"a {i}" for i in range(6)] + ["b", None], "kind": [1.0, 0, 1, 0, 1, 0, None, 1]})
    frame.to_parquet(tmp_path / "mine.parquet")
    table = read(tmp_path / "mine.parquet")
    assert table.reviews.class_names == ("0", "1") and table.reviews.rows.tolist() == [1, 2, 3, 4, 5, 6]
    assert aside(table) == [(7, "missing label"), (8, "missing text")]


@pytest.mark.parametrize(
    ("encoding", "assumed", "number"),
    [("utf-8", None, 0), ("utf-8-sig", "utf-8-sig", 1), ("utf-16", "utf-16", 1), ("cp1252", "cp1252", 2)],
)
def test_the_encoding_that_was_assumed_is_said(tmp_path, encoding, assumed, number):
    content = "text,kind\ncafé,up\nnaïve,down\n" + CLEAN
    table = read(write(tmp_path, content.encode(encoding)))
    assert table.reviews.texts[:2] == ("café", "naïve")
    faults = [fault for fault in table.faults if fault.kind == "encoding"]
    assert [fault.number for fault in faults] == ([number] if number else [])
    assert all(assumed in fault.sentence for fault in faults)
    if encoding == "cp1252":
        assert "café, naïve" in faults[0].sentence  # for the eye: only a reader can tell whether the guess was right


def test_letters_that_were_lost_earlier_are_counted_and_lone_surrogates_replaced(tmp_path):
    content = "text,kind\ncafÃ©,up\ncaf\ufffd,down\nit isnâ€™t,up\n" + CLEAN
    assert found(read(write(tmp_path, content)))["damaged letters"] == 3
    lines = [json.dumps({"text": f"{i} \ud83d", "kind": k}) for i, k in enumerate("xyxyxy")]  # half an emoji
    table = read(write(tmp_path, "\n".join(lines), "mine.jsonl"))
    assert table.reviews.texts[0] == "0 \ufffd"


# --- rows that cannot be used


def test_rows_that_cannot_be_used_are_set_aside_with_line_and_reason(tmp_path):
    content = f"text,kind\n,up\n  ,down\nno label,\na text, with a comma,up\n\nshort\n{CLEAN}"
    table = read(write(tmp_path, content))
    assert aside(table) == [
        (2, "missing text"),
        (3, "missing text"),
        (4, "missing label"),
        (5, "ragged row"),
        (6, "empty line"),
        (7, "ragged row"),
    ]
    assert table.set_aside["reason"][3] == "ragged row: 3 cells, the header has 2"
    assert table.set_aside["text"][3] == "a text, with a comma,up"
    counts = {"missing text": 2, "missing label": 1, "ragged row": 2, "empty line": 1, "small classes": 2, "near-copies": 4}
    assert found(table) == counts
    assert len(table.reviews) == 6
    assert "mine.csv: 6 usable rows (down 3, up 3), 6 set aside" in table.report()
    assert "- ragged row (2): set aside, first in row 5" in table.report()


def test_broken_json_lines_missing_keys_and_lists_are_set_aside(tmp_path):
    good = [json.dumps({"text": f"t {i}", "kind": i % 2}) for i in range(6)]
    bad = ["{'text': 1}", "[1, 2]", "", '{"kind": 1}', '{"text": ["a"], "kind": 1}', '{"text": "b", "kind": null}']
    table = read(write(tmp_path, "\n".join(bad + good) + "\n", "mine.jsonl"))
    broken = "not a JSON object on one line"
    assert aside(table) == [(1, broken), (2, broken), (3, broken), (4, "missing text"), (6, "missing label")]
    assert table.reviews.class_names == ("0", "1") and table.reviews.texts[0] == "a" and len(table.reviews) == 7


def test_the_same_text_under_two_labels_is_set_aside_wherever_it_stands(tmp_path):
    table = read(write(tmp_path, f"text,kind\nFine film,up\n{CLEAN}fine  FILM,down\nfine film ,up\n"))
    assert aside(table) == [(2, "conflicting labels"), (9, "conflicting labels"), (10, "conflicting labels")]
    assert found(table)["conflicting labels"] == 3 and len(table.reviews) == 6


def test_the_same_text_under_one_label_is_kept_counted_and_one_block(tmp_path):
    table = read(write(tmp_path, f"text,kind\nText 1,up\n{CLEAN}TEXT  1,up\n"))
    assert found(table)["repeated texts"] == 2
    blocks = dict(zip(table.reviews.rows.tolist(), table.reviews.blocks.tolist(), strict=True))
    assert blocks[2] == blocks[4] == blocks[9]  # "text 1" stands in line 4
    assert len(set(blocks.values())) == 6


def test_labels_that_differ_by_case_or_spaces_become_the_commonest_spelling(tmp_path):
    table = read(write(tmp_path, "text,kind\na,Up\nb,up\nc,up \nd,UP\ne,very  bad\nf,very bad\ng,very bad\n"))
    assert table.reviews.class_names == ("up", "very bad") and table.reviews.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    (fault,) = [fault for fault in table.faults if fault.kind == "spellings of a label"]
    assert (fault.number, fault.sentence) == (3, "read 'UP' as 'up', 'Up' as 'up', 'very  bad' as 'very bad'")


def test_a_class_too_small_to_split_is_set_aside_and_a_small_one_named(tmp_path):
    rare = "r,rare\ns,rare\nR ,rare\n"  # three rows, but two different texts
    table = read(write(tmp_path, f"text,kind\n{CLEAN}{rare}" + "".join(f"more {i},up\n" for i in range(20))))
    assert table.reviews.class_names == ("down", "up")
    assert aside(table) == [(8, "class too small"), (9, "class too small"), (10, "class too small")]
    assert found(table) == {"class too small": 3, "small classes": 1, "imbalance": 20, "near-copies": 23}
    (fault,) = [fault for fault in table.faults if fault.kind == "imbalance"]
    assert "'up' is 88% of the rows" in fault.sentence  # 23 of 26


def test_a_text_in_two_groups_is_set_aside_and_groups_are_the_blocks(tmp_path):
    rows = "".join(f"text {i},{'up' if i % 2 else 'down'},film {i // 4}\n" for i in range(12))
    table = read(write(tmp_path, f"text,kind,film\n{rows}TEXT 1,up,film 2\nno film,up,\n"), group_column="film")
    assert aside(table) == [(3, "text in several groups"), (14, "text in several groups"), (15, "missing group")]
    assert table.reviews.blocks.tolist() == [0] * 3 + [1] * 4 + [2] * 4


# --- tables that cannot be used


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Text ,label\na,1\nb,0\n", r"no column 'text'. The columns are: 'Text ', 'label'. Did you mean 'Text '\?"),
        ("text,kinds\na,1\nb,0\n", r"column 'kind'.*Did you mean 'kinds'\?"),
        ("text,zzz\na,1\nb,0\n", r"column 'kind'. The columns are: 'text', 'zzz'.$"),
        ("text,kind,text\na,1,b\n", r"no column 'text'. The columns are: 'text \(1\)', 'kind', 'text \(2\)'"),
        ("a,x\nb,y\nc,x\n", r"no column 'text'.*The first row looks like data \('x'\). If it is, add --no-header"),
        (
            "text,kind\na,x\nb,x\nc,x\n,y\n",
            r"has 2 different values, 1 of them with three usable.*Found: missing text \(1\)",
        ),
        ("text,kind\n", "has 0 different values, 0 of them"),
        ("", "mine.csv is empty"),
        (
            "text,kind\n" + "".join(f"t {i},c{i % 51}\n" for i in range(153)),
            r"51 different values, 51 of them.*--task numbers",
        ),
        ("text,kind\n" + "".join(f"t {i},{i}\n" for i in range(60)), r"60 different values, 0 of them.*an id"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_a_sentence(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, content))


def test_fifty_classes_are_not_too_many(tmp_path):
    table = read(write(tmp_path, "text,kind\n" + "".join(f"t {i},c{i % 50}\n" for i in range(150))))
    assert len(table.reviews.class_names) == 50


def test_a_missing_file_and_another_kind_of_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.csv"):
        read(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match=r"mine.csv is a PDF"):
        read(write(tmp_path, b"%PDF-1.7"))


# --- lengths


def test_texts_that_lose_their_end_are_counted():
    def tokenizer(texts, **options):
        return {"input_ids": [[101, *range(len(text.split())), 102] for text in texts]}

    reviews = make_reviews("a b c", "a b c d", "a b c d e")
    (fault,) = vocabulary.truncated_texts(reviews, tokenizer, max_length=5)
    assert (fault.number, fault.sentence) == (2, "lose their end at 5 word pieces; the longest has 7")
    assert vocabulary.truncated_texts(reviews, tokenizer, max_length=7) == []


# --- the split


def split_sizes(splits) -> list[list[int]]:
    return [np.bincount(part.labels, minlength=2).tolist() for part in splits]


def test_each_class_is_dealt_in_the_shares_asked_for():
    splits = intake.split_table(make_reviews(*map(str, range(60)), labels=[0] * 40 + [1] * 20))
    assert split_sizes(splits) == [[28, 14], [6, 3], [6, 3]]  # 70, 15 and 15 % of 40 and of 20
    assert sorted(row for part in splits for row in part.rows) == list(range(60))


def test_the_smallest_class_stands_in_every_part():
    assert split_sizes(intake.split_table(make_reviews(*map(str, range(43)), labels=[0] * 40 + [1] * 3)))[1:] == [[6, 1]] * 2


def test_the_seed_decides_who_goes_where():
    reviews = make_reviews(*map(str, range(40)))
    rows = [intake.split_table(reviews, seed=seed).test.rows.tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_any_size_stay_in_one_part_and_classes_stay_near_their_shares(seed):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 150, size=600)
    reviews = make_reviews(*map(str, range(600)), labels=(rng.random(600) < 0.3).astype(int).tolist())
    reviews = type(reviews)(reviews.texts, reviews.labels, reviews.rows, blocks, reviews.class_names)
    splits = intake.split_table(reviews, seed=seed)
    parts = [set(part.blocks.tolist()) for part in splits]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert abs(len(splits.test) - 90) <= 6
    assert all(abs(part.labels.mean() - reviews.labels.mean()) < 0.03 for part in splits)


def test_a_class_in_too_few_groups_is_named():
    reviews = make_reviews(*"abcdefgh", labels=[0] * 6 + [1] * 2)
    with pytest.raises(ValueError, match=r"classes positive occur in too few groups for 3 parts"):
        intake.split_table(reviews)
    one_film = type(reviews)(reviews.texts, reviews.labels, reviews.rows, np.array([0] * 6 + [1, 2]), reviews.class_names)
    with pytest.raises(ValueError, match=r"too few groups"):
        intake.split_table(one_film)
