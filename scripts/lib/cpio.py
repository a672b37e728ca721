"""The first file system of a Linux."""

CONSOLE = ("dev/console", 0o20600, b"", (5, 1))  # the kernel opens it for init


def folder(name):
    return name, 0o40755, b"", (0, 0)


def program(name, data):
    return name, 0o100755, data, (0, 0)


def link(name, target):
    return name, 0o120777, target.encode(), (0, 0)


def pack(entries):
    """A "newc" archive of (name, mode, data, device number), the same bytes for the same entries."""
    out = bytearray()
    for inode, (name, mode, data, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", (0, 0))], 1):
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)
