"""Decoded parts: kept, bounded, and the shadow made of them."""

from __future__ import annotations

import numpy as np

from sketchprep.draw import Artist
from sketchprep.serve.gallery import Gallery
from sketchprep.serve.studio import Studio
from sketchprep.shadow import FAINTNESS, shadows


def test_each_part_is_decoded_once(artist: Artist) -> None:
    gallery = Gallery(artist)
    first = gallery.sketches("nose", [3, 5, 3, 9])
    assert gallery.decoded == 3
    again = gallery.sketches("nose", [5, 9, 11])
    assert gallery.decoded == 4
    assert np.array_equal(first[5], again[5])
    assert gallery.sketches("mouth", [5])[5].shape != first[5].shape
    assert gallery.decoded == 5


def test_memory_is_bounded(artist: Artist) -> None:
    gallery = Gallery(artist, memory=5 * 64 * 64)
    for row in range(20):
        found = gallery.sketches("remainder", [row])
        assert found[row].shape == (64, 64)
        assert gallery.nbytes <= 5 * 64 * 64
    gallery.sketches("remainder", [19, 18])
    assert gallery.decoded == 20


def test_its_shadow_is_the_models(artist: Artist, studio: Studio, canvases: list[bytes]) -> None:
    projection = artist.project(artist.encode(studio.sketch(canvases[0])[None]))
    full = Gallery(artist).shadow(projection).astype(float)
    faint = 255 - FAINTNESS * (255 - full)
    assert np.abs(faint - shadows(artist, projection)[0]).max() <= 3  # levels are rounded before they are added
    assert full.min() < full.max()


def test_a_fine_pen_is_seen_as_well_as_a_broad_one(studio: Studio) -> None:
    import cv2

    from sketchprep import imageio

    darkest = []
    for width in (1, 4):
        page = np.full((512, 512), 255, np.uint8)
        cv2.circle(page, (256, 256), 150, 0, width, cv2.LINE_AA)
        darkest.append(studio.sketch(imageio.encode_png(page)).min())
    assert darkest[0] < darkest[1] + 40
