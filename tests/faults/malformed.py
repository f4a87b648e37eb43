"""Files that programs, people and networks have damaged, made by the thousand: `python -m tests.faults.malformed [N]`.

Every file must be read, or be refused with one sentence, in less than ten seconds; and rows read and rows set aside are
together the rows of the file, as counted here without the package: by the ends of lines in its bytes, or by the beginnings
of its objects.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from course_utils import tables

WORDS = {
    "en": "the lamp is fine but loud and far too heavy for me really good bad never again works",
    "fr": "la lampe était très agréable à l'été déjà préféré élève où ça théâtre",
    "zh": "水壶很好用 质量不错 物流很快 客服态度很好 下次还会再来 台灯坏了",
    "ja": "この映画は とても面白かったです もう一度見たい 最悪の作品でした",
    "ru": "фильм очень хороший мне понравилось ужасная игра актёров скучный сюжет",
    "emoji": "😀 lovely 👍🏽 bad 💔 ok",
}
ENCODINGS = {
    "en": ["utf-8", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"],
    "fr": ["utf-8", "cp1252", "latin-1", "utf-16-be"],
    "zh": ["utf-8", "gb18030", "gbk", "utf-16"], "ja": ["utf-8", "cp932", "euc_jp"], "ru": ["utf-8", "cp1251", "koi8_r"],
    "emoji": ["utf-8", "utf-16", "utf-8-sig"],
}  # fmt: skip
LABELS = (["good", "bad"], ["0", "1"], ["1.0", "2.0", "3.0"], ["spam", "ham", "very long label"])


class Outcome(NamedTuple):
    """What became of a file; `ok` if nothing was lost, nothing took long, and no traceback was shown."""

    ok: bool
    kind: str
    seed: int
    what: str
    in_file: int
    read: int
    aside: int
    seconds: float
    says: str


class File(NamedTuple):
    name: str
    content: bytes
    rows: int  # as counted below
    over_lines: bool  # cells may contain ends of lines
    what: str


def make_file(seed: int) -> File:
    """Return a table with up to three kinds of damage."""
    rng = random.Random(seed)
    language = rng.choice(list(ENCODINGS))
    words, labels = WORDS[language].split(), rng.choice(LABELS)
    rows = [(" ".join(rng.choices(words, k=rng.randint(1, 12))), rng.choice(labels)) for _ in range(rng.randint(0, 60))]
    kind = rng.choice(["delimited", "delimited", "delimited", "csv module", "lines", "array", "fastText"])
    encoding, done = rng.choice(ENCODINGS[language]), []
    if kind in ("delimited", "csv module"):
        text, name = _delimited(rows, rng, quoted=kind == "csv module")
    elif kind == "fastText":
        text, name = "".join(f"__label__{label.replace(' ', '_')} {words}\n" for words, label in rows) or "\n", "t.txt"
    else:
        records = [json.dumps({"text": words, "label": label}, ensure_ascii=rng.random() < 0.5) for words, label in rows]
        text, name = ("\n".join(records), "t.jsonl") if kind == "lines" else (f"[{', '.join(records)}]", "t.json")
    for damage in rng.sample(TEXT_DAMAGES, rng.randint(0, 2)):
        text, done = damage(text, rng), [*done, damage.__name__]
    content = text.encode(encoding, "replace")
    wide = encoding.startswith(("utf-16", "utf-32"))
    if not wide:
        for damage in rng.sample(BYTE_DAMAGES, rng.choice([0, 0, 1])):
            content, done = damage(content, rng), [*done, damage.__name__]
    plain = content.decode(encoding, "replace").encode() if wide else content
    count = _objects(plain) if kind == "array" else _lines(plain, header=kind in ("delimited", "csv module"))
    name = rng.choice([name, name, "t.csv", "t.parquet"]) if kind != "array" else name
    for pack in rng.sample((gzip.compress, bz2.compress), rng.choice([0, 0, 0, 1])):
        content = pack(content)
    return File(name, content, count, kind == "csv module", f"{kind} {language} {encoding} {'+'.join(done)}")


def _delimited(rows: list[tuple[str, str]], rng: random.Random, *, quoted: bool) -> tuple[str, str]:
    separator, name = rng.choice([(",", "t.csv"), (",", "t.csv"), (";", "t.csv"), ("\t", "t.tsv"), ("|", "t.txt")])
    columns = rng.sample(["text", "label", "id"], 3) if rng.random() < 0.4 else rng.sample(["text", "label"], 2)
    cells = [{"text": words, "label": label, "id": str(i)} for i, (words, label) in enumerate(rows)]
    lines = [columns, *([row[column] for column in columns] for row in cells)]
    if not quoted:
        return "".join(separator.join(line) + "\n" for line in lines), name
    buffer = io.StringIO(newline="")
    marks = ["\n", ", ", '"', " \n\n "]
    added = [[cell + rng.choice(marks) * (rng.random() < 0.1) + cell for cell in line] for line in lines[1:]]
    csv.writer(buffer, delimiter=separator, quoting=rng.choice([0, 1, 2])).writerows([columns, *added])
    return buffer.getvalue(), name


def _lines(content: bytes, *, header: bool) -> int:
    """Return how many lines a file has after its header, without empty ones at its ends."""
    lines = re.split(rb"\r\n|\r|\n", content.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n"))
    while lines and (not lines[0].strip(b" \t") or (header and lines[0].strip(b'"') == b"sep=,")):
        lines = lines[1:]
    return len(lines) - header


def _objects(content: bytes) -> int:
    """Return how many objects begin in an array."""
    return len(re.findall(rb'\{\s*"text"\s*:', content.replace(b"\0", b"")))


# --- damage to texts and to bytes


def stray_marks(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        text = text[:at] + '"' + text[at:]
    return text


def marks_at_cells(text: str, rng: random.Random) -> str:
    ends = [match.end() for match in re.finditer(r"(?m)^|[,;\t|]", text)]
    for at in sorted(rng.sample(ends, min(len(ends), 2)), reverse=True):
        text = text[:at] + '"' + text[at:]
    return text


def cut_off(text: str, rng: random.Random) -> str:
    return text[: rng.randint(len(text) // 2, len(text))]


def empty_lines(text: str, rng: random.Random) -> str:
    return re.sub("\n", lambda _: "\n" * rng.choice([1, 1, 1, 2]), text)


def other_ends(text: str, rng: random.Random) -> str:
    return re.sub("\n", lambda _: rng.choice(["\n", "\r\n", "\r"]), text)


def twice(text: str, rng: random.Random) -> str:
    return text + text


def lost_separators(text: str, rng: random.Random) -> str:
    return re.sub("[,;\t|]", lambda found: "" if rng.random() < 0.05 else found[0], text)


def more_separators(text: str, rng: random.Random) -> str:
    return re.sub(" ", lambda _: rng.choice(" " * 9 + ","), text)


def trailing_separators(text: str, rng: random.Random) -> str:
    return text.replace("\n", ",,\n")


def long_word(text: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice("aé水") * 50_000 + text[at:]


def strange_letters(text: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text))
    return (
        text[:at]
        + rng.choice(["\x0b", "\x0c", "\u2028", "\x85", "\ufeff", "\u200b", "\x1b[0m", "\\", "\\u", "'", "{", "[" * 2000])
        + text[at:]
    )


def a_page_before(text: str, rng: random.Random) -> str:
    return rng.choice(["Export of 2026\n", "# a comment\n", "sep=,\n", "\n\n", "null\n"]) + text


def zeros(content: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + bytes(rng.randint(1, 40)) + content[at:]


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for at in rng.sample(range(len(changed)), min(len(changed), rng.randint(1, 4))):
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def high_bytes(content: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + bytes(rng.randint(128, 255) for _ in range(rng.randint(1, 3))) + content[at:]


def noise(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))] + rng.randbytes(rng.randint(1, 300))


TEXT_DAMAGES: tuple[Callable[[str, random.Random], str], ...] = (
    stray_marks, marks_at_cells, cut_off, empty_lines, other_ends, twice, lost_separators, more_separators,
    trailing_separators, long_word, strange_letters, a_page_before,
)  # fmt: skip
BYTE_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (zeros, flipped, high_bytes, noise)


# --- what becomes of them


def attempt(seed: int, folder: Path) -> Outcome:
    """Return what becomes of the file of a seed, written to a folder."""
    file = make_file(seed)
    path = folder / file.name
    path.write_bytes(file.content)
    started, kind, says, read, aside, whole = time.process_time(), "read", "", 0, 0, True
    try:
        cells = tables.read(path)
        read, aside = len(cells.frame), len(cells.aside)
        inside = sum(map(_ends, cells.frame.to_numpy().ravel())) + sum(_ends(raw) for _, raw in cells.aside.values())
        inside += sum(map(_ends, cells.frame.columns))
        says = "; ".join(f"{fault.kind} {fault.sentence}" for fault in cells.faults)
        joined = file.over_lines or ("marks" in file.what and inside <= 10)  # two marks may make a cell of some lines
        found = read + aside + (inside if joined else 0)
        names = not {"text", "label"} & set(cells.frame.columns)  # a line was taken for the header
        whole = found in (file.rows, file.rows - names) or (" array " in f" {file.what}" and found > file.rows)
    except ValueError as error:
        kind, says = "refused", str(error)
    except Exception as error:  # what is looked for
        kind, says, whole = "traceback", repr(error)[:200], False
    seconds = time.process_time() - started
    ok = whole and seconds < 10 and len(says) < 2_000
    return Outcome(ok, kind, seed, file.what, file.rows, read, aside, seconds, says[:300])


def _ends(value: object) -> int:
    return len(re.findall(r"\r\n|\r|\n", value)) if isinstance(value, str) else 0


def tell(number: int, outcomes: Iterable[tuple[object, Any]]) -> int:
    """Print what became of `number` files, from each outcome and its kind, and return how many failed."""
    kinds, failed, slowest = Counter(), [], 0.0
    for kind, outcome in outcomes:
        kinds[kind] += 1
        slowest = max(slowest, outcome.seconds)
        failed += [] if outcome.ok else [outcome]
    for outcome in failed[:40]:
        print(outcome)
    print(f"{number:,} files: {dict(kinds)}; {len(failed)} failed; the slowest took {slowest:.2f} s")
    return len(failed)


def main(number: int) -> int:
    """Try files of seeds 0 to `number` - 1, print what became of them, and return how many failed."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = (attempt(seed, Path(folder)) for seed in range(number))
        return tell(number, ((outcome.kind, outcome) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000) > 0)
