"""Draws the CPU time of a create against the calls in flight, as an SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 510, 40, 310
_COLORS = ("#0b6bcb", "#c2410c", "#15803d")
_MICROSECONDS_BETWEEN_LINES = 500


def draw(path: Path, in_flight: Sequence[int], lines: Mapping[str, Sequence[float]]) -> None:
    """Draw a line for each server: its microseconds at each number in flight, which are evenly spaced."""
    steps = int(max(max(line) for line in lines.values()) / _MICROSECONDS_BETWEEN_LINES) + 1
    ceiling = steps * _MICROSECONDS_BETWEEN_LINES

    def x(place: int) -> float:
        return _LEFT + place * (_RIGHT - _LEFT) / (len(in_flight) - 1)

    def y(microseconds: float) -> float:
        return _BOTTOM - microseconds / ceiling * (_BOTTOM - _TOP)

    parts = [_text(_LEFT, 22, "CPU time of the server's process for one create, microseconds")]
    for microseconds in range(0, ceiling + 1, _MICROSECONDS_BETWEEN_LINES):
        height = y(microseconds)
        parts.append(f'<path d="M{_LEFT} {height:.0f}H{_RIGHT}" stroke="#ccc"/>')
        parts.append(_text(_LEFT - 8, height + 4, str(microseconds), anchor="end"))
    for place, count in enumerate(in_flight):
        parts.append(_text(x(place), _BOTTOM + 20, str(count), anchor="middle"))
    parts.append(_text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "creates in flight", anchor="middle"))
    for color, (name, line) in zip(_COLORS, lines.items(), strict=True):
        points = " ".join(f"{x(place):.0f},{y(value):.0f}" for place, value in enumerate(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(_text(_RIGHT + 8, y(line[-1]) + 4, name, color=color))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<rect width="100%" height="100%" fill="#fff"/>'
    path.write_text("\n".join([head, *parts, "</svg>\n"]))


def _text(x: float, y: float, text: str, *, anchor: str = "start", color: str = "#222") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}">{text}</text>'
