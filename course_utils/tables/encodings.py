"""From bytes to text: the encoding that a file has, or most likely has, and bytes that do not fit it."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

from charset_normalizer import from_bytes

from .faults import Fault, shown

_MARKS = (  # the mark of UTF-32 begins like that of UTF-16, so it comes first
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_UNREAD = re.compile("[\ud800-\udfff]")  # how a byte that does not fit is kept: 0xe9 as U+DCE9
_SAMPLE = 1 << 16  # bytes of lines that are not ASCII: enough to judge by
_SIGNS = "‘’“”„«»–—…°€£№\xa0"
_LETTERS = {  # letters outside ASCII that texts of an encoding contain, and those that are most frequent
    "cp1252": ("[ßàáâãäåæçèéêëìíîïñòóôõöøùúûüœÀÄÅÇÉÊÖØÜ¡¿]", ""),
    "cp1250": ("[ąćęłńóśźżĄĆĘŁŃŚŹŻáčďéěíňřšťúůýžČŘŠŽőűöüäßâîăşţ]", ""),
    "cp1254": ("[çğıöşüÇĞİÖŞÜâî]", ""),
    "cp1251": (r"[а-яёіїє]|\b[А-ЯЁІЇЄ]", "оеаинтсрвлкм"),
    "koi8_r": (r"[а-яё]|\b[А-ЯЁ]", "оеаинтсрвлкм"),
    "cp1253": (r"[ά-ώ]|\b[Ά-Ω]", "αοιετσνηυρπκςάίόή"),
    "cp1255": ("[א-ת]", "יוהלאתרמבש"),
    "cp1256": ("[ء-يپچژگ،؟]", "اليمونرتبةعد"),
}
_LEADS = {  # two bytes a letter: the official set, and the first bytes of its common letters and signs
    "gb18030": ("gb2312", (*range(0xB0, 0xD8), 0xA1, 0xA3)), "big5": ("big5", (*range(0xA4, 0xC7), 0xA1, 0xA2)),
    "cp932": ("cp932", (*range(0x81, 0x84), *range(0x88, 0x98))), "cp949": ("euc_kr", (*range(0xB0, 0xC9), 0xA1, 0xA3)),
    "euc_jp": ("euc_jp", (*range(0xB0, 0xD0), *range(0xA1, 0xA6))),
}  # fmt: skip
CANDIDATES = (*_LETTERS, *_LEADS)  # of equally good ones the first is taken


def decode(content: bytes, encoding: str | None = None) -> tuple[str, list[Fault]]:
    """Return the text of a file, and what was assumed about its encoding unless that is UTF-8 or given.

    A byte that does not fit is kept as a lone surrogate; `unread` finds it.

    Raises:
        ValueError: no such encoding.
    """
    if encoding:
        return _read_as(content, encoding), []
    for mark, name in _MARKS:
        if content.startswith(mark):
            said = f"read as {name}, by the byte order mark at its beginning"
            return _read_as(content, name), [Fault("encoding", 1, said)]
    wide = _without_mark(content) if b"\0" in content else None
    if wide:
        said = f"read as {wide}, which has no mark but bytes of 0 everywhere"
        return _read_as(content, wide), [Fault("encoding", 1, said)]
    text = content.decode("utf-8", "surrogateescape")
    if not _UNREAD.search(text):
        return text, []
    parts = [part for part in re.split(r"[\r\n\t,;|{}]", text) if not part.isascii()]  # a file may be a single line
    if 2 * sum(bool(_UNREAD.search(part)) for part in parts) <= len(parts):  # most are UTF-8; single bytes are damaged
        return text, []
    name, sure = _guess(content)
    text = _read_as(content, name)
    words = sorted(
        {
            word
            for word in re.findall(r"\w+|[^\w\s\x00-\x7f]+", text[: 16 * _SAMPLE])
            if not word.isascii() and word.isprintable()
        }
    )
    asked = f"Are these spelt right? {', '.join(word[:20] for word in words[:5])}. If not: --encoding NAME"
    return text, [Fault("encoding", len(words), f"not UTF-8; read as {name}, which is {sure}. {asked}")]


def unread(text: str) -> str:
    """Return the first byte of a text that does not fit its encoding, such as "0xe9", or "" if all fit."""
    found = _UNREAD.search(text)
    return "" if not found else hex(ord(found[0]) - 0xDC00) if "\udc80" <= found[0] <= "\udcff" else "half a letter"


def _read_as(content: bytes, encoding: str) -> str:
    try:
        b"".decode(encoding)
        "".encode(encoding)
    except (LookupError, ValueError):
        known = "utf-8, cp1252, gb18030, big5, cp932, cp949, cp1251, koi8_r"
        raise ValueError(f"There is no encoding {shown(encoding)}. Common ones: {known}.") from None
    for width in (2, 4):
        if encoding.startswith(f"utf-{8 * width}"):
            content = content[: len(content) - len(content) % width]
    for errors in ("strict", "surrogateescape", "surrogatepass", "replace"):
        with suppress(UnicodeError):
            return content.decode(encoding, errors)
    raise ValueError(f"The file cannot be read as {shown(encoding)}. Leave --encoding away to have its encoding found out.")


def _without_mark(content: bytes) -> str | None:
    """Return the encoding in which bytes of 0 are halves or quarters of letters, or None if they are something else."""
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeError):
            text = content[: 4 * _SAMPLE].decode(name)
            if text and "\0" not in text and (text.isascii() or re.search("[\r\n]", text)):
                return name
    return None


def _guess(content: bytes) -> tuple[str, str]:
    """Return the likeliest encoding of text that is not UTF-8, and how sure that is, in words."""
    sample = b"\n".join(line for line in re.split(b"[\r\n]+", content[: 64 * _SAMPLE]) if not line.isascii())
    if len(sample) > _SAMPLE:  # ends between two letters, which no byte of a longer one can look like
        sample = sample[: max(sample.rfind(end, 0, _SAMPLE) for end in b"\n ,\t") + 1 or _SAMPLE]
    scores = []  # from best to worst, each with its text: different encodings may give the same
    for match in from_bytes(sample, cp_isolation=list(CANDIDATES), threshold=0.4):
        names = sorted({match.encoding, *match.could_be_from_charset} & {*CANDIDATES}, key=CANDIDATES.index)
        share, name = max(((_share(str(match), name), name) for name in names), key=lambda pair: pair[0])
        scores.append((share - match.chaos, -CANDIDATES.index(name), name))
    if not scores:
        return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", content) else "cp1252", "a guess"
    (best, _, name), *others = sorted(scores, reverse=True)
    margin, letters = best - max((score for score, *_ in others), default=0), len(re.findall(rb"[\x80-\xff]", sample))
    if margin > 0.3 and letters > 200:
        return name, "nearly certain"
    return name, "probable" if margin > 0.2 and letters > 20 else "a guess"


def _share(text: str, encoding: str) -> float:
    """Return which share of the letters outside ASCII is expected in texts of an encoding, from 0 to 1."""
    letters = re.sub(r"[\x00-\x7f]+", "", text)
    if encoding in _LETTERS:
        pattern, frequent = _LETTERS[encoding]
        share = len(re.findall(f"{pattern}|[{_SIGNS}]", text)) / max(len(letters), 1)
        often = sum(letter in frequent for letter in letters.lower()) / max(len(letters), 1)
        return (share + min(often / 0.7, 1)) / 2 if frequent else share
    official, leads = _LEADS[encoding]
    kana = len(re.findall("[ぁ-ヶ]", letters))
    if (encoding in ("cp932", "euc_jp")) != (kana > 0.1 * len(letters)):
        return 0.0
    codes = [letter.encode(official, "ignore") for letter in letters]
    return sum(len(code) == 2 and code[0] in leads for code in codes) / max(len(letters), 1)
