"""Hostile and odd files: each is a row with its reason or a correct pair, and none stops the others."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms
from quick import QUICK

import sketchprep
from sketchprep.datasets import verify


def png_bomb(side: int) -> bytes:
    """A valid grey PNG of side × side pixels in about side² / 8000 bytes, written without holding it in memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def srgb_profile() -> bytes:
    """An embedded profile: its conversion must change nothing here (other profiles have tests of their own)."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def numbered(face: Image.Image, number: int) -> Image.Image:
    """The same person in other bytes, so that nothing is dropped as a duplicate."""
    copy = face.copy()
    copy.paste((number * 7 % 256, 255 - number * 5 % 256, 0), (0, 0, 8, 8))  # as large as a JPEG block
    return copy


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, frontal: list[Path]) -> dict:
    root = tmp_path_factory.mktemp("zoo") / "photos"
    root.mkdir()
    faces = (numbered(Image.open(frontal[0]).convert("RGB").resize((512, 512)), n) for n in range(1000))
    good, bad = write_good(root, faces), write_bad(root, faces)
    out = root.parent / "data"
    sketchprep.build(recipe={**QUICK, "shard_size": 8}, root=root, out=out, jobs=2, quiet=True)
    failures = {row["id"]: row for row in pq.read_table(out / "failures.parquet").to_pylist()}
    pairs = {pair.id: pair for pair in sketchprep.open_pairs(out)}
    return {"out": out, "good": good, "bad": bad, "failures": failures, "pairs": pairs, "root": root}


def write_good(root: Path, faces) -> list[str]:
    """Odd, but sound: each must become a pair."""
    rotated = Image.Exif()
    rotated[0x0112] = 6
    files = {
        "plain.jpg": encoded(next(faces), "JPEG"),
        "progressive.jpg": encoded(next(faces), "JPEG", progressive=True),
        "cmyk.jpg": encoded(next(faces).convert("CMYK"), "JPEG"),
        "grey.jpg": encoded(next(faces).convert("L"), "JPEG"),
        "alpha.png": encoded(next(faces).convert("RGBA"), "PNG"),
        "palette.png": encoded(next(faces).quantize(256), "PNG"),
        "profile.jpg": encoded(next(faces), "JPEG", icc_profile=srgb_profile()),
        "rotated.jpg": encoded(next(faces).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=rotated),
        "animated.gif": encoded(next(faces), "GIF", save_all=True, append_images=[next(faces), next(faces)]),
        "animated.webp": encoded(next(faces), "WEBP", save_all=True, append_images=[next(faces)], quality=90),
        "png named.jpg": encoded(next(faces), "PNG"),
        "dots.in.the.name..jpg": encoded(next(faces), "JPEG"),
        "Ünïcödé 名前 🙂.jpg": encoded(next(faces), "JPEG"),
        "new\nline.jpg": encoded(next(faces), "JPEG"),
        "a/same.jpg": encoded(next(faces), "JPEG"),
        "b/same.jpg": encoded(next(faces), "JPEG"),
        "UPPER.JPG": encoded(next(faces), "JPEG"),
    }
    grey = cv2.cvtColor(np.asarray(next(faces)), cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    files["sixteen bits.png"] = cv2.imencode(".png", grey)[1].tobytes()
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    (root / "zz link to inside.jpg").symlink_to(root / "plain.jpg")  # the same bytes: a duplicate, not a crash
    return list(files)


def write_bad(root: Path, faces) -> dict[str, str]:
    """File to the kind of the row that it must become."""
    whole = encoded(next(faces), "JPEG")
    two = Image.new("RGB", (1024, 512))
    two.paste(next(faces), (0, 0))
    two.paste(next(faces), (512, 0))
    files = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"This is not a picture, whatever its name says.\n" * 20, "not-a-picture"),
        "truncated.jpg": (whole[: len(whole) // 2], "truncated"),
        "cut and closed.jpg": (whole[: len(whole) // 2] + b"\xff\xd9", "corrupt"),
        "hole.jpg": (whole[:20_000] + bytes(4096) + whole[24_096:], "corrupt"),
        "truncated.png": (encoded(next(faces), "PNG")[:20_000], "truncated"),
        "one pixel.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "no-face"),
        "bomb.png": (png_bomb(30_000), "too-large"),
        "no face.png": (encoded(Image.new("RGB", (400, 300), (90, 160, 90)), "PNG"), "no-face"),
        "two faces.jpg": (encoded(two, "JPEG"), "several-faces"),
    }
    for name, (data, _) in files.items():
        (root / name).write_bytes(data)
    assert (root / "bomb.png").stat().st_size < 1_000_000
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(whole)
    (root / "leaving.jpg").symlink_to(outside / "secret.jpg")
    (root / "loop").symlink_to(root)
    (root / "leaving folder").symlink_to(outside)
    (root / "dangling.jpg").symlink_to(root / "nothing")
    os.mkfifo(root / "fifo.jpg")
    kinds = {name: kind for name, (_, kind) in files.items()}
    return {**kinds, "zz link to inside.jpg": "duplicate"}


def test_every_odd_but_sound_file_is_a_pair(result: dict) -> None:
    missing = {name: result["failures"].get(name, {}).get("message") for name in result["good"]}
    missing = {name: why for name, why in missing.items() if name not in result["pairs"]}
    assert missing == {}


def test_every_bad_file_is_a_row_with_its_kind(result: dict) -> None:
    found = {name: result["failures"].get(name, {}).get("kind") for name in result["bad"]}
    assert found == result["bad"]


@pytest.mark.parametrize("name", ["leaving.jpg", "loop", "leaving folder", "dangling.jpg", "fifo.jpg"])
def test_links_that_leave_and_things_that_are_no_files_are_not_followed(result: dict, name: str) -> None:
    assert name in result["failures"]
    assert not any(pair.startswith(name) for pair in result["pairs"])
    assert not any("secret" in pair for pair in result["pairs"])


def test_every_format_of_the_same_face_gives_the_same_pair(result: dict) -> None:
    """Colour order, depth, orientation, alpha and profile are undone: all the photos show one upright person."""
    plain = result["pairs"]["plain.jpg"].photo.astype(int)
    for name in result["good"]:
        other = result["pairs"][name].photo.astype(int)
        if name == "grey.jpg":
            plain_grey = cv2.cvtColor(plain.astype(np.uint8), cv2.COLOR_RGB2GRAY).astype(int)
            assert np.abs(other[..., 0] - plain_grey).mean() < 4, name
        else:
            limit = 8 if name in {"cmyk.jpg", "palette.png", "animated.gif", "animated.webp"} else 6
            assert np.abs(other - plain).mean() < limit, name


def test_what_was_built_is_sound_and_messages_are_single_sentences(result: dict) -> None:
    assert verify.verify(result["out"]) == []
    for row in result["failures"].values():
        assert row["message"]
        assert "\n" not in row["message"]


def test_shards_name_members_by_ordinal_not_by_file_name(result: dict) -> None:
    import tarfile

    for path in (result["out"] / "shards").glob("*.tar"):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                assert name[:9].isdigit()
                assert "/" not in name


def test_heic_without_a_decoder_names_the_remedy(tmp_path: Path, frontal: list[Path]) -> None:
    """An ISO media file of brand heic: a row with the remedy, unless the decoder is installed and says it is broken."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "phone.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0heicmif1" + bytes(500))
    (tmp_path / "photos" / "good.jpg").write_bytes(frontal[0].read_bytes())
    sketchprep.build(recipe=QUICK, root=tmp_path / "photos", out=tmp_path / "data", jobs=1, quiet=True)
    row = pq.read_table(tmp_path / "data" / "failures.parquet").to_pylist()[0]
    assert row["id"] == "phone.heic"
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        assert "sketchprep[heic]" in row["message"]
    assert len(sketchprep.open_pairs(tmp_path / "data")) == 1


def test_a_face_cut_by_the_border_is_completed_not_blackened(tmp_path: Path, frontal: list[Path]) -> None:
    face = Image.open(frontal[0]).convert("RGB")
    (tmp_path / "photos").mkdir()
    face.crop((0, 0, int(face.width * 0.72), face.height)).save(tmp_path / "photos" / "cut.jpg", quality=95)
    sketchprep.build(recipe=QUICK, root=tmp_path / "photos", out=tmp_path / "data", jobs=1, quiet=True)
    pairs = sketchprep.open_pairs(tmp_path / "data")
    assert len(pairs) == 1
    photo = pairs[0].photo
    assert photo[:, -6:].mean() > 20, "the border continues the picture"
