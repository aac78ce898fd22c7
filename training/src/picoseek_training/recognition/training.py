"""The training loop of a recognition model."""

from __future__ import annotations

import time
from typing import Any

import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from picoseek_training.acceleration.depthwise import compile_depthwise
from picoseek_training.data.classes import number_classes
from picoseek_training.data.example import Example
from picoseek_training.data.retrieval_sets import retrieval_tasks, training_examples
from picoseek_training.distillation.distiller import Distiller
from picoseek_training.distillation.teachers import load_model_weights
from picoseek_training.evaluation.embedding import score_task
from picoseek_training.networks.recognition import RecModel
from picoseek_training.optimization.ema import ModelEma
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import ClassificationCosine
from picoseek_training.optimization.update import Update
from picoseek_training.parallel.processes import Processes, launched_processes
from picoseek_training.recognition.batches import Batch, RecognitionBatches
from picoseek_training.recognition.config import OptimizerConfig, RecognitionTrainingConfig
from picoseek_training.recognition.model import RecEmbedder, build_model, check_network
from picoseek_training.recognition.network_config import NetworkConfig
from picoseek_training.recognition.objective import Objective
from picoseek_training.run.folder import RunFolder
from picoseek_training.run.prefetch import prefetched
from picoseek_training.run.step_seed import seed_step

State = dict[str, NDArray[Any]]

_PREFETCHED = 2
_HEAD = "head."


class RecognitionTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint, exactly.

    Raises:
        FileNotFoundError: A picture, the start or the teacher is missing.
        ValueError: The recipe cannot be trained, or the folder holds a run of another one; the message names the key.
    """

    def __init__(self, config: RecognitionTrainingConfig, processes: Processes | None = None) -> None:
        self.config = config
        self.processes = launched_processes() if processes is None else processes
        self.step = 0
        check_network(config.network)
        self._folder = RunFolder(config.output, self.processes.primary)
        self._folder.check(config, may_change=("epochs",))
        self._update = Update(config.precision, self.processes)
        if config.distillation is not None and config.distillation.teacher.kind == "average" and config.ema is None:
            raise ValueError("distillation.teacher: `average` teaches with the average of the weights; add `ema: {}`")
        self._tasks = retrieval_tasks(config.data, config.evaluation)
        examples = _labelled(training_examples(config.data, config.sets))
        classes = number_classes(examples)
        if classes.count < 2:
            raise ValueError("sets: the pictures have one class; a recognition model learns to tell at least two apart")
        self._folder.open(config, may_change=("epochs",))
        with self.processes.primary_first():
            self._batches = RecognitionBatches(examples, classes, config, self.processes)
        self.steps = max(1, round(config.epochs * self._batches.steps_per_epoch))
        paddle.seed(config.seed)
        self.model = build_model(config.network, classes.count)
        fresh = [] if config.start is None else load_model_weights(self.model, config.start, "start")
        self._distiller = (
            None
            if config.distillation is None
            else Distiller(config.distillation, self.model, self._build, classes.count, config.size)
        )
        learning = [self.model, *([] if self._distiller is None else self._distiller.learning)]
        self.processes.same_start(learning)
        if not paddle.device.is_compiled_with_cuda():
            for layer in learning:
                compile_depthwise(layer)
        self._learning = learning
        self._parameters = [each for layer in learning for each in layer.parameters() if not each.stop_gradient]
        self._optimizer = make_optimizer(config.optimizer, self._parameters)
        self._schedule = ClassificationCosine(
            config.optimizer.rate,
            round(config.optimizer.warmup_epochs * self._batches.steps_per_epoch),
            self.steps,
        )
        self._objectives = [
            Objective(config.losses, config.network.dimension, self.processes)
            for _ in range(1 if self._distiller is None or self._distiller.peer is None else 2)
        ]
        self._ema = None if config.ema is None else ModelEma(config.ema)
        last = self._folder.last("step", "model", "optimizer", "update", "objectives")
        if last is not None:
            self._resume(last)
        else:
            prepared = {"prepared": "pictures", "units": len(examples), "classes": classes.count, "steps": self.steps}
            self._folder.log(prepared if config.start is None else {**prepared, "fresh_tensors": len(fresh)})

    def _build(self, network: NetworkConfig | None, classes: int | None) -> RecModel:
        return build_model(network or self.config.network, classes)

    def run(self) -> None:
        """Train to the last step.

        Raises:
            FloatingPointError: A loss or gradient is not finite; the last checkpoint is kept.
        """
        if self.step >= self.steps:
            self._folder.log({"complete": self.step})
            return
        config = self.config
        evaluate_every = config.evaluate_every or self._batches.steps_per_epoch
        started, seen = time.monotonic(), 0
        for batch in prefetched(self._batches.batch, self.step, self.steps, _PREFETCHED):
            entry = self._train_step(batch)
            seen += len(batch.labels) * self.processes.count
            self.step += 1
            last = self.step == self.steps
            if last or self.step % config.log_every == 0:
                self._folder.log({**entry, "samples_per_second": seen / (time.monotonic() - started)})
            if last or self.step % config.checkpoint_every == 0:
                self._save()
            if last or self.step % evaluate_every == 0:
                self._evaluate()
                started, seen = time.monotonic(), 0

    def _train_step(self, batch: Batch) -> dict[str, Any]:
        seed_step(self.config.seed, self.step, self.processes.rank)
        self._set_training_mode()
        images, labels = paddle.to_tensor(batch.images), paddle.to_tensor(batch.labels)
        distiller = self._distiller
        peer = None if distiller is None else distiller.peer
        with self._update.mixed_precision():
            output = self.model(images, labels)
            peer_output = None if peer is None else peer(images, labels)
        total, parts = self._objectives[0](output, labels)
        if distiller is not None:
            if peer_output is not None:
                of_peer, peer_parts = self._objectives[1](peer_output, labels)
                total = total + of_peer
                parts |= {f"peer_{name}": value for name, value in peer_parts.items()}
            taught = distiller(output, peer_output, images, labels)
            total = distiller.config.labels * total + taught
            parts["distillation"] = float(taught.numpy())
        rate = self._schedule(self.step)
        loss = self._update(
            total, self._optimizer, self._parameters, rate, lambda: f"step {self.step}, pictures {_some(batch.names)}"
        )
        if self._ema is not None:
            self._ema.update(_state_of(self.model))
            if distiller is not None and distiller.follows:
                distiller.follow(self._ema.averaged())
        return {"step": self.step + 1, "loss": loss, **parts, "rate": rate}

    def _set_training_mode(self) -> None:
        for layer in self._learning:
            layer.train()
            if self.config.frozen_statistics:
                for part in layer.sublayers():
                    if isinstance(part, nn.BatchNorm1D | nn.BatchNorm2D):
                        part.eval()

    def _save(self) -> None:
        model = _state_of(self.model)
        averaged = model if self._ema is None else self._ema.averaged()
        self._folder.save(
            {
                "step": self.step,
                "model": model,
                "averaged": {key: value for key, value in averaged.items() if not key.startswith(_HEAD)},
                "optimizer": read_optimizer_state(self._optimizer, self._parameters),
                "update": self._update.state_dict(),
                "objectives": [objective.state_dict() for objective in self._objectives],
                **({} if self._ema is None else {"ema": self._ema.state_dict()}),
                **({} if self._distiller is None else {"distiller": self._distiller.state_dict()}),
            }
        )

    def _resume(self, content: dict[str, Any]) -> None:
        self.step = content["step"]
        self.model.set_state_dict(content["model"])
        write_optimizer_state(self._optimizer, self._parameters, content["optimizer"])
        self._update.load_state_dict(content["update"])
        for objective, state in zip(self._objectives, content["objectives"], strict=True):
            objective.load_state_dict(state)
        if self._ema is not None:
            self._ema.load_state_dict(content["ema"])
        if self._distiller is not None:
            self._distiller.load_state_dict(content["distiller"])
            if self._ema is not None and self._distiller.follows:
                self._distiller.follow(self._ema.averaged())

    def _evaluate(self) -> None:
        if not self._tasks or not self.processes.primary:
            return
        state = _state_of(self.model) if self._ema is None else self._ema.averaged()
        embedder = RecEmbedder(build_model(self.config.network, None))
        own = {key for key in state if not key.startswith(_HEAD)}
        embedder.set_state_dict({key: paddle.to_tensor(state[key]) for key in own})
        for task in self._tasks:
            score = score_task(embedder, task, self.config.size, self.config.cache, self.config.size)
            self._folder.log(
                {
                    "step": self.step,
                    "evaluation": task.name,
                    "recall_at_1": score.recall_at_1,
                    "recall_at_5": score.recall_at_5,
                    "mean_average_precision": score.mean_average_precision,
                }
            )


def make_optimizer(config: OptimizerConfig, parameters: list[Tensor]) -> paddle.optimizer.Optimizer:
    """Build the optimiser of a recipe; the loop sets its rate."""
    clip = None if config.clip_norm is None else nn.ClipGradByGlobalNorm(config.clip_norm)
    if config.kind == "adamw":
        return paddle.optimizer.AdamW(
            config.rate, parameters=parameters, weight_decay=config.weight_decay, grad_clip=clip
        )
    return paddle.optimizer.Momentum(
        config.rate, config.momentum, parameters=parameters, weight_decay=config.weight_decay, grad_clip=clip
    )


def _labelled(examples: list[Example]) -> list[Example]:
    labelled = [example for example in examples if example.label is not None]
    if not labelled:
        raise ValueError("sets: none of the pictures has a label")
    lost = next((example.path for example in labelled if not example.path.is_file()), None)
    if lost is not None:
        raise FileNotFoundError(f"sets: {lost} does not exist")
    return labelled


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _state_of(model: RecModel) -> State:
    return {key: value.numpy().copy() for key, value in model.state_dict().items()}
