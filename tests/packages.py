"""Packages from the package index that tests use beside hone, each list in a folder of the test
cache ($HONE_TEST_CACHE), installed once."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("HONE_TEST_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "hone-tests")


def fetch(*packages):
    """The folder to put on the path, or None where the packages cannot be had."""
    folder = CACHE / ("packages-" + re.sub(r"[^0-9a-z.]+", "-", "-".join(packages)))
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "ready").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--root-user-action=ignore",
                               "--target", folder,
                               *packages], stdout=sys.stderr)
        if made.returncode != 0:
            return None
        (folder / "ready").touch()
        return folder
