"""The @trace records of a log (docs/serial.md) as events in the order of time."""
import os
from dataclasses import dataclass, field

from serial import read_log, records
from usage import Usage

# What follows an event's type, by docs/serial.md; "flush" has as many words as it has kinds.
FIELDS = {"exit": ("reason",), "entry": ("restricted",), "flush": ("kinds",), "turn": ("owner", "vcpu"), "rest": ("owner", "vcpu"),
          "crossing": ("cause", "place"), "conversion": ("old", "new", "owner", "blocks"),
          "shootdown": ("ticks", "cpus"), "stun": ("ticks", "cpus"), "held": ("ticks", "cpus"), "stop": ("ticks", "cpus")}
TOUCHED = ("address", "error")  # of the crossing before


@dataclass
class Event:
    tsc: int
    cpu: int
    vm: str | None  # whose ring, None: the CPU's own
    vcpu: int | None
    type: str
    args: dict = field(default_factory=dict)


def beside(path):
    """@boot of the log beside what the monitor sent to another port."""
    other = path.removesuffix(".com2")
    return records(read_log(other), "boot") if other != path and os.path.exists(other) else []


class Trace:
    def __init__(self, path):
        try:
            lines = read_log(path)
        except OSError as wrong:
            raise Usage(f"{path}: {wrong.strerror}") from wrong
        boot = records(lines, "boot") or beside(path)
        if not boot:
            raise Usage(f"{path}: no @boot record, so no log of Vestibule")
        self.tsc_khz = boot[0]["tsc_khz"]
        self.events, self.lost, self.names = [], 0, {}
        self._seen = set()  # the monitor prints events that are printed once more at the end
        found = records(lines, "trace")
        if not found:
            raise Usage(f"{path}: no @trace record: run with --cmdline trace=on")
        try:
            for record in found:
                self._read(record)
            self.lost = sum({(r["vm"], r.get("vcpu"), r["vm"] is None and r["cpu"]): r["lost"] for r in found}.values())
        except (KeyError, TypeError, ValueError, IndexError) as wrong:
            raise Usage(f"{path}: a @trace record that docs/serial.md does not know: {wrong!r}") from wrong
        self.events.sort(key=lambda event: event.tsc)

    def _read(self, record):
        vm, vcpu = record["vm"], record.get("vcpu")
        if vm is not None:
            self.names[record["owner"]] = vm
        mine = []
        for ticks, kind, *values in record["events"]:
            if kind == "touched":  # a record may begin with the second half of a crossing
                if mine and mine[-1].type == "crossing":
                    mine[-1].args.update(zip(TOUCHED, values, strict=True))
                continue
            if kind == "flush":
                values = [" ".join(values)]
            args = dict(zip(FIELDS[kind], values, strict=True))
            which = (vm, vcpu, record["cpu"], record["tsc"] + ticks, kind)
            if which in self._seen:
                continue
            self._seen.add(which)
            mine.append(Event(record["tsc"] + ticks, record["cpu"], vm, vcpu, kind, args))
        self.events += mine

    def us(self, tsc):
        """Microseconds since the first event."""
        return (tsc - self.events[0].tsc) * 1000 / self.tsc_khz

    def name(self, owner, vcpu):
        """A vCPU as people call it."""
        return f"{self.names.get(owner, f'owner {owner}')}/{vcpu}"
