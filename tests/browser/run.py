"""One scenario in a real browser: run.py SCENARIO URL SCREENSHOTS_DIR

CHROMIUM names the program, otherwise it is searched for. Exits with 0 when everything was as it should be, else with 1 and what was not;
the page that was open last is then in SCREENSHOTS_DIR as failed-SCENARIO.png. By hand, with a driftrun that serves examples/demo:

    target/test-tools/bin/python-of-tests tests/browser/run.py overview http://127.0.0.1:9152 target/screenshots
"""

import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

import greenlet
from browser import Browser
from scenarios import SCENARIOS

# Nothing here takes that long. It is less than the tests' own limit, so that it is said where it hung.
HANG_SECONDS = 100


def end_a_hang():
    """Ends the process when the time is up, with the line of the scenario that waited: the browser ends with it."""
    waits = greenlet.getcurrent()  # Playwright's own loop runs in another, while this one waits for it

    def hangs(_, frame):
        traceback.print_stack(waits.gr_frame or frame)
        print(f"hangs: {HANG_SECONDS} s are over", file=sys.stderr, flush=True)
        os._exit(1)

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANG_SECONDS)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in SCENARIOS:
        sys.exit(f"usage: run.py {'|'.join(SCENARIOS)} URL SCREENSHOTS_DIR")
    name, url, screenshots = sys.argv[1:]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("run.py: no chromium on PATH, and CHROMIUM is not set")
    failure = Path(screenshots, f"failed-{name}.png")
    failure.unlink(missing_ok=True)
    end_a_hang()
    with Browser(chromium, url.rstrip("/"), Path(screenshots)) as browser:
        try:
            SCENARIOS[name](browser)
        except Exception:
            traceback.print_exc()
            browser.shot_of_last(failure.stem)
            failed = True
        else:
            failed = False
        problems = browser.problems()
    for problem in problems:
        print(f"{name}: {problem}", file=sys.stderr)
    sys.exit(1 if failed or problems else 0)


if __name__ == "__main__":
    main()
