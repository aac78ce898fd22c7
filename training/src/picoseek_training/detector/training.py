"""The training loop of the detector."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import paddle
from paddle import Tensor, nn

from picoseek_training.acceleration.depthwise import compile_depthwise
from picoseek_training.detector.config import DetectorTrainingConfig, OptimizerConfig
from picoseek_training.detector.distillation import DetectorDistiller
from picoseek_training.detector.evaluation import evaluate
from picoseek_training.detector.memory import OldSelf
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.sampling import Batch, BatchSampler, ignored_cells
from picoseek_training.detector.weights import state_of
from picoseek_training.losses.pico_head import DetectionLoss, PicoHeadLoss, PicoHeadV2Loss
from picoseek_training.networks.picodet.detector import DensePredictions, PicoDet
from picoseek_training.networks.picodet.tower import HeadMaps
from picoseek_training.optimization.ema import ModelEma
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import DetectionCosine
from picoseek_training.optimization.update import Update
from picoseek_training.parallel.processes import Processes, launched_processes
from picoseek_training.run.folder import RunFolder
from picoseek_training.run.prefetch import prefetched

SMALLEST_SCALE = 1e-4
"""Least factor of a relative rate, so that tensors of zeros can learn."""


class DetectorTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint, exactly.

    Args:
        config: The recipe.
        sets: Training sets with targets.
        detector: Network of one class to start from; it is trained in place.
        teacher: The official detector of many classes, which the recipe's `teacher` speaks of.
        processes: Those of the run; None asks Paddle.

    Raises:
        ValueError: The recipe cannot be trained, or the folder holds a run of another one; the message names the key.
    """

    def __init__(
        self,
        config: DetectorTrainingConfig,
        sets: Sequence[TrainingSet],
        detector: PicoDet,
        teacher: PicoDet | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.config = config
        self.detector = detector
        self.processes = launched_processes() if processes is None else processes
        self.step = 0
        self._folder = open_folder(config, self.processes)
        self._update = Update(config.precision, self.processes)
        self._epoch = max(1, sum(len(data.targets) for data in sets) // (config.batch_size * self.processes.count))
        self.steps = _steps(config, self._epoch)
        self._sampler = BatchSampler(
            sets, config.augmentation, config.batch_size, config.seed, self.processes, config.workers
        )
        self._freeze()
        self._distiller = (
            None if config.distillation is None else DetectorDistiller(config.distillation, detector, config.network)
        )
        learning: list[nn.Layer] = [detector, *([] if self._distiller is None else [self._distiller])]
        self.processes.same_start(learning)
        if config.compile_depthwise and not paddle.device.is_compiled_with_cuda():
            for network in (detector, teacher):
                if network is not None:
                    compile_depthwise(network)
        self._old_self = (
            None if config.teacher is None or teacher is None else OldSelf(teacher, config.teacher.seen_score)
        )
        self._schedule = DetectionCosine(config.optimizer.rate, config.optimizer.warmup_steps, self.steps)
        self._weights = [weight for layer in learning for weight in layer.parameters() if not weight.stop_gradient]
        self._optimizer = make_optimizer(config.optimizer, self._weights)
        self._ema = ModelEma(config.ema)
        last = self._folder.last("step", "model", "optimizer", "ema")
        if last is not None:
            self._resume(last)

    def run(self) -> None:
        """Train to the last step.

        Raises:
            FloatingPointError: The loss or a gradient is not finite; the last checkpoint is kept.
        """
        if self.step >= self.steps:
            self._folder.log({"complete": self.step})
            return
        started, seen = time.monotonic(), 0
        for batch in prefetched(self._sampler.batch, self.step, self.steps):
            entry = self._train_step(batch)
            seen += len(batch.image) * self.processes.count
            self.step += 1
            last = self.step == self.steps
            if last or self.step % 10 == 0:
                self._folder.log({**entry, "samples_per_second": seen / (time.monotonic() - started)})
            saves = last or self.step % self.config.checkpoint_every == 0
            evaluates = last or self.step % self.config.evaluate_every == 0
            # The average of a cycle that ends here is the one that is saved, before the next begins.
            averaged = self._ema.averaged() if saves or evaluates else {}
            if self.config.ema.cycle > 0 and self.step % self._epoch == 0:
                self._ema.apply()
            if saves:
                self._save(averaged)
            if evaluates:
                self._evaluate(averaged)
                started, seen = time.monotonic(), 0

    def _freeze(self) -> None:
        for name in self.config.frozen_stages:
            part = getattr(self.detector.backbone, name, None)
            if part is None:
                raise ValueError(f"frozen_stages: the backbone has no part {name!r}")
            for weight in part.parameters():
                weight.stop_gradient = True

    def _set_training_mode(self) -> None:
        self.detector.train()
        if self.config.freeze_statistics:
            for layer in self.detector.sublayers():
                if isinstance(layer, nn.BatchNorm2D):
                    layer.eval()
        for name in self.config.frozen_stages:
            getattr(self.detector.backbone, name).eval()

    def _train_step(self, batch: Batch) -> dict[str, float]:
        self._set_training_mode()
        rate = self._schedule(self.step)
        image = paddle.to_tensor(batch.image)
        with self._update.mixed_precision():
            features = self.detector.neck(self.detector.backbone(image))
            maps = self.detector.head(features)
        predictions = self.detector.flatten(
            HeadMaps(*([level.astype("float32") for level in levels] for levels in maps))
        )
        loss = self._loss(image, predictions, batch)
        total = loss.total
        parts: dict[str, float] = {}
        if self._distiller is not None:
            taught = self._distiller(
                image,
                [level.astype("float32") for level in features],
                predictions,
                batch.truth,
                paddle.to_tensor(loss.positives),
            )
            total = self._distiller.config.labels * total + taught
            parts["distillation"] = float(taught.numpy())
        value = self._update(
            total, self._optimizer, self._weights, rate, lambda: f"step {self.step}, pictures {_some(batch.names)}"
        )
        self._ema.update(state_of(self.detector))
        if self._distiller is not None and self._distiller.follows:
            self._distiller.follow(self._ema.averaged())
        return {
            "step": self.step + 1,
            "loss": value,
            "classification": float(loss.classification.numpy()),
            "box": float(loss.box.numpy()),
            "distribution": float(loss.distribution.numpy()),
            **parts,
            "rate": rate,
        }

    def _loss(self, image: Tensor, predictions: DensePredictions, batch: Batch) -> DetectionLoss:
        priors = predictions.priors
        classes, ignored = self.detector.config.num_classes, ignored_cells(batch.ignored, priors.points)
        if self.detector.head.classes_are_logits:
            legacy = PicoHeadLoss(num_classes=classes, processes=self.processes)
            return legacy(predictions.classes, predictions.distributions, priors, batch.truth, ignored)
        assigner = "atss" if self.step < self.config.atss_steps else self.config.assigner
        loss = PicoHeadV2Loss(num_classes=classes, processes=self.processes)
        memory = None if self._old_self is None else self._old_self.remember(image, batch.boxes, batch.annotated)
        return loss(predictions.classes, predictions.distributions, priors, batch.truth, assigner, ignored, memory)

    def _save(self, averaged: dict[str, Any]) -> None:
        self._folder.save(
            {
                "step": self.step,
                "model": state_of(self.detector),
                "averaged": averaged,
                "optimizer": read_optimizer_state(self._optimizer, self._weights),
                "ema": self._ema.state_dict(),
                "update": self._update.state_dict(),
                **(
                    {}
                    if self._distiller is None
                    else {"distiller": {key: value.numpy() for key, value in self._distiller.state_dict().items()}}
                ),
            }
        )

    def _resume(self, content: dict[str, Any]) -> None:
        self.step = content["step"]
        self.detector.set_state_dict(content["model"])
        write_optimizer_state(self._optimizer, self._weights, content["optimizer"])
        self._ema.load_state_dict(content["ema"])
        self._update.load_state_dict(content.get("update", {}))
        if self._distiller is not None:
            self._distiller.set_state_dict(content["distiller"])
            if self._distiller.follows:
                self._distiller.follow(self._ema.averaged())

    def _evaluate(self, averaged: dict[str, Any]) -> None:
        if not self.processes.primary:
            return
        detector = PicoDet(replace(self.detector.config, further_sizes=self.config.further_sizes))
        detector.set_state_dict({key: paddle.to_tensor(value) for key, value in averaged.items()})
        detector.eval()
        for data in self.config.evaluation:
            metrics = evaluate(detector, data, self.config.size, self.config.output / "cache")
            self._folder.log({"step": self.step, "evaluation": data.name, **asdict(metrics)})


def open_folder(config: DetectorTrainingConfig, processes: Processes) -> RunFolder:
    """Open the folder of a run.

    Raises:
        ValueError: It holds a run of another recipe; the message names the keys that differ.
    """
    folder = RunFolder(config.output, processes.primary)
    folder.open(config, may_change=("steps", "epochs"))
    return folder


def _steps(config: DetectorTrainingConfig, epoch: int) -> int:
    if (config.steps is None) == (config.epochs is None):
        raise ValueError("steps, epochs: give one of them")
    return config.steps if config.steps is not None else max(1, round((config.epochs or 0.0) * epoch))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def make_optimizer(config: OptimizerConfig, weights: list[Tensor]) -> paddle.optimizer.Optimizer:
    """Build the optimiser that the configuration asks for; the loop sets its rate."""
    clip = None if config.clip_norm is None else nn.ClipGradByGlobalNorm(config.clip_norm)
    if config.kind == "adamw":
        if config.relative:
            for weight in weights:
                scale = max(float(weight.square().mean().sqrt().numpy()), SMALLEST_SCALE)
                weight.optimize_attr["learning_rate"] = scale
        return paddle.optimizer.AdamW(
            config.rate,
            parameters=weights,
            weight_decay=config.weight_decay,
            grad_clip=clip,
        )
    return paddle.optimizer.Momentum(
        config.rate, config.momentum, parameters=weights, weight_decay=config.weight_decay, grad_clip=clip
    )
