"""The picture of a deliberate caller: how many calls each algorithm had admitted in the ten minutes before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.fleet.deliberate import WINDOW, Worst, in_window

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_MINUTE_MS: Final = 60_000
_FIRST_MINUTE: Final = 5
_LAST_MINUTE: Final = 35
_WITHIN: Final = "#2a6f97"
_ABOVE: Final = "#d1495b"
_EARLY: Final = "#e08e0b"
_GREY: Final = "#777777"


@dataclass(frozen=True, slots=True)
class Step:
    """From a minute on, this many calls had been admitted in the window before."""

    minute: float
    admitted: int


def steps(admitted: tuple[int, ...]) -> list[Step]:
    """Answer how the number in the window goes up and down; `admitted` in milliseconds, sorted."""
    changes = sorted({0, *admitted, *(at + WINDOW.period_ms for at in admitted)})
    return [Step(at / _MINUTE_MS, in_window(admitted, at)) for at in changes]


def draw(cases: Mapping[str, Worst], path: Path) -> None:
    """Draw a panel per algorithm into a PNG; needs matplotlib, which nothing else does."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.6 * len(cases) + 1.2), layout="constrained")
    panels = figure.subplots(len(cases), sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, (name, case) in zip(panels, cases.items(), strict=True):
        _draw_panel(panel, name, case)
    panels[-1].set_xlabel("time in minutes")
    figure.supylabel(f"calls admitted in the {WINDOW.period_ms // _MINUTE_MS} minutes before", fontsize=10)
    figure.suptitle(f"One caller who times the calls, under {WINDOW}", fontsize=11)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    # Without the drawing library's version, the same data makes the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_panel(panel: "Axes", name: str, case: Worst) -> None:
    line = steps(case.outcome.admitted)
    minutes, counts = [step.minute for step in line], [step.admitted for step in line]
    _fill(panel, minutes, counts)
    panel.step(minutes, counts, where="post", color=_WITHIN, linewidth=1.2)
    panel.axhline(WINDOW.limit, color=_GREY, linestyle="--", linewidth=0.8)
    for turn in range(0, _LAST_MINUTE, WINDOW.period_ms // _MINUTE_MS):
        panel.axvline(turn, color=_GREY, linestyle=":", linewidth=0.8)
    _tick(panel, case.outcome.admitted, 0.0, "black")
    _tick(panel, case.outcome.early, 2.0 * WINDOW.limit, _EARLY)
    panel.set_title(f"{name}: {case.outcome.most} at most", loc="left", fontsize=10)
    panel.set_xlim(_FIRST_MINUTE, _LAST_MINUTE)
    panel.set_ylim(0, 2 * WINDOW.limit + 0.5)
    panel.set_yticks([0, WINDOW.limit, 2 * WINDOW.limit])
    panel.spines[["top", "right"]].set_visible(False)


def _tick(panel: "Axes", times: Sequence[int], height: float, colour: str) -> None:
    minutes = [at / _MINUTE_MS for at in times if at < _LAST_MINUTE * _MINUTE_MS]
    panel.plot(
        minutes, [height] * len(minutes), "|", color=colour, markersize=9, clip_on=False, in_layout=False
    )


def _legend() -> "list[Artist]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(color=_WITHIN, alpha=0.25, label="admitted within the limit"),
        Patch(color=_ABOVE, alpha=0.8, label="admitted above the limit"),
        Line2D([], [], color=_GREY, linestyle="--", linewidth=0.8, label=f"the limit, {WINDOW.limit}"),
        Line2D([], [], color="black", linestyle="", marker="|", markersize=9, label="an admitted call"),
        Line2D([], [], color=_EARLY, linestyle="", marker="|", markersize=9, label="refused below the limit"),
        Line2D([], [], color=_GREY, linestyle=":", linewidth=0.8, label="a window of the clock ends"),
    ]


def _fill(panel: "Axes", minutes: Sequence[float], counts: Sequence[int]) -> None:
    """Colour what lies within the limit, and what lies above it."""
    within = [min(count, WINDOW.limit) for count in counts]
    panel.fill_between(minutes, within, step="post", color=_WITHIN, alpha=0.25, linewidth=0)
    panel.fill_between(minutes, within, counts, step="post", color=_ABOVE, alpha=0.8, linewidth=0)
