"""Serial output: lines for people, and records for programs (docs/serial.md): a line that starts
with @, a word and a JSON object. Guests' own lines read "[name] text", so they cannot forge one."""
import json
import re

_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")  # the firmware's, before we start
_RECORD = re.compile(r"@([a-z]+) (\{.*\})$")


def clean(raw):
    """One line of text from the bytes that came. What the monitor drew anew in its row is there as it was drawn last."""
    return _ESCAPES.sub("", raw.decode("utf-8", "replace")).strip("\r\n").rpartition("\r")[2]


def parse_record(line):
    """(word, object) if @line is a record, else None."""
    found = _RECORD.match(line)
    if not found:
        return None
    try:
        fields = json.loads(found[2])
    except ValueError:
        return None
    return (found[1], fields) if isinstance(fields, dict) else None


def read_log(path):
    """All lines of a kept log."""
    with open(path, "rb") as log:
        return [clean(raw) for raw in log.read().split(b"\n")]


def records(lines, word):
    """The objects of all records of one kind."""
    return [found[1] for found in map(parse_record, lines) if found and found[0] == word]
