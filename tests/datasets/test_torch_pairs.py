"""A dataset as PyTorch's default DataLoader takes it, and as a list."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import sketchprep
from sketchprep.errors import UserError

Make = Callable[..., Path]


def mirrored(sample: dict) -> dict:
    return {**sample, "photo": sample["photo"].flip(-1), "sketch": sample["sketch"].flip(-1)}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_default_loader_collates_every_field(drawn: Make, workers: int) -> None:
    pairs = sketchprep.open_pairs(drawn(labelled=range(8), no_landmarks=(1,)))
    fields = ("photo", "sketch", "labels", "landmarks", "pose", "id", "split", "ordinal")
    batches = list(DataLoader(pairs.torch(fields), batch_size=3, num_workers=workers))
    assert [len(batch["id"]) for batch in batches] == [3, 3, 2]
    shapes = {name: (*value.shape[1:], value.dtype) for name, value in batches[0].items() if torch.is_tensor(value)}
    assert shapes == {
        "photo": (3, 128, 128, torch.float32),
        "sketch": (1, 128, 128, torch.float32),
        "labels": (128, 128, torch.int64),
        "landmarks": (68, 2, torch.float32),
        "pose": (3, torch.float32),
        "ordinal": (torch.int64,),
    }
    for number, pair in enumerate(pairs):
        batch, at = batches[number // 3], number % 3
        assert (batch["id"][at], batch["split"][at], int(batch["ordinal"][at])) == (pair.id, pair.split, pair.ordinal)
        np.testing.assert_array_equal((batch["photo"][at] * 255).round().permute(1, 2, 0).numpy(), pair.photo)
        np.testing.assert_array_equal((batch["sketch"][at, 0] * 255).round().numpy(), pair.sketch)
        np.testing.assert_array_equal(batch["labels"][at].numpy(), pair["labels"])
        if pair.landmarks is None:
            assert batch["landmarks"][at].isnan().all()
        else:
            np.testing.assert_array_equal(batch["landmarks"][at].numpy(), pair.landmarks)
    assert [pair.landmarks is None for pair in pairs] == [False, True] + [False] * 6


def test_a_transform_gets_the_whole_sample(drawn: Make) -> None:
    pairs = sketchprep.open_pairs(drawn(), "train")
    plain, turned = pairs.torch(), pickle.loads(pickle.dumps(pairs.torch(transform=mirrored)))
    assert torch.equal(turned[2]["photo"], plain[2]["photo"].flip(-1))
    assert torch.equal(turned[2]["sketch"], plain[2]["sketch"].flip(-1))


def test_a_field_that_is_not_there_is_named(drawn: Make) -> None:
    pairs = sketchprep.open_pairs(drawn())
    with pytest.raises(UserError, match=r"fields: .* has no 'labels'; name some of photo, sketch, landmarks"):
        pairs.torch(["photo", "labels"])


def test_a_dataset_slices_as_a_list_does(drawn: Make) -> None:
    pairs = sketchprep.open_pairs(drawn())
    ids = [pair.id for pair in pairs]
    for part in (slice(2, 5), slice(None, None, -1), slice(-3, None), slice(1, 7, 2), slice(5, 2), slice(0, 100)):
        chosen = pairs[part]
        assert [pair.id for pair in chosen] == ids[part]
        assert [pair.files for pair in pickle.loads(pickle.dumps(chosen))] == [pair.files for pair in chosen]
    assert pairs[2:6][1:3][-1].id == ids[4]
    assert pairs[3:].find(ids[4]).id == ids[4]
    with pytest.raises(KeyError, match="no pair"):
        pairs[:3].find(ids[4])
    assert len(list(DataLoader(pairs[1:5].torch(), batch_size=2))) == 2


def test_a_pair_and_a_dataset_print_in_one_line(drawn: Make) -> None:
    data = drawn()
    pairs = sketchprep.open_pairs(data, "train")
    assert repr(pairs[0]) == "Pair(id='plain', split='train', files=[photo.jpg, sketch.png, json])"
    assert repr(pairs) == f"PairDataset('{data}', split='train', 5 pairs of 128 px)"
