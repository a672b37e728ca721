"""Debian's packages, downloaded and unpacked under build/linux/packages/, never installed."""
import os
import shutil
import subprocess
import tempfile

import tree
from usage import Usage


class Unavailable(Usage):
    """A package that cannot be had here."""


PACKAGES = os.path.join(tree.ROOT, "build/linux/packages")


def _run(*command, cwd=tree.ROOT):
    """(stdout, None) or (None, why not, in one line)."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", check=False)
    if done.returncode == 0:
        return done.stdout, None
    why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return None, f"{' '.join(command)}: {why}"


def _dependency(meta):
    """The versioned package that the package @meta stands for, None if apt does not know it."""
    listed, _ = _run("apt-cache", "depends", meta)
    words = [line.split() for line in (listed or "").splitlines()]
    return next((word[1] for word in words if len(word) == 2 and word[0] == "Depends:"), None)


def _refresh():
    if os.geteuid() == 0:
        _run("apt-get", "update", "-qq")


def fetch(package):
    """The folder with the files of @package, downloaded unless that was done before. Unavailable says why it cannot be had."""
    folder = os.path.join(PACKAGES, package)
    if os.path.isdir(folder):
        return folder
    os.makedirs(PACKAGES, exist_ok=True)
    part = tempfile.mkdtemp(prefix=package + ".", dir=PACKAGES)
    try:
        _, why = _run("apt-get", "download", "-qq", package, cwd=part)
        if why:  # the lists may be older than the mirror
            _refresh()
            _, why = _run("apt-get", "download", "-qq", package, cwd=part)
        archives = [name for name in os.listdir(part) if name.endswith(".deb")]
        if not why and not archives:
            why = f"apt-get download {package}: nothing came"
        if not why:
            _, why = _run("dpkg", "-x", archives[0], part, cwd=part)
        if why:
            raise Unavailable(why)
        try:
            os.rename(part, folder)
        except OSError:
            if not os.path.isdir(folder):  # else another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def fetch_dependency(meta):
    """The same for the versioned package that @meta stands for."""
    for tool in ("apt-get", "apt-cache", "dpkg"):
        if not shutil.which(tool):
            raise Unavailable(f"no {tool} here, so no package {meta}")
    package = _dependency(meta)
    if not package:
        _refresh()
        package = _dependency(meta)
    if not package:
        raise Unavailable(f"apt knows no package {meta}: run apt-get update first")
    return fetch(package)
