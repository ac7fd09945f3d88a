"""Limits on what a client may send: sizes and counts."""

from __future__ import annotations

__all__ = [
    "CANVAS",
    "MOST_CLIENTS",
    "MOST_HEADER",
    "MOST_MESSAGE",
    "MOST_PICTURE",
    "MOST_PIXELS",
    "MOST_WAITING",
    "SEND_SECONDS",
]

CANVAS = 512  # height and width of the page's canvas in pixels
MOST_MESSAGE = 2 << 20  # bytes of a message; the canvas as PNG has a few hundred thousand at most
MOST_HEADER = 8 << 10  # bytes of its JSON
MOST_PICTURE = 32 << 20  # bytes of a picture sent to be loaded
MOST_PIXELS = 50_000_000  # of such a picture; read from its header before anything is decoded
MOST_CLIENTS = 32
MOST_WAITING = 16  # pictures sent over HTTP that wait for their turn
SEND_SECONDS = 20.0  # after which a client that does not read is let go
