"""Makes bootable GRUB images: BIOS and UEFI from one file, or one of them (quicker to make)."""
import os
import shutil
import subprocess
import tempfile

from usage import Usage, need

GRUB_DIR = "/usr/lib/grub"
PLATFORMS = {"both": None, "bios": "i386-pc", "efi": "x86_64-efi"}

# What the configuration below and the ISO's own start need; all modules would be 3 MiB more.
MODULES = "normal multiboot2 iso9660 part_gpt part_msdos search boot echo test true serial terminal halt"

LOAD_FAILED = "GRUB: cannot load "  # begins the line that says which file, on COM1


def grub_quote(word):
    """One word for grub.cfg: single quotes keep $ ; " { } # and \\ as they are."""
    return "'" + word.replace("'", "'\\''") + "'"


def grub_words(line):
    """A command line for grub.cfg. GRUB joins the words with single blanks again, and itself puts a
    backslash before each quote and backslash that it passes on."""
    return " ".join(grub_quote(word) for word in line.split())


def grub_cfg(steps):
    """@steps: triples of (GRUB's command, path on the ISO, command line). Each load is checked: GRUB would boot
    without a module that did not fit into memory. COM1 is touched in that case only."""
    lines = ["set timeout=0"]
    for command, path, words in steps:
        lines += [f"if {command} {path} {grub_words(words)}; then true; else",
                  "serial --unit=0 --speed=115200",
                  "terminal_output serial",
                  f'echo; echo {grub_quote(LOAD_FAILED + path)}; echo; sleep 1; halt',
                  "fi"]
    return "\n".join(lines + ["boot", ""])


def make_iso(image, out, cmdline="", modules=(), platform="both"):
    """@modules: pairs of (file, command line), loaded in this order."""
    files = [(image, "/boot/vestibule.elf", cmdline)]
    files += [(path, f"/boot/guests/{number}", line) for number, (path, line) in enumerate(modules)]
    commands = ["multiboot2"] + ["module2"] * len(modules)
    _make(out, commands, files, MODULES, platform)


def make_linux_iso(kernel, initrd, out, cmdline):
    """A Linux kernel with its first file system, for BIOS."""
    files = [(kernel, "/boot/vmlinuz", cmdline), (initrd, "/boot/initrd", "")]
    _make(out, ["linux", "initrd"], files, MODULES + " linux", "bios")


def _make(out, commands, files, grub_modules, platform):
    """@files: triples of (file, path on the ISO, command line), each loaded by one of @commands. Safe to run in parallel:
    works in a folder of its own, and @out appears complete or not at all."""
    need("grub-mkrescue", "xorriso", "mformat")
    for path, _, _ in files:
        if not os.path.isfile(path):
            raise Usage(f"no such file: {path}")
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vestibule-iso-") as work:
        root = os.path.join(work, "root")
        os.makedirs(os.path.join(root, "boot/grub"))
        os.makedirs(os.path.join(root, "boot/guests"))
        for path, where, _ in files:
            shutil.copyfile(path, root + where)
        with open(os.path.join(root, "boot/grub/grub.cfg"), "w", encoding="utf-8") as cfg:
            cfg.write(grub_cfg([(command, where, line) for command, (_, where, line) in zip(commands, files)]))
        _mkrescue(root, os.path.join(work, "out.iso"), grub_modules, platform)
        part = f"{out}.{os.getpid()}.part"
        shutil.move(os.path.join(work, "out.iso"), part)
        os.replace(part, out)


def _mkrescue(root, out, grub_modules, platform):
    command = ["grub-mkrescue", "-o", out, "--install-modules=" + grub_modules,
               "--locales=", "--fonts=", "--themes="]
    if PLATFORMS[platform]:
        command += ["-d", os.path.join(GRUB_DIR, PLATFORMS[platform])]
    done = subprocess.run(command + [root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    if done.returncode or not os.path.exists(out):
        raise Usage("grub-mkrescue failed: " + " ".join(done.stdout.split()[-40:]))
