"""WebSocket messages: the length of a JSON header (4 bytes, big-endian), the header, and PNGs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sketchprep.errors import UserError
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve.limits import MOST_HEADER

__all__ = ["DrawRequest", "Message", "pack", "unpack"]


class DrawRequest(BaseModel):
    """Header of a client's message.

    Attributes
    ----------
    id : int
        Given back with the answers.
    type : {"draw", "morph"}
        A draw has one canvas, a morph two.
    want : list of {"shadow", "face"}
    wb : list of float
        How far each part follows the drawing, from 0 to 1, in the order of `sketchprep.ops.face_parts.PARTS`; for a
        morph ten, five for each canvas.
    bank : list of str
        Split of the bank for each canvas, for instance ``"Male=0"``; empty for all faces.
    share : float
        Of the second canvas in a morph.
    sizes : list of int
        Bytes of the PNGs that follow the header.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    id: int = Field(ge=0, le=2**53)
    type: Literal["draw", "morph"]
    want: list[Literal["shadow", "face"]] = Field(max_length=2)
    wb: list[float] = Field(max_length=2 * len(PARTS))
    bank: list[str] = Field(default=["", ""], max_length=2)
    share: float = Field(default=0.0, ge=0, le=1)
    sizes: list[int] = Field(max_length=2)

    @model_validator(mode="after")
    def _fits(self) -> DrawRequest:
        canvases = 1 if self.type == "draw" else 2
        if len(self.sizes) != canvases or len(self.wb) != canvases * len(PARTS) or len(self.bank) < canvases:
            raise ValueError(f"a {self.type} needs {canvases} canvas, {canvases * len(PARTS)} shares, {canvases} bank")
        if not all(0 <= share <= 1 for share in self.wb):
            raise ValueError("wb must lie between 0 (the bank) and 1 (the drawing)")
        if any(len(name) > 200 for name in self.bank):
            raise ValueError("the name of a bank is too long")
        return self


@dataclass(frozen=True)
class Message:
    """A checked header with its pictures, still encoded."""

    request: DrawRequest
    pictures: list[bytes]


def unpack(data: bytes) -> Message:
    """Read a client's message.

    Raises
    ------
    UserError
        If it is malformed.
    """
    if len(data) < 4:
        raise UserError("the message has no header; reload the page")
    length = int.from_bytes(data[:4], "big")
    if length > MOST_HEADER or 4 + length > len(data):
        raise UserError("the message's header is cut off or too long; reload the page")
    try:
        request = DrawRequest.model_validate_json(data[4 : 4 + length])
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deeply"}
        place = ".".join(str(word) for word in first["loc"])
        raise UserError(f"the message cannot be read ({place}: {first['msg'][:200]}); reload the page") from None
    pictures, at = [], 4 + length
    for size in request.sizes:
        if size < 0 or at + size > len(data):
            raise UserError("the message is shorter than it says; reload the page")
        pictures.append(data[at : at + size])
        at += size
    if at != len(data):
        raise UserError("the message is longer than it says; reload the page")
    return Message(request, pictures)


def pack(header: dict[str, Any], pictures: list[bytes] | None = None) -> bytes:
    """Write a message: `sizes` are added to the header."""
    pictures = pictures or []
    text = json.dumps({**header, "sizes": [len(picture) for picture in pictures]}, ensure_ascii=False).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *pictures])
