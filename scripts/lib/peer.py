"""Another hypervisor on the same emulated machine: Debian's kernel with its KVM modules boots in Bochs, with scripts/peer/ as
its first process, which runs our guest build/guests/exits.elf. What that measures is compared with the same guest on ours."""
import os
import re
import shutil
import subprocess
import tempfile
import types

import children
import cpio
import debian
import guesttests
import iso
import machine
import tree
from serial import read_log
from usage import Usage

META = "linux-image-cloud-amd64"  # any of Debian's kernels would do; this one boots with the fewest instructions
MODULES = ("irqbypass", "kvm", "kvm-intel")
INIT = os.path.join(tree.ROOT, "build/peer/init")
GUEST = os.path.join(tree.ROOT, guesttests.GUESTS, "exits.elf")
MEM = 768  # MiB of the machine

# noxsaves, clearcpuid=321 (XSAVEC): Bochs' CPUs with AVX-512 say that they have both, and the kernel then finds sizes that
# contradict each other. The kernel's tests of its ciphers are half of the way to init. A panic ends Bochs.
CMDLINE = "console=ttyS0 noxsaves clearcpuid=321 cryptomgr.notests=1 panic=-1 reboot=t"

MEASURE = re.compile(r"^\[([^]]*)\] MEASURE kind=(\S+) (.*)")
END = "peer: end"


class Failed(Exception):
    """A boot that did not measure what it should, in one line."""


class Setting:
    """What is compared: KVM's side by its kernel's command line and module parameters, ours by mitigate=."""

    def __init__(self, name, title, cmdline, parameters, mitigate):
        self.name, self.title, self.cmdline, self.parameters, self.mitigate = name, title, cmdline, parameters, mitigate


SETTINGS = (Setting("off", "mitigations off", "mitigations=off", "", "none"),
            Setting("default", "default", "", "", "auto"),
            Setting("flush", "L1D flush each entry", "", "vmentry_l1d_flush=always", "entry"))


def kernel():
    """(package's name, vmlinuz, paths of the modules), downloaded if need be; debian.Unavailable."""
    folder = debian.fetch_dependency(META)
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            found.setdefault("vmlinuz" if name.startswith("vmlinuz-") else name, os.path.join(where, name))
    modules = [f"{name}.ko" for name in MODULES]
    for name in ("vmlinuz", *modules):
        if name not in found:
            raise Usage(f"{os.path.basename(folder)} has no {name}")
    return os.path.basename(folder), found["vmlinuz"], [found[name] for name in modules]


def memory(count):
    """Of the guest, in MiB: (where RAM is populated from, where in pages of 2 MiB, all). A page for each of @count
    operations and each of as many empty ones, and 15 operations on pages of 2 MiB."""
    part = -(-2 * (min(count, 10000) + 2) * 4096 // (2 << 20)) * 2
    return 4 + part, 4 + 2 * part, 4 + 2 * part + 64


def guest_words(count):
    populated, large, _ = memory(count)
    return f"n={count} irq=apic pic=on populated={populated} large={large}"


def _initrd(modules, out):
    def file(path, name):
        if not os.path.isfile(path):
            raise Usage(f"no such file: {os.path.relpath(path, tree.ROOT)} (make bench-kvm builds it)")
        with open(path, "rb") as source:
            return cpio.program(name, source.read())
    entries = [cpio.folder("dev"), cpio.CONSOLE, file(INIT, "init"), file(GUEST, "exits.elf")]
    with open(out, "wb") as initrd:
        initrd.write(cpio.pack(entries + [file(path, os.path.basename(path)) for path in modules]))


def boot_kvm(package, settings, count, log, args):
    """Measures in one boot with all @settings, which have one command line. @package: of kernel(). @args: timeout, cpu_model.
    The serial output goes to @log while it comes."""
    _, vmlinuz, modules = package
    runs = [f"run={setting.name}" + (f":{setting.parameters}" if setting.parameters else "") for setting in settings]
    words = [CMDLINE, settings[0].cmdline, "--", "guest=" + guest_words(count).replace(" ", ","), f"ram={memory(count)[2]}", *runs]
    with tempfile.TemporaryDirectory(prefix="vestibule-peer-") as work:
        image = os.path.join(work, "boot.iso")
        bochs = types.SimpleNamespace(cpus=1, threads=1, mem=MEM, cpu_model=args.cpu_model, gdb=False)
        command = machine.command(bochs, "bochs", image, work)
        os.remove(os.path.join(work, "serial"))
        os.symlink(os.path.abspath(log), os.path.join(work, "serial"))
        open(log, "wb").close()
        _initrd(modules, os.path.join(work, "initrd"))
        iso.make_linux_iso(vmlinuz, os.path.join(work, "initrd"), image, " ".join(words))
        with open(os.path.join(work, "console"), "wb") as console:
            try:
                children.run(children.tied(command), args.timeout, stdout=console, stderr=subprocess.STDOUT, cwd=work,
                             start_new_session=True)
            except subprocess.TimeoutExpired as late:
                raise Failed(f"no end within {args.timeout:g} s; see {log}") from late
        shutil.copyfile(os.path.join(work, "log"), log + ".emulator")
    judge(read_log(log), settings, log)


def judge(lines, settings, log):
    """Failed unless the boot of these @lines came to its end and the guest passed each time."""
    for line in lines:
        if line.startswith("peer: failed") or "Kernel panic" in line:
            raise Failed(f"{line}; see {log}")
    for setting in settings:
        if f"peer: {setting.name}: verdict 0" not in lines:
            raise Failed(f"{setting.name}: the guest did not pass; see {log}")
    if END not in lines:
        raise Failed(f"it ended early; see {log}")


def boot_ours(setting, count, log, args):
    spec = f"{GUEST},name=exits,mem={memory(count)[2]},apic=on,platform=pic:{guest_words(count)}"
    status, said = guesttests.run(log, "--machine", "bochs", "--cpu-model", args.cpu_model, "--mem", str(MEM), "--cmdline",
                                  f"mitigate={setting.mitigate}", "--timeout", str(args.timeout), "--guest", spec)
    if status == 2:
        raise Usage(said)
    if status:
        raise Failed(f"exit status {status}: {said or 'the guest failed'}; see {log}")


def exits(row):
    """Whether what one row measured causes an exit: where one exit maps many pages, most do not."""
    return 2 * row["exits"] >= row["n"]


def measured(log):
    """By name of VM and kind of exit: {"n": .., "p50": .., "exits": .., ...}. Empty if there is no such log yet."""
    found = {}
    for line in read_log(log) if os.path.exists(log) else []:
        match = MEASURE.match(line)
        if match:
            found.setdefault(match[1], {})[match[2]] = {
                key: int(value) for key, value in re.findall(r"(\w+)=(\d+)\b", match[3])}
    return found
