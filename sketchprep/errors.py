"""The two errors that are not bugs: a user's mistake, and a picture that cannot be used."""


class UserError(Exception):
    """A mistake the user can mend.

    The message is one sentence that names the option or key, the value and the remedy.  The command line prints it
    without a traceback and exits with code 2.
    """


class SampleError(Exception):
    """One picture cannot be used; the batch goes on and the reason becomes a row of ``failures.parquet``.

    Parameters
    ----------
    kind : str
        Short stable word, for instance ``"truncated"`` or ``"pose"``; rows are counted by it.
    message : str
        One sentence with the figure that decided and, where there is one, the remedy.
    rejected : bool
        True if the picture is sound but not wanted (a turned head, two faces), False if it could not be processed.
    """

    def __init__(self, kind: str, message: str, *, rejected: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.rejected = rejected

    def __reduce__(self) -> tuple:
        # Exceptions travel between processes; the default pickling would lose the keyword.
        return _sample_error, (self.kind, self.message, self.rejected)


def _sample_error(kind: str, message: str, rejected: bool) -> SampleError:
    return SampleError(kind, message, rejected=rejected)
