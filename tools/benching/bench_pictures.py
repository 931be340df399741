"""Pictures as SVG text: bars of one group of scenarios, and lines of how cost grows. Both on logarithmic axes, for what
is compared lies a hundredfold apart; each bar has its figure beside it."""
import math
from xml.sax.saxutils import escape

from .bench_figures import YARDSTICKS, contenders, shown

COLOURS = {"spruce": "#1b7837", "floor": "#9e9e9e", "coroutine": "#5e4fa2", "boost.fiber": "#d95f02", "boost.context": "#d95f02",
           "libuv": "#1f78b4", "libev": "#e6ab02", "libevent": "#a6761d", "asio": "#c2185b"}
OTHERS = ("#00838f", "#6d4c41", "#7cb342", "#8e24aa", "#37474f")
FONT = 'font-family="Helvetica, Arial, sans-serif"'
NAMES = {"spruce": "Spruce", "coroutine": "C++20 coroutine"}


def name_of(who):
    return NAMES.get(who, who)


def in_order(everyone):
    """Ours, the yardsticks, then peers by name."""
    return [who for who in YARDSTICKS if who in everyone] + sorted(who for who in everyone if who not in YARDSTICKS)


def colour(who, everyone):
    unknown = [one for one in in_order(everyone) if one not in COLOURS]
    return COLOURS.get(who) or OTHERS[unknown.index(who) % len(OTHERS)]


def text(x, y, what, size=12, anchor="start", fill="#222", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(str(what))}</text>')


def line(x1, y1, x2, y2, stroke="#ddd", width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"/>'


def svg(width, height, title, parts):
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img">',
        f"<title>{escape(title)}</title>", f'<rect width="{width}" height="{height:.0f}" fill="#fff"/>', *parts, "</svg>", ""))


def decades(values, at_least=1):
    """Powers of ten around what is there, so many at the least: what is flat shall look flat."""
    there = [value for value in values if value > 0] or [1]
    low, high = math.floor(math.log10(min(there)) + 1e-9), math.ceil(math.log10(max(there)) - 1e-9)
    while high - low < at_least:
        high += 1
        if high - low < at_least:
            low -= 1
    return low, high


def power(exponent):
    if -3 <= exponent < 0:
        return f"{10.0 ** exponent:g}"
    for least, unit in ((9, "G"), (6, "M"), (3, "K")):
        if exponent >= least:
            return f"{10 ** (exponent - least)} {unit}"
    return f"{10 ** exponent}"


def bars(title, unit, rows):
    """rows: [(label, figures)], figures as in a part."""
    everyone = in_order({who for _, figures in rows for who in contenders(figures)})
    low, high = decades([figures[who]["min"] for _, figures in rows for who in contenders(figures)])
    left, right, bar, gap = 250, 90, 14, 14
    width = 900
    scale = (width - left - right) / (high - low)

    def at(value):
        return left + max(math.log10(value) - low, 0) * scale if value > 0 else left
    parts = [text(20, 28, title, 16, weight="bold"), text(width - 20, 28, f"{unit}, logarithmic; shorter is better", 12, "end", "#666")]
    x = 20
    for who in everyone:
        parts += [f'<rect x="{x}" y="42" width="12" height="12" fill="{colour(who, everyone)}"/>', text(x + 17, 53, name_of(who))]
        x += 32 + 7 * len(name_of(who))
    y = 74.0
    axis = []
    for label, figures in rows:
        measured = [who for who in everyone if who in figures]
        parts.append(text(left - 10, y + bar * len(measured) / 2 + 4, label, 12, "end"))
        for who in measured:
            value = figures[who]["min"]
            parts.append(f'<rect x="{left}" y="{y:.1f}" width="{max(at(value) - left, 1):.1f}" height="{bar - 2}" fill="{colour(who, everyone)}"/>')
            parts.append(text(max(at(value), left) + 5, y + bar - 4, shown(value), 11, fill="#444"))
            y += bar
        y += gap
    for exponent in range(low, high + 1):
        x = left + (exponent - low) * scale
        axis += [line(x, 66, x, y - gap + 4), text(x, y + 8, power(exponent), 11, "middle", "#666")]
    return svg(width, y + 20, title, axis + parts)


def growth(title, unit, who):
    """who: {who: [(n, value)]}."""
    everyone = in_order(who)
    points = [point for one in who.values() for point in one]
    x_low, x_high = decades([n for n, _ in points])
    y_low, y_high = decades([value for _, value in points], 2)
    width, height, left, top, bottom, right = 700, 360, 70, 70, 40, 170
    x_scale = (width - left - right) / (x_high - x_low)
    y_scale = (height - top - bottom) / (y_high - y_low)

    def at(n, value):
        return left + (math.log10(n) - x_low) * x_scale, height - bottom - (math.log10(max(value, 10.0 ** y_low)) - y_low) * y_scale
    parts = [text(20, 28, title, 16, weight="bold"), text(20, 50, unit, 12, fill="#666")]
    for exponent in range(x_low, x_high + 1):
        x = left + (exponent - x_low) * x_scale
        parts += [line(x, top, x, height - bottom), text(x, height - bottom + 18, power(exponent), 11, "middle", "#666")]
    for exponent in range(y_low, y_high + 1):
        y = height - bottom - (exponent - y_low) * y_scale
        parts += [line(left, y, width - right, y), text(left - 8, y + 4, power(exponent), 11, "end", "#666")]
    ends = []
    for one in everyone:
        places = [at(n, value) for n, value in who[one]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(one, everyone)}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour(one, everyone)}"/>' for x, y in places]
        ends.append([places[-1][1] + 4, places[-1][0] + 8, one, who[one][-1][1]])
    ends.sort()
    for before, after in zip(ends, ends[1:]):   # names that would lie on each other
        after[0] = max(after[0], before[0] + 13)
    parts += [text(x, y, f"{name_of(one)} {shown(value)}", 11, fill=colour(one, everyone), weight="bold") for y, x, one, value in ends]
    return svg(width, height, title, parts)
