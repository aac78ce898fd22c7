"""The training loop of the detector."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import paddle
from paddle import Tensor, nn

from picoseek_training import checkpoint
from picoseek_training.acceleration.depthwise import compile_depthwise
from picoseek_training.detector.config import DetectorTrainingConfig, OptimizerConfig
from picoseek_training.detector.evaluation import evaluate
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.sampling import Batch, BatchSampler, ignored_cells
from picoseek_training.detector.weights import state_of
from picoseek_training.losses.pico_head import PicoHeadV2Loss
from picoseek_training.networks.picodet.detector import PicoDet
from picoseek_training.optimization.ema import ModelEma
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import DetectionCosine

LAST, LOG = "last.ckpt", "log.jsonl"
SMALLEST_SCALE = 1e-4
"""Least factor of a relative rate, so that tensors of zeros can learn."""


class DetectorTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint.

    Args:
        config: The recipe.
        sets: Training sets with targets.
        detector: Network of one class to start from; it is trained in place.
    """

    def __init__(self, config: DetectorTrainingConfig, sets: Sequence[TrainingSet], detector: PicoDet) -> None:
        self.config = config
        self.detector = detector
        self.step = 0
        self._sampler = BatchSampler(sets, config.augmentation, config.batch_size, config.seed)
        self._loss = PicoHeadV2Loss(num_classes=detector.config.num_classes)
        self._freeze()
        if config.compile_depthwise:
            compile_depthwise(detector)
        self._schedule = DetectionCosine(config.optimizer.rate, config.optimizer.warmup_steps, config.steps)
        self._weights = [weight for weight in detector.parameters() if not weight.stop_gradient]
        self._optimizer = make_optimizer(config.optimizer, self._weights)
        self._ema = ModelEma(config.ema)
        if (config.output / LAST).exists():
            self._resume(checkpoint.load(config.output / LAST))

    def run(self) -> None:
        """Train to the last step.

        Raises:
            FloatingPointError: The loss is not finite; the last checkpoint is kept.
        """
        started, seen = time.monotonic(), 0
        for batch in self._prefetched():
            entry = self._train_step(batch)
            seen += len(batch.image)
            self.step += 1
            last = self.step == self.config.steps
            if self.step % 10 == 0:
                self._log({**entry, "samples_per_second": seen / (time.monotonic() - started)})
            if last or self.step % self.config.checkpoint_every == 0:
                self._save()
            if last or self.step % self.config.evaluate_every == 0:
                self._evaluate()
                started, seen = time.monotonic(), 0

    def _trained(self) -> list[Tensor]:
        return [weight for weight in self.detector.parameters() if not weight.stop_gradient]

    def _freeze(self) -> None:
        for name in self.config.frozen_stages:
            for weight in getattr(self.detector.backbone, name).parameters():
                weight.stop_gradient = True

    def _set_training_mode(self) -> None:
        self.detector.train()
        if self.config.freeze_statistics:
            for layer in self.detector.sublayers():
                if isinstance(layer, nn.BatchNorm2D):
                    layer.eval()
        for name in self.config.frozen_stages:
            getattr(self.detector.backbone, name).eval()

    def _prefetched(self) -> Iterator[Batch]:
        """Batches from the current step on, each made while the one before it is learned."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._sampler.batch, self.step)
            for step in range(self.step, self.config.steps):
                batch = coming.result()
                if step + 1 < self.config.steps:
                    coming = pool.submit(self._sampler.batch, step + 1)
                yield batch

    def _train_step(self, batch: Batch) -> dict[str, float]:
        self._set_training_mode()
        rate = self._schedule(self.step)
        self._optimizer.set_lr(rate)
        predictions = self.detector.dense(paddle.to_tensor(batch.image))
        loss = self._loss(
            predictions.classes,
            predictions.distributions,
            predictions.priors,
            batch.truth,
            self.config.assigner,
            ignored_cells(batch.ignored, predictions.priors.points),
        )
        total = float(loss.total.numpy())
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss is {total} at step {self.step}; lower optimizer.rate")
        loss.total.backward()
        self._optimizer.step()
        self._optimizer.clear_grad()
        self._ema.update(state_of(self.detector))
        return {
            "step": self.step + 1,
            "loss": total,
            "classification": float(loss.classification.numpy()),
            "box": float(loss.box.numpy()),
            "distribution": float(loss.distribution.numpy()),
            "rate": rate,
        }

    def _save(self) -> None:
        checkpoint.save(
            {
                "step": self.step,
                "model": state_of(self.detector),
                "averaged": self._ema.averaged(),
                "optimizer": read_optimizer_state(self._optimizer, self._trained()),
                "ema": self._ema.state_dict(),
            },
            self.config.output / LAST,
        )

    def _resume(self, content: dict[str, Any]) -> None:
        self.step = content["step"]
        self.detector.set_state_dict(content["model"])
        write_optimizer_state(self._optimizer, self._trained(), content["optimizer"])
        self._ema.load_state_dict(content["ema"])

    def _evaluate(self) -> None:
        averaged = PicoDet(self.detector.config)
        averaged.set_state_dict({key: paddle.to_tensor(value) for key, value in self._ema.averaged().items()})
        averaged.eval()
        for data in self.config.evaluation:
            metrics = evaluate(averaged, data, self.config.size, self.config.output / "cache")
            self._log({"step": self.step, "evaluation": data.name, **asdict(metrics)})

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.config.output / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


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
