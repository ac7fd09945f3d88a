"""Bank, neighbours, weights and blending."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing import build_bank, distance_bounds, manifold
from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank, load_bank, make_bank
from sketchprep.models.deepfacedrawing.drawing.distance_bounds import KINDS, DistanceBounds
from sketchprep.models.deepfacedrawing.drawing.neighbours import search
from sketchprep.ops.face_parts import PARTS

HASH = "0f" * 32
OTHER = "1e" * 32
ROWS, LATENT = 3000, 48


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_codes(kind: str, rows: int = ROWS, latent: int = LATENT) -> torch.Tensor:
    """(N, 5, L): what encoders might give, and what is hard to search."""
    r = rng(1)
    codes = r.normal(size=(rows, 5, latent))
    if kind == "few directions, far from 0":
        codes = r.normal(size=(rows, 5, 6)) @ r.normal(size=(6, latent)) + 0.01 * codes + 40
    elif kind == "one long row":
        codes[7] *= 1e6
    elif kind == "whole numbers":  # many equal distances between unequal rows
        codes = r.integers(-1, 2, size=codes.shape)
    elif kind == "duplicates":
        codes[rows // 2 :] = codes[: rows - rows // 2]
        codes[10:60] = codes[5]
    elif kind == "all equal":
        codes[:] = 0.3
    elif kind == "tiny":
        codes *= 1e-22
    elif kind == "huge":
        codes *= 1e17
    return torch.from_numpy(codes.astype(np.float32))


def bank_of(codes: torch.Tensor, **attributes: np.ndarray) -> ComponentBank:
    return make_bank(codes, [f"face-{i}" for i in range(len(codes))], HASH, attributes)


def brute(codes: torch.Tensor, queries: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Float64 NumPy, sorted by distance, then index."""
    bank, wanted = codes.double().numpy(), queries.double().numpy()
    indices = np.empty((len(queries), 5, k), np.int64)
    distances = np.empty(indices.shape)
    for b in range(len(queries)):
        for p in range(5):
            squared = ((bank[:, p] - wanted[b, p]) ** 2).sum(1)
            order = np.argsort(squared, kind="stable")[:k]
            indices[b, p], distances[b, p] = order, squared[order]
    return indices, distances


def drawn(codes: torch.Tensor, count: int) -> torch.Tensor:
    """Queries between faces of the bank, some on them, some far away."""
    r = rng(2)
    a, b = codes[r.integers(0, len(codes), count)], codes[r.integers(0, len(codes), count)]
    share = torch.from_numpy(r.random((count, 5, 1)).astype(np.float32))
    mixed = share * a + (1 - share) * b
    mixed[::4] = a[::4]
    mixed[1::10] *= 3
    return mixed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "codes",
    [
        "normal",
        "few directions, far from 0",
        "one long row",
        "whole numbers",
        "duplicates",
        "all equal",
        "tiny",
        "huge",
    ],
)
def test_neighbours_are_those_of_float64_brute_force(kind: str, codes: str) -> None:
    if kind == "int8" and not distance_bounds._multiplies_exactly(LATENT):
        pytest.skip("this processor rounds int8 products")
    bank = some_codes(codes)
    queries = drawn(bank, 12)
    bounds = DistanceBounds(bank.transpose(0, 1).contiguous(), kind)
    if kind != "none" and codes != "huge":
        assert bounds.kind == kind
    indices, distances = search(bounds, queries, 10, parts=list(range(5)))
    wanted, squared = brute(bank, queries, 10)
    if codes == "normal" and kind != "none":
        low, same = bounds.lower([0], queries[:, :1].transpose(0, 1).double())
        near = low[0].double() + same[0, :, None] <= distances[:, 0, -1:]
        assert near.sum(1).max() < ROWS / 10, "the bounds rule nearly nothing out"
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_allclose(distances, squared, rtol=1e-12)


def test_a_thousand_queries_at_the_default_setting_with_duplicates_in_the_bank() -> None:
    bank = some_codes("duplicates", rows=2000, latent=64)
    queries = drawn(bank, 200)  # of five parts each
    indices, distances = manifold.nearest(bank_of(bank), queries, 10)
    wanted, squared = brute(bank, queries, 10)
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_allclose(distances, squared, rtol=1e-12)


def test_bounds_never_exceed_the_distance() -> None:
    bank = some_codes("few directions, far from 0")
    queries = drawn(bank, 8)
    true = (bank[None].double() - queries[:, None].double()).square().sum(-1)  # (B, N, 5)
    for kind in KINDS:
        bounds = DistanceBounds(bank.transpose(0, 1).contiguous(), kind)
        low, same = bounds.lower(list(range(5)), queries.transpose(0, 1).double())
        assert (low.double() + same[..., None] <= true.permute(2, 0, 1) * (1 + 1e-12) + 1e-20).all()


def test_bounds_hold_where_all_that_rounding_takes_from_a_query_points_one_way() -> None:
    signs = torch.from_numpy(rng(4).choice([-1.0, 1.0], (ROWS // 2, LATENT)).astype(np.float32))
    rows = 60 * signs
    rows[:, 0] = 127
    rows = torch.cat([rows, -rows])  # whole steps around a centre of 0: nothing is taken from the rows
    queries = 0.49 * signs[:5]
    queries[:, 0] = 127
    bounds = DistanceBounds(rows[None].contiguous(), "int8")
    assert bounds.rest.max() < 1e-3
    low, same = bounds.lower([0], queries[None].double())
    true = (rows.double() - queries[:, None].double()).square().sum(-1)
    assert (low[0].double() + same[0, :, None] <= true).all()


def test_bounds_hold_where_float32_products_have_lower_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors that then round the factors to bfloat16, which knows 1 and 1 + 2^-7."""
    rows = torch.full((1, ROWS, 256), 1 + 2.0**-9)
    bounds = DistanceBounds(rows, "float32")
    monkeypatch.setattr(distance_bounds.F, "linear", lambda x, w: x.bfloat16().float() @ w.bfloat16().float().T)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        low, same = bounds.lower([0], rows[:, :64].double())
    finally:
        torch.set_float32_matmul_precision(before)
    assert (low.double() + same[..., None]).max() <= 0


def test_without_int8_instructions_the_codes_themselves_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance_bounds.runtime, "cpu_flags", lambda: frozenset({"avx2"}))
    bank = bank_of(some_codes("normal"))
    assert bank.distance_bounds.kind == "float32"
    assert bank.distance_bounds.nbytes < 0.2 * bank.by_part.nbytes
    assert manifold.nearest(bank, bank.codes[[5]], 1)[0].flatten().tolist() == [5] * 5


def test_one_by_one_is_the_same_as_together() -> None:
    bank = bank_of(some_codes("normal"))
    queries = drawn(bank.codes, 70)
    together = manifold.project(bank, queries)
    for i in (0, 33, 69):
        alone = manifold.project(bank, queries[i : i + 1])
        assert torch.equal(alone.indices[0], together.indices[i])
        torch.testing.assert_close(alone.projected[0], together.projected[i])


def test_some_parts_only() -> None:
    bank = bank_of(some_codes("normal"))
    queries = drawn(bank.codes, 3)
    whole = manifold.project(bank, queries)
    some = manifold.project(bank, queries[:, [3, 0]], parts=["mouth", "left_eye"])
    assert torch.equal(some.indices, whole.indices[:, [3, 0]])
    torch.testing.assert_close(some.projected, whole.projected[:, [3, 0]])


def test_memory_beside_the_codes_stays_below_six_tenths() -> None:
    bank = bank_of(some_codes("normal", latent=256))
    assert bank.distance_bounds.nbytes <= 0.6 * bank.by_part.nbytes


@pytest.mark.parametrize("rows", [1, 3, 1500])
def test_more_neighbours_than_faces_are_all_of_them(rows: int) -> None:
    bank = bank_of(some_codes("normal", rows=rows))
    indices, distances = manifold.nearest(bank, bank.codes[:2], rows + 5)
    assert indices.shape == (min(2, rows), 5, rows)
    assert sorted(indices[0, 0].tolist()) == list(range(rows))
    assert (distances.diff(dim=-1) >= 0).all()


def test_very_many_neighbours_are_a_sentence_and_many_are_as_good_one_by_one() -> None:
    bank = bank_of(some_codes("normal", rows=700))
    with pytest.raises(UserError, match="k=100000: must be at most 512 neighbours"):
        manifold.project(bank, bank.codes[:1], 100_000)
    together = manifold.project(bank, bank.codes[:3], 300).projected
    alone = torch.cat([manifold.project(bank, bank.codes[at : at + 1], 300).projected for at in range(3)])
    torch.testing.assert_close(together, alone)


def test_a_query_equal_to_a_face_finds_it_and_stays_there() -> None:
    bank = bank_of(some_codes("normal"))
    found = manifold.project(bank, bank.codes[[42, 99]])
    assert found.indices[:, :, 0].tolist() == [[42] * 5, [99] * 5]
    assert (found.weights[..., 0] > 0.95).all()
    one = manifold.project(bank, bank.codes[[42]], 1)
    assert torch.equal(one.projected, bank.codes[[42]])


def test_a_query_between_neighbours_is_rebuilt() -> None:
    """A point in the span of its neighbours is its own projection, but for the regularisation."""
    r = rng(5)
    corners = torch.from_numpy(r.normal(size=(4, LATENT)))
    share = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    found = manifold.weights(share @ corners, corners, reg=1e-9)
    torch.testing.assert_close(found, share, atol=1e-6, rtol=0)


def solved_by_numpy(query: np.ndarray, found: np.ndarray, reg: float) -> np.ndarray:
    """The constrained problem by its Lagrange system, instead of solving and scaling."""
    k = len(found)
    difference = found - query
    gram = difference @ difference.T
    gram += np.eye(k) * reg * np.trace(gram) / k
    system = np.block([[gram, np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]])
    return np.linalg.solve(system, np.r_[np.zeros(k), 1])[:k]


@pytest.mark.parametrize("k", [1, 2, 10, 60])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_weights_are_those_of_a_float64_solver(k: int, scale: float) -> None:
    r = rng(k)
    found = torch.from_numpy(r.normal(size=(20, k, LATENT)).astype(np.float32) * np.float32(scale))
    queries = torch.from_numpy(r.normal(size=(20, LATENT)).astype(np.float32) * np.float32(scale))
    got = manifold.weights(queries, found)
    assert got.dtype == torch.float32
    wanted = [
        solved_by_numpy(q, n, 1e-3)
        for q, n in zip(queries.double().numpy() / scale, found.double().numpy() / scale, strict=True)
    ]
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    np.testing.assert_allclose(got.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("codes", ["normal", "duplicates", "all equal"])
def test_weights_of_scikit_learn_where_its_regularisation_is_the_same(codes: str) -> None:
    from sklearn.manifold._locally_linear import barycenter_kneighbors_graph

    k, reg = 10, 1e-3
    points = some_codes(codes, rows=200)[:, 0].double()
    # Its ridge is reg · trace, ours reg · trace / k; it counts a point as no neighbour of itself.
    graph = barycenter_kneighbors_graph(points.numpy(), k, reg=reg / k if codes != "all equal" else reg)
    rows = torch.from_numpy(graph.indices.reshape(len(points), k).astype(np.int64))
    got = manifold.weights(points, points[rows], reg=reg)
    np.testing.assert_allclose(got, graph.data.reshape(len(points), k), atol=1e-8)


def test_equal_neighbours_share_their_weight() -> None:
    r = rng(3)
    point, other, query = torch.from_numpy(r.normal(size=(3, LATENT)))
    found = manifold.weights(query, torch.stack([point, other, point]))
    torch.testing.assert_close(found[0], found[2])
    all_equal = manifold.weights(query, torch.stack([query, query, query]))
    torch.testing.assert_close(all_equal, torch.full((3,), 1 / 3, dtype=torch.float64))


def test_blend_goes_from_the_manifold_to_the_drawing_part_by_part() -> None:
    codes, projected = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(manifold.blend(codes, projected, 1), codes)
    assert torch.equal(manifold.blend(codes, projected, 0), projected)
    mixed = manifold.blend(codes, projected, {"nose": 1, "all": 0})
    for number, part in enumerate(PARTS):
        assert torch.equal(mixed[:, number], (codes if part == "nose" else projected)[:, number])
    torch.testing.assert_close(manifold.blend(codes, projected, [0.25] * 5), 0.25 * codes + 0.75 * projected)


@pytest.mark.parametrize(
    ("wb", "said"),
    [
        (1.01, "wb=1.01"),
        (-0.1, "between 0"),
        (float("nan"), "between 0"),
        ([1, 0], "one value or 5"),
        ({"nose": 1}, "left_eye"),
        ({"chin": 1, "all": 0}, "chin"),
    ],
)
def test_bad_blend(wb: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        manifold.blend(torch.zeros(1, 5, 2), torch.zeros(1, 5, 2), wb)  # type: ignore[arg-type]


def test_bad_queries() -> None:
    bank = bank_of(some_codes("normal", rows=20))
    with pytest.raises(UserError, match="k=0"):
        manifold.nearest(bank, bank.codes[:1], 0)
    with pytest.raises(UserError, match="chin"):
        manifold.nearest(bank, bank.codes[:1, :1], 3, parts=["chin"])
    with pytest.raises(ValueError, match="shape"):
        manifold.nearest(bank, bank.codes[:1, :, :-1], 3)
    with pytest.raises(ValueError, match="finite"):
        manifold.nearest(bank, bank.codes[:1] * float("nan"), 3)
    with pytest.raises(ValueError, match="reg"):
        manifold.weights(bank.codes[0], bank.codes[:, 0], reg=0)


def marked(rows: int = 1200) -> ComponentBank:
    r = rng(9)
    male, hat = r.integers(-1, 2, rows), r.integers(-1, 2, rows)
    return bank_of(some_codes("normal", rows=rows), Male=male, Hat=hat)


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_finds_only_its_faces_and_all_of_them(kind: str) -> None:
    bank = marked()
    bank._shared["distance_bounds"] = DistanceBounds(bank.by_part, kind)
    for split, wanted in ((bank.split("Male"), 1), (bank.split("Male=0"), -1), (bank.split("Male", -1), -1)):
        rows = np.flatnonzero(bank.attributes["Male"] == wanted)
        assert len(split) == len(rows)
        queries = drawn(bank.codes, 6)
        queries[5] = 3e38
        found, _ = manifold.nearest(split, queries, 10)
        np.testing.assert_array_equal(found, rows[brute(bank.codes[rows], queries, 10)[0]])
        assert manifold.nearest(split, queries[:1], 5000)[0].shape[-1] == len(rows)


def test_splits_share_the_bank_and_can_be_narrowed() -> None:
    bank = marked()
    both = bank.split("Male=1").split("Hat=0")
    assert both.by_part is bank.by_part
    assert both.distance_bounds is bank.distance_bounds
    assert both.split_name == "Male=1,Hat=0"
    assert len(both) == int(((bank.attributes["Male"] == 1) & (bank.attributes["Hat"] == -1)).sum())


def test_unknown_splits_are_named() -> None:
    bank = marked()
    with pytest.raises(UserError, match=r"Mail.*Male"):
        bank.split("Mail=1")
    with pytest.raises(UserError, match="1 for yes"):
        bank.split("Male=yes")
    with pytest.raises(UserError, match="1 for yes"):
        bank.split("Male=")
    with pytest.raises(UserError, match="no face"):
        bank.split("Male=1").split("Male=0")
    with pytest.raises(UserError, match="without annotations"):
        bank_of(some_codes("normal", rows=3)).split("Male")


def test_saved_and_loaded(tmp_path: Path) -> None:
    bank = marked(50)
    loaded = load_bank(bank.save(tmp_path / "new" / "bank.safetensors"), encoders=HASH)
    assert torch.equal(loaded.codes, bank.codes)
    assert loaded.ids == bank.ids
    assert loaded.by_part.is_contiguous()
    np.testing.assert_array_equal(loaded.attributes["Hat"], bank.attributes["Hat"])
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["bank.safetensors"]


def test_banks_that_will_not_do_are_refused_in_a_sentence(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = marked(50).save(tmp_path / "bank.safetensors")
    with pytest.raises(UserError, match="other encoders"):
        load_bank(path, encoders=OTHER)
    with pytest.raises(UserError, match="no such bank"):
        load_bank(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    for size in (0, 5, 200, path.stat().st_size - 1):
        cut.write_bytes(path.read_bytes()[:size])
        with pytest.raises(UserError, match="damaged"):
            load_bank(cut)
    save_file({"codes": torch.zeros(5, 2, 3)}, cut)
    with pytest.raises(UserError, match="no bank"):
        load_bank(cut)
    about = {"format": "sketchprep-bank-1", "parts": " ".join(PARTS), "encoders": HASH}
    ids = torch.frombuffer(bytearray(b'["a", "b"]'), dtype=torch.uint8)
    good = torch.zeros(5, 2, 3)
    for tensors in (
        {"codes": good},
        {"codes": good.double(), "ids": ids},
        {"codes": good[:4].clone(), "ids": ids},
        {"codes": good[:, :1].clone(), "ids": ids},
        {"codes": good / 0, "ids": ids},
        {"codes": good, "ids": ids[:4].clone()},
        {"codes": good, "ids": ids, "attribute.Male": torch.ones(3, dtype=torch.int8)},
        {"codes": good, "ids": ids, "attribute.Male": torch.full((2,), 7, dtype=torch.int8)},
    ):
        save_file(tensors, cut, metadata=about)
        with pytest.raises(UserError, match="damaged"):
            load_bank(cut)
    with pytest.raises(UserError, match="cannot be written"):
        marked(3).save(path / "bank.safetensors")


def test_attributes_as_columns() -> None:
    table = build_bank.attribute_table([["Male"], None, ["Hat", "Male"], []])
    assert {name: column.tolist() for name, column in table.items()} == {
        "Hat": [-1, 0, 1, -1],
        "Male": [1, 0, 1, -1],
    }


def test_built_from_a_dataset(built: Path) -> None:
    """A stand-in for encoders that any change of order, scale or sign would show in."""
    from sketchprep.datasets.reader import open_pairs

    seen: list[tuple[int, int]] = []

    def encode(sketches: torch.Tensor) -> torch.Tensor:
        assert sketches.min() >= -1
        assert sketches.max() <= 1
        pooled = torch.nn.functional.adaptive_avg_pool2d(sketches, 4).flatten(1)
        return torch.stack([pooled * (part + 1) for part in range(5)], 1)

    pairs = open_pairs(built)
    bank = build_bank.build_bank(
        encode, built, size=pairs.size, encoders=HASH, split="all", batch=4, progress=lambda *at: seen.append(at)
    )
    assert bank.ids == pairs.table["id"].to_pylist()
    assert seen[-1] == (len(pairs), len(pairs))
    for number in (0, len(pairs) - 1):
        sketch = torch.from_numpy(pairs[number].sketch.copy())[None, None].float() / 127.5 - 1
        assert torch.equal(bank.codes[number], encode(sketch)[0])
    with pytest.raises(UserError, match="not finite"):
        build_bank.build_bank(lambda x: encode(x) / 0, built, size=pairs.size, encoders=HASH, split="all")
