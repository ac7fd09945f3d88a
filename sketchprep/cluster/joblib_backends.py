"""Clusters as joblib backends: an existing Dask scheduler, or Ray."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from sketchprep.errors import UserError

__all__ = ["BACKENDS", "connected"]

CONNECT_SECONDS = 30
BACKENDS = ("dask", "ray")


@contextlib.contextmanager
def connected(backend: str, scheduler: str | None) -> Iterator[None]:
    """Make a cluster joblib's backend for the block.

    Parameters
    ----------
    backend : {"dask", "ray"}
    scheduler : str, optional
        Dask's ``tcp://HOST:PORT``; Ray's ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``.  None starts a cluster on this
        machine for the block.

    Raises
    ------
    UserError
        If the backend is unknown, not installed, or does not answer.
    """
    import joblib

    if backend not in BACKENDS:
        raise UserError(f"--backend {backend}: unknown; known: {', '.join(BACKENDS)}")
    with (_dask if backend == "dask" else _ray)(scheduler), joblib.parallel_config(backend, n_jobs=-1):
        yield


@contextlib.contextmanager
def _dask(scheduler: str | None) -> Iterator[None]:
    client_class = _module("distributed", "dask").Client
    try:
        client = client_class(scheduler, timeout=CONNECT_SECONDS, set_as_default=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"--scheduler {scheduler}: no Dask scheduler answers ({error}); check the address") from None
    with client:
        yield


@contextlib.contextmanager
def _ray(scheduler: str | None) -> Iterator[None]:
    ray = _module("ray", "ray")
    try:
        ray.init(address=scheduler, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError) as error:
        raise UserError(f"--scheduler {scheduler}: no Ray cluster answers ({error}); check the address") from None
    _module("ray.util.joblib", "ray").register_ray()
    try:
        yield
    finally:
        ray.shutdown()


def _module(name: str, backend: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"--backend {backend}: is not installed; run pip install 'sketchprep[cluster]'") from None
