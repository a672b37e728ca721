"""A test's answer where this machine cannot run it."""


class Skip(str):
    """Why a test was not run, in one line."""
