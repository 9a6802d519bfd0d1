#!/usr/bin/env python3
"""Draw the pictures of services and of their forms: `scripts/thumbnails.py [NAME...]`, from the checkout's root.

Each is SVG on a grid of 120 by 120, which Chromium turns into a PNG and ImageMagick makes small. They are flat and
lie on nothing: a light card for documents, a dark one for terminals and screens, a badge for containers. No logos.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent / "services"
DARK, SLATE, GREY = "#1a1f27", "#3a4250", "#d7dae0"
LIGHT, PALE, BLUE, SKY = "#f0f4f9", "#d6e2f1", "#345c8c", "#6f9fd8"
SAND, ORANGE, RED, GREEN = "#f4d394", "#edbe5c", "#ce5c3c", "#7ec98c"


def box(x: float, y: float, w: float, h: float, fill: str, r: float = 3) -> str:
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}"/>'


def dot(x: float, y: float, r: float, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}"/>'


def line(path: str, colour: str, width: float = 4) -> str:
    how = 'fill="none" stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{path}" stroke="{colour}" stroke-width="{width}" {how}/>'


def area(path: str, fill: str) -> str:
    return f'<path d="{path}" fill="{fill}"/>'


def window(fill: str, bar: str) -> str:
    """A window with its bar and three buttons; what is in it has from 10,32 to 110,104."""
    top = area("M10 32V26a10 10 0 0 1 10-10H100a10 10 0 0 1 10 10V32Z", bar)
    return (
        box(10, 16, 100, 88, fill, 10)
        + top
        + dot(22, 24, 4, "#e57368")
        + dot(34, 24, 4, ORANGE)
        + dot(46, 24, 4, GREEN)
    )


def screen(fill: str) -> str:
    """A monitor on its foot; its picture has from 16,22 to 104,80."""
    foot = area("M52 86H68L71 98H49Z", GREY) + box(38, 98, 44, 6, SLATE, 3)
    return foot + box(10, 16, 100, 70, SLATE, 9) + box(16, 22, 88, 58, fill, 4)


def page(band: str) -> str:
    """A notebook: a band above, two cells below."""
    cells = box(24, 40, 9, 14, BLUE) + box(38, 40, 58, 14, PALE) + box(24, 62, 9, 14, BLUE) + box(38, 62, 58, 14, SAND)
    top = area("M14 30V22A12 12 0 0 1 26 10H94A12 12 0 0 1 106 22V30Z", band)
    return box(14, 10, 92, 100, LIGHT, 12) + top + cells


def badge(x: float, y: float) -> str:
    """The ground of a badge: it has a rim, so that it is one on a dark card, too."""
    return box(x - 3, y - 3, 54, 52, LIGHT, 12) + box(x, y, 48, 46, DARK, 10)


def crates(x: float = 66, y: float = 66) -> str:
    """The badge of what runs in a container of Docker."""
    found = badge(x, y)
    for across, up, fill in ((8, 25, SKY), (25, 25, SKY), (16.5, 8, ORANGE)):
        found += box(x + across, y + up, 15, 14, fill, 2)
    return found


def moved(x: float, y: float, inside: str) -> str:
    return f'<g transform="translate({x} {y})">{inside}</g>'


def cube() -> str:
    """The badge of what runs from one image in a file."""
    sides = (("M0 -16L14 -8L0 0L-14 -8Z", SAND), ("M-14 -8L0 0V16L-14 8Z", ORANGE), ("M14 -8L0 0V16L14 8Z", RED))
    return badge(66, 66) + moved(90, 89, "".join(area(path, fill) for path, fill in sides))


def hill(y: float = 0) -> str:
    """A mountain of data above its plane."""
    ground = area("M18 88C38 88 44 42 60 42C76 42 82 88 102 88L60 100Z", BLUE)
    middle = area("M36 78C46 66 50 42 60 42C70 42 74 66 84 78Q60 92 36 78Z", SKY)
    return moved(0, y, ground + middle + area("M48 56C52 46 56 42 60 42C64 42 68 46 72 56Q60 64 48 56Z", ORANGE))


def rings() -> str:
    """A field cut through: what is hot lies inside."""
    return dot(56, 68, 29, BLUE) + dot(52, 68, 21, SKY) + dot(49, 67, 13, SAND) + dot(47, 66, 6, RED)


def bell() -> str:
    """A distribution, counted and drawn through."""
    heights = (10, 22, 38, 46, 32, 18, 8)
    bars = "".join(box(21 + 11.5 * n, 92 - h, 9, h, PALE if n % 2 else SKY, 2) for n, h in enumerate(heights))
    return bars + line("M20 86C42 82 42 38 58 38C76 38 78 82 100 88", RED)


def arcs(x: float, y: float, colour: str) -> str:
    """What is sent out."""
    waves = (f"M{x - r} {y - r}A{r * 1.42} {r * 1.42} 0 0 1 {x + r} {y - r}" for r in (8, 15, 22))
    return "".join(line(wave, colour, 4.5) for wave in waves) + dot(x, y, 4.5, colour)


POINTER = area("M0 0L0 24L6 18L10.5 28L15 26L10.5 16L19 16Z", LIGHT)
GLOBE = dot(60, 68, 24, SKY) + line("M36 68H84M60 44V92M60 44C46 56 46 80 60 92C74 80 74 56 60 44", LIGHT, 3)
DESK = (
    box(24, 30, 50, 34, LIGHT, 4)
    + box(24, 30, 50, 8, ORANGE, 3)
    + box(30, 44, 26, 4, PALE, 2)
    + box(30, 52, 34, 4, PALE, 2)
)

PICTURES = {
    "jupyterlab-host/thumbnail": box(14, 10, 92, 100, LIGHT, 12)
    + area("M26 10V110A12 12 0 0 1 14 98V22A12 12 0 0 1 26 10Z", BLUE)
    + box(34, 20, 62, 12, PALE)
    + box(34, 38, 50, 12, SAND)
    + box(34, 56, 62, 12, PALE)
    + line("M36 100L50 86L62 94L78 76L96 80", RED),
    "webshell/thumbnail": window(DARK, SLATE) + line("M26 50L42 63L26 76", GREEN, 6) + box(50, 72, 28, 6, GREY, 2),
    "jupyter-host/thumbnail": page(ORANGE) + line("M24 96L40 88L56 98L74 86L96 92", RED),
    "jupyter-docker/thumbnail": page(ORANGE) + crates(),
    "jupyter-singularity/thumbnail": page(ORANGE) + cube(),
    "turbovnc/thumbnail": screen(BLUE) + DESK + moved(72, 44, POINTER),
    "novnc-docker/thumbnail": screen(BLUE) + DESK + crates(),
    "nicedcv/thumbnail": screen(DARK) + arcs(60, 68, ORANGE),
    "scw/thumbnail": screen(BLUE)
    + "".join(box(x, 31, 4, 40, SKY, 2) + box(40, y, 40, 4, SKY, 2) for x, y in ((48, 39), (58, 49), (68, 59)))
    + box(44, 35, 32, 32, DARK, 5)
    + box(53, 44, 14, 14, ORANGE, 3),
    "openvscode/thumbnail": window(DARK, SLATE)
    + box(10, 32, 18, 62, "#262d38", 0)
    + area("M10 94H28V104H20A10 10 0 0 1 10 94Z", "#262d38")
    + box(15, 40, 8, 8, SKY, 2)
    + box(15, 54, 8, 8, SLATE, 2)
    + line("M38 44H60M46 56H74M46 68H58M38 92H52", SKY, 5)
    + line("M68 44H78M66 68H92M46 80H68", ORANGE, 5)
    + line("M82 56H96M76 80H84", GREEN, 5),
    "streamlit-host/thumbnail": window(LIGHT, PALE)
    + line("M22 46H98", PALE, 5)
    + line("M22 46H62", RED, 5)
    + dot(62, 46, 7, RED)
    + "".join(box(22 + 13 * n, 94 - h, 9, h, BLUE if n % 2 else SKY, 2) for n, h in enumerate((14, 24, 18, 34, 28, 38)))
    + box(20, 94, 80, 3, GREY, 1),
    "netcat-tester/thumbnail": box(10, 16, 100, 88, DARK, 12)
    + line("M34 60H42L48 42L58 78L66 50L72 60H86", GREEN, 5)
    + dot(28, 60, 9, SKY)
    + dot(92, 60, 9, ORANGE),
    "nginx-docker/thumbnail": window(LIGHT, PALE) + GLOBE + crates(),
    "docker-service/thumbnail": box(10, 16, 100, 88, DARK, 12)
    + "".join(
        box(20 + 28 * n, 72 - 24 * row, 24, 20, fill, 3) + line(f"M{28 + 28 * n} {77 - 24 * row}v10m8 -10v10", DARK, 3)
        for row, fills in enumerate(((SKY, SKY, SKY), (ORANGE, SKY), (RED,)))
        for n, fill in enumerate(fills)
    ),
    "matlab-docker/thumbnail": box(10, 10, 100, 100, LIGHT, 12) + hill(-12) + crates(),
    "matlab/thumbnail": box(10, 10, 100, 100, LIGHT, 12)
    + hill(-2)
    + line("M22 24V84", GREY, 3)
    + line("M22 98H98", GREY, 3),
    "r-singularity/thumbnail": box(10, 16, 100, 88, LIGHT, 12) + bell() + cube(),
    "pvweb-singularity/thumbnail": window(DARK, SLATE) + rings() + cube(),
    "turbovnc/workflows/terminal": window(LIGHT, SLATE)
    + line("M24 46L36 56L24 66", BLUE, 6)
    + box(44, 63, 22, 6, RED, 2)
    + line("M24 84H60M70 84H88", PALE, 5),
    "turbovnc/workflows/paraview": window(DARK, SLATE)
    + rings()
    + "".join(box(93, 44 + 12 * n, 8, 12, fill, 0) for n, fill in enumerate((RED, SAND, SKY, BLUE))),
    "turbovnc/workflows/matlab": window(LIGHT, SLATE) + hill(0),
    "turbovnc/workflows/rstudio": window(LIGHT, SLATE)
    + line("M60 34V102M12 66H108", GREY, 3)
    + line("M20 44H48M20 54H38", SKY, 5)
    + line("M20 78H32M20 90H44", ORANGE, 5)
    + line("M70 44H98M70 54H86", PALE, 5)
    + line("M70 96L100 76", BLUE, 3.5)
    + "".join(dot(x, y, 3.2, RED) for x, y in ((72, 88), (79, 94), (84, 80), (92, 86), (98, 74))),
    "turbovnc/workflows/qgis": window(LIGHT, SLATE)
    + area("M60 66L98 82L60 98L22 82Z", BLUE)
    + area("M60 56L98 72L60 88L22 72Z", GREEN)
    + area("M60 46L98 62L60 78L22 62Z", SAND)
    + area("M60 64C50 52 48 50 48 45A12 12 0 0 1 72 45C72 50 70 52 60 64Z", RED)
    + dot(60, 45, 4.5, LIGHT),
}


def draw(name: str, inside: str, folder: Path) -> None:
    """One picture, where it belongs."""
    page = folder / "picture.html"
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="120" viewBox="0 0 120 120">{inside}</svg>'
    page.write_text(f"<!doctype html><style>body{{margin:0}}svg{{display:block}}</style>{drawing}")
    shot, target = folder / "picture.png", SERVICES / f"{name}.png"
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--default-background-color=00000000")
    where = (f"--user-data-dir={folder}/profile", "--window-size=400,400", f"--screenshot={shot}", page.as_uri())
    subprocess.run(["chromium", *options, *where], check=True, capture_output=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A window is never as small as this, and less than what is asked for shows.
    small = (
        "-crop",
        "120x120+0+0",
        "+repage",
        "-strip",
        "+dither",
        "-colors",
        "96",
        "-define",
        "png:compression-level=9",
        "-define",
        "png:exclude-chunks=date,time",
    )
    subprocess.run(["convert", shot, *small, target], check=True)


def main() -> None:
    """Those that are named, else all."""
    with tempfile.TemporaryDirectory() as folder:
        for name, inside in PICTURES.items():
            if not sys.argv[1:] or name in sys.argv[1:]:
                draw(name, inside, Path(folder))


if __name__ == "__main__":
    main()
