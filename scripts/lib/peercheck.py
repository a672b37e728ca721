"""KVM beside ours, in a short form: what scripts/bench-kvm compares is measured on both, and is what it should be."""
import types

import debian
import peer
from skip import Skip

COUNT = 300
TIMEOUT = 900  # seconds for each boot

# Ticks of a CPUID exit on KVM 6.1 in Bochs, measured by another guest than ours (docs/measuring.md), and how far ours may be off.
KNOWN = {"default": 1086, "flush": 5249}
TOLERANCE = 0.1


def judge(name, kvm, ours):
    """None, or what is wrong with the kinds of one setting."""
    missing = {"CPUID", "IN", "OUT", "RDMSR", "WRMSR", "VMCALL", "HLT", "EPT-TOUCH", "EPT-PRESENT"} - (kvm.keys() & ours.keys())
    if missing:
        return f"{name}: not measured on both: {', '.join(sorted(missing))}"
    cpuid = kvm["CPUID"]["p50"]
    if abs(cpuid - KNOWN[name]) > TOLERANCE * KNOWN[name]:
        return f"{name}: a CPUID exit takes KVM {cpuid} ticks, not about {KNOWN[name]}"
    for kind, row in ours.items():
        if not peer.exits(row) or kind not in kvm:
            continue
        if not peer.exits(kvm[kind]):
            return f"{name}: {kind} causes no exit on KVM"
        if row["p50"] >= kvm[kind]["p50"]:
            return f"{name}: {kind} takes {row['p50']} ticks, on KVM {kvm[kind]['p50']}"
    return None


def run_peer(log):
    """None, why it failed, or a Skip where the kernel cannot be had."""
    try:
        package = peer.kernel()
    except debian.Unavailable as why:
        return Skip(why)
    args = types.SimpleNamespace(timeout=TIMEOUT, cpu_model="corei7_skylake_x")
    settings = [setting for setting in peer.SETTINGS if setting.name in KNOWN]
    try:
        peer.boot_kvm(package, settings, COUNT, log, args)
        kvm = peer.measured(log)
        for setting in settings:
            ours_log = f"{log}.{setting.name}"
            peer.boot_ours(setting, COUNT, ours_log, args)
            why = judge(setting.name, kvm.get(setting.name, {}), peer.measured(ours_log).get("exits", {}))
            if why:
                return why
    except peer.Failed as why:
        return str(why)
    return None
