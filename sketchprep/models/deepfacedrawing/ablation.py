"""The paper's own questions: models that differ from a base in one thing, trained and measured one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.evaluation.degrade import degrade
from sketchprep.evaluation.report import Measured, plain
from sketchprep.evaluation.subject import EvaluationConfig, Item, Subject
from sketchprep.io import files, images
from sketchprep.io.contact_sheet import contact_sheet, save_picture
from sketchprep.models.deepfacedrawing import ablation_settings
from sketchprep.models.deepfacedrawing.ablation_report import CLEAN, ROUGH, AblationReport
from sketchprep.models.deepfacedrawing.ablation_settings import BASE, Settings, Variant

if TYPE_CHECKING:
    from sketchprep.evaluation.paired_metrics import PairedMetrics

__all__ = ["ablate"]

RESULT, STRIP = "ablation.json", "ablation.png"
TILE = 128


def ablate(
    data: str | Path,
    run: str | Path,
    *,
    preset: str | Path = ablation_settings.NAME,
    split: str = "test",
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, str], Any] | None = None,
) -> AblationReport | int:
    """Train and measure the variants of a preset; the same call again goes on, and keeps what is done.

    Parameters
    ----------
    data : path
        A built dataset.
    run : path
        A folder for each variant, and ``table.md``, ``metrics.json`` and ``sheet.jpg`` of all.
    preset : str or path
        See `sketchprep.models.deepfacedrawing.ablation_settings.load`.
    split, limit, device, offline
        See `sketchprep.evaluation.subject.EvaluationConfig`; a limit goes before the preset's.
    say : callable
        Gets a line for each variant.
    progress : callable, optional
        See `sketchprep.evaluation.faces.evaluate_faces`.

    Returns
    -------
    AblationReport or int
        Or the exit code, if a signal ended a training.

    Raises
    ------
    UserError
        For a mistake in the preset or the dataset, a folder that holds other runs, and as
        `sketchprep.models.deepfacedrawing.training.train.train_deepfacedrawing`.
    """
    from sketchprep.training import devices

    devices.patient_threads()
    settings, folder = ablation_settings.load(preset), Path(run)
    limit = settings.limit if limit is None else limit
    choice = EvaluationConfig(data, split=split, limit=limit, device=device, offline=offline)
    base = settings.network()
    faces = choice.faces(size=base.size, sketch=base.sketch)  # a split that is missing is better refused now
    about = {"data": faces.describe(), "preset": settings.model_dump(mode="json")}
    variants = settings.variants()
    judge = choice.judge()
    results: dict[str, dict[str, Any]] = {}
    for number, variant in enumerate(variants, 1):
        binding = {**settings.binding(variant), "data": about["data"]}
        where = folder / variant.name
        found = _stored(where / RESULT, binding)
        say(f"{variant.name} ({number} of {len(variants)}): {'is done' if found else 'in ' + str(where)}")
        if found is None:
            code = _train(settings, variant, folder, data, device)
            if code:
                return code
            found = _measure(replace(choice, run=where), judge, settings, variant, progress)
            files.write((json.dumps({"binding": binding, **found}, indent=1) + "\n").encode(), where / RESULT)
        results[variant.name] = found
    report = AblationReport(folder, settings, base, about, variants, results)
    files.write(report.text().encode(), folder / "table.md")
    files.write((json.dumps(report.values(), indent=1) + "\n").encode(), folder / "metrics.json")
    save_picture(
        _sheet(folder, variants, [faces[at] for at in _shown(settings, len(faces))], settings), folder / "sheet.jpg"
    )
    return report


def _stored(path: Path, binding: dict[str, Any]) -> dict[str, Any] | None:
    """What was measured under this binding, else None."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(values, dict) and values.get("binding") == json.loads(json.dumps(binding))
    return values if same and (path.parent / STRIP).exists() else None


def _train(settings: Settings, variant: Variant, folder: Path, data: str | Path, device: str) -> int:
    """Train a variant, or go on with it, and make its bank; return the exit code."""
    from sketchprep.models.deepfacedrawing.drawing.makebank import make_model_bank
    from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing

    where = folder / variant.name
    outcome = train_deepfacedrawing(
        data,
        where,
        stage="all" if variant.own_codes else "fm-is",
        preset=settings.preset,
        overrides=settings.overrides(variant),
        seed=settings.seed,
        device=device,
        encoders=None if variant.own_codes else folder / BASE,
    )
    if not outcome.exit_code:
        make_model_bank(where, data, device=device)
    return outcome.exit_code


def _measure(
    choice: EvaluationConfig,
    judge: PairedMetrics,
    settings: Settings,
    variant: Variant,
    progress: Callable[[int, str], Any] | None,
) -> dict[str, Any]:
    """Draw the split's sketches, as they are and rough, in all ways of a variant, and compare them with the photos."""
    subject = choice.open(wbs=(), k=settings.k)
    measured: Measured[tuple[float, int, str]] = Measured(resamples=settings.resamples, seed=settings.seed)
    display = progress(len(subject.faces), f"evaluating {variant.name}") if progress else None
    for _, items in subject.batches():
        photos = [judge.reference(item.photo, item.landmarks) for item in items]
        for item, wanted in zip(items, photos, strict=True):
            measured.photo(item.name, wanted.described)
        for name, sketches in _sketches(items, settings).items():
            for wb, k in variant.ways:
                drawn = subject.synthesizer.draw(np.stack(sketches), wb=wb, k=k).faces
                for face, wanted in zip(drawn, photos, strict=True):
                    measured.add((wb, k, name), judge.compare(face, wanted))
        if display:
            display.update(len(items))
    if display:
        display.close()
    picture = _strip(subject, variant, settings)
    assert choice.run is not None
    files.write(images.encode_png(picture, level=6), Path(choice.run) / STRIP)
    rows = [
        {"wb": wb, "k": k, "sketches": name, "means": plain(means), "kernel": plain(measured.kernel[wb, k, name])}
        for (wb, k, name), means in measured.means.items()
    ]
    trained, explained = subject.about["trained"][0], subject.synthesizer.model.facts.get("explained")
    return {"trained": trained, "explained": explained, "rows": rows}


def _sketches(items: list[Item], settings: Settings) -> dict[str, list[np.ndarray]]:
    return {CLEAN: [item.sketch for item in items], ROUGH: [_rough(item, settings) for item in items]}


def _rough(item: Item, settings: Settings) -> np.ndarray:
    sketch = item.sketch
    for kind, amount in settings.rough.items():
        sketch = degrade(sketch, kind, amount, name=item.name, seed=settings.seed, landmarks=item.landmarks)
    return sketch


def _shown(settings: Settings, count: int) -> list[int]:
    return sorted({i * count // settings.sheet for i in range(settings.sheet)})


def _strip(subject: Subject, variant: Variant, settings: Settings) -> np.ndarray:
    """Faces of the sheet's pairs: a row for each sketch, a column for each way."""
    items = [subject.faces[at] for at in _shown(settings, len(subject.faces))]
    sketches = np.stack([sketch for pair in zip(*_sketches(items, settings).values(), strict=True) for sketch in pair])
    columns = [subject.synthesizer.draw(sketches, wb=wb, k=k).faces for wb, k in variant.ways]
    return np.hstack([np.vstack(list(column)) for column in columns])


def _sheet(folder: Path, variants: list[Variant], items: list[Item], settings: Settings) -> np.ndarray:
    rows: list[list[np.ndarray]] = []
    for clean, rough in zip(*_sketches(items, settings).values(), strict=True):
        rows += [[clean], [rough]]
    for at, item in enumerate(items):
        rows[2 * at].append(item.photo)
        rows[2 * at + 1].append(item.photo)
    captions = ["sketch", "photo"]
    for variant in variants:
        path = folder / variant.name / STRIP
        try:
            strip = images.decode(path.read_bytes())
            grid = strip.reshape(len(rows), -1, len(variant.ways), len(strip) // len(rows), 3)
        except (OSError, SampleError, ValueError):
            raise UserError(f"{path}: is damaged; remove it and run the command again") from None
        for row, faces in zip(rows, grid.transpose(0, 2, 1, 3, 4), strict=True):
            row += list(faces)
        captions += [f"{variant.name} {'as drawn' if wb else f'K={k}'}" for wb, k in variant.ways]
    return contact_sheet(rows, captions, tile=TILE)
