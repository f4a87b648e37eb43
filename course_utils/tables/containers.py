"""What is in a file, whatever its name says: packed files are opened, and files that are no table are named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from contextlib import suppress
from importlib.util import find_spec
from typing import IO

import pandas as pd

from .faults import Fault, listed, shown

LIMIT = 1 << 30  # bytes that a packed file may unpack to
RATIO = 200  # times its own size; texts shrink five or ten times, a bomb a thousand times
_PACKED = ((rb"\x1f\x8b\x08", gzip.open), (rb"BZh[1-9]1AY&SY", bz2.BZ2File), (rb"\xfd7zXZ\0", lzma.LZMAFile))
_PACKING_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, struct.error)
_SAVE = "Save the table as .csv, .tsv, .jsonl or .parquet."
_FOREIGN = (  # how it begins, what it is, what to do
    (rb"version https://git-lfs", "a pointer of Git LFS, not the table itself", "Fetch the table: git lfs pull"),
    (rb"(?i)\s*(<!doctype html|<html|<head|<body)", "a web page, not a table",
     "On the page, press Download or Raw, and use the file that this gives."),
    (rb"\s*(<\?xml|<svg)", "an XML file", _SAVE),
    (rb"%PDF-", "a PDF", f"Copy its table into a spreadsheet. {_SAVE}"),
    (rb"\xd0\xcf\x11\xe0", "an old Excel or Word file", "Save the table as .xlsx or .csv."),
    (rb"\{\\rtf", "a Rich Text file", _SAVE),
    (rb"SQLite format 3\0", "an SQLite database", "Export one table of it as .csv."),
    (rb"\x80[\x02-\x05][\x00-\xff]*\.\Z", "a pickle, which could run any program when it is read",
     "Where it was made, write the table with to_csv or to_parquet."),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*", "an image", _SAVE),
    (rb"\x89HDF", "an HDF5 file", _SAVE), (rb"\x93NUMPY", "a NumPy array", _SAVE),
    (rb"ARROW1\0\0|FEA1|ORC\x03|Obj\x01", "a table in a format that the course does not read", _SAVE),
    (rb"7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd|[\x00-\xff]{257}ustar", "an archive that the course does not open",
     "Unpack it first."),
    (rb"\x7fELF|MZ\x90\0", "a program", _SAVE),
)  # fmt: skip


def unpack(content: bytes, name: str) -> tuple[bytes | pd.DataFrame | list[list], list[Fault]]:
    """Return the bytes of a text, the frame of a Parquet file, or the rows of a spreadsheet; and what was chosen.

    Raises:
        ValueError: something that is no table, damaged, or far larger unpacked; the message says what to do.
    """
    faults: list[Fault] = []
    for _ in range(3):  # a .csv.gz in a .zip is two
        try:
            with suppress(StopIteration):
                opener = next(opener for magic, opener in _PACKED if re.match(magic, content))
                content = _bounded(opener(io.BytesIO(content)), len(content), name)
            if content.startswith(b"PK\x03\x04"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    files = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
                    if sum(info.file_size for info in files) > _most(len(content)):
                        raise _bomb(name)
                    if any(info.filename == "xl/workbook.xml" for info in files):
                        return _excel(content, name, faults), faults
                    content = _bounded(archive.open(_only(files, name, faults)), len(content), name)
        except _PACKING_ERRORS as error:
            raise _damaged(name, error) from None
    if content.startswith(b"PAR1"):
        return _parquet(content, name), faults
    _refuse(content, name)
    return content, faults


def _refuse(content: bytes, name: str) -> None:
    """Raise ValueError if some bytes are no text, with what they are and what to do."""
    if not content.strip(b"\0 \t\r\n"):
        empty = "contains only bytes of 0, as after a crash or on a full disk" if content.strip() else "is empty"
        raise ValueError(f"{name} {empty}. Save or download the table again.")
    for magic, what, remedy in _FOREIGN:
        if re.match(magic, content):
            raise ValueError(f"{name} is {what}. {remedy}")
    start = content[: 1 << 16].replace(b"\0", b"")
    if len(re.findall(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]", start)) > 0.05 * len(start):
        raise ValueError(f"{name} contains no text that can be read, but the bytes of some other kind of file. {_SAVE}")


def _bomb(name: str) -> ValueError:
    return ValueError(f"{name} would unpack to more than {RATIO} times its size or to over {LIMIT >> 20:,} MiB. "
                      "Unpack it yourself if you trust it, and give a part of it.")  # fmt: skip


def _damaged(name: str, error: Exception) -> ValueError:
    why = f"{type(error).__name__}: it is damaged, not complete, or has a password"
    return ValueError(f"{name} is a packed file that cannot be read ({why}). Copy or download it again, or unpack it first.")


def _most(size: int) -> int:
    return min(LIMIT, max(RATIO * size, 1 << 26))


def _bounded(packed: IO[bytes] | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, size: int, name: str) -> bytes:
    content = packed.read(_most(size) + 1)
    if len(content) > _most(size):
        raise _bomb(name)
    return content


def _only(files: list[zipfile.ZipInfo], name: str, faults: list[Fault]) -> zipfile.ZipInfo:
    """Return the only file of an archive, and say which."""
    names = sorted(info.filename for info in files)
    if len(files) != 1:
        what = f"an archive or a document of {len(files):,} files ({listed(names, most=5)})"
        raise ValueError(f"{name} is {what}. Unpack it and give the one with the table, or save the table as .csv.")
    faults.append(Fault("archive", 1, f"read {shown(names[0])} inside it"))
    return files[0]


def _excel(content: bytes, name: str, faults: list[Fault]) -> list[list]:
    if not find_spec("openpyxl"):
        raise ValueError(f"Reading {name}, an Excel file, needs one more package. Type: pip install openpyxl")
    try:
        sheets = pd.read_excel(io.BytesIO(content), sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except Exception as error:  # a damaged file ends in many kinds of error
        raise _damaged(name, error) from None
    first = next(iter(sheets))
    if len(sheets) > 1:
        faults.append(Fault("sheets", len(sheets), f"read the first, {shown(first)}; save another as a file of its own"))
    if sheets[first].empty:
        raise ValueError(f"The first sheet of {name} is empty. Move the table there, or save it as .csv.")
    return sheets[first].astype(object).where(sheets[first].notna(), "").values.tolist()


def _parquet(content: bytes, name: str) -> pd.DataFrame:
    if not find_spec("pyarrow"):
        raise ValueError("Reading Parquet needs one more package. Type: pip install pyarrow")
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # a damaged file ends in many kinds of error
        why = f"{type(error).__name__}: it is damaged or not complete"
        raise ValueError(f"{name} is a Parquet file that cannot be read ({why}). Copy or download it again.") from None
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        frame = frame.reset_index(names=[str(name or f"index {i}") for i, name in enumerate(frame.index.names, start=1)])
    return frame.astype(object).set_axis(range(1, len(frame) + 1))
