"""Tables as the world writes them: what is read, what is set aside and why, and what is refused in a sentence."""

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import random
import time
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from faults import malformed

from course_utils import tables
from course_utils.tables import containers, encodings

ROWS = [
    ("The kettle works well and arrived early", "good"),
    ("The lamp smells of burnt plastic", "bad"),
    ("The blender made my mornings better", "good"),
    ("The charger is loud and far too heavy", "bad"),
    ("The backpack looks lovely in the hall", "good"),
    ("The umbrella leaks at the bottom", "bad"),
    ("The mattress was simple to set up", "good"),
    ("The keyboard is a waste of money", "bad"),
]
FRENCH = [(f"Le thé n° {i} est très agréable à déguster", "bon" if i % 2 else "mauvais") for i in range(8)]
CHINESE = [(f"水壶很好用，第{i}次购买，质量不错", "好评" if i % 2 else "差评") for i in range(8)]
OTHERS = {
    "gb18030": CHINESE,
    "big5": [(f"這個產品很好，客服態度不錯，第{i}次購買", "好" if i % 2 else "壞") for i in range(8)],
    "cp932": [(f"この映画はとても面白かったです。{i}回見ました", "良い" if i % 2 else "悪い") for i in range(8)],
    "euc_jp": [(f"もう一度見たいと思います。第{i}回の作品", "良い" if i % 2 else "悪い") for i in range(8)],
    "cp949": [(f"이 영화는 정말 재미있었어요 {i}번 봤다", "좋음" if i % 2 else "나쁨") for i in range(8)],
    "koi8_r": [(f"Этот фильм очень хороший и я видел его {i} раз", "да" if i % 2 else "нет") for i in range(8)],
    "cp1251": [(f"Ужасная игра актёров и скучный сюжет {i}", "да" if i % 2 else "нет") for i in range(8)],
    "cp1253": [(f"Η ταινία ήταν πολύ καλή και την προτείνω {i}", "ναι" if i % 2 else "όχι") for i in range(8)],
    "cp1256": [(f"الفيلم جيد جدا وأنصح بمشاهدته {i}", "نعم" if i % 2 else "لا") for i in range(8)],
    "cp1250": [(f"Film był świetny i żałuję że tak późno obejrzałem {i}", "tak" if i % 2 else "nie") for i in range(8)],
    "cp1252": FRENCH,
}  # fmt: skip
OBJECTS = [{"text": text, "label": label} for text, label in ROWS]
LINES = [json.dumps(record) for record in OBJECTS]


def plain(rows=ROWS, separator=",", head=("text", "label"), end="\n") -> str:
    return "".join(separator.join(row) + end for row in [head, *rows])


def packed_zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def parquet(frame: pd.DataFrame, **options) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return buffer.getvalue()


def read(folder, content: str | bytes, name: str = "mine.csv", **options) -> tables.Cells:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return tables.read(folder / name, **options)


def pairs(cells: tables.Cells, text: str = "text", label: str = "label") -> dict[int, tuple[str | None, str | None]]:
    """Return text and label of each row as the fine-tuning takes them."""
    columns = [[tables.as_text(value, role=role)[0] for value in cells.frame[name]] for role, name in
               (("text", text), ("label", label))]  # fmt: skip
    return dict(zip(cells.frame.index, zip(*columns, strict=True), strict=True))


def numbered(rows, first=2) -> dict[int, tuple[str, str]]:
    return dict(enumerate(rows, start=first))


# --- the same eight rows, in every dress


FRAME = pd.DataFrame(ROWS, columns=["text", "label"])
SAME = {
    # name of the file, content, row of the first text, kinds of faults that are said
    "as it should be": ("a.csv", plain(), 2, []),
    "by the csv module": ("a.csv", FRAME.to_csv(index=False, quoting=csv.QUOTE_ALL), 2, []),
    "tabs": ("a.tsv", plain(separator="\t"), 2, []),
    "tabs in a .csv": ("a.csv", plain(separator="\t"), 2, ["separator"]),
    "commas in a .tsv": ("a.tsv", plain(), 2, []),
    "semicolons": ("a.csv", plain(separator=";"), 2, ["separator"]),
    "pipes": ("a.csv", plain(separator="|"), 2, ["separator"]),
    "Excel's first line": ("a.csv", "sep=;\n" + plain(separator=";"), 3, []),
    "Windows ends of lines": ("a.csv", plain(end="\r\n"), 2, []),
    "old Mac ends of lines": ("a.csv", plain(end="\r"), 2, []),
    "empty lines before and after": ("a.csv", "\n\n" + plain() + "\n\n", 4, []),
    "UTF-8 with a mark": ("a.csv", plain().encode("utf-8-sig"), 2, ["encoding"]),
    "UTF-16 with a mark": ("a.csv", plain().encode("utf-16"), 2, ["encoding"]),
    "UTF-16 without a mark": ("a.csv", plain().encode("utf-16-le"), 2, ["encoding"]),
    "the other UTF-16 without a mark": ("a.csv", plain().encode("utf-16-be"), 2, ["encoding"]),
    "UTF-32 with a mark": ("a.csv", plain().encode("utf-32"), 2, ["encoding"]),
    "UTF-32 without a mark": ("a.csv", plain().encode("utf-32-be"), 2, ["encoding"]),
    "UTF-16 that lacks its last byte": ("a.csv", (plain() + ".").encode("utf-16")[:-1], 2, ["encoding"]),
    "bytes of 0 inside": ("a.csv", plain().replace("lamp", "la\0mp"), 2, ["bytes of 0"]),
    "gzip": ("a.csv.gz", gzip.compress(plain().encode()), 2, []),
    "gzip under another name": ("a.csv", gzip.compress(plain().encode()), 2, []),
    "bzip2": ("a.csv.bz2", bz2.compress(plain().encode()), 2, []),
    "xz": ("a.csv.xz", lzma.compress(plain().encode()), 2, []),
    "zip": ("a.zip", packed_zip(t__csv=plain().encode()), 2, ["archive"]),
    "gzip in zip": ("a.zip", packed_zip(t__gz=gzip.compress(plain().encode())), 2, ["archive"]),
    "separators at the end of rows": ("a.csv", plain([(*row, "") for row in ROWS]), 2, ["empty cells"]),
    "empty columns": ("a.csv", plain([(*row, "", "") for row in ROWS], head=("text", "label", "", "")), 2, ["empty cells"]),
    "an empty column in the middle": ("a.csv", plain([(t, "", k) for t, k in ROWS], head=("text", "", "label")), 2,
                                      ["empty columns"]),
    "an index": ("a.csv", FRAME.to_csv(), 2, ["columns without a name"]),
    "fastText": ("a.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS), 1, ["fastText"]),
    "CSV that is named Parquet": ("a.parquet", plain(), 2, []),
    "CSV that is named JSON lines": ("a.jsonl", plain(), 2, []),
    "JSON lines": ("a.jsonl", "\n".join(LINES), 1, []),
    "JSON lines with a mark and Windows ends": ("a.jsonl", "\r\n".join(LINES).encode("utf-8-sig"), 1, ["encoding"]),
    "JSON lines that are named CSV": ("a.csv", "\n".join(LINES), 1, []),
    "JSON lines with commas": ("a.jsonl", ",\n".join(LINES), 1, []),
    "an array": ("a.json", json.dumps(OBJECTS), 1, []),
    "an array that is named JSON lines": ("a.jsonl", json.dumps(OBJECTS), 1, []),
    "an indented array": ("a.jsonl", json.dumps(OBJECTS, indent=2), 1, []),
    "an array with a row on each line": ("a.json", "[\n" + ",\n".join(LINES) + "\n]\n", 1, []),
    "an array that lacks its end": ("a.json", json.dumps(OBJECTS)[:-1], 1, []),
    "indented objects in a row": ("a.jsonl", "\n".join(json.dumps(record, indent=1) for record in OBJECTS), 1, []),
    "an array inside an object": ("a.json", json.dumps({"version": 2, "data": OBJECTS}), 1, ["wrapped rows"]),
    "columns": ("a.json", FRAME.to_json(), 1, ["columns"]),
    "columns as lists": ("a.json", json.dumps({name: list(FRAME[name]) for name in FRAME}), 1, ["columns"]),
    "JSON in strings": ("a.jsonl", "\n".join(map(json.dumps, LINES)), 1, ["JSON within JSON"]),
    "pairs": ("a.jsonl", "\n".join(json.dumps([*record.items()]) for record in OBJECTS), 1, []),
    "lists of words": ("a.jsonl", "\n".join(json.dumps({"text": t.split(), "label": [k]}) for t, k in ROWS), 1, []),
    "Parquet": ("a.parquet", parquet(FRAME), 1, []),
    "Parquet under another name": ("a.csv", parquet(FRAME), 1, []),
    "Parquet with categories": ("a.parquet", parquet(FRAME.astype({"label": "category"})), 1, []),
    "Parquet with bytes": ("a.parquet", parquet(FRAME.assign(text=[text.encode() for text, _ in ROWS])), 1, []),
    "Parquet with lists": ("a.parquet", parquet(FRAME.assign(label=[[label] for _, label in ROWS])), 1, []),
    "Parquet with the text as its index": ("a.parquet", parquet(FRAME.set_index("text")), 1, []),
}  # fmt: skip


@pytest.mark.parametrize("dress", SAME)
def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path, dress):
    name, content, first, kinds = SAME[dress]
    cells = read(tmp_path, content, name)
    assert pairs(cells) == numbered(ROWS, first)
    assert cells.aside == {} and [fault.kind for fault in cells.faults] == kinds


@pytest.mark.parametrize("encoding", OTHERS)
@pytest.mark.parametrize("rows", [2, 8])
def test_other_encodings_are_found_out_and_said_with_words_to_check(tmp_path, encoding, rows):
    cells = read(tmp_path, plain(OTHERS[encoding][:rows]).encode(encoding))
    assert pairs(cells) == numbered(OTHERS[encoding][:rows])
    (fault,) = cells.faults
    assert f"read as {encoding}, which is " in fault.sentence and "--encoding NAME" in fault.sentence
    words = fault.sentence.partition("right? ")[2].partition(". If not")[0].split(", ")
    assert all(word in plain(OTHERS[encoding]) for word in words) and 2 <= len(words) <= 5


def test_how_sure_a_guess_is_grows_with_the_text(tmp_path):
    said = [read(tmp_path, plain(rows).encode("gb18030")).faults[0].sentence for rows in (CHINESE[:1], CHINESE * 5)]
    assert "nearly certain" in said[1] and "nearly certain" not in said[0]


def test_a_given_encoding_is_taken_and_an_unknown_one_named(tmp_path):
    content = plain(CHINESE).encode("gb18030")
    assert pairs(read(tmp_path, content, encoding="gbk")) == numbered(CHINESE)
    assert read(tmp_path, content, encoding="gbk").faults == []
    for name in ("nonsense", "base64", "a\0b", "é"):
        with pytest.raises(ValueError, match=r"There is no encoding .* Common ones: utf-8, cp1252"):
            read(tmp_path, content, encoding=name)


def test_lines_with_damaged_bytes_are_set_aside_and_the_rest_stays_utf_8(tmp_path):
    lines = plain(FRENCH).encode().split(b"\n")
    lines[3] = lines[3].replace(b"agr", b"\x96gr")
    cells = read(tmp_path, b"\n".join(lines))
    assert pairs(cells) == {row: pair for row, pair in numbered(FRENCH).items() if row != 4}
    assert {row: reason for row, (reason, _) in cells.aside.items()} == {4: "bytes that do not fit the encoding: 0x96"}
    assert tables.reasons(cells.aside) == [("bytes that do not fit the encoding", 1, "set aside, first in row 4 (0x96)")]
    broken = [json.dumps({"text": t, "label": k}, ensure_ascii=False).encode() for t, k in FRENCH]
    broken[2] = broken[2].replace(b"agr", b"\xffgr")
    cells = read(tmp_path, b"\n".join(broken), "mine.jsonl")
    assert list(cells.aside) == [3] and cells.aside[3][0].endswith("0xff") and len(cells.frame) == 7
    cells = read(tmp_path, b"[" + b",".join(broken) + b"]", "mine.json")
    assert list(cells.aside) == [3] and cells.aside[3][0].endswith("0xff") and len(cells.frame) == 7


# --- quotation marks


def test_a_stray_mark_that_is_closed_much_later_swallows_no_row(tmp_path):
    rows = ROWS * 5
    rows[9], rows[29] = ('"Best lamp ever', "good"), ('The screen measures 12"', "bad")
    for separator, name in ((",", "a.csv"), ("\t", "a.tsv"), (";", "a.csv")):
        cells = read(tmp_path, plain(rows, separator), name)
        assert pairs(cells) == numbered(rows) and cells.aside == {}
        (fault,) = [fault for fault in cells.faults if fault.kind == "quotation marks"]
        assert fault.number == 1 and "in line 11:" in fault.sentence
    only_texts = "text\n" + "".join(f"{text}\n" for text, _ in rows)
    assert read(tmp_path, only_texts).frame["text"].tolist() == [text for text, _ in rows]
    ids = plain([(str(i), text) for i, (text, _) in enumerate(rows)], head=("id", "text"))
    assert read(tmp_path, ids).frame["text"].tolist() == [text for text, _ in rows]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('"Great" they said,bad', ('"Great" they said', "bad")),
        ('"Lovely,good', ('"Lovely', "good")),
        ('"He said "hi", and left",bad', None),
        ('"He said "hi" and left",good', ('He said "hi" and left', "good")),
        ('"two ""good"" marks",good', ('two "good" marks', "good")),
        ('12" screen,bad', ('12" screen', "bad")),
        ('fine,"good', ("fine", '"good')),
        ('"one\nof "two"\nlines",good', ('one\nof "two"\nlines', "good")),
    ],
)
def test_marks_inside_a_cell_cost_no_row(tmp_path, line, cells):
    table = read(tmp_path, plain(ROWS[:4]) + line + "\n" + "".join(",".join(row) + "\n" for row in ROWS[4:]))
    assert (
        pairs(table).get(6) == cells and len(table.frame) + len(table.aside) == 9 and (6 in table.aside) == (cells is None)
    )
    assert pairs(table)[7 + line.count("\n")] == ROWS[4]


def test_cells_that_do_take_many_lines_are_whole_and_said(tmp_path):
    letter = "Dear all,\n\nthe lamp, bought in May,\n" + "is fine.\n" * 12 + "Yours, Ann"
    rows = [*ROWS, (letter, "good"), ("short\nletter, really", "bad"), *ROWS]
    cells = read(tmp_path, pd.DataFrame(rows, columns=["text", "label"]).to_csv(index=False))
    assert list(pairs(cells).values()) == rows and cells.aside == {}
    (fault,) = cells.faults
    assert (fault.kind, fault.number) == ("cells of many lines", 1) and "lines 10 to 25" in fault.sentence


def test_what_still_does_not_fit_is_set_aside_with_its_line_as_it_stands(tmp_path):
    cells = read(tmp_path, plain() + 'a "b", c,good\n"open, and, more\n\nshort\nlast,good\n')
    assert {row: (why.partition(":")[0], raw) for row, (why, raw) in cells.aside.items()} == {
        10: ("ragged row", 'a "b", c,good'),
        11: ("quotation mark not closed", '"open, and, more'),
        12: ("empty line", ""),
        13: ("ragged row", "short"),
    }
    assert pairs(cells)[14] == ("last", "good") and len(cells.frame) == 9


# --- separators and headers


def test_the_separator_is_judged_by_many_rows_not_by_the_header(tmp_path):
    rows = [(text.replace(" ", ", "), label) for text, label in ROWS]
    cells = read(tmp_path, plain(rows, ";", head=("text, long", "label")))
    assert pairs(cells, "text, long") == numbered(rows)
    cells = read(tmp_path, plain([(*row, "1;5") for row in ROWS], head=("text", "label", "score")))
    assert cells.frame["score"].tolist() == ["1;5"] * 8
    one = read(tmp_path, "text\nYes, I do\nNo; never | ever\n,\nfine\n")
    assert one.frame["text"].tolist() == ["Yes, I do", "No; never | ever", "", "fine"] and one.aside == {}


def test_a_given_separator_is_taken_and_a_wrong_one_refused(tmp_path):
    content = plain(separator="~")
    assert pairs(read(tmp_path, content, separator="~")) == numbered(ROWS)
    for name in ("tab", "\\t", "\t"):
        assert pairs(read(tmp_path, plain(separator="\t"), separator=name)) == numbered(ROWS)
    for wrong in ("", "::", '"', "\n"):
        with pytest.raises(ValueError, match=r"A separator is one character, such as ; or \|, or the word tab, not"):
            read(tmp_path, content, separator=wrong)


def test_a_table_without_header(tmp_path):
    content = plain()[len("text,label\n") :]
    cells = read(tmp_path, content, header=False)
    assert pairs(cells, "1", "2") == numbered(ROWS, 1) and cells.faults == []
    said = read(tmp_path, content)
    assert [fault.kind for fault in said.faults] == ["no header"] and "add --no-header" in said.faults[0].sentence
    numbers = "".join(f"{i % 5},{1467810369 + i},{text}\n" for i, (text, _) in enumerate(ROWS))
    assert [fault.kind for fault in read(tmp_path, numbers).faults] == ["no header"]
    texts = read(tmp_path, "Yes, I do\nfine\nwell, well, well\n", header=False)
    assert texts.frame["1"].tolist() == ["Yes, I do", "fine", "well, well, well"]


def test_files_that_were_joined_and_names_that_are_used_twice(tmp_path):
    joined = plain().encode("utf-8-sig") * 2
    cells = read(tmp_path, joined)
    assert list(pairs(cells).values()) == ROWS * 2 and {row: why for row, (why, _) in cells.aside.items()} == {
        10: "the header again"
    }
    cells = read(tmp_path, plain([(*row, "0") for row in ROWS], head=("text", "label", "label")))
    assert list(cells.frame) == ["text", "label (1)", "label (2)"] and cells.faults[0].kind == "names used twice"
    kept = read(tmp_path, plain([(*row, "note") for row in ROWS], head=("text", "label", "")))
    assert list(kept.frame) == ["text", "label", "column 3"]
    some = read(tmp_path, plain([*ROWS, ("a", "good", " and more")], head=("text", "label", "")))
    assert list(some.frame) == ["text", "label"] and some.aside[10][0].startswith("ragged row: 3 cells")


# --- JSON


def test_objects_inside_objects_become_columns(tmp_path):
    nested = [{"data": {"text": t, "n": {"x": i}}, "notes": [{"label": k}], "ids": [{"a": 1}, {"a": 2}]} for i, (t, k) in
              enumerate(ROWS)]  # fmt: skip
    cells = read(tmp_path, "\n".join(map(json.dumps, nested)), "a.jsonl")
    assert list(cells.frame) == ["data.text", "data.n.x", "notes.label", "ids.a"]
    assert pairs(cells, "data.text", "notes.label") == numbered(ROWS, 1)
    assert cells.frame["ids.a"].tolist() == [[1, 2]] * 8
    structs = pd.DataFrame({"data": [{"text": text} for text, _ in ROWS], "label": [label for _, label in ROWS]})
    assert pairs(read(tmp_path, parquet(structs), "a.parquet"), "data.text") == numbered(ROWS, 1)


def test_json_that_breaks_off_or_is_nested_without_end_costs_only_that_row(tmp_path):
    cells = read(tmp_path, json.dumps(OBJECTS)[:-30], "a.json")
    assert pairs(cells) == numbered(ROWS[:-1], 1) and list(cells.aside) == [8]
    deep = "[" * 100_000
    lines = [*LINES[:3], deep, '{"text": ' + deep, "{'text': 'a'}", "[1, 2]", "null", *LINES[3:]]
    cells = read(tmp_path, "\n".join(lines), "a.jsonl")
    assert list(pairs(cells).values()) == ROWS and list(cells.aside) == [4, 5, 6, 7, 8]
    assert {reason for reason, _ in cells.aside.values()} == {"not a JSON object on one line"}
    mixed = read(tmp_path, json.dumps([*OBJECTS, 3, "text", None]), "a.json")
    assert list(mixed.aside) == [9, 10, 11] and len(mixed.frame) == 8
    nest = json.loads('{"a":' * 400 + "1" + "}" * 400)
    assert list(read(tmp_path, json.dumps(nest), "a.jsonl").frame) == ["a.a.a.a.a"]


def test_texts_used_as_names_of_fields_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a.jsonl has 2,500 different fields, .*Write one object a row"):
        read(tmp_path, "\n".join(json.dumps({f"text {i}": "good"}) for i in range(2500)), "a.jsonl")


# --- values


@pytest.mark.parametrize(
    ("value", "role", "text", "why"),
    [
        ("  a b ", "text", "a b", ""), ("", "text", None, "missing text"), (" \xa0", "label", None, "missing label"),
        (None, "text", None, "missing text"), (float("nan"), "label", None, "missing label"),
        (pd.NaT, "text", None, "missing"),
        (Decimal("NaN"), "label", None, "missing label"), (1.0, "label", "1", ""), (np.float32(2.0), "label", "2", ""),
        (0.5, "label", "0.5", ""), (Decimal("3.00"), "label", "3", ""), (Decimal("2.50"), "label", "2.50", ""),
        (1e300, "label", "1e+300", ""), (float("inf"), "label", "inf", ""), (True, "label", "True", ""),
        (np.int64(4), "label", "4", ""), (b"caf\xc3\xa9", "text", "café", ""),
        (b"\xff", "text", None, "bytes that are not UTF-8"),
        (pd.Timestamp("2026-01-02"), "label", "2026-01-02 00:00:00", ""), (["a", "b"], "text", "a b", ""),
        (np.array(["a", "b"], dtype=object), "text", "a b", ""), (["a"], "label", "a", ""),
        ([], "label", None, "missing label"),
        ([None, ""], "text", None, "missing text"), (["a", "b"], "label", None, "several labels in one row"),
        ({"x": 1}, "label", None, "label is an object: write one of its fields ('x')"),
        ([["a"]], "text", None, "list of lists"),
        (1 + 2j, "text", None, "text is of the kind complex"),
    ],
)  # fmt: skip
def test_a_value_is_converted_or_named_by_its_kind(value, role, text, why):
    found, reason = tables.as_text(value, role=role)
    assert found == text and (text is not None or why in reason)


# --- what is no table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"), (b"\xef\xbb\xbf", "is empty"), (b"\r\n \n", "is empty"), (b"\0" * 5000, "only bytes of 0"),
        (b"<!DOCTYPE html>\n<html><head><title>data.csv</title>", "is a web page.*press Download or Raw"),
        (b"  <HTML>", "is a web page"), (b"<?xml version='1.0'?>", "an XML file"),
        (b"version https://git-lfs.example/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS.*git lfs pull"),
        (b"%PDF-1.7\n", "is a PDF"), (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel.*Save the table as .xlsx or .csv"),
        (b"SQLite format 3\0", "an SQLite database"), (pickle.dumps(ROWS), "a pickle, which could run any program"),
        (b"\x89PNG\r\n\x1a\n", "is an image"), (b"\xff\xd8\xff\xe0", "is an image"), (b"{\\rtf1 a", "Rich Text"),
        (b"7z\xbc\xaf\x27\x1c", "an archive.*Unpack it first"), (b"\x93NUMPY\x01", "NumPy"), (b"\x89HDF\r\n", "HDF5"),
        (random.Random(0).randbytes(5000), "bytes of some other kind"),
        (gzip.compress(b"")[:15], "packed file that cannot be read"),
        (gzip.compress(b"a,b\n" * 50)[:-9], "packed file that cannot be read"),
        (parquet(FRAME)[:-40], "Parquet file that cannot"),
        (b"PAR1" + bytes(50), "Parquet file that cannot"),
        (packed_zip(a="1", b="2"), r"archive or a document of 2 files \('a', 'b'\)"),
        (packed_zip(a="1")[:-10], "packed file that cannot be read"),
        (gzip.compress(bytes(200_000_000), 1), "200 times its size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",  # gzip writes the time: two processes would differ
)  # fmt: skip
def test_what_is_no_table_is_named_with_what_to_do(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, content)
    said = str(error.value)
    assert "mine.csv" in said and len(said) < 300 and said.isprintable() and said.rstrip(")").endswith((".", "pull"))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is a folder. Give a file in it"):
        tables.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no file .*absent.csv. Check the name"):
        tables.read(tmp_path / "absent.csv")


def test_spreadsheets_and_parquet_need_a_package_and_say_so(tmp_path, monkeypatch):
    sheet = packed_zip(**{"xl/workbook__xml": b"", "xl/other": b""})
    monkeypatch.setattr(containers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs one more package. Type: pip install openpyxl$"):
        read(tmp_path, sheet, "mine.xlsx")
    with pytest.raises(ValueError, match=r"Type: pip install pyarrow$"):
        read(tmp_path, b"PAR1", "mine.parquet")


def test_the_first_sheet_of_a_spreadsheet_is_read_like_a_csv(tmp_path, monkeypatch):
    cells = [["text", "label", np.nan], *([text, 1.0 if label == "good" else 0, np.nan] for text, label in ROWS)]
    sheets = {"first": pd.DataFrame(cells, dtype=object), "second": pd.DataFrame()}
    monkeypatch.setattr(containers, "find_spec", lambda name: name)
    monkeypatch.setattr(pd, "read_excel", lambda *args, **options: sheets)  # openpyxl is no package of the course
    found = read(tmp_path, packed_zip(**{"xl/workbook__xml": b"", "xl/other": b""}), "mine.xlsx")
    assert pairs(found) == numbered([(text, "1" if label == "good" else "0") for text, label in ROWS])
    assert [fault.kind for fault in found.faults] == ["sheets", "empty cells"]


# --- bounds


def test_messages_are_short_whatever_the_file_contains(tmp_path):
    long = ",".join(f"{'column' * 100}{i}" for i in range(500))
    cells = read(tmp_path, f"{long}\n" + ",".join("x" * 500) + "\n")
    assert all(len(fault.sentence) < 300 for fault in cells.faults)
    assert len(tables.listed(list(cells.frame))) < 20 * 90 and tables.listed(list(cells.frame)).endswith("and 480 more")
    assert tables.listed(["a", "b"]) == "'a', 'b'" and tables.shown("a") == "'a'" and len(tables.shown("\0" * 500)) <= 80
    words = read(tmp_path, (plain() + "é" * 100_000 + ",good\n").encode("cp1252"))
    assert len(words.faults[0].sentence) < 300


@pytest.mark.parametrize(
    "content",
    [
        "text,label\n" + "a" * 500_000 + ",good\n" + "é" * 10 + ",bad\n",
        "text,label\n" + '"a,good\n' * 20_000,
        "text,label\n" + 'x,"""\n' * 10_000,
        "text,label\n" + '"' * 400_000,
        "text,label\n" + '"a\n' * 10_000 + '"b,c\n' * 1000,
        "[" + '{"a": 1} ' * 20_000,
        '[{"a": "' + "\\" * 300_000,
        "[" * 300_000,
        "{" * 300_000,
        "} " * 100_000 + "{",
        "text\n" + "\n" * 20_000 + "a\n",
    ],
    ids=range(11),
)
def test_no_file_takes_more_than_linear_time(tmp_path, content):
    limit, started = csv.field_size_limit(), time.process_time()
    for encoding, name in (("utf-8", "a.csv"), ("cp1252", "a.jsonl")):
        read(tmp_path, content.encode(encoding), name)
    assert time.process_time() - started < 3
    assert csv.field_size_limit() == limit


def test_the_limit_of_the_csv_module_is_as_before_after_an_error(tmp_path, monkeypatch):
    before = csv.field_size_limit()
    with pytest.raises(TypeError):
        read(tmp_path, "text,label\n" + "a" * 200_000, separator=5)
    assert csv.field_size_limit() == before


def test_decoding_marks_each_byte_that_does_not_fit():
    assert encodings.decode("\ufefftext".encode("utf-16-be"))[0] == "text"
    text, (fault,) = encodings.decode(b"\xef\xbb\xbfcaf\xe9")  # a mark that lies
    assert text == "caf\udce9" and encodings.unread(text) == "0xe9" and "utf-8-sig" in fault.sentence
    assert encodings.unread("café") == "" and encodings.unread("\ud83d") == "half a letter"


# --- many malformed files


@pytest.mark.parametrize("seed", range(60))
def test_of_malformed_files_no_row_is_lost_uncounted(tmp_path, seed):
    outcome = malformed.attempt(seed, tmp_path)
    assert outcome.ok, outcome
