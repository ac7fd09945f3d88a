"""Ablations after the paper: models that differ from a base in one setting, trained and evaluated one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from sketchprep.core.config import FrozenModel, load_preset
from sketchprep.evaluation.degrade import KINDS, degrade
from sketchprep.evaluation.report import Measured, plain, write
from sketchprep.evaluation.subject import EvaluationConfig, Item, Subject
from sketchprep.io import files
from sketchprep.io.contact_sheet import contact_sheet
from sketchprep.models.deepfacedrawing.ablation_report import BASE, CLEAN, ROUGH, WITH, WITHOUT, AblationReport
from sketchprep.models.deepfacedrawing.evaluate import ModelFiles, Way, subject_of
from sketchprep.models.deepfacedrawing.training.settings import Settings as Network
from sketchprep.training import devices, presets, run_dir
from sketchprep.training.options import FREE

if TYPE_CHECKING:
    from sketchprep.evaluation.paired_metrics import PairedMetrics

__all__ = ["Settings", "Variant", "ablate", "load"]

NAME, RESULT = "ablation", "ablation.json"
STAGES = ("ce", "fm-is")
TILE = 128
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Variant:
    """One model to train and measure.

    Attributes
    ----------
    name : str
        Of its folder.
    changes : tuple of str
        ``key=value`` changes to the base.
    own_codes : bool
        Whether it needs a stage 1 of its own; else it takes the base's.
    ways : tuple of (float, int)
        wb and k with which it is drawn.
    """

    name: str
    changes: tuple[str, ...]
    own_codes: bool
    ways: tuple[Way, ...]


class Settings(FrozenModel):
    """All that decides the ablations besides the pairs; see ``pipelines/ablation.yaml``."""

    preset: str = "tiny"
    set: tuple[str, ...] = ()
    images: dict[str, Count] = Field(default={"ce": 60_000, "fm-is": 60_000})
    seed: int = Field(default=0, ge=0)
    latent: tuple[Count, ...] = (128, 256, 512)
    fm_channels: tuple[Count, ...] = (1, 32)
    neighbours: tuple[Count, ...] = (1, 3, 6, 10, 15, 20)
    k: Count = 10
    limit: int | None = Field(default=100, ge=2)
    rough: dict[str, Annotated[float, Field(gt=0, le=64)]] = Field(default={"jitter": 8, "drop": 0.3, "thicken": 4})
    resamples: int = Field(default=2000, ge=1, le=100_000)
    sheet: int = Field(default=4, ge=1, le=50)

    @field_validator("images")
    @classmethod
    def _of_both_stages(cls, value: dict[str, int]) -> dict[str, int]:
        if set(value) != set(STAGES):
            raise ValueError(f"must give a number of images for {' and for '.join(STAGES)}")
        return value

    @field_validator("rough")
    @classmethod
    def _known_kinds(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) - set(KINDS):
            raise ValueError(f"kinds of damage are {', '.join(KINDS)}")
        return value

    def overrides(self, variant: Variant | None = None) -> list[str]:
        """Changes to the preset that make a variant; the base by default."""
        lengths = [f"{stage}.images={self.images[stage]}" for stage in STAGES]
        return [*self.set, *lengths, *(variant.changes if variant else ())]

    def stage(self, stage: str, variant: Variant | None = None) -> tuple[Any, Network]:
        """Options and network of a stage of a variant's training."""
        changes = self.overrides(variant)
        return presets.load("deepfacedrawing", self.preset, Network, changes, stage=stage, seed=self.seed)

    def variants(self) -> list[Variant]:
        """What is trained, the base first; a value that the base has is measured there."""
        both = ((WITH, self.k), (WITHOUT, self.k))
        more = tuple((WITH, k) for k in self.neighbours if k != self.k)
        base = self.stage(STAGES[1])[1]
        found = [Variant(BASE, (), True, (*both, *more))]
        for key, own, values in (("latent", True, self.latent), ("fm_channels", False, self.fm_channels)):
            found += [
                Variant(f"{key}-{value}", (f"{key}={value}",), own, both)
                for value in dict.fromkeys(values)
                if value != getattr(base, key)
            ]
        return found

    def binding(self, variant: Variant, data: Mapping[str, Any]) -> dict[str, Any]:
        """All that decides a variant's figures, as JSON values."""
        stages = {}
        for stage in STAGES:
            options, network = self.stage(stage, variant)
            kept = options.model_dump(mode="json", exclude=set(FREE))
            stages[stage] = {**kept, **network.model_dump(mode="json")}
        measured = self.model_dump(mode="json", include={"seed", "rough", "resamples"})
        values = {"stages": stages, "ways": variant.ways, **measured, "data": data}
        return json.loads(json.dumps(values))


def load(preset: str | Path = NAME) -> Settings:
    """Read a preset, ``"ablation"`` or a YAML file; raises `UserError` for a mistake."""
    return load_preset(Settings, preset, NAME)


def ablate(
    data: str | Path,
    run: str | Path,
    *,
    preset: str | Path = NAME,
    split: str = "test",
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, str], Any] | None = None,
) -> AblationReport | int:
    """Train and evaluate the variants of a preset; the same call again resumes, and keeps what is done.

    Parameters
    ----------
    data : path
        A built dataset.
    run : path
        A folder for each variant, and ``table.md``, ``metrics.json`` and ``sheet.jpg`` of all.
    preset : str or path
        See `load`.
    split, limit, device, offline
        See `sketchprep.evaluation.subject.EvaluationConfig`; a limit takes precedence over the preset's.
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
    devices.patient_threads()
    settings, folder = load(preset), Path(run)
    limit = settings.limit if limit is None else limit
    config = EvaluationConfig(data, split=split, limit=limit, device=device, offline=offline)
    base, variants = settings.stage(STAGES[1])[1], settings.variants()
    described = config.pairs(
        size=base.size, sketch=base.sketch
    ).describe()  # a missing split is refused before training
    metrics = config.metrics()
    results: dict[str, dict[str, Any]] = {}
    for number, variant in enumerate(variants, 1):
        where, binding = folder / variant.name, settings.binding(variant, described)
        found = _stored(where / RESULT, binding)
        say(f"{variant.name} ({number} of {len(variants)}): {'is done' if found else f'in {where}'}")
        if found is None:
            code = _train(settings, variant, folder, data, device)
            if code:
                return code
            found = _measure(_open(config, where, variant), metrics, settings, variant, progress)
            files.write((json.dumps({"binding": binding, **found}, indent=1) + "\n").encode(), where / RESULT)
        results[variant.name] = found
    about = {"data": described, "preset": settings.model_dump(mode="json")}
    report = AblationReport(folder, settings, base, about, variants, results)
    write(report, _sheet(settings, {variant: _open(config, folder / variant.name, variant) for variant in variants}))
    return report


def _stored(path: Path, binding: dict[str, Any]) -> dict[str, Any] | None:
    """What was measured under this binding, else None."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and values.get("binding") == binding else None


def _train(settings: Settings, variant: Variant, folder: Path, data: str | Path, device: str) -> int:
    """Train a variant, or resume its training, and make its bank; return the exit code."""
    from sketchprep.models.deepfacedrawing.drawing.build_bank import make_model_bank
    from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing

    where = folder / variant.name
    for stage in STAGES:
        run_dir.refuse_longer(where / stage, settings.stage(stage, variant)[0].images)
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


def _open(config: EvaluationConfig, run: Path, variant: Variant) -> Subject:
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import open_synthesizer

    synthesizer = open_synthesizer(run, device=config.device)
    subject = subject_of(synthesizer, config, ModelFiles(run), {_title(way): way for way in variant.ways})
    subject.about["explained"] = synthesizer.model.facts.get("explained")
    return subject


def _title(way: Way) -> str:
    wb, k = way
    return "as drawn" if wb else f"K={k}"


def _measure(
    subject: Subject,
    metrics: PairedMetrics,
    settings: Settings,
    variant: Variant,
    progress: Callable[[int, str], Any] | None,
) -> dict[str, Any]:
    """Compare the faces of all ways of drawing, from sketches as they are and rough, with the photos."""
    measured: Measured[tuple[str, str]] = Measured(resamples=settings.resamples, seed=settings.seed)
    display = progress(len(subject.pairs), f"evaluating {variant.name}") if progress else None
    for _, items in subject.batches():
        references = [metrics.reference(item.photo, item.landmarks) for item in items]
        for item, reference in zip(items, references, strict=True):
            measured.photo(item.name, reference.described)
        for kind, sketches in _sketches(items, settings).items():
            for title, generated in subject.generate(sketches).items():
                for face, reference in zip(generated, references, strict=True):
                    measured.add((title, kind), metrics.compare(face, reference))
        if display:
            display.update(len(items))
    if display:
        display.close()
    rows = [
        {"wb": way[0], "k": way[1], "sketches": kind, "means": plain(measured.means[_title(way), kind]),
         "kernel": plain(measured.kernel[_title(way), kind])}
        for kind in (CLEAN, ROUGH)
        for way in variant.ways
    ]  # fmt: skip
    (trained,) = subject.trained.values()
    return {"trained": trained.values(), "explained": subject.about["explained"], "rows": rows}


def _sketches(items: Sequence[Item], settings: Settings) -> dict[str, list[np.ndarray]]:
    return {CLEAN: [item.sketch for item in items], ROUGH: [_rough(item, settings) for item in items]}


def _rough(item: Item, settings: Settings) -> np.ndarray:
    sketch = item.sketch
    for kind, amount in settings.rough.items():
        sketch = degrade(sketch, kind, amount, name=item.name, seed=settings.seed, landmarks=item.landmarks)
    return sketch


def _sheet(settings: Settings, subjects: Mapping[Variant, Subject]) -> np.ndarray:
    """A few faces, a row from the sketch as it is and one from it roughened, in all ways of all variants."""
    pairs = next(iter(subjects.values())).pairs
    items = [pairs[at] for at in sorted({i * len(pairs) // settings.sheet for i in range(settings.sheet)})]
    sketches = [sketch for both in zip(*_sketches(items, settings).values(), strict=True) for sketch in both]
    rows = [[sketch, items[at // 2].photo] for at, sketch in enumerate(sketches)]
    captions = ["sketch", "photo"]
    for variant, subject in subjects.items():
        for title, generated in subject.generate(sketches).items():
            captions.append(f"{variant.name} {title}")
            for row, face in zip(rows, generated, strict=True):
                row.append(face)
    return contact_sheet(rows, captions, tile=TILE)
