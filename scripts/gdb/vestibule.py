"""For gdb: printers of Vestibule's structures and commands that follow its data. scripts/gdb/run loads it, or
`source scripts/gdb/vestibule.py` with build/vestibule.elf as the program.

  print *asi            a domain, in a line        vestibule-cpus    each CPU: its domain, target, vCPU
  print *v              a vCPU                     vestibule-vms     each VM and its vCPUs
  print *vm             a VM                       vestibule-block A the pageblock of physical address A
  print *block          a pageblock                vestibule-trace N the last N events of each CPU's ring
"""
import gdb

LAYOUT = {"PERCPU_BASE": 0xFFFF920000000000, "PERCPU_STRIDE": 0x40000, "PAGEBLOCK_ARRAY_BASE": 0xFFFF904000000000}  # arch/layout.h
CLASSES = ("SENSITIVE", "GLOBAL", "LOCAL")  # enum mem_class
TRACE_EVENTS = 4096  # arch/trace.h
VERDICTS = "verdict"


def enum_name(value, prefix):
    """VCPU_RUNNABLE as runnable."""
    text = str(value)
    return text[len(prefix):].lower() if text.startswith(prefix) else text


def owner_name(owner):
    return f"owner {int(owner['id'])}" if int(owner) else "nobody"


class AsiPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        kind = v["class"]["name"].string() if int(v["class"]) else "?"
        return f"domain {int(v['id'])} ({kind}, {owner_name(v['owner'])}), root 0x{int(v['pt']['root']['v']):x}, " \
               f"generation {int(v['tlb_gen'])}, {int(v['refs'])} references{', strict' if v['strict'] else ''}"


class VcpuPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        vm = v["vm"]["options"]["name"].string() if int(v["vm"]) else "?"
        return f"vCPU {int(v['id'])} of {vm}, {enum_name(v['state'], 'VCPU_')}, last exit {int(v['exit_reason'])}, VMCS 0x{int(v['vmcs']['v']):x}, " \
               f"VPID {int(v['vpid'])}, " + (f"domain {int(v['asi']['id'])}" if int(v["asi"]) else "no domain")


class VmPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        return f"VM {v['options']['name'].string()}, {owner_name(v['owner'])}, {int(v['nr_vcpus'])} vCPUs, {int(v['ram_bytes']) >> 20} MiB, " \
               f"EPTP 0x{int(v['eptp']):x}, verdict {enum_name(v['verdict'], 'VERDICT_')}"


class PageblockPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        kind = CLASSES[int(self.value["class"])]
        return kind + (f" of {owner_name(self.value['owner'])}" if int(self.value["owner"]) else "") + f", {int(self.value['nr_managed'])} pages of the buddy's"


PRINTERS = {"asi": AsiPrinter, "vcpu": VcpuPrinter, "vm": VmPrinter, "pageblock": PageblockPrinter}


def lookup(value):
    kind = value.type.strip_typedefs()
    return PRINTERS[kind.tag](value) if kind.code == gdb.TYPE_CODE_STRUCT and kind.tag in PRINTERS else None


def symbol(name, file=None):
    """The value of a static or global variable."""
    return gdb.parse_and_eval(f"'{file}'::{name}" if file else name)


def percpu(cpu, name):
    """The copy that @cpu has of a nonsensitive per-CPU variable."""
    template = gdb.parse_and_eval(f"&{name}")
    offset = int(template) - int(gdb.parse_and_eval("&__percpu_start"))
    address = LAYOUT["PERCPU_BASE"] + cpu * LAYOUT["PERCPU_STRIDE"] + offset
    return gdb.Value(address).cast(template.type).dereference()


class Command(gdb.Command):
    """One of ours: a word, and what it prints."""

    def __init__(self, name, lines):
        super().__init__(name, gdb.COMMAND_DATA)
        self.lines = lines

    def invoke(self, argument, _from_tty):
        for line in self.lines(*gdb.string_to_argv(argument)):
            print(line)


def cpus():
    for cpu in range(int(symbol("cpus_count"))):
        parts = []
        for name in ("asi_curr", "asi_target", "vcpu_loaded"):
            pointer = percpu(cpu, name)
            parts.append(f"{name} = " + (str(pointer.dereference()) if int(pointer) else "none"))
        yield f"CPU {cpu}: depth {int(percpu(cpu, 'trap_depth'))}; " + "; ".join(parts)


def vms():
    found = symbol("vms", "vmm/vm.c")
    for number in range(found.type.range()[1] + 1):
        if not int(found[number]):
            continue
        vm = found[number].dereference()
        yield str(vm)
        for vcpu in range(int(vm["nr_vcpus"])):
            yield f"  {vm['vcpus'][vcpu].dereference()}"


def block(address):
    kind = gdb.lookup_type("struct pageblock").pointer()
    number = int(gdb.parse_and_eval(address)) >> 21
    yield f"0x{number << 21:x}: {(gdb.Value(LAYOUT['PAGEBLOCK_ARRAY_BASE']).cast(kind) + number).dereference()}"


def trace(count="16"):
    rings = symbol("rings", "arch/x86/trace.c")
    types = {field.enumval: field.name[6:].lower() for field in gdb.lookup_type("enum trace_type").fields()}
    for cpu in range(int(symbol("cpus_count"))):
        if not int(rings[cpu]):
            continue
        nr = int(rings[cpu]["nr"])
        for number in range(max(0, nr - min(int(count), TRACE_EVENTS)), nr):
            event = rings[cpu]["events"][number % TRACE_EVENTS]
            word = int(event["word"])
            yield f"CPU {cpu}: {int(event['tsc'])} {types.get(word >> 16 & 0xff, '?')} 0x{word >> 32:x}"


gdb.pretty_printers.append(lookup)
for _name, _lines in (("cpus", cpus), ("vms", vms), ("block", block), ("trace", trace)):
    Command(f"vestibule-{_name}", _lines)
