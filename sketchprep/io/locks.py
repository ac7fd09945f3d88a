"""A lock file that one process holds: by `flock`, or by its existence where the file system has no such locks."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import AcquireReturnProxy

__all__ = ["EXISTENCE", "hold"]

EXISTENCE = ".held"  # ending of the file whose existence is the lock
# Answers of file systems without flock: Lustre without -o flock, NFS without a lock daemon, some FUSE.
_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def hold(path: Path, timeout: float = -1) -> AcquireReturnProxy:
    """Take a lock, to be released by leaving a ``with`` block.

    Parameters
    ----------
    path : Path
        In a folder that exists.  Where there is no flock, the lock is the existence of a file beside it.
    timeout : float
        Seconds to wait for another holder; negative: for ever.

    Raises
    ------
    filelock.Timeout
        If another process holds it.
    OSError
        If the lock file cannot be written.
    """
    from filelock import FileLock, SoftFileLock

    try:
        return FileLock(path).acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
    return SoftFileLock(path.with_name(path.name + EXISTENCE)).acquire(timeout=timeout)
