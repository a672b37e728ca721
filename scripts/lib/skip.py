"""A test that this machine cannot run."""


class Skip(Exception):
    """Why, in one line."""
