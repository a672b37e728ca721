"""What a long run is doing, how far it is, and what is left: one line on stderr for each step."""
import sys
import time


class Progress:
    def __init__(self, name, steps):
        self.name, self.steps = name, list(steps)
        self.done, self.begun, self.step = 0, None, None
        self.start = time.monotonic()

    def _say(self, text):
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def begin(self, step):
        """A step begins, and with that the one before has ended."""
        now = time.monotonic()
        left = ""
        if self.begun is not None:
            self.done += 1
            left = f", about {(now - self.start) / self.done * (len(self.steps) - self.done):.0f} s left"
        self.begun, self.step = now, step
        self._say(f"{self.done + 1} of {len(self.steps)}: {step}{left}")

    def end(self):
        self._say(f"{len(self.steps)} of {len(self.steps)} done in {time.monotonic() - self.start:.0f} s")

    def interrupted(self):
        self._say(f"interrupted in {self.step}; what follows is of the {self.done} of {len(self.steps)} steps that are done")
