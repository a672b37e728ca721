"""Boots with input that is wrong: Vestibule says so in one clear line and serves the others still."""
import os
import random
import re
import struct

import guesttests
import tree
from serial import read_log, records

GOOD = "hello"  # a guest that passes

# How a machine without something of VMX says so: the guest cannot run, the self-test does. Only what is
# looked for first is named: Nehalem and Westmere have EPT, the former no unrestricted guest.
NO_VMX = (r"^error: module 1: cannot run without VMX$", r"^selftest: (\d+) of \1 passed$")

# name, guests, further options, exit status, whether GOOD has to pass, regexes for a line of the log each;
# with exit status 2 nothing is booted, and they are for what scripts/run says.
# {good} is the good guest's image, {folder} holds the images made below.
CASES = [
    ("no-guest", [], [], 1, False, r"no guest"),
    ("garbage-image", ["{folder}/garbage.elf,name=bad", "{good}"], [], 1, True, r"^(?!@).*\bbad\b.*\w"),
    ("truncated-image", ["{folder}/truncated.elf,name=bad", "{good}"], [], 1, True, r"^(?!@).*\bbad\b.*\w"),
    ("empty-image", ["{folder}/empty.elf,name=bad", "{good}"], [], 1, True, r"^(?!@).*\bbad\b.*\w"),
    ("overlapping-image", ["{folder}/overlapping.elf,name=bad", "{good}"], [], 1, True,
     r"^error: guest bad: segment 1 at 0x101000 overlaps segment 0$"),
    ("image-behind-ram", ["{folder}/behind.elf,name=bad,mem=32", "{good}"], [], 1, True,
     r"^error: guest bad: segment 1, 0x40000000-0x40001fff, is behind the guest's memory"),
    ("image-in-hole", ["{folder}/hole.elf,name=bad,mem=32", "{good}"], [], 1, True,
     r"^error: guest bad: segment 1, 0xa0000-0xa1fff, lies where the guest has no RAM$"),
    ("old-kernel", ["{folder}/old.kernel,name=bad", "{good}"], [], 1, True,
     r"^error: guest bad: boot protocol 2\.09 is older than 2\.10$"),
    ("kernel-behind-ram", ["{folder}/new.kernel,name=bad,mem=32", "{good}"], [], 1, True,
     r"^error: guest bad: the kernel unpacks itself at 0x1000000-0x2ffffff, .* it needs 48 MiB$"),
    ("mem-nonsense", ["{good},name=bad,mem=lots", "{good}"], [], 1, True,
     r"^(?!@).*mem=.*lots|lots.*mem"),
    ("mem-zero", ["{good},name=bad,mem=0", "{good}"], [], 1, True, r"^error: module 1: mem=0: .*1 MiB"),
    ("mem-too-small", ["{good},name=bad,mem=1", "{good}"], [], 1, True,
     r"^error: guest bad: segment 0, .* is behind the guest's memory: it needs \d+ MiB$"),
    ("mem-too-much", ["{good},name=bad,mem=99999", "{good}"], [], 1, True,
     r"(?i)^(?!@).*\bbad\b.*(memory|mem\b|mem=|MiB)"),
    ("guest-option-unknown", ["{good},name=bad,asi=sideways", "{good}"], [], 1, True, r"^(?!@).*asi="),
    ("disk-without-pc", ["{good},name=bad,disk={good}", "{good}"], [], 1, True,
     r"^error: module 1: a disk needs platform=pic or apic$"),
    ("disk-empty", ["{good},name=bad,platform=pic,disk={folder}/empty.elf", "{good}"], [], 1, True,
     r"^error: module 2: the disk is empty$"),
    ("input-without-console", ["{good},name=bad,input=virtio", "{good}"], [], 1, True,
     r"^error: module 1: input=virtio needs platform=pic or apic$"),
    ("input-unknown", ["{good},name=bad,input=ps2", "{good}"], [], 1, True, r"^error: module 1: input=ps2: com1 and virtio are known$"),
    ("disk-missing", ["{good},disk=/nowhere"], [], 2, False, r"^run: .*no such file: /nowhere$"),
    ("guest-cpus-of-pic", ["{good},name=bad,cpus=2,platform=pic", "{good}"], [], 1, True,
     r"^error: module 1: platform=pic interrupts one vCPU, not 2: take platform=apic$"),
    ("guest-apic-without", ["{good},name=bad,apic=off,platform=apic", "{good}"], [], 1, True,
     r"^error: module 1: apic=off: platform=apic needs local APICs$"),
    ("guest-word-unknown", ["{good},frob=1", "{good}"], [], 2, False, r"^run: .*unknown option 'frob=1'"),
    ("guest-word-twice", ["{good},mem=16,mem=32", "{good}"], [], 2, False, r"^run: .*mem is given twice$"),
    ("option-unknown", ["{good}"], ["--cmdline", "frobnicate=7"], 0, True, r"^(?!@).*frobnicate"),
    ("console-unknown", ["{good}"], ["--cmdline", "console=com9"], 0, True,
     r"^error: console=com9: no such port"),
    ("no-vmx-cpu", ["{good}"], ["--cpu-model", "ryzen"], 1, False,
     r"^VMX is missing: VMX \(CPUID\.1:ECX\.VMX\);", *NO_VMX),
    ("penryn-cpu", ["{good}"], ["--cpu-model", "core2_penryn_t9600"], 1, False,
     r"^VMX is missing: activate VMX-preemption timer;", *NO_VMX),
    ("nehalem-cpu", ["{good}"], ["--cpu-model", "corei5_lynnfield_750"], 1, False,
     r"^VMX is missing: XSAVE ", *NO_VMX),
    ("westmere-cpu", ["{good}"], ["--cpu-model", "corei5_arrandale_m520"], 1, False,
     r"^VMX is missing: XSAVE ", *NO_VMX),
]


def elf32(*segments):
    """An ELF for i386 with a Multiboot header and one PT_LOAD for each (address, length in memory)."""
    at = 0x1000  # of the header, which all segments have at their start
    header = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
    elf = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, segments[0][0] + len(header), 52, 0, 0,
                      52, 32, len(segments), 40, 0, 0)
    for address, length in segments:
        elf += struct.pack("<8I", 1, at, address, address, len(header), length, 7, 0x1000)
    return elf.ljust(at, b"\0") + header


def bzimage(version):
    """A Linux kernel that would unpack itself to 32 MiB at 16 MiB; without code."""
    fields = {0x1F1: b"\x01", 0x1F4: struct.pack("<I", 64), 0x1FE: b"\x55\xaa", 0x201: b"\x66HdrS",
              0x206: struct.pack("<H", version), 0x211: b"\x01", 0x22C: b"\xff" * 4, 0x238: struct.pack("<I", 255),
              0x258: struct.pack("<QI", 16 << 20, 32 << 20)}
    image = bytearray(2 * 512 + 64 * 16)
    for at, field in fields.items():
        image[at:at + len(field)] = field
    return bytes(image)


def make_images(folder):
    """The images that CASES names. The same bytes each time."""
    os.makedirs(folder)
    with open(os.path.join(tree.ROOT, guesttests.GUESTS, GOOD + ".elf"), "rb") as file:
        good = file.read()
    first = (0x100000, 0x2000)
    images = {"garbage": random.Random(1).randbytes(65536), "truncated": good[:len(good) // 2], "empty": b"",
              "overlapping": elf32(first, (0x101000, 0x2000)), "behind": elf32(first, (0x40000000, 0x2000)),
              "hole": elf32(first, (0xA0000, 0x2000))}
    files = {name + ".elf": data for name, data in images.items()}
    files |= {"old.kernel": bzimage(0x209), "new.kernel": bzimage(0x20F)}
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def run_case(case, folder, log):
    """None, or why it failed."""
    name, guests, options, expected, good_passes, *regexes = case
    folder = os.path.join(folder, name)
    good = os.path.join(tree.ROOT, guesttests.GUESTS, GOOD + ".elf")
    make_images(folder)
    specs = [word for guest in guests for word in ("--guest", guest.format(good=good, folder=folder))]
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "120", *specs, *options)
    if status != expected:
        return f"exit status {status}, expected {expected}" + (f"; {said}" if said else "")
    lines = said.splitlines() if expected == 2 else read_log(log)
    for regex in regexes:
        if not any(re.search(regex, line) for line in lines):
            return f"no line matches {regex!r}"
    if not good_passes:
        return None
    errors = [line for line in lines if re.match("error: (?!audit)", line)]
    if len(errors) != 1:
        return f"{len(errors)} lines of errors, expected one"
    passed = any(guest.get("vm") == GOOD and guest.get("verdict") == "pass" for guest in records(lines, "guest"))
    return None if passed else f"{GOOD} did not pass beside it"


def run_uefi(log):
    """The UEFI boot in QEMU without KVM: no VMX, said so, self-test, verdict."""
    status, said = guesttests.run(log, "--machine", "qemu-uefi", "--timeout", "120")
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    if not any(re.search(r"(?i)VMX", line) for line in read_log(log)):
        return "no line says that VMX is missing"
    return None
