"""What a finished run leaves beside its weights: the card, a page, figures, and every test text with its answer."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import __version__, plots
from ..layers import count_parameters
from .judgement import FEW_OF_A_CLASS, TUNED, Judgement, Run, confident_mistakes, judge, tested, words_that_mattered
from .lettering import drawable
from .page import write_page
from .spreadsheet import write_csv
from .tasks import CLASSES, NUMBERS, TASKS, task_of

__all__ = ["TUNED", "Judgement", "Run", "confident_mistakes", "judge", "words_that_mattered", "write_report"]
_METRICS = {"accuracy": "accuracy", "labels right": "accuracy", "macro F1": "f1", "mean absolute error": "mae", "R²": "r2"}


def write_report(run: Run, judgement: Judgement, folder: Path, *, name: str) -> None:
    """Write what is known about the model called `name`: card, page, report.json, figures, test texts, unused rows."""
    mistakes = confident_mistakes(run, judgement)
    write_csv(mistakes, folder / "mistakes.csv")
    write_csv(tested(run, judgement), folder / "test_predictions.csv")
    write_csv(run.table.set_aside, folder / "set_aside.csv")
    facts = _facts(run, judgement, name)
    if task_of(run.splits.test) == CLASSES:
        _draw_confusion(np.array(facts["confusion"]), run.splits.test.class_names, folder / "confusion.png")
    report = json.dumps(facts, indent=2, ensure_ascii=False, default=asdict)  # intervals as low, estimate, high
    (folder / "report.json").write_text(report, encoding="utf-8")
    embedded = run.checkpoint == "embedded"
    _write_card(facts, mistakes, folder / "README.md", embedded=embedded)
    words = [words_that_mattered(run, text) for text in mistakes["text"][:5]]
    write_page(facts, mistakes[:20], words, run.history, folder / "report.html")


def _draw_confusion(counts: np.ndarray, classes: tuple[str, ...], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5 + 0.5 * len(classes), 2.5 + 0.5 * len(classes)), layout="constrained")
    names, fonts = drawable(classes)
    with plots.plt.rc_context({"font.family": fonts}):
        plots.confusion_matrix(figure.subplots(), counts, names)
        figure.savefig(path)


def _facts(run: Run, judgement: Judgement, name: str) -> dict[str, Any]:
    """Return all that the card and the page state, as it is written to report.json."""
    from sklearn.metrics import confusion_matrix

    table, test, task = run.table, run.splits.test, task_of(run.splits.test)
    origin = {"embedded": "sentence-transformers/all-MiniLM-L6-v2"}.get(run.checkpoint, run.checkpoint.partition("@")[0])
    confusion = []
    if task == CLASSES:
        order = range(len(test.class_names))
        confusion = confusion_matrix(test.labels, judgement.predictions[TUNED], labels=order).tolist()
    measure, *_ = judgement.scores
    tuned = judgement.scores[measure][TUNED]
    return {
        "name": name, "task": next(short for short, kind in TASKS.items() if kind == task),
        "origin": Path(origin).name if Path(origin).exists() else origin,  # the path of a folder is private
        "file": table.path.name, "sha256": table.sha256, "set_aside": len(table.set_aside), "classes": table.sizes,
        "parts": {part: len(reviews) for part, reviews in run.splits._asdict().items()},
        "blocks_in_test": judgement.blocks, "faults": [fault._asdict() for fault in table.faults],
        "scores": judgement.scores, "gains": judgement.gains, "confusion": confusion,
        "class_scores": [scores._asdict() for scores in judgement.classes], "few_of_a_class": FEW_OF_A_CLASS,
        "reliability": judgement.reliability and judgement.reliability._asdict(), "temperature": run.temperature,
        "sure": judgement.sure and judgement.sure._asdict(),
        "no_mistake": task != NUMBERS and tuned.estimate == 1, "main_measure": measure,
        "verdict": judgement.verdict, "interrupted": run.history.interrupted,
        "config": asdict(run.config) | {"max_length": run.max_length, "class_weights": run.class_weights,
                                        "best_epoch": run.history.best_epoch},
        "trained_parameters": count_parameters(run.model).trainable,
        "versions": {"course_utils": __version__} | {name: metadata.version(name) for name in ("torch", "transformers")},
    }  # fmt: skip


def _write_card(facts: dict[str, Any], mistakes: pd.DataFrame, path: Path, *, embedded: bool) -> None:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData
    from jinja2 import Template

    results = [
        EvalResult(
            task_type="text-classification", dataset_type="table", dataset_name=facts["file"], dataset_split="test",
            metric_type=_METRICS[measure], metric_name=measure, metric_value=of[TUNED].estimate,
            metric_args={"interval_95": [of[TUNED].low, of[TUNED].high]},
        )
        for measure, of in facts["scores"].items()
    ]  # fmt: skip
    data = ModelCardData(
        library_name="transformers", pipeline_tag="text-classification", license="apache-2.0" if embedded else None,
        base_model=facts["origin"] if "/" in facts["origin"] else None, model_name=facts["name"], eval_results=results,
    )  # fmt: skip
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"), trim_blocks=True)
    body = template.render(facts, mistakes=mistakes[:5].to_dict("records"), tuned=TUNED)
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n").save(path)
