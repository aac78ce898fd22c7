"""The training loop of hash codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from picoseek_bundle import Bundle, EmbedderOutput, Preprocessor, Task, default_bundle, load_bundle

from picoseek_training.data.classes import number_classes
from picoseek_training.data.example import Example, RetrievalTask
from picoseek_training.data.retrieval_sets import retrieval_tasks, training_examples
from picoseek_training.embedder.set_directions import without_set_directions
from picoseek_training.embedder.within_class import within_class_whitening
from picoseek_training.evaluation.retrieval import score_retrieval, unit_rows
from picoseek_training.hash.batches import DrawnViews, HashSampler
from picoseek_training.hash.config import HashOptimizerConfig, HashTrainingConfig
from picoseek_training.hash.features import prepared_view, view_features, whole_view
from picoseek_training.hash.head import HashHead, HeadWeights
from picoseek_training.hash.measurement import code_recall_at_1
from picoseek_training.hash.network import HashNetwork, embedder_layer
from picoseek_training.hash.objective import HashObjective
from picoseek_training.hash.rotation import quantising_rotation
from picoseek_training.optimization.optimizer_state import read_optimizer_state, write_optimizer_state
from picoseek_training.optimization.schedules import DetectionCosine
from picoseek_training.run.folder import RunFolder

_LOGGED_EVERY = 25
_EVALUATION_BATCH = 32


class HashTraining:
    """A run in its output folder; it goes on from the folder's last checkpoint, exactly.

    Raises:
        FileNotFoundError: a data set is missing.
        BundleError: the start is no bundle.
        ValueError: a set or task is unknown, the start makes codes already, or there are too few classes.
    """

    def __init__(self, config: HashTrainingConfig) -> None:
        self.config = config
        paddle.seed(config.seed)
        self._folder = RunFolder(config.output)
        self._start = start_bundle(config)
        self._tasks = retrieval_tasks(config.data, config.evaluation)
        self._examples = training_examples(config.data, config.sets)
        table = number_classes(self._examples)
        self._classes = table.classes
        _, sets = np.unique([example.domain for example in self._examples], return_inverse=True)
        # Where no step is taken, it makes no difference how few classes there are.
        self._sampler = (
            HashSampler(table.classes, sets, config.views, config.batch, config.seed) if config.steps else None
        )
        self._preprocessor = Preprocessor(self._start.manifest.input)
        self._folder.open(config)
        stored = view_features(
            self._start, self._examples, config.view, config.seed, config.views, config.cache, self._report
        )
        self._vectors = np.stack([unit_rows(view.astype(np.float32)) for view in stored])
        whitening = self._whitening()
        reduced = without_set_directions(self._vectors, sets) @ whitening
        self._targets = np.stack([self._reduced(view, reduced) for view in self._vectors])
        self.head = HashHead(self._vectors.shape[-1], config.bits)
        self._objective = HashObjective(config.loss, config.bits, max(table.count, 1))
        self.network = HashNetwork(embedder_layer(self._start), self.head) if config.train == "network" else None
        if self.network is not None:
            # Itself: a network that holds a loaded program does not pass its mode on.
            self.network.embedder.train()
        learners = [self.head if self.network is None else self.network, self._objective]
        self._parameters: list[Tensor] = [p for each in learners for p in each.parameters() if not p.stop_gradient]
        self._optimizer = _optimizer(config.optimizer, self._parameters)
        self.step = 0
        last = self._folder.last("step", "objective", "optimizer")
        if last is not None:
            self._resume(last)
        elif config.initial == "rotation":
            weight, bias = quantising_rotation(self._vectors, sets, reduced, config.bits, config.seed)
            self.head.set_weights(HeadWeights(weight, bias, self._start.space))

    def run(self) -> None:
        """Train through the remaining steps.

        Raises:
            FloatingPointError: the loss is not finite; the last checkpoint is kept.
        """
        config = self.config
        if self.step == 0:
            self._save()
            self._evaluate()
        while self._sampler is not None and self.step < config.steps:
            entry = self._train_step(self._sampler(self.step))
            self.step += 1
            last = self.step == config.steps
            if last or self.step % _LOGGED_EVERY == 0:
                self._folder.log({"step": self.step, **entry})
            if last or self.step % config.checkpoint_every == 0:
                self._save()
            if last or self.step % config.evaluate_every == 0:
                self._evaluate()

    def _train_step(self, drawn: DrawnViews) -> dict[str, float]:
        vectors = paddle.to_tensor(self._vectors[drawn.views, drawn.rows])
        codes = self.head(vectors) if self.network is None else self.network(paddle.to_tensor(self._pictures(drawn)))
        classes = paddle.to_tensor(self._classes[drawn.rows])
        targets = paddle.to_tensor(self._targets[drawn.views, drawn.rows])
        losses = self._objective(codes, targets, classes, drawn.labelled, drawn.pairs)
        total = self._objective.total(losses)
        value = float(total.numpy().item())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {self.step}; lower optimizer.rate")
        rate = _rate(self.config, self.step)
        self._optimizer.set_lr(rate)
        total.backward()
        self._optimizer.step()
        self._optimizer.clear_grad()
        parts = {part: float(value.item()) for part, value in vars(losses).items()}
        return {**parts, "rate": rate}

    def _whitening(self) -> NDArray[np.float64]:
        shrinkage = self.config.loss.whitening
        if shrinkage is None:
            return np.eye(self._vectors.shape[-1])
        return within_class_whitening(self._vectors, self._classes, shrinkage)

    def _reduced(self, view: NDArray[np.float32], reduced: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.config.loss.whitening is None:
            return view
        mean = self._vectors.mean(axis=(0, 1))
        return unit_rows(((view - mean) @ reduced).astype(np.float32))

    def _pictures(self, drawn: DrawnViews) -> NDArray[np.float32]:
        def prepare(row: int, view: int) -> NDArray[np.float32]:
            seed = (self.config.seed, row, view)
            return prepared_view(self._examples[row], self._preprocessor, self.config.view, seed)

        with ThreadPoolExecutor(2) as pool:
            return np.stack(list(pool.map(prepare, drawn.rows.tolist(), drawn.views.tolist())))

    def _save(self) -> None:
        learned: dict[str, paddle.nn.Layer] = {"head": self.head} if self.network is None else {"network": self.network}
        self._folder.save(
            {
                "step": self.step,
                "space": self._start.space,
                "objective": _state_of(self._objective),
                "optimizer": read_optimizer_state(self._optimizer, self._parameters),
                **{name: _state_of(layer) for name, layer in learned.items()},
            }
        )

    def _resume(self, content: dict[str, Any]) -> None:
        learned = "head" if self.network is None else "network"
        if content.get("space") != self._start.space or learned not in content:
            raise ValueError(
                f"{self.config.output} holds a run from another start or of another `train`; name another `output`"
            )
        (self.network or self.head).set_state_dict(content[learned])
        self._objective.set_state_dict(content["objective"])
        write_optimizer_state(self._optimizer, self._parameters, content["optimizer"])
        self.step = content["step"]

    def _evaluate(self) -> None:
        for task in self._tasks:
            figures = score_codes(self.config, self._start, self.head, self.network, task)
            self._folder.log({"step": self.step, "evaluation": task.name, **figures})

    def _report(self, done: int, total: int) -> None:
        # The log is for people too: not an entry a batch.
        if done == total or done % 1024 < 16:
            self._folder.log({"preparing": "vectors", "done": done, "units": total})


def start_bundle(config: HashTrainingConfig) -> Bundle:
    """Return the embedder that codes are made for.

    Raises:
        BundleError: there is no bundle.
        ValueError: it is no embedder, or makes codes already.
    """
    bundle = load_bundle(config.start or default_bundle(Task.EMBEDDING))
    output = bundle.manifest.output
    if not isinstance(output, EmbedderOutput) or output.binarize:
        raise ValueError(f"start: {bundle.folder} is no embedder of float vectors")
    return bundle


@paddle.no_grad()
def score_codes(
    config: HashTrainingConfig, start: Bundle, head: HashHead, network: HashNetwork | None, task: RetrievalTask
) -> dict[str, float]:
    """Return Recall@1 of whole pictures, of the codes by Hamming distance and of the start's vectors by cosine."""
    sides = (task.gallery, task.queries)
    labels = [[str(example.label) for example in side] for side in sides]
    floats, codes = [], []
    for side in sides:
        stored = view_features(start, side, config.view, config.seed, 1, config.cache, _silent)
        vectors = unit_rows(stored[0].astype(np.float32))
        values = head(paddle.to_tensor(vectors)).numpy() if network is None else _of_pictures(network, start, side)
        floats.append(vectors)
        codes.append(np.packbits(values > 0, axis=1))
    vectors_score = score_retrieval(floats[0], labels[0], floats[1], labels[1])
    return {
        "recall_at_1": code_recall_at_1(codes[0], labels[0], codes[1], labels[1]),
        "recall_at_1_of_vectors": vectors_score.recall_at_1,
    }


def _of_pictures(network: HashNetwork, start: Bundle, examples: Sequence[Example]) -> NDArray[np.float32]:
    preprocessor = Preprocessor(start.manifest.input)
    parts = []
    for first in range(0, len(examples), _EVALUATION_BATCH):
        views = [whole_view(example, preprocessor) for example in examples[first : first + _EVALUATION_BATCH]]
        parts.append(network(paddle.to_tensor(np.stack(views))).numpy())
    return np.concatenate(parts)


def _optimizer(config: HashOptimizerConfig, parameters: list[Tensor]) -> paddle.optimizer.Optimizer:
    kind = paddle.optimizer.Adam if config.kind == "adam" else paddle.optimizer.SGD
    decay = paddle.regularizer.L2Decay(config.weight_decay) if config.weight_decay else None
    return kind(config.rate, parameters=parameters, weight_decay=decay)


def _rate(config: HashTrainingConfig, step: int) -> float:
    settings = config.optimizer
    if settings.divide_every is not None:
        return settings.rate * 0.1 ** (step // settings.divide_every)
    return DetectionCosine(settings.rate, min(settings.warmup_steps, config.steps - 1), config.steps)(step)


def _state_of(layer: paddle.nn.Layer) -> dict[str, NDArray[Any]]:
    return {key: value.numpy() for key, value in layer.state_dict().items()}


def _silent(done: int, total: int) -> None:
    """Evaluation pictures are few."""
