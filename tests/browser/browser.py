"""Chromium, the pages that a scenario opens in it, and whatever goes wrong in them unseen.

A scenario fails at its end if anything was recorded here: an error or a warning in a console, an exception, a dialog, a window that nobody
opened, a request that failed or went to anybody but the server, something that the page's content security policy forbade.
"""

import os

from playwright.sync_api import sync_playwright

# Nothing on a page takes that long: whoever waits longer hangs.
HANG_MILLISECONDS = 60_000

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}

# What a policy forbids is in the console too, in words that differ between versions.
TELL_OF_VIOLATIONS = """
    document.addEventListener('securitypolicyviolation', event =>
        console.error(`forbidden by ${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`));
"""


class Browser:
    """One Chromium, for as long as a `with`."""

    def __init__(self, chromium, url, screenshots):
        self.chromium, self.url, self.screenshots = chromium, url, screenshots
        self.pages, self.recorded = [], []

    def __enter__(self):
        self.screenshots.mkdir(parents=True, exist_ok=True)
        self.playwright = sync_playwright().start()
        # No name leads anywhere: not even a page that asks for one reaches another machine.
        flags = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses to start as root with it
        self.browser = self.playwright.chromium.launch(executable_path=self.chromium, args=flags, timeout=HANG_MILLISECONDS)
        return self

    def __exit__(self, *_):
        self.browser.close()
        self.playwright.stop()

    def open(self, path, *, dark=False, scripts=True, phone=False, still=False):
        """A page of the server's, loaded, in a context of its own.

        `dark`: as somebody who prefers dark colours; `scripts`: with JavaScript; `phone`: on a small screen that is touched;
        `still`: as somebody who prefers reduced motion.
        """
        context = self.browser.new_context(
            **(PHONE if phone else DESKTOP),
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce" if still else "no-preference",
        )
        context.set_default_timeout(HANG_MILLISECONDS)
        context.add_init_script(TELL_OF_VIOLATIONS)
        page = context.new_page()
        self._watch(context, page)
        self.pages.append(page)
        page.goto(self.url + path)
        return page

    def _watch(self, context, page):
        def record(what):
            self.recorded.append(f"{page.url}: {what}")

        def requested(request):
            if not request.url.startswith((self.url + "/", "data:")):
                record(f"asks for {request.url}, which is not this server's")

        def answered(response):
            if response.status >= 400:
                record(f"{response.url} was answered with {response.status}")

        def asked(dialog):
            record(f"opened a dialog, {dialog.type}: {dialog.message}")
            dialog.dismiss()

        def failed(request):
            # A page that is left asks for nothing any more.
            if request.failure != "net::ERR_ABORTED":
                record(f"{request.url} failed: {request.failure}")

        page.on("console", lambda line: line.type in ("error", "warning") and record(f"console, {line.type}: {line.text}"))
        page.on("pageerror", lambda error: record(f"exception: {error}"))
        page.on("crash", lambda _: record("the page crashed"))
        page.on("download", lambda download: record(f"downloads {download.url}"))
        page.on("dialog", asked)
        page.on("requestfailed", failed)
        context.on("request", requested)
        context.on("response", answered)
        context.on("page", lambda other: record(f"opened another window, {other.url}"))

    def problems(self):
        """All that was recorded since it was asked last."""
        for page in self.pages:
            page.evaluate("0")  # whatever was on its way has come before its answer
        recorded, self.recorded = self.recorded, []
        return recorded

    def expected(self, what):
        """What was recorded and has to be: exactly one."""
        matches = [one for one in self.recorded if what in one]
        assert len(matches) == 1, f"{what}: {matches}"
        self.recorded.remove(matches[0])

    def shot(self, page, name, whole=True):
        """Writes NAME.png: the window, and if the `whole` is wanted what is below it, as far as that isn't endless."""
        height = page.evaluate("document.documentElement.scrollHeight")
        # Playwright would hide the caret with a style element, which the policy forbids.
        page.screenshot(path=self.screenshots / f"{name}.png", full_page=whole and height < 6_000, caret="initial")

    def shot_of_last(self, name):
        """The page that was opened last, if it can still be drawn."""
        try:
            self.shot(self.pages[-1], name)
        except Exception as error:  # whatever it is, the scenario's own failure counts
            print(f"no screenshot: {error}")
