"""The source tree as the checks see it."""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

# From left to right: nothing includes what stands to its right. asi and drivers share a place.
LAYERS = ("lib", "arch", "mm", "asi", "drivers", "vmm", "boot")
C_FOLDERS = LAYERS + ("guest-tests", "unittests")


def sources(folders=C_FOLDERS, endings=(".c", ".h", ".S")):
    """Paths, relative to the root and sorted, of all files under @folders with one of @endings."""
    found = []
    for folder in folders:
        for where, inner, names in os.walk(os.path.join(ROOT, folder)):
            inner[:] = [name for name in inner if name not in ("__pycache__", "build")]
            found += [os.path.relpath(os.path.join(where, name), ROOT)
                      for name in names if name.endswith(tuple(endings))]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def report(problems, what):
    """Prints the problems of one check; its exit status. Checking nothing is a failure too."""
    for problem in problems:
        print(problem)
    if not what:
        print("nothing to check")
    return 1 if problems or not what else 0
