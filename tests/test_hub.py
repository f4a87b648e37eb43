"""Models and data sets named by a hub id, fetched by the real libraries from a hub that runs on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hub_server import Hub, serve
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from course_utils import data, pretrained
from course_utils.hub import HUB

MODEL, DATA = "google-bert/bert-base-uncased", "cornell-movie-review-data/rotten_tomatoes"
ROWS = {"text": ["a fine film", "a dull film", "fine", "dull , dull"], "label": [1, 0, 1, 0]}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT, untrained, and a data set of four rows, as a hub keeps them."""
    folder = tmp_path_factory.mktemp("hub")
    AutoTokenizer.from_pretrained(pretrained.checkpoint_path()).save_pretrained(folder / "models" / MODEL)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=30_522, **sizes)).save_pretrained(folder / "models" / MODEL)
    (folder / "models" / "stanfordnlp" / "glove").mkdir(parents=True)
    (folder / "datasets" / DATA / "data").mkdir(parents=True)
    pd.DataFrame(ROWS).to_csv(folder / "datasets" / DATA / "data" / "train.csv", index=False)
    (folder / "datasets" / DATA / "README.md").write_text("---\nlicense: mit\n---\nFour rows.\n")
    return folder


def fetch(code: str, *, address: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh Python whose hub is at `address` and whose cache is empty at first."""
    offline = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "PYTHONWARNINGS": "ignore"}
    environment = os.environ | offline | {"HF_ENDPOINT": address, "HF_HOME": str(cache), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def hub(folder: Path, request: pytest.FixtureRequest) -> Iterator[Hub]:
    with serve(folder, request.param) as hub:
        yield hub


CLASSIFIER = f"""
import json, torch
from course_utils import hub, pretrained
hub.HUB_SHA256.clear()  # those of the real weights
tokenizer, model = pretrained.load_tokenizer("{MODEL}"), pretrained.load_classifier("{MODEL}", num_classes=3)
batch = tokenizer(["a fine film"], return_tensors="pt")
print(json.dumps([batch["input_ids"].tolist(), list(model(**batch).logits.shape), model.config.hidden_size]))
"""


@pytest.mark.parametrize("hub", [HUB[MODEL][0]], indirect=True)
def test_a_checkpoint_comes_from_the_hub_at_its_pinned_revision_once(hub: Hub, tmp_path: Path) -> None:
    ran = fetch(CLASSIFIER, address=hub.address, cache=tmp_path)
    assert ran.returncode == 0, ran.stderr[-1500:]
    said, answer = ran.stdout.strip().rsplit("\n", 1)
    announced = re.findall(rf"revision {hub.commit[:8]}\) from the hub: (\S+) MB, once", said)
    assert (
        len(announced) == 2 and float(announced[0]) < 1 < 2 < float(announced[1]) < 4
    )  # of the tokenizer, and with weights
    expected = AutoTokenizer.from_pretrained(pretrained.checkpoint_path())(["a fine film"])["input_ids"]
    assert json.loads(answer) == [expected, [1, 3], 16]
    got = [line for line in hub.requests if "/resolve/" in line]
    assert got and all(f"/resolve/{hub.commit}/" in line for line in got)
    assert len([line for line in got if line.endswith("model.safetensors")]) == 1
    assert not any(line.endswith((".bin", ".pkl", ".pt", ".h5", ".py")) for line in got)
    again = fetch(CLASSIFIER, address="http://127.0.0.1:9", cache=tmp_path)
    assert again.returncode == 0 and again.stdout.strip() == answer  # nothing is asked of the hub, nor announced


@pytest.mark.parametrize("hub", [HUB[MODEL][0]], indirect=True)
def test_weights_that_the_course_does_not_know_are_not_fetched(hub: Hub, tmp_path: Path) -> None:
    ran = fetch(CLASSIFIER.replace("hub.HUB_SHA256.clear()", ""), address=hub.address, cache=tmp_path)
    assert "the hub lists other weights for this revision than those that the course knows" in ran.stderr
    assert not any(line.endswith("model.safetensors") for line in hub.requests)


@pytest.mark.parametrize("hub", ["f" * 40], indirect=True)
def test_a_revision_that_the_hub_does_not_have_is_named(hub: Hub, tmp_path: Path) -> None:
    ran = fetch(CLASSIFIER, address=hub.address, cache=tmp_path)
    assert ran.returncode != 0
    assert f"Could not fetch {MODEL}: the hub has the repository, but not this revision." in ran.stderr


def test_without_a_network_one_line_names_the_embedded_checkpoint(tmp_path: Path) -> None:
    ran = fetch(CLASSIFIER, address="http://127.0.0.1:9", cache=tmp_path)
    assert ran.returncode != 0
    assert "ConnectionError: Could not fetch" in ran.stderr and "name='embedded'" in ran.stderr


REVIEWS = f"""
import json
from course_utils import data
reviews = data.load_hub_reviews("{DATA}")
print(json.dumps([list(reviews.texts), reviews.labels.tolist()]))
"""


@pytest.mark.parametrize("hub", [data.HUB[DATA][0]], indirect=True)
def test_a_data_set_comes_from_the_hub_at_its_pinned_revision(hub: Hub, tmp_path: Path) -> None:
    ran = fetch(REVIEWS, address=hub.address, cache=tmp_path)
    assert ran.returncode == 0, ran.stderr[-1500:]
    assert json.loads(ran.stdout.strip().rsplit("\n", 1)[1]) == [ROWS["text"], ROWS["label"]]
    assert any(f"/resolve/{hub.commit}/data/train.csv" in line for line in hub.requests)


def test_without_a_network_one_line_names_the_embedded_reviews(tmp_path: Path) -> None:
    ran = fetch(REVIEWS, address="http://127.0.0.1:9", cache=tmp_path)
    assert ran.returncode != 0
    assert "ConnectionError: Could not fetch" in ran.stderr and "data.load_splits('imdb')" in ran.stderr


GLOVE = """
import hashlib
from pathlib import Path
from course_utils import text
text.GLOVE_SHA256 = hashlib.sha256(b"cat 1 2 3\\n").hexdigest()
print(text.load_vectors(text.glove_file(Path(KEPT)))[0])
"""


@pytest.mark.parametrize("hub", ["a" * 40], indirect=True)
def test_word_vectors_come_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    with zipfile.ZipFile(hub.folder / "models" / "stanfordnlp" / "glove" / "glove.6B.zip", "w") as zipped:
        zipped.writestr("glove.6B.100d.txt", "cat 1 2 3\n")
    code = GLOVE.replace("KEPT", repr(str(tmp_path / "kept")))
    ran = fetch(code, address=hub.address, cache=tmp_path)
    assert ran.returncode == 0, ran.stderr[-1500:]
    assert ran.stdout.strip().endswith("['cat']") and (tmp_path / "kept" / "glove.6B.100d.txt").exists()
    assert any(line.endswith(f"/resolve/{hub.commit}/glove.6B.zip") for line in hub.requests)
