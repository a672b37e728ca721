"""The machines that scripts/run knows: what each needs, and how it is started without a screen.

Each start function returns the command. The machine finds the ISO and writes COM1 to a file; it
ends by itself, or is killed with its process group."""
import os
import re
import shutil
import subprocess

from usage import Usage, need

BOCHS_BIOS = "/usr/share/bochs/BIOS-bochs-latest"
BOCHS_VGABIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
BOCHS_HOST_MEM = 2048  # MiB at most; what a larger machine uses beyond it is swapped to a file
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS.fd"

# speaker=0: the speaker's start-up overflows a buffer in Debian's Bochs 2.7 where there is no sound card.
# ips: emulated time per instruction, not speed. The BIOS, GRUB and the UART wait for emulated time, so
# less is quicker: 10 M boots in 1.5 s, 50 M in 2.6 s; below 10 M timers fire after too few instructions.
BOCHSRC = """\
display_library: rfb, options="timeout=0"
romimage: file={bios}
vgaromimage: file={vgabios}
memory: guest={mem}, host={host_mem}
cpu: model={cpu_model}, count=1:{cpus}:{threads}, ips=10000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
com1: enabled=1, {com1}
{com2}clock: sync=none
plugin_ctrl: unmapped=1, biosdev=1, serial=1, speaker=0
log: "{log}"
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""

PLATFORM = {"bochs": "bios", "qemu-kvm": "bios", "qemu-uefi": "efi"}  # of the ISO, see iso.py


def kvm_lacks():
    """What keeps KVM from offering VMX to its guests, or None. /dev/kvm alone proves nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        if not re.search(r"^flags\s*:.*\bvmx\b", cpuinfo.read(), re.M):
            return "this CPU has no vmx flag in /proc/cpuinfo"
    try:
        with open("/sys/module/kvm_intel/parameters/nested", encoding="ascii") as nested:
            if nested.read().strip() in ("Y", "1"):
                return None
    except OSError:
        pass
    return "/sys/module/kvm_intel/parameters/nested is not Y"


def choose(machine):
    """Resolves "auto", and refuses a machine that cannot be had."""
    if machine == "auto":
        return "bochs" if kvm_lacks() or not shutil.which("qemu-system-x86_64") else "qemu-kvm"
    if machine == "qemu-kvm" and kvm_lacks():
        raise Usage(f"qemu-kvm: no nested VMX, {kvm_lacks()}")
    return machine


def cmdline(args, machine):
    """Vestibule's command line. Bochs with several CPUs hardly goes on while all of them halt: they poll there."""
    words = ["idle=poll"] if machine == "bochs" and args.cpus * args.threads > 1 else []
    words += ["monitor=on"] if args.monitor else []
    return " ".join([*words, args.cmdline]).strip()


def command(args, machine, iso, work, port=None):
    """The command that boots @iso with the options @args of scripts/run. Scratch files go to the
    folder @work; serial output goes to @work/serial, the emulator's own messages to @work/log. With @port, COM1 is a
    connection to it, and COM2 goes to @work/com2."""
    serial = os.path.join(work, "serial")
    open(serial, "wb").close()
    if machine == "bochs":
        return _bochs(args, iso, serial, work, port)
    return _qemu(args, machine, iso, serial, work, port)


def _bochs(args, iso, serial, work, port):
    need("bochs", BOCHS_BIOS, BOCHS_VGABIOS)
    listed = subprocess.run(["bochs", "--help", "cpu"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if args.cpu_model not in listed.stdout.split():
        raise Usage(f"--cpu-model: Bochs has no {args.cpu_model} (bochs --help cpu lists them)")
    bochsrc, debugger = os.path.join(work, "bochsrc"), os.path.join(work, "debugger")
    with open(bochsrc, "w", encoding="utf-8") as file:
        file.write(BOCHSRC.format(bios=BOCHS_BIOS, vgabios=BOCHS_VGABIOS, mem=args.mem,
                                  host_mem=min(args.mem, BOCHS_HOST_MEM), iso=iso,
                                  cpu_model=args.cpu_model, cpus=args.cpus, threads=args.threads,
                                  com1=f'mode=file, dev="{serial}"' if port is None else f'mode=socket-client, dev="127.0.0.1:{port}"',
                                  com2="" if port is None else f'com2: enabled=1, mode=file, dev="{os.path.join(work, "com2")}"\n',
                                  log=os.path.join(work, "log")))
    with open(debugger, "w", encoding="ascii") as file:
        # Debian's build starts in its debugger, and has no gdb stub.
        file.write(f'ldsym global "{_symbols(args.image, work)}"\n' if args.gdb else "c\n")
    return ["bochs", "-q", "-f", bochsrc, "-rc", debugger]


def _symbols(image, work):
    """The image's symbols as Bochs reads them."""
    need("nm")
    listed = subprocess.run(["nm", image], capture_output=True, text=True, check=False).stdout
    path = os.path.join(work, "symbols")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"{words[0]} {words[2]}\n" for words in map(str.split, listed.splitlines()) if len(words) == 3)
    return path


def _qemu_serial(serial, work, port):
    if port is None:
        return ["-serial", "file:" + serial.replace(",", ",,")]
    return ["-serial", f"tcp:127.0.0.1:{port}", "-serial", "file:" + os.path.join(work, "com2").replace(",", ",,")]


def _qemu(args, machine, iso, serial, work, port):
    need("qemu-system-x86_64")
    run = ["qemu-system-x86_64", "-machine", "q35", "-m", str(args.mem), "-cdrom", iso,
           "-smp", f"sockets=1,cores={args.cpus},threads={args.threads}",
           "-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot",
           *_qemu_serial(serial, work, port),
           "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    if args.gdb:
        run += ["-s", "-S"]
    if machine == "qemu-kvm":
        return run + ["-enable-kvm", "-cpu", "host"]
    need(OVMF_CODE, OVMF_VARS)
    variables = shutil.copy(OVMF_VARS, os.path.join(work, "vars.fd"))
    return run + ["-cpu", "max", "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
                  "-drive", f"if=pflash,format=raw,file={variables.replace(',', ',,')}"]


def refusal(log):
    """Why the emulator did not even start, from its own messages, or None."""
    found = re.search(r"(?m)>>PANIC<< (.* out of range .*)|^qemu-system-x86_64: (?!warning)(.*)", log)
    return found and (found[1] or found[2]).strip()


def epitaph(log):
    """Why the machine ended, from the emulator's own messages."""
    found = re.findall(r">>PANIC<< (.*)", log)
    return found[-1].strip() if found else "it reset or switched itself off"
