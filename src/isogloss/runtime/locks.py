"""Between processes: a short lock around what is written, and leases that end where nobody renews them."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, LeaseSettingsMismatch, SoftFileLease, Timeout

from isogloss.errors import IsoglossError
from isogloss.runtime.console import err

# Seconds without a sign of life after which a lease is taken over. A contender times them on its own clock, so clocks
# need not agree. A network file system may show a contender a change no sooner than its cache of attributes allows, on
# NFS by default after a minute: a lease is longer than that and a renewal together. Were it taken over too early, work
# would be done twice, and one of the two results dropped: nothing would be lost or mixed.
DURATION = 90.0
RENEWED = 6  # times in that while
PATIENCE = 10.0  # seconds after which it is said that a lock is waited for
# What file systems answer that have no locks.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


def lease(file: Path) -> SoftFileLease:
    """A lease at that path, not yet taken."""
    return SoftFileLease(file, lease_duration=DURATION, heartbeat_interval=DURATION / RENEWED, thread_local=False)


def vacant(watched: SoftFileLease) -> bool:
    """Whether nobody holds a lease any more: its holder is dead, or has not renewed it for as long as it is watched.

    Args:
        watched: the same one each time, for it remembers since when nothing has changed.
    """
    for _ in range(2):  # the first may only do away with what a dead process left
        with suppress(Timeout):
            try:
                watched.acquire(timeout=0)
            except (LeaseSettingsMismatch, PermissionError):  # of a version that counts otherwise; of another user
                return False
            except IsADirectoryError:  # which no lease ever is
                return True
            watched.release()
            return True
    return False


class DirectoryLock:
    """Held while something is written to a folder; whoever holds it may take it again.

    Where the file system has no locks, a lease stands in for one.

    Args:
        folder: it is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: FileLock | SoftFileLease = FileLock(folder / ".lock")

    def __enter__(self) -> None:
        """Wait for it.

        Raises:
            IsoglossError: there can be none in that folder.
        """
        try:
            self._acquire()
        except OSError as error:
            if isinstance(self._lock, SoftFileLease) or error.errno not in _NO_LOCKS:
                what = f"{self.folder / '.lock'} cannot be locked: {error.strerror or error}"
                raise IsoglossError(f"{what}; move it away, or choose another --out") from error
            self._lock = lease(self.folder / ".lock-lease")
            self._acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others at it."""
        self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            err.print(f"waiting for another process that writes to {self.folder}", markup=False, soft_wrap=True)
            self._lock.acquire()
