"""Boots with input that is wrong: Vestibule says so in one clear line and serves the others still."""
import os
import random
import re

import guesttests
import tree
from serial import read_log, records

GOOD = "hello"  # a guest that passes

# name, guests, further options, exit status, regex for one line of the log, whether GOOD has to pass.
# {good} is the good guest's image, {folder} holds the images made below.
CASES = [
    ("no-guest", [], [], 1, r"no guest", False),
    ("garbage-image", ["{folder}/garbage.elf,name=bad", "{good}"], [], 1, r"^(?!@).*\bbad\b.*\w", True),
    ("truncated-image", ["{folder}/truncated.elf,name=bad", "{good}"], [], 1, r"^(?!@).*\bbad\b.*\w", True),
    ("empty-image", ["{folder}/empty.elf,name=bad", "{good}"], [], 1, r"^(?!@).*\bbad\b.*\w", True),
    ("mem-nonsense", ["{good},name=bad,mem=lots", "{good}"], [], 1, r"^(?!@).*mem=.*lots|lots.*mem", True),
    ("mem-too-much", ["{good},name=bad,mem=99999", "{good}"], [], 1,
     r"(?i)^(?!@).*\bbad\b.*(memory|mem\b|mem=|MiB)", True),
    ("guest-option-unknown", ["{good},name=bad,asi=sideways", "{good}"], [], 1, r"^(?!@).*asi=", True),
    ("option-unknown", ["{good}"], ["--cmdline", "frobnicate=7"], 0, r"^(?!@).*frobnicate", True),
    ("no-vmx-cpu", ["{good}"], ["--cpu-model", "ryzen"], 1, r"(?i)VMX", False),
]


def make_images(folder):
    """The images that CASES names. The same bytes each time."""
    os.makedirs(folder)
    with open(os.path.join(tree.ROOT, guesttests.GUESTS, GOOD + ".elf"), "rb") as file:
        good = file.read()
    images = {"garbage": random.Random(1).randbytes(65536), "truncated": good[:len(good) // 2], "empty": b""}
    for name, data in images.items():
        with open(os.path.join(folder, name + ".elf"), "wb") as file:
            file.write(data)


def run_case(case, folder, log):
    """None, or why it failed."""
    name, guests, options, expected, regex, good_passes = case
    folder = os.path.join(folder, name)
    good = os.path.join(tree.ROOT, guesttests.GUESTS, GOOD + ".elf")
    make_images(folder)
    specs = [word for guest in guests for word in ("--guest", guest.format(good=good, folder=folder))]
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "120", *specs, *options)
    if status != expected:
        return f"exit status {status}, expected {expected}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if not any(re.search(regex, line) for line in lines):
        return f"no line matches {regex!r}"
    passed = any(guest.get("vm") == GOOD and guest.get("verdict") == "pass" for guest in records(lines, "guest"))
    return None if passed or not good_passes else f"{GOOD} did not pass beside it"


def run_uefi(log):
    """The UEFI boot in QEMU without KVM: no VMX, said so, self-test, verdict."""
    status, said = guesttests.run(log, "--machine", "qemu-uefi", "--timeout", "120")
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    if not any(re.search(r"(?i)VMX", line) for line in read_log(log)):
        return "no line says that VMX is missing"
    return None
