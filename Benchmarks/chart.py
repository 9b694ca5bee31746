"""Charts with logarithmic axes, as SVG."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 460, 340, 56
COLORS = {
    "dump": "#1f5fa8", "frozen": "#7fb2e5", "left running": "#a8441f", "frozen, left running": "#e59a7f",
    "restore": "#2b7a3d",
}
LIMITS = ["#333333", "#777777", "#aaaaaa"]


def _decades(values):
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _number(value):
    if value >= 1:
        return f"{value:,.0f}"
    return f"{value:g}"


def _color(name, names):
    if name in COLORS:
        return COLORS[name]
    return LIMITS[[other for other in names if other not in COLORS].index(name) % len(LIMITS)]


def _panel(title, unit, lines, names, left, top):
    points = [(x, max(y, 0.01)) for line in lines.values() for x, y in line]
    x_low, x_high = _decades([x for x, _ in points])
    y_low, y_high = _decades([y for _, y in points])
    inner_width, inner_height = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN

    def place(x, y):
        across = (math.log10(x) - x_low) / (x_high - x_low)
        up = (math.log10(max(y, 0.01)) - y_low) / (y_high - y_low)
        return left + MARGIN + across * inner_width, top + MARGIN + (1 - up) * inner_height

    parts = [f'<text x="{left + MARGIN}" y="{top + 22}" class="title">{escape(title)}</text>']
    for decade in range(x_low, x_high + 1):
        x, bottom = place(10**decade, 10**y_low)
        parts.append(f'<line x1="{x:.1f}" y1="{top + MARGIN}" x2="{x:.1f}" y2="{bottom:.1f}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" class="below">{_number(10**decade)}</text>')
    for decade in range(y_low, y_high + 1):
        x, y = place(10**x_low, 10**decade)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{left + WIDTH - MARGIN}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" class="beside">{_number(10**decade)}</text>')
    middle = left + WIDTH / 2
    parts.append(f'<text x="{middle}" y="{top + HEIGHT - 20}" class="below">{escape(unit)}</text>')
    parts.append(f'<text x="{left + 8}" y="{top + MARGIN - 10}" class="unit">ms</text>')
    for name, line in lines.items():
        color = _color(name, names)
        dashes = ' stroke-dasharray="5 4"' if name.startswith("limit") else ""
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>')
        for x, y in line:
            across, up = place(x, y)
            parts.append(
                f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.5" fill="{color}">'
                f"<title>{escape(name)}: {_number(x)} {escape(unit)}, {y:,.1f} ms</title></circle>")
    return parts


def charts(title, panels):
    """One panel beside the other, two in a row, with a common legend.

    panels: (title, unit of the lower axis, {name of a line: [(number, milliseconds)]})
    """
    rows = (len(panels) + 1) // 2
    names = []
    for _, _, lines in panels:
        names += [name for name in lines if name not in names]
    width, height = 2 * WIDTH, 40 + rows * HEIGHT + 26 * ((len(names) + 3) // 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        "<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}"
        ".below{text-anchor:middle}.beside{text-anchor:end}.grid{stroke:#ddd}</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="26" class="title">{escape(title)}</text>',
    ]
    for number, (name, unit, lines) in enumerate(panels):
        parts += _panel(name, unit, lines, names, (number % 2) * WIDTH, 40 + number // 2 * HEIGHT)
    for number, name in enumerate(names):
        x, y = MARGIN + number % 4 * 210, 40 + rows * HEIGHT + 16 + number // 4 * 26
        color = _color(name, names)
        dashes = ' stroke-dasharray="5 4"' if name.startswith("limit") else ""
        parts.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 26}" y2="{y - 4}" stroke="{color}" stroke-width="3"{dashes}/>')
        parts.append(f'<text x="{x + 32}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
