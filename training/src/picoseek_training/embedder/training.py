"""The training loop of the embedder: distillation from a fixed teacher, and labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.acceleration.depthwise import compile_depthwise
from picoseek_training.data.classes import ClassTable, number_classes
from picoseek_training.data.example_store import stored_examples
from picoseek_training.data.normalisation import normalised
from picoseek_training.data.retrieval_sets import retrieval_tasks, training_examples
from picoseek_training.data.views import draw_view, render_view
from picoseek_training.distillation.distiller import Distiller
from picoseek_training.distillation.teacher_features import joined_teacher_features, view_seed
from picoseek_training.embedder.batches import Batch, ViewSampler
from picoseek_training.embedder.config import STORED_SIDE, EmbedderTrainingConfig, PhaseConfig
from picoseek_training.embedder.separable_start import fit_tail
from picoseek_training.embedder.start import start_student
from picoseek_training.embedder.student import ClassDirections, Embedder, recognition_model
from picoseek_training.embedder.targets import learn_teacher_space
from picoseek_training.embedder.whitening import pooled_features
from picoseek_training.evaluation.embedding import score_task
from picoseek_training.evaluation.retrieval import unit_rows
from picoseek_training.losses.domain_classification import DomainCrossEntropy
from picoseek_training.networks.recognition import RecModel
from picoseek_training.optimization.ema import ModelEma
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import DetectionCosine
from picoseek_training.optimization.update import Update
from picoseek_training.parallel.processes import Processes, launched_processes
from picoseek_training.recognition.model import build_model
from picoseek_training.recognition.network_config import NetworkConfig
from picoseek_training.run.folder import RunFolder
from picoseek_training.run.prefetch import prefetched

_TAIL_VIEWS = 3072
# Steps from which calibration takes its views, beyond those of any training.
_CALIBRATION_STEPS = 1 << 40
_BATCH = 32
_REPORT_EVERY_S = 5.0

State = dict[str, NDArray[np.float32]]


class EmbedderTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint, exactly.

    Raises:
        FileNotFoundError: A data set, the teacher or the start is missing.
        ValueError: A set or task is unknown, or the folder holds a run of another recipe; the message names the key.
    """

    def __init__(self, config: EmbedderTrainingConfig, processes: Processes | None = None) -> None:
        self.config = config
        self.processes = launched_processes() if processes is None else processes
        _check(config)
        self._folder = RunFolder(config.output, self.processes.primary)
        prolongs = (f"phases.{len(config.phases) - 1}.steps",)
        self._folder.check(config, prolongs, may_grow=("phases.*",))
        self._update = Update(config.precision, self.processes)
        paddle.seed(config.seed)
        self._tasks = retrieval_tasks(config.data, config.evaluation)
        examples = training_examples(config.data, config.sets)
        classes = number_classes(examples)
        self._folder.open(config, prolongs, may_grow=("phases.*",))
        with self.processes.primary_first():
            pictures = stored_examples(examples, STORED_SIDE, config.cache)
            features = joined_teacher_features(
                config.teachers,
                pictures,
                config.view,
                config.seed,
                config.views,
                config.cache,
                self._progress("teacher"),
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
        # Anew: the start is the same whether the teacher's space was learned just now or read.
        paddle.seed(config.seed)
        self.embedder = Embedder(config.student)
        if not paddle.device.is_compiled_with_cuda():
            compile_depthwise(self.embedder)
        for layer in self._frozen:
            for parameter in layer.parameters():
                parameter.stop_gradient = True
        self._head = ClassDirections(config.student.dimension, classes.count, config.loss.label_scale)
        self._model = recognition_model(self.embedder, self._head)
        self._distiller = self._new_distiller(classes)
        self._classification = DomainCrossEntropy(classes.class_domains, config.loss.smoothing)
        self._ema = ModelEma(config.ema)
        self._phase = self._step = 0
        self._optimizer = self._new_optimizer()
        last = self._folder.last("phase", "step", "model", "head", "optimizer", "ema")
        if last is not None:
            self._resume(last)
        else:
            self._start()
            self.processes.same_start([self.embedder, self._head, *self._taught])

    def run(self) -> None:
        """Train through the remaining phases.

        Raises:
            FloatingPointError: The loss or a gradient is not finite; the last checkpoint is kept.
        """
        phases = self.config.phases
        if self._phase == len(phases) - 1 and self._step >= phases[-1].steps:
            self._folder.log({"complete": sum(phase.steps for phase in phases)})
            return
        while True:
            if self._step >= phases[self._phase].steps:
                if self._phase == len(phases) - 1:
                    return
                self._phase, self._step = self._phase + 1, 0
                self._optimizer = self._new_optimizer()
            self._run_phase(phases[self._phase])
            self._save()

    def _run_phase(self, phase: PhaseConfig) -> None:
        schedule = DetectionCosine(phase.rate, phase.warmup_steps, phase.steps)
        offset = sum(earlier.steps for earlier in self.config.phases[: self._phase])
        started, seen = time.monotonic(), 0

        def make(step: int) -> Batch:
            whole = phase.batch_size * self.processes.count
            return self._sampler.batch(offset + step, whole, phase.side, self.processes.part(phase.batch_size))

        for batch in prefetched(make, self._step, phase.steps):
            entry = self._train_step(batch, schedule(self._step))
            seen += phase.batch_size * self.processes.count
            self._step += 1
            last = self._step == phase.steps
            if self._step % 25 == 0:
                self._folder.log({**entry, "samples_per_second": seen / (time.monotonic() - started)})
            if not last and self._step % self.config.checkpoint_every == 0:
                self._save()
            if last or self._step % self.config.evaluate_every == 0:
                self._evaluate(phase.side)
                started, seen = time.monotonic(), 0

    def _train_step(self, batch: Batch, rate: float) -> dict[str, Any]:
        weights = self.config.loss
        self._set_training_mode()
        images = paddle.to_tensor(batch.images)
        with self._update.mixed_precision():
            output = self._model(images)
        # Every process computes the loss of the whole batch: its structure has no parts.
        features = self.processes.gathered(output.features.astype("float32"))
        target = self.processes.gathered(paddle.to_tensor(batch.targets))
        classes = self.processes.gathered(paddle.to_tensor(batch.classes))
        unit = F.normalize(features)
        away = 1.0 - (unit * target).sum(axis=1).mean()
        structure = _cosines(unit).subtract(_cosines(target)).square().mean()
        labels = self._classification(self._head(features), classes)
        total = weights.target * away + weights.structure * structure + weights.labels * labels
        parts = {"target": away.item(), "structure": structure.item(), "labels": labels.item()}
        if self._distiller is not None:
            taught = self._distiller(output, None, images, paddle.to_tensor(batch.classes))
            total = self._distiller.config.labels * total + taught
            parts["distillation"] = taught.item()
        self._update(
            total,
            self._optimizer,
            self._parameters,
            rate,
            lambda: f"step {self._step} of phase {self._phase}, pictures {_some(batch.rows)} of the sets",
        )
        self._ema.update(state_of(self.embedder))
        self._follow(self._ema.averaged)
        return {"phase": self._phase, "step": self._step + 1, **parts, "rate": rate}

    def _new_distiller(self, classes: ClassTable) -> Distiller | None:
        config = self.config
        if config.distillation is None:
            return None
        if any(each.kind == "dkd" for each in config.distillation.compare) and (classes.classes < 0).any():
            raise ValueError("distillation.compare: dkd needs the class of every picture; some of `sets` have none")
        return Distiller(config.distillation, self._model, self._build, classes.count, config.phases[0].side)

    def _build(self, network: NetworkConfig | None, classes: int | None) -> RecModel:
        if network is not None:
            return build_model(network, classes)
        student = self.config.student
        head = None if classes is None else ClassDirections(student.dimension, classes, self.config.loss.label_scale)
        return recognition_model(Embedder(student), head)

    def _follow(self, averaged: Callable[[], State]) -> None:
        """Let a teacher that is the student's average be that; classes have no average, it takes their directions."""
        if self._distiller is not None and self._distiller.follows:
            head = {f"head.{name}": value for name, value in state_of(self._head).items()}
            self._distiller.follow({**averaged(), **head})

    def _set_training_mode(self) -> None:
        self.embedder.train()
        for layer in self._frozen:
            layer.eval()
        if self.config.frozen_statistics:
            for layer in self.embedder.sublayers():
                if isinstance(layer, nn.BatchNorm1D | nn.BatchNorm2D):
                    layer.eval()

    @property
    def _parameters(self) -> list[Tensor]:
        learning = (self.embedder, self._head, *self._taught)
        return [p for layer in learning for p in layer.parameters() if not p.stop_gradient]

    @property
    def _taught(self) -> list[nn.Layer]:
        return [] if self._distiller is None else self._distiller.learning

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
        for index in range(1, 1 + _TAIL_VIEWS // _BATCH):
            batch = self._sampler.batch(_CALIBRATION_STEPS + index, _BATCH, side)
            pooled.append(pooled_features(plain, batch.images))
            targets.append(batch.targets)
        fit_tail(plain, np.concatenate(pooled).astype(np.float64), np.concatenate(targets).astype(np.float64))
        self.embedder.set_state_dict(plain.state_dict())
        self._head.weight.set_value(self._class_means.T)
        self._follow(lambda: state_of(self.embedder))

    @property
    def _frozen(self) -> list[nn.Layer]:
        count, backbone = self.config.frozen_stages, self.embedder.backbone
        return [backbone.stem, *list(backbone.stages.children())[:count]] if count else []

    def _save(self) -> None:
        self._folder.save(
            {
                "phase": self._phase,
                "step": self._step,
                "model": state_of(self.embedder),
                "head": state_of(self._head),
                "averaged": self._ema.averaged(),
                "optimizer": read_optimizer_state(self._optimizer, self._parameters),
                "ema": self._ema.state_dict(),
                "update": self._update.state_dict(),
                **({} if self._distiller is None else {"distiller": self._distiller.state_dict()}),
            }
        )

    def _resume(self, content: dict[str, Any]) -> None:
        self._phase, self._step = content["phase"], content["step"]
        if self._phase == len(self.config.phases):
            self._phase, self._step = self._phase - 1, self.config.phases[-1].steps
        self.embedder.set_state_dict(content["model"])
        self._head.set_state_dict(content["head"])
        self._optimizer = self._new_optimizer()
        write_optimizer_state(self._optimizer, self._parameters, content["optimizer"])
        self._ema.load_state_dict(content["ema"])
        self._update.load_state_dict(content.get("update", {}))
        if self._distiller is not None:
            self._distiller.load_state_dict(content["distiller"])
            self._follow(self._ema.averaged)

    def _evaluate(self, side: int) -> None:
        if not self.processes.primary:
            return
        averaged = Embedder(self.config.student)
        averaged.set_state_dict({key: paddle.to_tensor(value) for key, value in self._ema.averaged().items()})
        for task in self._tasks:
            score = score_task(averaged, task, side, self.config.cache, STORED_SIDE)
            self._folder.log(
                {
                    "phase": self._phase,
                    "step": self._step,
                    "evaluation": task.name,
                    "recall_at_1": score.recall_at_1,
                    "recall_at_5": score.recall_at_5,
                    "mean_average_precision": score.mean_average_precision,
                }
            )

    def _progress(self, work: str) -> Callable[[int, int], None]:
        shown = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal shown
            if done == total or time.monotonic() - shown >= _REPORT_EVERY_S:
                shown = time.monotonic()
                self._folder.log({"preparing": work, "done": done, "units": total})

        return report


def _check(config: EmbedderTrainingConfig) -> None:
    """Find what is missing before anything costs time."""
    if not config.phases:
        raise ValueError("phases: name at least one")
    for teacher in config.teachers:
        if not teacher.model.exists():
            raise FileNotFoundError(
                f"teachers: {teacher.model} does not exist; the recipe and docs/training.md say where to get it"
            )
    if not config.start.weights.exists():
        raise FileNotFoundError(
            f"start.weights: {config.start.weights} does not exist; the recipe says where to get it"
        )


def _some(rows: NDArray[np.int64]) -> str:
    return ", ".join(map(str, rows[:4])) + (f" and {len(rows) - 4} more" if len(rows) > 4 else "")


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
