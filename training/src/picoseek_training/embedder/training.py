"""The training loop of the embedder: distillation from a fixed teacher, and labels."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training import checkpoint
from picoseek_training.acceleration.depthwise import compile_depthwise
from picoseek_training.data.classes import ClassTable, number_classes
from picoseek_training.data.example_store import stored_examples
from picoseek_training.data.retrieval_sets import Example, RetrievalTask, retrieval_tasks, training_examples
from picoseek_training.data.views import draw_view, render_view
from picoseek_training.distillation.teacher_features import joined_teacher_features, view_seed
from picoseek_training.embedder.batches import Batch, ViewSampler, normalised
from picoseek_training.embedder.config import EmbedderTrainingConfig, PhaseConfig
from picoseek_training.embedder.separable_start import fit_tail
from picoseek_training.embedder.start import start_student
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.targets import learn_teacher_space
from picoseek_training.embedder.whitening import pooled_features
from picoseek_training.evaluation.retrieval import score_retrieval, unit_rows
from picoseek_training.losses.domain_classification import DomainCrossEntropy
from picoseek_training.networks.recognition import CosineHead
from picoseek_training.optimization.ema import ModelEma
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import DetectionCosine

LAST, LOG = "last.ckpt", "log.jsonl"
STORED_SIDE = 224
_TAIL_VIEWS = 3072
# Steps from which calibration takes its views, beyond those of any training.
_CALIBRATION_STEPS = 1 << 40
_EVALUATION_BATCH = 32

State = dict[str, NDArray[np.float32]]


class EmbedderTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint, exactly.

    Raises:
        FileNotFoundError: A data set, the teacher or the start is missing.
        ValueError: A set or task is unknown.
    """

    def __init__(self, config: EmbedderTrainingConfig) -> None:
        self.config = config
        config.output.mkdir(parents=True, exist_ok=True)
        paddle.seed(config.seed)
        self._tasks = retrieval_tasks(config.data, config.evaluation)
        examples = training_examples(config.data, config.sets)
        pictures = stored_examples(examples, STORED_SIDE, config.cache)
        classes = number_classes(examples)
        features = joined_teacher_features(
            config.teachers, pictures, config.view, config.seed, config.views, config.cache, self._progress("teacher")
        )
        space = learn_teacher_space(
            features,
            classes,
            config.student.dimension,
            config.neck,
            config.raw_weight,
            config.output,
            self._progress("neck"),
        )
        targets = np.stack([space(view).astype(np.float16) for view in features])
        self._class_means = _class_means(targets, classes)
        self._sampler = ViewSampler(pictures, targets, classes.classes, config.view, config.seed)
        self.embedder = Embedder(config.student)
        if not paddle.device.is_compiled_with_cuda():
            compile_depthwise(self.embedder)
        for layer in self._frozen:
            for parameter in layer.parameters():
                parameter.stop_gradient = True
        self._head = CosineHead(config.student.dimension, classes.count)
        self._classification = DomainCrossEntropy(classes.class_domains, config.loss.smoothing)
        self._ema = ModelEma(config.ema)
        self._phase = self._step = 0
        self._optimizer = self._new_optimizer()
        if (config.output / LAST).exists():
            self._resume(checkpoint.load(config.output / LAST))
        else:
            self._start()

    def run(self) -> None:
        """Train through the remaining phases.

        Raises:
            FloatingPointError: The loss is not finite; the last checkpoint is kept.
        """
        while self._phase < len(self.config.phases):
            self._run_phase(self.config.phases[self._phase])
            self._phase, self._step = self._phase + 1, 0
            self._optimizer = self._new_optimizer()
            self._save()

    def _run_phase(self, phase: PhaseConfig) -> None:
        schedule = DetectionCosine(phase.rate, phase.warmup_steps, phase.steps)
        started, seen = time.monotonic(), 0
        for batch in self._prefetched(phase):
            entry = self._train_step(batch, schedule(self._step))
            seen += phase.batch_size
            self._step += 1
            last = self._step == phase.steps
            if self._step % 25 == 0:
                self._log({**entry, "samples_per_second": seen / (time.monotonic() - started)})
            if self._step % self.config.checkpoint_every == 0:
                self._save()
            if last or self._step % self.config.evaluate_every == 0:
                self._evaluate(phase.side)
                started, seen = time.monotonic(), 0

    def _prefetched(self, phase: PhaseConfig) -> Iterator[Batch]:
        """Batches from the current step on, each made while the one before it is learned."""
        offset = sum(earlier.steps for earlier in self.config.phases[: self._phase])
        with ThreadPoolExecutor(1) as pool:

            def order(step: int) -> Any:
                return pool.submit(self._sampler.batch, offset + step, phase.batch_size, phase.side)

            coming = order(self._step)
            for step in range(self._step, phase.steps):
                batch: Batch = coming.result()
                if step + 1 < phase.steps:
                    coming = order(step + 1)
                yield batch

    def _train_step(self, batch: Batch, rate: float) -> dict[str, Any]:
        weights = self.config.loss
        self.embedder.train()
        for layer in self._frozen:
            layer.eval()
        self._optimizer.set_lr(rate)
        features = self.embedder(paddle.to_tensor(batch.images))
        unit, target = F.normalize(features), paddle.to_tensor(batch.targets)
        away = 1.0 - (unit * target).sum(axis=1).mean()
        structure = _cosines(unit).subtract(_cosines(target)).square().mean()
        logits = self._head(features) * weights.label_scale
        labels = self._classification(logits, paddle.to_tensor(batch.classes))
        total = weights.target * away + weights.structure * structure + weights.labels * labels
        if not math.isfinite(total.item()):
            raise FloatingPointError(f"the loss is {total.item()} at step {self._step}; lower the phase's rate")
        total.backward()
        self._optimizer.step()
        self._optimizer.clear_grad()
        self._ema.update(state_of(self.embedder))
        return {
            "phase": self._phase,
            "step": self._step + 1,
            "target": away.item(),
            "structure": structure.item(),
            "labels": labels.item(),
            "rate": rate,
        }

    @property
    def _parameters(self) -> list[Tensor]:
        return [p for p in (*self.embedder.parameters(), *self._head.parameters()) if not p.stop_gradient]

    def _new_optimizer(self) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.AdamW(
            self.config.phases[min(self._phase, len(self.config.phases) - 1)].rate,
            parameters=self._parameters,
            weight_decay=self.config.weight_decay,
            grad_clip=nn.ClipGradByGlobalNorm(self.config.clip_norm),
        )

    def _start(self) -> None:
        """Begin near a trained network, with a tail that already answers in the teacher's space."""
        plain = Embedder(self.config.student)
        side = self.config.phases[0].side
        views = self._sampler.batch(_CALIBRATION_STEPS, self.config.start.pictures, side)
        start_student(plain, self.config.student.scale, self.config.start, views.images)
        pooled, targets = [], []
        for index in range(1, 1 + _TAIL_VIEWS // _EVALUATION_BATCH):
            batch = self._sampler.batch(_CALIBRATION_STEPS + index, _EVALUATION_BATCH, side)
            pooled.append(pooled_features(plain, batch.images))
            targets.append(batch.targets)
        fit_tail(plain, np.concatenate(pooled).astype(np.float64), np.concatenate(targets).astype(np.float64))
        self.embedder.set_state_dict(plain.state_dict())
        self._head.weight.set_value(self._class_means.T)

    @property
    def _frozen(self) -> list[nn.Layer]:
        count, backbone = self.config.frozen_stages, self.embedder.backbone
        return [backbone.stem, *list(backbone.stages.children())[:count]] if count else []

    def _save(self) -> None:
        checkpoint.save(
            {
                "phase": self._phase,
                "step": self._step,
                "model": state_of(self.embedder),
                "head": state_of(self._head),
                "averaged": self._ema.averaged(),
                "optimizer": read_optimizer_state(self._optimizer, self._parameters),
                "ema": self._ema.state_dict(),
            },
            self.config.output / LAST,
        )

    def _resume(self, content: dict[str, Any]) -> None:
        self._phase, self._step = content["phase"], content["step"]
        self.embedder.set_state_dict(content["model"])
        self._head.set_state_dict(content["head"])
        self._optimizer = self._new_optimizer()
        write_optimizer_state(self._optimizer, self._parameters, content["optimizer"])
        self._ema.load_state_dict(content["ema"])

    def _evaluate(self, side: int) -> None:
        averaged = Embedder(self.config.student)
        averaged.set_state_dict({key: paddle.to_tensor(value) for key, value in self._ema.averaged().items()})
        for task in self._tasks:
            score = score_task(averaged, task, side, self.config)
            self._log({"phase": self._phase, "step": self._step, "evaluation": task.name, "recall_at_1": score})

    def _progress(self, work: str) -> Any:
        def report(done: int, total: int) -> None:
            if done == total:
                self._log({"prepared": work, "units": total})

        return report

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.config.output / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def training_views(config: EmbedderTrainingConfig, count: int, side: int) -> NDArray[np.float32]:
    """Return one view each of `count` training pictures, drawn at random, as inputs [count, 3, side, side]."""
    examples = training_examples(config.data, config.sets)
    pictures = stored_examples(examples, STORED_SIDE, config.cache)
    rows = np.random.default_rng(config.seed).permutation(len(pictures))[:count]
    views = [
        render_view(pictures[row], draw_view(config.view, view_seed(config.seed, int(row), 0)), side)
        for row in np.sort(rows)
    ]
    return normalised(np.stack(views))


def score_task(embedder: Embedder, task: RetrievalTask, side: int, config: EmbedderTrainingConfig) -> float:
    """Return the Recall@1 of whole pictures at an input size in pixels."""
    gallery, queries = (embed_examples(embedder, examples, side, config) for examples in (task.gallery, task.queries))
    labels = [[str(example.label) for example in examples] for examples in (task.gallery, task.queries)]
    return score_retrieval(gallery, labels[0], queries, labels[1]).recall_at_1


@paddle.no_grad()
def embed_examples(
    embedder: Embedder, examples: tuple[Example, ...], side: int, config: EmbedderTrainingConfig
) -> NDArray[np.float32]:
    """Return embeddings [N, dimension] of whole pictures."""
    embedder.eval()
    pictures = stored_examples(examples, STORED_SIDE, config.cache)
    parts = [
        embedder(paddle.to_tensor(normalised(_resized(pictures[first : first + _EVALUATION_BATCH], side)))).numpy()
        for first in range(0, len(pictures), _EVALUATION_BATCH)
    ]
    return np.concatenate(parts)


def _resized(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.stack([np.asarray(cv2.resize(picture, (side, side)), np.uint8) for picture in pictures])


def _class_means(targets: NDArray[np.float16], classes: ClassTable) -> NDArray[np.float32]:
    """Return the mean target [C, dimension] of each class's views [views, N, dimension]."""
    known = classes.classes >= 0
    means = np.zeros((classes.count, targets.shape[-1]), np.float32)
    np.add.at(means, classes.classes[known], targets[:, known].astype(np.float32).mean(axis=0))
    return unit_rows(means)


def _cosines(unit: Tensor) -> Tensor:
    return paddle.matmul(unit, unit, transpose_y=True)


def state_of(layer: nn.Layer) -> State:
    """Return a network's parameters and statistics as arrays."""
    return {key: value.numpy().astype(np.float32) for key, value in layer.state_dict().items()}
