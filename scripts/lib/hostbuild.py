"""Builds the unit tests a second time, with other flags or other sources: object by object, so that what
did not change is not compiled again. For scripts/mutants and scripts/coverage.
"""
import os
import subprocess
import threading

import children
import tree

INCLUDES = ["-Iunittests/fake", "-Iarch/x86/include", "-I."]
COMMON = ["-std=gnu11", "-g", "-w", "-MMD", "-MP"]
LIST = "list-tests:;@$(foreach t,$(UNIT_TESTS),echo '$t|$(test_$t_SRCS)|$(test_$t_LIBS)|$(test_$t_CFLAGS)';)"
LIST_THREADS = ("list-tests:;@$(foreach t,$(THREAD_TESTS),"
                "echo 'thread_$t|$(thread_$t_SRCS)|-lpthread|-Iunittests/host -DDEBUG=1 $(thread_$t_CFLAGS)';)")


class BuildFailed(Exception):
    """The compiler's or linker's complaint."""


class UnitTest:
    """One program of unittests/tests.mk. A name that begins with "thread_" is of THREAD_TESTS."""

    def __init__(self, name, sources, libs, flags):
        self.name = name
        main = name if name.startswith("thread_") else f"test_{name}"
        # A set of sources, as make's $^ is: a file that is listed twice is linked once.
        self.sources = list(dict.fromkeys([f"unittests/{main}.c", *sources.split()]))
        self.libs = libs.split()
        self.flags = flags.split()


def list_tests(rule):
    said = subprocess.run(["make", "-s", "--no-print-directory", f"--eval={rule}", "list-tests"], cwd=tree.ROOT,
                          text=True, stdout=subprocess.PIPE, check=True).stdout
    tests = [UnitTest(*line.split("|")) for line in said.splitlines() if line.count("|") == 3]
    return {test.name: test for test in tests}


def unit_tests():
    """Name -> UnitTest, as the Makefile has them."""
    return list_tests(LIST)


def thread_tests():
    """The same of those with threads for CPUs."""
    return list_tests(LIST_THREADS)


def run(command, timeout=300, log=None):
    """Exit status of @command, run in the root of the tree; its output goes to @log or nowhere."""
    with open(log or os.devnull, "w", encoding="utf-8") as out:
        return children.run(command, timeout, cwd=tree.ROOT, stdout=out, stderr=subprocess.STDOUT)[0]


class Build:
    """Objects in @folder. With @base, another Build, and @overlay, a folder with a few changed files: only
    what depends on one of @changed is compiled again, and the changed files win over the tree's."""

    def __init__(self, folder, flags, base=None, overlay=None, changed=()):
        self.folder, self.flags, self.base, self.overlay, self.changed = folder, flags, base, overlay, changed
        self.lock = threading.Lock()
        self.locks = {}

    def depends(self, source, test):
        """The files that @source's object was made of."""
        with open(self.path(source, test) + ".d", encoding="utf-8") as file:
            words = file.read().replace("\\\n", " ").split()
        return {os.path.normpath(word.rstrip(":")) for word in words}

    def path(self, source, test):
        """A test with flags of its own shares no object with the others."""
        return os.path.join(self.folder, f"obj-{test.name}" if test.flags else "obj", source + ".o")

    def object(self, source, test):
        if self.base and not self.base.depends(source, test).intersection(self.changed):
            return self.base.path(source, test)
        path = self.path(source, test)
        with self.lock:
            lock = self.locks.setdefault(path, threading.Lock())
        with lock:
            if not os.path.exists(path):
                self.compile(source, path, test)
        return path

    def compile(self, source, path, test):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        first = [f"-I{self.overlay}"] if self.overlay else []
        if source in self.changed:
            source = os.path.join(self.overlay, source)
        log = path + ".log"
        if run(["gcc", *COMMON, *self.flags, *test.flags, *first, *INCLUDES, "-MF", path + ".d", "-c", "-o", path, source], log=log):
            with open(log, encoding="utf-8") as file:
                raise BuildFailed(file.read())

    def program(self, test):
        """Path of @test's program."""
        objects = [self.object(source, test) for source in test.sources]
        path = os.path.join(self.folder, f"test_{test.name}")
        log = path + ".log"
        if run(["gcc", *self.flags, "-o", path, *objects, "-lcmocka", *test.libs], log=log):
            with open(log, encoding="utf-8") as file:
                raise BuildFailed(file.read())
        return path
