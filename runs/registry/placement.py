"""Where the registry of a lab home lies: in it, or in a cache of each user.

The rule: in the cache when the home is not writable for this user, or lies on a network file
system. There locks and renames are slow or not to be relied on, and several people would write
one file; what the registry holds is derived, so that everyone may have their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK_TYPES = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "fuse.ceph",
    "fuse.rclone", "afpfs", "webdav", "pvfs2", "orangefs", "wekafs",
})  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


def registry_dir(root: Path, env: Mapping[str, str]) -> Path:
    """Return the directory of the registry of the lab home at `root`."""
    place = _nearest_existing(root)
    is_writable = os.access(place, os.W_OK)
    return choose_dir(root, env, is_writable=is_writable, fs_type=fs_type(place))


def choose_dir(
    root: Path, env: Mapping[str, str], *, is_writable: bool, fs_type: str | None
) -> Path:
    """Return `root`, or where this user keeps the registry of a home that cannot hold it."""
    if is_writable and fs_type not in NETWORK_TYPES:
        return root
    cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "~").expanduser() / ".cache")
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return cache / "labcli" / name


def fs_type(path: Path) -> str | None:
    """Return the type of the file system that holds a path, or None when it cannot be told."""
    if not sys.platform.startswith("linux"):
        return _portable_type(path)
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    return type_from_mounts(lines, path.resolve())


def type_from_mounts(lines: list[str], path: Path) -> str | None:
    """Return the type of the innermost mount that holds a path, from lines of mountinfo."""
    best: tuple[int, str] | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), after.split(" ")[0])
    return best[1] if best else None


def _portable_type(path: Path) -> str | None:
    import psutil

    mounts = [
        mount
        for mount in psutil.disk_partitions(all=True)
        if path.resolve().is_relative_to(mount.mountpoint)
    ]
    innermost = max(mounts, key=lambda mount: len(mount.mountpoint), default=None)
    return innermost.fstype if innermost else None


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
