"""Hash codes of a tiny embedder: the command, resuming, the bundle, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest
import yaml
from click.testing import CliRunner, Result
from interrupted_runs import assert_same_content, break_off
from paddle import nn
from picoseek_bundle import Bundle, InputSpec, load_bundle
from picoseek_training import checkpoint
from picoseek_training.cli import main
from picoseek_training.configuration import read_configuration
from picoseek_training.embedder.export import export_bundle
from picoseek_training.embedder.exported import ExportedEmbedder
from picoseek_training.embedder.set_directions import without_set_directions
from picoseek_training.embedder.within_class import within_class_whitening
from picoseek_training.hash.config import HashTrainingConfig
from picoseek_training.hash.contrast import pair_loss
from picoseek_training.hash.export import trained_head, trained_network
from picoseek_training.hash.head import HeadWeights
from picoseek_training.hash.measurement import code_recall_at_1, hamming_distances
from picoseek_training.hash.neighbourhood import neighbourhood_loss
from picoseek_training.hash.pair_sampler import PairSampler
from picoseek_training.hash.rotation import quantising_rotation
from picoseek_training.hash.straight_through import straight_through_signs
from picoseek_training.hash.training import HashTraining
from picoseek_training.run.folder import LAST

SIDE, DIMENSION, BITS, STEPS = 32, 24, 16, 6
RECIPES = Path(__file__).parents[1] / "recipes"


class TinyEmbedder(nn.Layer):
    """Pictures to the mean colours of 16 cells, mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2D(SIDE // 4)
        self.norm = nn.BatchNorm2D(3)
        self.fc = nn.Linear(48, DIMENSION)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.fc(self.norm(self.pool(image)).flatten(1))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("start")
    (root / "card.md").write_text("# Tiny\n")
    paddle.seed(4)
    spec, fields = InputSpec(width=SIDE, height=SIDE), {"network": "tiny", "license": "Apache-2.0"}
    return export_bundle(
        TinyEmbedder(), spec, DIMENSION, root / "card.md", root / "bundle", name="tiny", version="1", **fields
    )


@pytest.fixture(scope="module")
def recipe(start: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hash")
    rng = np.random.default_rng(9)
    for label in range(3):
        base = rng.integers(0, 256, (4, 4, 3))
        for number in range(6):
            path = root / ("train" if number < 4 else "asked") / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = np.clip(base + rng.integers(-20, 20, base.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(path), cv2.resize(noisy, (48, 40), interpolation=cv2.INTER_NEAREST))
    content = {
        "output": str(root / "whole"),
        "cache": str(root / "cache"),
        "data": str(root),
        "sets": [f"folder:{root / 'train'}"],
        "start": str(start.folder),
        "bits": BITS,
        "steps": STEPS,
        "views": 2,
        "batch": {"classes": 3, "pictures": 2, "others": 2, "pairs": 4},
        "loss": {"structure": 1.0, "whitening": 1.0, "pairs": 1.0},
        "optimizer": {"rate": 0.01, "warmup_steps": 2},
        "checkpoint_every": 2,
        "evaluation": [f"folder:{root / 'train'} -> folder:{root / 'asked'}"],
    }
    file = root / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.slow
@pytest.mark.parametrize("train", ["head", "network"])
def test_an_interrupted_run_goes_on_bit_for_bit(recipe: Path, train: str, tmp_path: Path) -> None:
    # Pairs are learned from stored vectors, so they go with the head.
    others = [] if train == "head" else ["loss.pairs=0", "batch.pairs=0"]

    def config(name: str) -> HashTrainingConfig:
        return read_configuration(HashTrainingConfig, recipe, [f"output={tmp_path / name}", f"train={train}", *others])

    HashTraining(config("whole")).run()
    break_off(HashTraining(config("cut")), after=5)
    assert checkpoint.load(tmp_path / "cut" / LAST)["step"] == 4
    HashTraining(config("cut")).run()
    assert_same_content(checkpoint.load(tmp_path / "cut" / LAST), checkpoint.load(tmp_path / "whole" / LAST))


def test_the_published_recipe_trains_and_goes_on_bit_for_bit(recipe: Path, tmp_path: Path) -> None:
    tiny = yaml.safe_load(recipe.read_text())
    small = [f"{key}={json.dumps(tiny[key])}" for key in ("cache", "data", "sets", "start")]
    # Its batch asks for the ten classes of its data; a larger rate shows in few steps.
    small += ["batch={classes: 3, pictures: 2}", f"steps={STEPS}", "checkpoint_every=2", "optimizer.rate=0.002"]

    def config(name: str) -> HashTrainingConfig:
        return read_configuration(HashTrainingConfig, RECIPES / "hash.yaml", [*small, f"output={tmp_path / name}"])

    published = config("whole")
    assert (published.loss.kind, published.train, published.initial, published.bits) == (
        "dshsd",
        "network",
        "random",
        48,
    )
    run = HashTraining(published)
    before = {name: value.numpy() for name, value in run.network.state_dict().items()}
    drawn = run._sampler(0)
    losses = [run._train_step(drawn)["labels"] for _ in range(4)]
    assert losses[-1] < losses[0]
    moved = {name for name, value in run.network.state_dict().items() if not np.array_equal(value, before[name])}
    assert any(name.startswith("head.") for name in moved) and any(not name.startswith("head.") for name in moved)
    HashTraining(config("whole")).run()
    break_off(HashTraining(config("cut")), after=5)
    assert checkpoint.load(tmp_path / "cut" / LAST)["step"] == 4
    HashTraining(config("cut")).run()
    assert_same_content(checkpoint.load(tmp_path / "cut" / LAST), checkpoint.load(tmp_path / "whole" / LAST))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["dshsd", "lcdsh", "dch"])
def test_codes_are_trained_measured_and_exported(recipe: Path, start: Bundle, loss: str, tmp_path: Path) -> None:
    changes = ["--config", recipe, "--set", f"output={tmp_path / 'run'}", "--set", f"loss.kind={loss}"]
    trained = _run("hash", *changes)
    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == f"{tmp_path / 'run' / LAST}\n" and "recall_at_1_of_vectors=" in trained.stderr
    (measured,) = json.loads(_run("eval", "hash", *changes, "--json").stdout).values()
    assert 0 <= measured["recall_at_1"] <= 1
    card = tmp_path / "card"
    card.mkdir()
    (card / "MODEL_CARD.md").write_text("# Ours\n")
    (card / "manifest.yaml").write_text("{name: ours, version: '1', license: Apache-2.0, network: tiny}")
    out, head = tmp_path / "bundle", tmp_path / "head.npz"
    exported = _run("export", "hash", *changes, "--out", out, "--card", card, "--head", head)
    assert exported.exit_code == 0, exported.stderr
    for card_says, complaint in (
        ("{name: ours, version: '1', license: x}", "manifest field network: Field required"),
        ("{name: ours, version: '1', license: x, network: y, dimension: 3}", "dimension is no field of a card"),
    ):
        (card / "manifest.yaml").write_text(card_says)
        refused = _run("export", "hash", *changes, "--out", tmp_path / "other", "--card", card)
        assert refused.exit_code == 1 and f"{card / 'manifest.yaml'}: {complaint}" in refused.stderr
    bundle = load_bundle(out)
    output = bundle.manifest.output
    assert output.kind == "embedding" and output.binarize and output.dimension == BITS and output.metric == "hamming"
    assert bundle.space != start.space
    # The bundle's network and the head on the start's vectors give the same bits.
    pictures = np.random.default_rng(0).normal(size=(5, 3, SIDE, SIDE)).astype(np.float32)
    values = ExportedEmbedder(bundle.program, bundle.weights)(pictures)
    vectors = ExportedEmbedder(start.program, start.weights)(pictures)
    np.testing.assert_array_equal(np.packbits(values > 0, axis=1), HeadWeights.load(head).codes(vectors))


def test_a_head_of_another_space_is_refused(recipe: Path, tmp_path: Path) -> None:
    config = read_configuration(HashTrainingConfig, recipe, [f"output={tmp_path}"])
    content = {"head": {"fc.weight": np.zeros((DIMENSION, BITS)), "fc.bias": np.zeros(BITS)}, "space": "sha256:other"}
    checkpoint.save(content, tmp_path / LAST)
    with pytest.raises(ValueError, match="train a head for it"):
        trained_network(config)
    assert trained_head(config).space == "sha256:other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("bits=20", "--set: bits: "),
        ("loss.kind=dbh", "--set: loss.kind: "),
        ("loss.structur=1", "--set: loss.structur: "),
        ("batch.others=0", "loss.structure learns from batch.others"),
        ("batch.classes=0", "loss.labels learns from batch.classes"),
        ("batch.pairs=1", "loss.pairs learns from batch.pairs"),
        ("loss.pairs_temperature=0", "--set: loss.pairs_temperature: "),
        ("sets=[]", "--set: sets: "),
        ("batch.classes=64", "batch.classes: a batch takes 64 classes, the pictures have 3"),
        ("start=nowhere", "nowhere is no bundle"),
        ("sets=['folder:nowhere']", "nowhere"),
        ("evaluation=[grocery_train_to_val]", "or on none, `--set 'evaluation=[]'`"),
    ],
)
def test_what_is_wrong_is_named(recipe: Path, tmp_path: Path, change: str, message: str) -> None:
    result = _run("hash", "--config", recipe, "--set", f"output={tmp_path}", "--set", change)
    assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.stderr, result.stderr


def test_a_head_that_takes_no_step_needs_no_more_classes_than_there_are(recipe: Path, tmp_path: Path) -> None:
    changes = ("--set", f"output={tmp_path}", "--set", "batch.classes=64", "--set", "steps=0")
    result = _run("hash", "--config", recipe, *changes)
    assert result.exit_code == 0, result.stderr
    assert checkpoint.load(tmp_path / LAST)["step"] == 0


def test_a_run_of_another_recipe_is_not_gone_on_with(recipe: Path, tmp_path: Path) -> None:
    HashTraining(read_configuration(HashTrainingConfig, recipe, [f"output={tmp_path}", "steps=2"])).run()
    result = _run("hash", "--config", recipe, "--set", f"output={tmp_path}", "--set", "bits=32", "--set", "steps=2")
    assert result.exit_code == 1 and "bits was 16 and is 32" in result.stderr


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = HashTraining(read_configuration(HashTrainingConfig, recipe, [f"output={tmp_path}"]))
    step = run._train_step

    def broken(drawn: Any) -> dict[str, float]:
        if run.step == 3:
            run._vectors = run._vectors * np.float32("nan")
        return step(drawn)

    monkeypatch.setattr(run, "_train_step", broken)
    with pytest.raises(FloatingPointError, match=r"lower optimizer\.rate"):
        run.run()
    assert checkpoint.load(tmp_path / LAST)["step"] == 2


def test_hamming_distances_are_the_bits_that_differ() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (30, 4), np.uint8)
    differing = np.bitwise_count(codes[:, None] ^ codes[None]).sum(axis=2)
    np.testing.assert_array_equal(hamming_distances(codes, codes), differing)
    labels = [str(number % 7) for number in range(30)]
    assert code_recall_at_1(codes, labels, codes, labels) == 1.0


def test_packed_bits_begin_with_the_most_significant() -> None:
    weights = HeadWeights(np.eye(8, dtype=np.float32), np.zeros(8, np.float32), "")
    first = np.array([[1, -1, -1, -1, -1, -1, -1, -1], [0, 0, 0, 0, 0, 0, 0, 2]], np.float32)
    assert weights.codes(first).tolist() == [[0b10000000], [0b00000001]]


def test_the_rotation_loses_less_than_the_principal_components_alone() -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.normal(size=(500, 20)) * np.linspace(3, 0.3, 20)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    weight, bias = quantising_rotation(vectors[None], np.zeros(500, np.int64), np.eye(20), 16, 1)
    turned = vectors @ weight + bias
    straight = (vectors - vectors.mean(axis=0)) @ np.linalg.eigh(np.cov(vectors, rowvar=False))[1][:, ::-1][:, :16]

    def loss(values: Any) -> float:
        values = values / values.std()
        return float(((np.sign(values) * np.abs(values).mean() - values) ** 2).mean())

    assert loss(turned) < loss(straight)


def test_bits_are_not_spent_on_telling_sets_apart() -> None:
    rng = np.random.default_rng(5)
    sets = np.repeat([0, 1], 200)
    vectors = rng.normal(size=(400, 12)).astype(np.float32)
    vectors[:, 0] += 20 * sets
    weight, bias = quantising_rotation(vectors[None], sets, without_set_directions(vectors[None], sets), 8, 1)
    shares = [(vectors[sets == name] @ weight + bias > 0).mean(axis=0) for name in (0, 1)]
    assert np.abs(shares[0] - shares[1]).max() < 0.2


def test_whitening_gives_what_differs_within_a_class_one_variance() -> None:
    rng = np.random.default_rng(6)
    classes = np.repeat(np.arange(50), 20)
    means = rng.normal(size=(50, 6)) * 10
    mixed = rng.normal(size=(6, 6))
    vectors = (means[classes] + rng.normal(size=(1000, 6)) @ mixed).astype(np.float32)
    scatter = (vectors - np.stack([vectors[classes == c].mean(axis=0) for c in range(50)])[classes]) @ (
        within_class_whitening(vectors[None], classes, 1e-6)
    )
    np.testing.assert_allclose(scatter.T @ scatter / 1000, np.eye(6), atol=0.02)


def test_neighbourhoods_that_agree_cost_nothing() -> None:
    signs = paddle.to_tensor(np.where(np.random.default_rng(3).random((6, 32)) < 0.5, -1, 1).astype(np.float32))
    same = neighbourhood_loss(signs, signs / 32**0.5, 0.1)
    assert abs(float(same.numpy())) < 1e-5
    assert float(neighbourhood_loss(signs, paddle.flip(signs, [0]) / 32**0.5, 0.1).numpy()) >= -1e-5
    other = paddle.to_tensor(np.eye(6, 32, dtype=np.float32))
    assert float(neighbourhood_loss(signs, other, 0.1).numpy()) > 0.01


def test_pairs_cost_what_numpy_computes() -> None:
    rng = np.random.default_rng(7)
    values = rng.uniform(-1, 1, (2, 6, BITS)).astype(np.float32)
    classes = np.array([3, -1, 3, 5, -1, 4])
    rows, owners = np.sign(np.concatenate(values)), np.tile(np.arange(6), 2)
    costs = []
    for row, owner in enumerate(owners):
        alike = (classes == classes[owner]) & (classes >= 0) & (np.arange(6) != owner)
        compared = [other for other in range(12) if other != row and not alike[owners[other]]]
        distances = {other: float((rows[row] != rows[other]).sum()) for other in compared}
        likeness = {other: np.exp((1 - 2 * distance / BITS) / 0.2) for other, distance in distances.items()}
        costs.append(-np.log(likeness[(row + 6) % 12] / sum(likeness.values())))
    first, second = (paddle.to_tensor(side) for side in values)
    loss = pair_loss(first, second, paddle.to_tensor(classes), 0.2)
    assert float(loss.numpy()) == pytest.approx(np.mean(costs), rel=1e-5)


def test_signs_pass_the_gradient_as_if_they_were_the_values() -> None:
    values = paddle.to_tensor(np.array([-0.5, 0.0, 0.25], np.float32), stop_gradient=False)
    signs = straight_through_signs(values)
    assert signs.tolist() == [-1, -1, 1]
    (signs * paddle.to_tensor(np.array([1, 2, 3], np.float32))).sum().backward()
    assert values.grad.tolist() == [1, 2, 3]


@pytest.mark.parametrize("views", [1, 3])
def test_pairs_are_of_one_set_and_one_class(views: int) -> None:
    # 40 classes of two pictures and one of one; 3 classes of ten pictures; 20 pictures without a label.
    classes = np.concatenate([np.repeat(np.arange(40), 2), [40], np.repeat([41, 42, 43], 10), np.full(20, -1)])
    sets = np.repeat([0, 1, 2], [81, 30, 20])
    draw = PairSampler(classes, sets, views, 25, seed=1)
    seen = set()
    for step in range(30):
        drawn, again = draw(step), draw(step)
        np.testing.assert_array_equal(drawn.rows, again.rows)
        np.testing.assert_array_equal(drawn.views, again.views)
        (name,) = np.unique(sets[drawn.rows])
        first, second = drawn.rows
        same = first == second
        assert (classes[first] == classes[second]).all() and drawn.views.max() < views
        assert views == 1 or (drawn.views[0] != drawn.views[1])[same].all()
        assert len(np.unique(first)) == len(first) == 25
        if name == 0:
            assert len(np.unique(classes[first])) == 25 and (same == (classes[first] == 40)).all()
        else:
            assert 0 < same.sum() < 25
        seen.add(int(name))
    assert seen == {0, 1}
    with pytest.raises(ValueError, match=r"batch\.pairs takes pictures with labels"):
        PairSampler(np.full(20, -1), np.zeros(20, np.int64), views, 25, seed=1)


def test_the_recipes_of_codes_are_valid() -> None:
    assert read_configuration(HashTrainingConfig, RECIPES / "hash.yaml").bits == 48
    assert read_configuration(HashTrainingConfig, RECIPES / "hash_default.yaml").bits == 256
