"""Evidence that a photo shows an upright face, and how many, by MediaPipe's detector and mesh.

Any landmark predictor answers for any picture, and dlib's detector takes some heads that stand upside down (23 of 160)
and other round things for faces.  So what it says counts only where a second, independent model sees a face too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops.align import apdrawing_matrix, ffhq_matrix, five_points
from sketchprep.ops.blank_share import blank_share
from sketchprep.ops.mesh_landmarks import landmarks_68
from sketchprep.ops.resize import rescale_points, resize
from sketchprep.ops.warp import transform_points
from sketchprep.sketching.face_mesh import SURE, Mesh
from sketchprep.sketching.landmarks import Box
from sketchprep.sketching.mediapipe import LEAST, MediaPipeLandmarker, side_of

__all__ = [
    "FaceEvidence",
    "check_agreement",
    "check_alone",
    "check_face",
    "check_place",
    "check_upright",
    "gather_evidence",
]

# On 160 portraits and 743 photos of CelebA-HQ a face that is all there has at most 19 % of blank points (black
# glasses); halves painted over with one colour give 30 to 70 %.
MOST_BLANK = 0.22
# In the frame the same photos lie within 4 % of the side, 4°, and a factor of 1.19.
MOST_SHIFT, MOST_ROLL, MOST_ZOOM = 0.1, 15.0, 1.4
SURE_ZOOM = 1.25
FRAME_SIDE = 512  # of the copy of an aligned photo that is looked at
UPRIGHT = 45.0  # degrees of roll up to which alignment turns a face by itself
# Mean distance of the five points in eye distances: at most 0.12 on the same photos.
MOST_APART = 0.25


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """What a photo shows of faces.

    Attributes
    ----------
    faces : list of Mesh
        With at least the score that is asked for, the wanted one first.
    limit : float
        That score.
    doubtful : float or None
        The strongest score below it, where anything was taken for a face.
    blank : float
        Share of the first face's points with nothing around them, 0 to 1.
    side : int
        Of the photo's height, pixels.
    """

    faces: list[Mesh]
    limit: float
    doubtful: float | None
    blank: float
    side: int

    @property
    def score(self) -> float | None:
        """Of the wanted face; None without one."""
        return self.faces[0].evidence if self.faces else None

    @property
    def points(self) -> np.ndarray:
        """The wanted face's 68 landmarks by MediaPipe, (x, y) in pixels of the photo."""
        return landmarks_68(self.faces[0].points)

    def rescaled(self, side: int) -> FaceEvidence:
        """The same in the pixels of a copy of the photo with another side."""
        scale = side / self.side
        faces = [replace(m, points=rescale_points(m.points, scale), depth=m.depth * scale) for m in self.faces]
        return replace(self, faces=faces, side=side)

    @property
    def quarter_turns(self) -> int:
        """Clockwise quarter turns that bring the wanted face upright, 0 to 3."""
        return round(-self.faces[0].roll / 90) % 4 if self.faces else 0

    def box_among(self, boxes: list[Box], matrix: np.ndarray) -> Box | None:
        """The box of the wanted face among a detector's in a picture, given the 2×3 map to it from the photo.

        The one whose middle lies nearest the middle of the mesh, within half its side.
        """
        wanted = transform_points(matrix, self.faces[0].points)
        low, high = wanted.min(axis=0), wanted.max(axis=0)

        def away(box: Box) -> float:
            middle = np.array([box.left + box.right, box.top + box.bottom]) / 2
            return float(np.abs(middle - (low + high) / 2).max())

        near = min(boxes, key=away, default=None)
        return near if near is not None and away(near) < float((high - low).max()) / 2 else None


def gather_evidence(
    landmarker: MediaPipeLandmarker, photo: np.ndarray, *, limit: float, several: bool, frame: str | None = None
) -> FaceEvidence:
    """Look for faces in a photo.

    Parameters
    ----------
    landmarker : MediaPipeLandmarker
    photo : ndarray of uint8, shape (H, W, 3)
        RGB.
    limit : float
        Score from which a face counts, a logit; `sketchprep.sketching.face_mesh.FACE` says what is usual.
    several : bool
        Look on, until no other face of 0.3 times the largest one's side can be missed.
    frame : {"ffhq", "apdrawing"}, optional
        The frame that the photo is said to be in: the wanted face is then the one that lies best in it, else the
        largest.
    """
    if frame is None:
        return _search(landmarker, photo, limit=limit, several=several)
    copy = photo if len(photo) <= FRAME_SIDE else resize(photo, (FRAME_SIDE, FRAME_SIDE))
    found = _where_expected(landmarker, copy, limit) if frame == "ffhq" else None
    if found is None:
        found = _search(landmarker, copy, limit=limit, several=several, frame=frame)
    return found.rescaled(len(photo))


def _search(
    landmarker: MediaPipeLandmarker, photo: np.ndarray, *, limit: float, several: bool, frame: str | None = None
) -> FaceEvidence:
    """Find faces anywhere in a photo; in a frame, the one that lies best in it comes first."""
    faces, doubtful = landmarker.meshes(photo, evidence=limit, least=LEAST if several else 0.0)
    if frame is not None:
        faces = sorted(faces, key=lambda mesh: _displacement(landmarks_68(mesh.points), frame, len(photo))[0])
    return FaceEvidence(
        faces,
        limit,
        doubtful[0].evidence if doubtful else None,
        blank_share(photo, faces[0].points) if faces else 0.0,
        len(photo),
    )


def _where_expected(landmarker: MediaPipeLandmarker, photo: np.ndarray, limit: float) -> FaceEvidence | None:
    """The face of a photo in the FFHQ frame, unless there is any doubt about it: without a search, a third of the time.

    Its bounds are narrower than those of `check_place`: of 180 photos it knew 158, and took none of 1,440 that were
    turned by 25° and more, shifted, scaled or half painted over.
    """
    mesh = landmarker.frame_mesh(photo)
    shift, roll, zoom = _displacement(landmarks_68(mesh.points), "ffhq", len(photo))
    placed = shift < MOST_SHIFT / 2 and abs(roll) < MOST_ROLL / 2 and 1 / SURE_ZOOM < zoom < SURE_ZOOM
    if mesh.evidence < max(limit, SURE) or not placed:
        return None
    blank = blank_share(photo, mesh.points)
    return FaceEvidence([mesh], limit, None, blank, len(photo)) if blank <= MOST_BLANK else None


def check_face(evidence: FaceEvidence) -> SampleError | None:
    """Judge whether there is a face, and whether all of it is there: kind ``"no-face"``."""
    if not evidence.faces:
        score = evidence.doubtful
        figure = "" if score is None else f": the best candidate scores {score:.1f}, under the limit of"
        return _reject("no-face", "no face was found" + (f"{figure} {evidence.limit:g}" if figure else ""))
    if evidence.blank > MOST_BLANK:
        return _reject("no-face", f"{evidence.blank:.0%} of the face is blank, over the limit of {MOST_BLANK:.0%}")
    return None


def check_upright(evidence: FaceEvidence) -> SampleError | None:
    """Judge whether the wanted face stands upright, so that alignment can turn it: kind ``"pose"``."""
    roll = abs(evidence.faces[0].roll)
    if roll <= UPRIGHT:
        return None
    how = "on its side" if roll < 180 - UPRIGHT else "upside down"
    return _reject("pose", f"the face lies {how}, turned by {roll:.0f}°; --set rotate=true turns it")


def check_alone(evidence: FaceEvidence) -> SampleError | None:
    """Judge whether there is no other face: kind ``"several-faces"``."""
    if len(evidence.faces) == 1:
        return None
    share = side_of(evidence.faces[1]) / side_of(evidence.faces[0])
    what = f"{len(evidence.faces)} faces were found, the second one {share:.2f} times as large as the first"
    return _reject("several-faces", f"{what}, and only one is wanted")


def check_place(evidence: FaceEvidence, frame: str) -> SampleError | None:
    """Judge whether the face of a photo that is said to be in a frame lies where the frame has it.

    Parameters
    ----------
    evidence : FaceEvidence
        With a face.
    frame : {"ffhq", "apdrawing"}

    Returns
    -------
    SampleError or None
        Kind ``"not-aligned"``.
    """
    shift, roll, zoom = _displacement(evidence.points, frame, evidence.side)
    if shift > MOST_SHIFT:
        what = f"{shift:.0%} of the picture's side beside its place, over the limit of {MOST_SHIFT:.0%}"
    elif abs(roll) > MOST_ROLL:
        what = f"turned by {roll:.0f}°, over the limit of {MOST_ROLL:g}°"
    elif not 1 / MOST_ZOOM <= zoom <= MOST_ZOOM:
        what = f"{zoom:.2f} times as large as it should be, over the limit of {MOST_ZOOM:g} times or its inverse"
    else:
        return None
    return _reject("not-aligned", f"the photo should be in the {frame} frame, but the face lies in it {what}")


def check_agreement(evidence: FaceEvidence, landmarks: np.ndarray) -> SampleError | None:
    """Judge whether landmarks lie on the face that MediaPipe sees.

    Parameters
    ----------
    evidence : FaceEvidence
        With a face.
    landmarks : ndarray, shape (68, 2)
        (x, y) in pixels of the photo.

    Returns
    -------
    SampleError or None
        Kind ``"landmarks"``.
    """
    theirs = five_points(evidence.points)
    apart = float(np.linalg.norm(theirs - five_points(landmarks), axis=1).mean())
    apart /= max(float(np.linalg.norm(theirs[1] - theirs[0])), 1.0)
    if apart <= MOST_APART:
        return None
    return _reject(
        "landmarks",
        f"dlib's landmarks lie {apart:.2f} eye distances beside the face, over the limit of {MOST_APART:g}; "
        "--set landmarks=mediapipe takes others",
    )


def _displacement(points: np.ndarray, frame: str, side: int) -> tuple[float, float, float]:
    """How far from its place in a frame a face lies: shift in sides of the frame, degrees clockwise, and its size."""
    matrix = (ffhq_matrix if frame == "ffhq" else apdrawing_matrix)(points, side)
    middle = (side - 1) / 2
    shift = float(np.linalg.norm(matrix @ (middle, middle, 1) - middle)) / side
    return (
        shift,
        float(-np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))),
        1 / float(np.hypot(matrix[0, 0], matrix[1, 0])),
    )


def _reject(kind: str, message: str) -> SampleError:
    return SampleError(kind, message, rejected=True)
