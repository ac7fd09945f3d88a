"""Train DeepFaceDrawing on a built dataset: both stages, one after the other, in one run folder."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.training import stage1_weights
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.models.deepfacedrawing.training.stages import CE, FM_IS, STAGES, Plan, plan, stages_wanted
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import checkpoint, curves, devices, run_dir
from sketchprep.training.logs import STATS
from sketchprep.training.run_dir import check_init_from

if TYPE_CHECKING:
    from sketchprep.models.deepfacedrawing.training.component_embedding import CeTask
    from sketchprep.models.deepfacedrawing.training.image_synthesis import FmIsTask
    from sketchprep.training.budget import Cost
    from sketchprep.training.loop import Result
    from sketchprep.training.options import Options

__all__ = ["STAGES", "Outcome", "Settings", "train_deepfacedrawing"]

TEXT = "log.txt"


@dataclass
class Outcome:
    """What a training, or its dry run, came to.

    Attributes
    ----------
    stages : dict of str to Result or Cost
        By the stage's folder or name.
    lines : list of str
        Where pictures, curves and the finished model are.
    model : Path, optional
        The finished model, in the process that wrote it.
    """

    stages: dict[str, Result | Cost] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    model: Path | None = None

    @property
    def text(self) -> str:
        """Describe it, a line a stage."""
        costs = [f"{name}: {s.text}" if not hasattr(s, "run") else s.text for name, s in self.stages.items()]
        return "\n".join([*costs, *self.lines])

    @property
    def exit_code(self) -> int:
        """0, or 128 + the signal's number if one stopped it."""
        return max((getattr(stage, "exit_code", 0) for stage in self.stages.values()), default=0)


def train_deepfacedrawing(
    data: str | Path,
    run: str | Path,
    *,
    stage: str = "all",
    preset: str = "small",
    part: str | None = None,
    overrides: Iterable[str] = (),
    max_minutes: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: bool = False,
    init_from: str | Path | None = None,
    encoders: str | Path | None = None,
    quiet: bool = False,
) -> Outcome:
    """Train DeepFaceDrawing; the same call again resumes where an earlier one stopped, in either stage.

    Parameters
    ----------
    data : path
        A built dataset in the FFHQ frame, of the preset's size or a multiple.
    run : path
        Stage 1 is kept in ``ce`` or ``ce-PART``, stage 2 in ``fm-is``.  Stage 2 leaves ``deepfacedrawing.safetensors``
        and its card, see `sketchprep.models.deepfacedrawing.training.export`; each leaves ``curves.png``.
    stage : {"all", "ce", "fm-is"}
    preset : str
        Of ``pipelines/deepfacedrawing.yaml``.
    part : str, optional
        Train only this part's autoencoder, in a folder of its own that goes before that of all.
    overrides : iterable of str
        ``key=value`` changes to the preset in both stages, ``ce.key=value`` or ``fm-is.key=value`` in one.
    max_minutes : float, optional
        For all of it.  Both stages get half, unless ``ce.max_minutes`` or ``fm-is.max_minutes`` is among `overrides`.
    seed : int, optional
        Of weights, order and variations.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dry_run : bool
        Only measure a few steps of each stage.
    init_from : path, optional
        Run, stage's folder or checkpoint with weights to begin with.
    encoders : path, optional
        Another run, its ``ce`` folder or a checkpoint, whose stage 1 is used; only with ``stage="fm-is"``.
    quiet : bool
        No bar and no lines.

    Returns
    -------
    Outcome
        With `text` and `exit_code`.

    Raises
    ------
    UserError
        For any mistake in the arguments or the dataset, a stage 1 that is missing, unfinished or of another network,
        and as `sketchprep.training.loop.fit`.
    """
    wanted, parts = stages_wanted(stage, part, encoders), (part,) if part else None
    plans = plan(wanted, preset, overrides, max_minutes, seed=seed, device=device, parts=parts)
    training = _Training(Path(data), Path(run), preset, plans, part, init_from, encoders, quiet)
    if dry_run:
        return training.measure()
    for name in wanted:
        if not (training.stage_one() if name == CE else training.stage_two()):
            break
    return training.outcome


class _Training:
    """One command's work in one folder."""

    def __init__(
        self,
        data: Path,
        run: Path,
        preset: str,
        plans: dict[str, Plan],
        part: str | None,
        init_from: str | Path | None,
        encoders: str | Path | None,
        quiet: bool,
    ) -> None:
        self.data, self.run, self.preset, self.plans, self.part = data, run, preset, plans, part
        self.init_from = Path(init_from) if init_from else None
        self.encoders = Path(encoders) if encoders else None
        self.quiet, self.outcome = quiet, Outcome()
        # Mistakes that concern stage 2 alone must not wait until stage 1 is done.
        self.weights = {name: self._init(name) for name in plans}
        for name, path in self.weights.items():
            check_init_from(self._folder(name), path)
        self.faces = {
            name: settings.faces(self.data, seed=options.seed, photos=name == FM_IS)
            for name, (options, settings) in plans.items()
        }
        self.held_out = {
            name: settings.held_out(self.data, photos=name == FM_IS) for name, (_, settings) in plans.items()
        }
        if FM_IS in plans:
            self._check_stage_two(plans[FM_IS][1])

    @staticmethod
    def _check_stage_two(settings: Settings) -> None:
        from sketchprep.models.deepfacedrawing.training.image_synthesis import check_feature_decoders

        check_feature_decoders(settings)
        if settings.perceptual:
            from sketchprep.nn.perceptual import weights_sum

            weights_sum(settings.perceptual_weights)

    def _ce(self) -> CeTask:
        from sketchprep.models.deepfacedrawing.training.component_embedding import CeTask

        return CeTask(self.plans[CE][1], self.faces[CE], self.held_out[CE])

    def _fm_is(self, encoders: Path) -> FmIsTask:
        from sketchprep.models.deepfacedrawing.training.image_synthesis import FmIsTask

        options, settings = self.plans[FM_IS]
        return FmIsTask(settings, self.faces[FM_IS], encoders, held_out=self.held_out[FM_IS], seed=options.seed)

    def measure(self) -> Outcome:
        """A few steps of each stage; stage 2 on encoders that have learnt nothing, which costs the same."""
        from sketchprep.training import budget

        if CE in self.plans:
            self.outcome.stages[CE] = budget.dry_run(self._ce(), self.plans[CE][0])
        if FM_IS in self.plans:
            with tempfile.TemporaryDirectory() as folder:
                encoders = stage1_weights.write_untrained(self.plans[FM_IS][1], Path(folder))
                self.outcome.stages[FM_IS] = budget.dry_run(self._fm_is(encoders), self.plans[FM_IS][0])
        return self.outcome

    def stage_one(self) -> bool:
        """Train the autoencoders unless that is done; say whether stage 2 may follow."""
        self._refuse_foreign()
        options, _ = self.plans[CE]
        task, folder = self._ce(), self._folder(CE)
        if FM_IS in self.plans and self._done(folder, task, options):
            self._say(f"{folder}: stage 1 is finished and used as it is")
            return True
        return self._fit(task, options, CE)

    def stage_two(self) -> bool:
        """Train the face generator on what stage 1 left, and write the model."""
        from sketchprep.models.deepfacedrawing.training.export import export_face_model
        from sketchprep.training.export import licences

        self._refuse_foreign()
        options, settings = self.plans[FM_IS]
        source = self.encoders or self.run
        parts = stage1_weights.find(source, settings, option="--encoders" if self.encoders else "--run")
        if (weak := stage1_weights.warning(parts)) is not None:
            self._say(f"warning: {weak}", always=True)
        task = self._fm_is(stage1_weights.write(parts, self.run))
        finished = self._fit(task, options, FM_IS)
        if devices.first_process():
            about = {"preset": self.preset, "licences": licences(self.data)}
            path = export_face_model(self.run, about=about)
            self.outcome.model = path if finished else None
            self.outcome.lines.append(f"model: {path} ({path.stat().st_size / 1e6:.1f} MB), card: {path.stem}.md")
        return finished

    def _folder(self, stage: str) -> Path:
        """Where a stage trains."""
        return stage1_weights.folder_of(self.run, self.part) if stage == CE else self.run / stage

    def _fit(self, task: CeTask | FmIsTask, options: Options, stage: str) -> bool:
        from sketchprep.training.loop import fit

        folder = self._folder(stage)
        self._say(f"{folder}: pictures in {folder / 'samples'}, figures in {folder / 'stats.jsonl'}")
        if self.held_out[stage].split == self.faces[stage].split:
            self._say(f"{self.data}: no pairs are held out, so pictures and scores are of pairs trained on")
        result = fit(task, folder, options, init_from=self.weights[stage], quiet=self.quiet)
        self.outcome.stages[stage] = result
        drawn = f", curves in {self.run / curves.FILE}" if devices.first_process() and self._draw_curves() else ""
        self.outcome.lines.append(f"{stage}: pictures in {folder / 'samples'}{drawn}")
        return not result.stopped_by

    def _done(self, folder: Path, task: CeTask, options: Options) -> bool:
        """Whether this folder, or folders of single parts, hold all of this stage 1, whatever its length was."""
        alone = [checkpoint.load_latest(stage1_weights.folder_of(self.run, part)) for part in PARTS]
        if all(stage1_weights.finished(found) for found in alone):
            return True
        found = checkpoint.load_latest(folder)
        if found is None or not stage1_weights.finished(found):
            return False
        same = run_dir.binding(task, options, 1, None)
        return found.settings["task"] == same["task"] and found.settings["options"]["seed"] == options.seed

    def _init(self, stage: str) -> Path | None:
        """The weights that a stage begins with: its own folder of a run named by the user, or what was named."""
        if self.init_from is None:
            return None
        folders = [stage1_weights.folder_of(self.init_from, self.part), self.init_from / CE] if stage == CE else []
        own = next((f for f in (*folders, self.init_from / stage) if f.is_dir()), None)
        if own is not None:
            return own
        if any((self.init_from / name).is_dir() for name in STAGES):
            return None
        if len(self.plans) > 1:
            other = next(name for name in STAGES if name != stage)
            if checkpoint.read(self.init_from, option="--init-from").task == other:
                return None
        return self.init_from

    def _refuse_foreign(self) -> None:
        """Refuse a folder that holds neither nothing nor a training of this kind."""
        try:
            there = {path.name for path in self.run.iterdir()}
        except OSError:  # there is none yet
            return
        ours = {
            FM_IS,
            stage1_weights.ENCODERS,
            *(stage1_weights.folder_of(self.run, part).name for part in (None, *PARTS)),
        }
        if there - {TEXT} and not there & ours:
            raise UserError(f"--run {self.run}: the folder holds something else; choose an empty or a new one")

    def _draw_curves(self) -> bool:
        folders = [stage1_weights.folder_of(self.run, part) for part in (None, *PARTS)] + [self.run / FM_IS]
        return curves.write(self.run, {folder.name: folder / STATS for folder in folders})

    def _say(self, text: str, *, always: bool = False) -> None:
        """A line in the run's log, and for the user."""
        if not devices.first_process():
            return
        run_dir.make(self.run)
        with run_dir.disk_errors(self.run), (self.run / TEXT).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        if always or not self.quiet:
            print(text, file=sys.stderr, flush=True)
