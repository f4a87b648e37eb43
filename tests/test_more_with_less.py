"""What notebook 08 builds on: `fit` takes a teacher's probabilities as labels, and they distil."""

import numpy as np
import torch
from helpers import make_encoded
from torch import nn

from course_utils import prediction, training
from course_utils.models import LSTMClassifier
from course_utils.text import EncodedTexts, collate


def make_model(seed: int) -> LSTMClassifier:
    torch.manual_seed(seed)
    return LSTMClassifier(12, embedding_size=8, hidden_size=8, dropout=0.0)


def test_soft_labels_give_the_gradient_of_the_divergence_from_the_teacher():
    texts, student, twin = make_encoded(8), make_model(0), make_model(0)
    teacher = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
    soft = EncodedTexts(texts.input_ids, teacher.numpy())
    still = torch.optim.SGD(student.parameters(), lr=0.0)
    training.train_one_epoch(
        student, soft, still, batches=[np.arange(8)], settings=training.TrainingConfig(max_grad_norm=1e9, precision="float32")
    )
    batch = collate(texts, np.arange(8))
    answers = twin(batch["input_ids"], batch["attention_mask"]).log_softmax(dim=1)
    nn.functional.kl_div(answers, teacher, reduction="batchmean").backward()
    for mine, theirs in zip(student.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_student_learns_to_answer_as_its_teacher_without_any_label():
    unlabelled, validation = make_encoded(64), make_encoded(32, seed=1)
    teacher = make_model(0)
    answers = prediction.predict_proba(teacher, unlabelled)
    sharp = (answers[:, 1] > np.median(answers[:, 1])).astype(np.float32)  # an untrained teacher, made sure of itself
    soft = EncodedTexts(unlabelled.input_ids, np.stack([1 - sharp, sharp], axis=1))
    student, settings = make_model(1), training.TrainingConfig(num_epochs=30, learning_rate=3e-2, batch_size=16)
    history = training.fit(student, soft, validation, settings, on_progress=lambda progress: None)
    assert history.step_losses[-1] < 0.5 * history.step_losses[0]
