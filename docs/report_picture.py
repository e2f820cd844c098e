"""Draw `report.png` for the site, from the page of a run: what a reader sees first, down to the map.

    python docs/report_picture.py runs/demo/report.html docs/report.png

It takes the extra `test`, which has Playwright, and a Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, SCALE = 1200, 0.75  # pixels of the page, and of the picture for one of them


def draw(page: Path, picture: Path) -> None:
    """Write the picture.

    Args:
        page: a report.
        picture: where to, a PNG.
    """
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE)
        view.goto(page.resolve().as_uri())
        view.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
        end = view.evaluate("document.querySelector('#map-1').getBoundingClientRect().bottom + scrollY")
        view.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": round(end) + 16})
        browser.close()


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:3]))
