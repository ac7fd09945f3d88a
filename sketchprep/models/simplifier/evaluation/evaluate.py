"""Evaluation of the sketch simplifier on held-out sets: compared methods, figures, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import SampleError
from sketchprep.evaluation.landmark_coverage import coverage
from sketchprep.evaluation.line_metrics import agreement, ink, ink_share, specks
from sketchprep.evaluation.report import write
from sketchprep.io import files
from sketchprep.io.contact_sheet import save_picture
from sketchprep.models.simplifier.evaluation import settings as presets
from sketchprep.models.simplifier.evaluation.methods import Methods, open_methods
from sketchprep.models.simplifier.evaluation.report import TEACHER, Report, SheetRows, worst_sheet
from sketchprep.models.simplifier.evaluation.sets import Face, Pair, open_sets

if TYPE_CHECKING:
    from sketchprep.models.simplifier.evaluation.settings import Settings

__all__ = ["evaluate_simplifier", "measure_face", "measure_pair"]


def evaluate_simplifier(
    out: str | Path,
    *,
    preset: str | Path = "simplify-eval",
    photos: str | Path | None = None,
    celebamask: str | Path | Sequence[str | Path] | None = None,
    weights: str | Path | None = None,
    limit: int | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Callable[[int, str], Any] | None = None,
) -> Report:
    """Compare the simplifier with the classical methods on pictures that training never saw.

    Parameters
    ----------
    out : path
        Folder for ``table.md``, ``metrics.json``, ``sheet.jpg`` and, where there are faces, ``worst.jpg``.
    preset : str or path
        See `sketchprep.models.simplifier.evaluation.settings.load`.
    photos : path, optional
        Folder of portraits; those held out from training are used.  Default: the bundled ones.
    celebamask : path or several, optional
        Roots of CelebAMask-HQ, or folders of photos in its frame.
    weights : path, optional
        Of the simplifier, or converted ones of Simo-Serra's; default: the bundled ones.
    limit : int, optional
        At most that many pictures of each set, for a quick look.
    cache : path, optional
        Folder with the teacher's lines; default: ``OUT/teacher``.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch weights.
    progress : callable, optional
        Given the number of pictures and a description; returns something with ``update`` and ``close``.

    Returns
    -------
    Report

    Raises
    ------
    UserError
        For a mistake in the preset, a folder that cannot be read or written, or weights that do not fit.
    """
    options = presets.load(preset).limited(limit)
    out = Path(out)
    methods, network = open_methods(options.methods, weights=weights, device=device, offline=offline)
    files.try_folder(out)
    roots = [celebamask] if isinstance(celebamask, str | Path) else list(celebamask or [])
    where = Path(cache) if cache is not None else out / "teacher"
    sets = open_sets(options, photos=photos, roots=roots, cache=where, offline=offline, progress=progress)
    display = progress(sum(sets.counts.values()) + len(sets.faces), "evaluating") if progress else None
    report = Report(out, options, network, notes=list(sets.notes))
    shown = SheetRows(options, sets.counts)
    for pair in sets:
        if not ink(pair.clean, level=options.level).any():
            report.notes.append(f"{pair.name}: left out, since nothing is wanted in it.")
            _step(display)
            continue
        drawn = methods(pair.rough, pair.landmarks)
        report.pairs.append(measure_pair(pair, drawn, options))
        shown.add(pair, drawn)
        _step(display)
    for face in sets.faces:
        try:
            report.faces.append(measure_face(face, methods, options))
        except SampleError as error:
            report.notes.append(f"{face.kind} {face.name}: left out, {error.message}.")
        _step(display)
    if display:
        display.close()
    _write(report, shown, sets.faces, methods)
    return report


def _step(display: Any) -> None:
    if display:
        display.update()


def measure_pair(pair: Pair, drawn: Mapping[str, np.ndarray], options: Settings) -> dict[str, Any]:
    """Figures of one pair, for each method and region: chamfer, precision, recall, f, specks, ink.

    Regions are ``all`` and, where the face is known, ``face`` and ``rest``.  Agreement is not judged around wanted
    lines of which the rough picture shows nothing, see `sketchprep.models.simplifier.data.visibility.hidden`; their
    share of the
    wanted ink is ``hidden``.  The wanted drawing is counted as the method ``teacher``, by specks and ink alone.
    """
    from sketchprep.models.simplifier.data.visibility import hidden

    wanted = ink(pair.clean, level=options.level)
    unseen = hidden(pair.rough, pair.clean)
    everywhere = np.ones(wanted.shape, bool)
    regions = {"all": everywhere}
    if pair.face is not None:
        regions |= {"face": pair.face, "rest": ~pair.face}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for method, sketch in {**drawn, TEACHER: pair.clean}.items():
        mask = ink(sketch, level=options.level)
        figures[method] = {}
        for name, region in regions.items():
            row: dict[str, float] = {}
            if method != TEACHER:
                agreed = agreement(mask, wanted, tolerance=options.tolerance, region=region & ~unseen)
                row = {"chamfer": agreed.chamfer, "precision": agreed.precision, "recall": agreed.recall, "f": agreed.f}
            row["specks"] = specks(mask, below=options.specks_below, region=region)
            row["ink"] = ink_share(mask, region=region)
            figures[method][name] = row
    share = {name: ink_share(unseen, region=wanted & region) for name, region in regions.items()}
    return {"set": pair.kind, "name": pair.name, "group": pair.group, "hidden": share, "methods": figures}


def measure_face(face: Face, methods: Methods, options: Settings) -> dict[str, Any]:
    """Figures of one face: its yaw, and for each method the coverage of each part and the share of ink.

    Raises
    ------
    SampleError
        If the photo cannot be used.
    """
    from sketchprep.ops.photocopy import photocopy
    from sketchprep.ops.pose import estimate_pose

    photo, landmarks = face.read()
    drawn = methods(photocopy(photo), landmarks)
    if face.clean is not None:
        drawn[TEACHER] = face.clean()
    figures = {}
    for method, sketch in drawn.items():
        mask = ink(sketch, level=options.level)
        figures[method] = {**coverage(mask, landmarks, reach=options.faces.reach), "ink": ink_share(mask)}
    yaw = round(float(estimate_pose(landmarks).yaw), 1)
    return {"set": face.kind, "name": face.name, "yaw": yaw, "methods": figures}


def _write(report: Report, shown: SheetRows, faces: Sequence[Face], methods: Methods) -> None:
    by_name = {(face.kind, face.name): face for face in faces}
    worst = [by_name[row["set"], row["name"]] for row in report.worst()]
    write(report, shown.sheet())
    if worst:
        save_picture(worst_sheet(worst, methods, report.settings), report.out / "worst.jpg")
    else:
        (report.out / "worst.jpg").unlink(missing_ok=True)
