"""Pictures by gnuplot (Debian's gnuplot-nox). Each function writes one file; its name's ending says SVG or PNG."""
import subprocess

from usage import Usage, need

# Distinct also without colour vision (Okabe and Ito), and grey for the rest.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
OTHERS = "#b0b0b0"

STYLE = """\
set encoding utf8
set border 3 lc '#606060'
set tics nomirror textcolor '#303030'
set grid y lc '#e0e0e0' lt 1
"""


def quote(text):
    """A gnuplot string, without its enhanced text's marks."""
    return "'" + str(text).replace("'", "''") + "'"


def _run(path, size, body):
    need("gnuplot")
    kind = "svg" if path.endswith(".svg") else "pngcairo"
    width, height = size
    background = "background '#ffffff'" if kind == "svg" else "background rgb '#ffffff'"
    head = f"set terminal {kind} size {width},{height} noenhanced font 'DejaVu Sans,11' {background}\nset output {quote(path)}\n"
    done = subprocess.run(["gnuplot"], input=head + STYLE + body, text=True, capture_output=True, check=False)
    if done.returncode or "line 0:" in done.stderr or "error" in done.stderr.lower():
        raise Usage(f"gnuplot: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")


def _block(name, rows):
    return f"${name} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"


def stacked(path, title, ylabel, xlabel, edges, layers):
    """Areas on top of each other. @edges: n + 1 times; @layers: (name, n values), the lowest first."""
    base = [0.0] * (len(edges) - 1)
    blocks, plots = "", []
    for number, (name, values) in enumerate(layers):
        top = [low + value for low, value in zip(base, values)]
        rows = [(x, low, high) for at, (low, high) in enumerate(zip(base, top)) for x in (edges[at], edges[at + 1])]
        blocks += _block(f"layer{number}", rows)
        colour = OTHERS if name == "others" else COLOURS[number % len(COLOURS)]
        plots.append(f"$layer{number} using 1:2:3 with filledcurves fs solid 0.9 noborder lc rgb '{colour}' title {quote(name)}")
        base = top
    body = blocks + f"set title {quote(title)}\nset ylabel {quote(ylabel)}\nset xlabel {quote(xlabel)}\n" \
        f"set xrange [{edges[0]}:{edges[-1]}]\nset yrange [0:{max(base) * 1.05 or 1}]\n" \
        "set format y '%.0f'\nset key outside right top reverse Left invert samplen 1.5\nplot " + ", ".join(plots) + "\n"
    _run(path, (1000, 420), body)


def strips(path, title, xlabel, rows):
    """A strip for each of @rows, (name, note, [(low, high, share)]): the darker, the larger the share; low and high on a logarithmic axis."""
    # By its root, so that what is rare is seen.
    data = [(low, high, number, share ** 0.5) for number, (_, _, cells) in enumerate(rows) for low, high, share in cells]
    low, high = min(row[0] for row in data), max(row[1] for row in data)
    tics = ", ".join(f"{quote(name)} {number}" for number, (name, _, _) in enumerate(rows))
    notes = "".join(f"set label {quote(note)} at graph 1.01, first {number} left font ',9' textcolor '#505050'\n"
                    for number, (_, note, _) in enumerate(rows))
    body = _block("cells", data) + f"set title {quote(title)}\nset xlabel {quote(xlabel)}\nset logscale x\n" \
        f"set xrange [{low}:{high}]\nset yrange [{len(rows) - 0.4}:-0.6]\nset ytics ({tics}) font ',10'\nunset grid\n" \
        "set grid x lc '#e0e0e0' lt 1\nset rmargin 32\nset format x '%.0f'\nset palette defined (0 '#dbe9f6', 0.3 '#6baed6', 1 '#08306b')\nset cbrange [0:1]\nunset colorbox\n" + notes + \
        "plot $cells using (($1+$2)/2):3:1:2:($3-0.4):($3+0.4):4 with boxxyerror fs solid noborder fc palette notitle\n"
    _run(path, (1000, 110 + 28 * len(rows)), body)


def bars(path, title, xlabel, rows, limit=None):
    """A horizontal bar for each of @rows: (name, value, what is written behind it)."""
    top = limit or max(value for _, value, _ in rows) * 1.05 or 1
    data = [(number, value, quote(text).replace("'", '"')) for number, (_, value, text) in enumerate(rows)]
    tics = ", ".join(f"{quote(name)} {number}" for number, (name, _, _) in enumerate(rows))
    body = _block("bars", data) + f"set title {quote(title)}\nset xlabel {quote(xlabel)}\nset xrange [0:{top}]\n" \
        f"set yrange [{len(rows) - 0.4}:-0.6]\nset ytics ({tics}) font ',10'\nunset grid\nset rmargin 34\n" \
        f"plot $bars using ($2/2):1:(0):2:($1-0.35):($1+0.35) with boxxyerror fs solid noborder lc rgb '{COLOURS[0]}' notitle, " \
        f"$bars using ({top}):1:3 with labels left offset 1,0 font ',9' textcolor '#505050' notitle\n"
    _run(path, (1000, 110 + 26 * len(rows)), body)


def groups(path, title, ylabel, names, columns, low=None):
    """Bars side by side on a logarithmic axis: @columns are (name, a value or None for each of @names)."""
    width = 0.8 / len(columns)
    plots, blocks = [], ""
    for number, (name, values) in enumerate(columns):
        rows = [(at + (number - (len(columns) - 1) / 2) * width, value) for at, value in enumerate(values) if value]
        blocks += _block(f"column{number}", rows or [("NaN", "NaN")])
        plots.append(f"$column{number} using 1:2:({width * 0.92}) with boxes fs solid noborder lc rgb '{COLOURS[number % len(COLOURS)]}' title {quote(name)}")
    values = [value for _, column in columns for value in column if value]
    tics = ", ".join(f"{quote(name)} {at}" for at, name in enumerate(names))
    body = blocks + f"set title {quote(title)}\nset ylabel {quote(ylabel)}\nset logscale y\nset format y '%.0s%c'\n" \
        f"set yrange [{low or min(values) / 2}:{max(values) * 2}]\nset xrange [-0.6:{len(names) - 0.4}]\n" \
        f"set xtics ({tics}) rotate by -35 left font ',9'\nset key outside right top samplen 1.5\nset boxwidth {width}\nplot " + ", ".join(plots) + "\n"
    _run(path, (1000, 460), body)
