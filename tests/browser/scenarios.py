"""The scenarios, a function each. tests/browser.rs starts the server for each of them; what they expect is what it starts."""

import os
import re

from assertions import becomes, equal, never_scrolls_sideways, nothing_moves, shows, tab_reaches_every_link, tab_to
from axe import axe

# examples/demo
DEMO = {
    "ansiblediff-dev": "clean",
    "ansiblediff-prod": "partial",
    "backup-age": "clean",
    "kubediff-dev": "clean",
    "kubediff-prod": "drifted",
    "terradiff-dev": "clean",
    "terradiff-prod": "drifted",
    "terradiff-staging": "failed",
}
TERRADIFF = "/checks/terradiff-prod"

PLAN = "Terraform will perform the following actions"


def shows_the_demo(page):
    """Every check in a row of its own, with its verdict in a word."""
    for check, verdict in DEMO.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=check, exact=True))
        equal(f"rows of {check}", row.count(), 1)
        assert row.get_by_text(verdict).locator("visible=true").count(), f"{check} is not {verdict}: {row.inner_text()!r}"


def shows_the_plan(page):
    """The page of terradiff-prod: what drifts, and what Terraform said."""
    shows(page, PLAN)
    equal("headings", page.get_by_role("heading", name="terradiff-prod").count(), 1)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader").filter(has_text="terraform_data.gone"))
    equal("rows of terraform_data.gone", row.count(), 1)
    assert "delete" in row.inner_text(), f"terraform_data.gone is not deleted: {row.inner_text()!r}"


def follows(page, link):
    """The link to terradiff-prod leads to its page; `link` is how it is used."""
    link(page.get_by_role("link", name="terradiff-prod", exact=True))
    page.wait_for_url(f"**{TERRADIFF}")
    shows_the_plan(page)


def overview(browser):
    page = browser.open("/")
    shows_the_demo(page)
    axe(page)
    browser.shot(page, "overview")
    follows(page, lambda link: link.click())


def check(browser):
    page = browser.open(TERRADIFF, still=True)
    shows_the_plan(page)
    nothing_moves(page)
    never_scrolls_sideways(page)
    axe(page)
    browser.shot(page, "check-terradiff-prod")
    for name in ["ansiblediff-prod", "terradiff-staging", "kubediff-prod"]:
        page = browser.open(f"/checks/{name}")
        equal(f"headings of {name}", page.get_by_role("heading", name=name).count(), 1)
        never_scrolls_sideways(page)
        axe(page)
        browser.shot(page, f"check-{name}")


def readme(browser):
    """The pictures in README.md, as large as a window."""
    for path, name in [("/", "overview"), (TERRADIFF, "check")]:
        browser.shot(browser.open(path), f"readme-{name}", whole=False)


def dark(browser):
    for path, name in [("/", "overview"), (TERRADIFF, "check")]:
        page = browser.open(path, dark=True)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        parts = [int(part) for part in re.findall(r"\d+", colour)]
        assert len(parts) == 3 and max(parts) < 64, f"{page.url}: background {colour} for somebody who prefers dark colours"
        axe(page)
        browser.shot(page, f"dark-{name}")


def no_script(browser):
    page = browser.open("/", scripts=False)
    shows_the_demo(page)
    equal("how the overview stays new", page.locator("meta[http-equiv=refresh]").get_attribute("content"), "30")
    browser.shot(page, "no-script-overview")
    follows(page, lambda link: link.click())
    browser.shot(page, "no-script-check")


def phone(browser):
    for path, name in [("/", "overview"), (TERRADIFF, "check"), ("/checks/ansiblediff-prod", "partial")]:
        page = browser.open(path, phone=True)
        never_scrolls_sideways(page)
        axe(page)
        browser.shot(page, f"phone-{name}")


def keyboard(browser):
    for path in ["/", TERRADIFF]:
        tab_reaches_every_link(browser.open(path))
    page = browser.open("/")

    def tab_and_enter(link):
        tab_to(page, link)
        browser.shot(page, "keyboard")
        page.keyboard.press("Enter")

    follows(page, tab_and_enter)


def rows(page):
    """The checks in the list, in order."""
    return page.locator("table.checks tbody tr th a").all_inner_texts()


def filter(browser):
    page = browser.open("/")
    page.evaluate("window.__same = true")
    page.get_by_label("Filter").fill("KUBE")
    becomes(page, "checks with KUBE", lambda: rows(page), ["kubediff-prod", "kubediff-dev"])
    assert page.url.endswith("?q=KUBE"), page.url
    page.get_by_label("Filter").fill("")
    page.get_by_label("Label").select_option("env=staging")
    becomes(page, "checks of staging", lambda: rows(page), ["terradiff-staging"])
    axe(page)
    page.get_by_label("Label").select_option("")
    becomes(page, "all checks", lambda: len(rows(page)), 8)
    equal("whether it is still the same page", page.evaluate("window.__same"), True)
    page.get_by_role("link", name="drifted 2").click()
    becomes(page, "checks that drift", lambda: rows(page), ["kubediff-prod", "terradiff-prod"])
    page.get_by_role("link", name="all 8").click()
    page.get_by_role("link", name="Check", exact=True).click()
    becomes(page, "checks by name", lambda: rows(page), sorted(DEMO))
    page.get_by_role("link", name="Check", exact=True).click()
    becomes(page, "checks by name, from the end", lambda: rows(page), sorted(DEMO, reverse=True))
    page.goto(browser.url + "/?q=nothing-is-like-that")
    shows(page, "No check matches.")
    # The same without scripts: the form is sent.
    page = browser.open("/", scripts=False)
    page.get_by_label("Filter").fill("kube")
    page.get_by_role("button", name="Filter").click()
    equal("checks with kube", rows(page), ["kubediff-prod", "kubediff-dev"])
    # And among the resources of a check.
    page = browser.open(TERRADIFF)
    page.get_by_label("Filter").fill("gone")
    names = lambda: page.locator("table.resources code.name").first.inner_text()
    becomes(page, "resources with gone", names, "terraform_data.gone")
    page.get_by_label("Filter").fill("")
    page.get_by_label("Action").select_option("import")
    becomes(page, "what would be imported", names, "toy_file.imp")


def diff(browser):
    page = browser.open("/checks/kubediff-prod")
    shows(page, "4 resources drift")
    # The first ones are open, so that nobody has to look for them; the others open by themselves.
    own = page.locator("tr", has=page.get_by_role("rowheader").filter(has_text="old-secret")).locator("xpath=following-sibling::tr[1]")
    summary = own.locator("summary")
    if not own.locator("details").evaluate("details => details.open"):
        summary.click()
    lines = own.locator(".l")
    assert lines.first.is_visible(), "the diff of old-secret doesn't open"
    text = own.locator("pre").inner_text()
    assert "Secret.shop.old-secret" in text and "old-settings" not in text, f"not its own diff: {text}"
    ground = lambda line: line.evaluate("line => getComputedStyle(line).backgroundColor")
    removed = own.locator(".l.del").first
    assert removed.inner_text().split("\t")[0].strip().lstrip("0123456789").startswith("-"), removed.inner_text()
    assert ground(removed) != ground(own.locator(".l.head").first), "a removed line looks like any other"
    added = page.locator(".l.add").first
    assert ground(added) != ground(removed), "an added line looks like a removed one"
    axe(page)
    browser.shot(page, "diff")
    # A line has an address.
    page.locator("#stdout-L7 a.n").click()
    equal("the address of a line", page.url, f"{browser.url}/checks/kubediff-prod#stdout-L7")
    assert ground(page.locator("#stdout-L7")) != ground(page.locator("#stdout-L9")), "the line that is pointed at looks like any other"
    # The run has a page of its own, with all that it printed.
    page.locator("table.runs a").first.click()
    page.wait_for_url("**/runs/*")
    shows(page, "Run of ")
    assert page.locator("#stdout .l").count() > 90, page.locator("#stdout .l").count()
    axe(page)
    with page.expect_download() as download:
        page.locator("#stdout a.raw").click()
    assert download.value.suggested_filename.endswith("-stdout.txt"), download.value.suggested_filename
    browser.expected("downloads ")


def through_the_gate(text):
    with open(os.environ["GATE"], "w") as gate:
        gate.write(text)


def live(browser):
    overview = browser.open("/")
    page = browser.open("/checks/gated")
    for one in [overview, page]:
        one.evaluate("window.__same = true")
    shows(page, "Nothing drifts.")
    page.get_by_role("button", name="Run now").click()
    printed = page.locator("#live pre")
    becomes(page, "what it has printed", lambda: sorted(printed.inner_text().splitlines()) if printed.is_visible() else [], ["a warning", "first <b>line</b>"])
    equal("elements from the output", page.locator("#live b").count(), 0)
    becomes(page, "progress", lambda: page.get_by_role("progressbar").count(), 1)
    becomes(overview, "progress on the overview", lambda: overview.get_by_role("progressbar").count(), 1)
    axe(page)
    browser.shot(page, "live")
    browser.shot(overview, "live-overview")
    # Who comes while it runs sees what was printed before; without scripts, too.
    for scripts in [True, False]:
        late = browser.open("/checks/gated", scripts=scripts)
        becomes(late, "what it has printed", lambda: sorted(late.locator("#live pre").inner_text().splitlines()), ["a warning", "first <b>line</b>"])
    # Who reads keeps the place: what is selected, and where the keyboard is.
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#facts dl'))")
    selected = page.evaluate("getSelection().toString()")
    page.get_by_role("link", name="JSON").focus()
    through_the_gate("second line\n")
    becomes(page, "what is the matter", lambda: page.locator(".lead").inner_text().split(".")[0], "1 resource drifts: 1 change")
    equal("where the keyboard is", page.evaluate("document.activeElement.textContent"), "JSON")
    assert len(selected) > 50 and page.evaluate("getSelection().toString().length") > 50, "the selection is gone"
    becomes(page, "whether it still runs", lambda: printed.is_visible(), False)
    shows(page, "second line")
    becomes(page, "runs", lambda: page.locator("table.runs tbody tr").count(), 2)
    shows(page, "new: db")
    becomes(overview, "verdict on the overview", lambda: overview.locator("table.checks .badge").inner_text(), "≠ drifted")
    for one in [overview, page]:
        equal("whether it is still the same page", one.evaluate("window.__same"), True)


def run_now(browser):
    page = browser.open("/checks/gated", scripts=False)
    with page.expect_navigation(url="**/checks/gated"):
        page.get_by_role("button", name="Run now").click()
    through_the_gate("second line\n")

    def lead():
        page.reload()
        return page.locator(".lead").inner_text().split(".")[0]

    becomes(page, "what is the matter", lead, "1 resource drifts: 1 change")
    shows(page, "second line")


# Every element in the hostile output has this class, and everything in it that could run sets this variable.
FOREIGN = "document.querySelectorAll('.pwned').length"
RAN = "window.__pwned"

# Each check, and what its page shows as text.
HOSTILE = {
    "flood": ["</pre></main><script class=pwned>", "line 99999 of a flood"],
    "wide": ["one line without end", "</pre></main><script class=pwned>"],
    "names": ["</pre></main><script class=pwned>", "desrever"],
    "broken": ["</pre></main><script class=pwned>", "note=</span><script class=pwned>"],
}


def hostile(browser):
    for look, phone in [("", False), ("-phone", True)]:
        for path, texts in [("/", []), *((f"/checks/{name}", texts) for name, texts in HOSTILE.items())]:
            page = browser.open(path, phone=phone)
            for text in texts:
                assert page.evaluate("text => document.body.textContent.includes(text)", text), f"{page.url} doesn't show {text!r}"
            equal(f"{page.url}: elements from the output", page.evaluate(FOREIGN), 0)
            equal(f"{page.url}: what ran", page.evaluate(RAN), None)
            equal("where the page is", page.url, browser.url + path)
            never_scrolls_sideways(page)
            browser.shot(page, f"hostile{look}-{path.split('/')[-1] or 'overview'}")


# What is done to a page, and what is noticed of it. A promise keeps until it has happened.
LOADING = "new Promise(done => document.body.append(Object.assign(new Image(), { src: 'WHERE', alt: '', onerror: done })))"
DONE = {
    "console.warn('odd')": "console, warning: odd",
    "new Promise(done => setTimeout(() => { setTimeout(done); throw new Error('thrown'); }))": "exception: thrown",
    "alert('said')": "opened a dialog, alert: said",
    "void open('/')": "opened another window",
    "document.body.append(Object.assign(document.createElement('script'), { text: '1' }))": "forbidden by script-src-elem",
    LOADING.replace("WHERE", "http://127.0.0.2/"): "asks for http://127.0.0.2/, which is not this server's",
    LOADING.replace("WHERE", "/nowhere"): "/nowhere was answered with 404",
}

# What is done to a page, and the assertion that it no longer passes.
SPOILED = {
    "document.querySelector('main').append(new Image())": axe,
    "document.querySelector('main').style.width = '2000px'": never_scrolls_sideways,
    "document.querySelectorAll('a').forEach(link => link.style.outline = 'none')": tab_reaches_every_link,
    "document.querySelectorAll('a')[2].tabIndex = -1": tab_reaches_every_link,
    "void document.body.animate({ opacity: [0, 1] }, 1e6)": nothing_moves,
    "document.querySelector('main').hidden = true": shows_the_plan,
}


def watch(browser):
    """The other scenarios can fail: all that is done to a page here is noticed."""
    page = browser.open(TERRADIFF)
    for done, noticed in DONE.items():
        equal(f"noticed before {done}", browser.problems(), [])
        page.evaluate(done)
        # A window is told of when it has loaded; whoever waits longer hangs, and is told so.
        problems = browser.problems()
        while not any(noticed in problem for problem in problems):
            page.evaluate("new Promise(requestAnimationFrame)")
            problems += browser.problems()
    for done, asserted in SPOILED.items():
        page.reload()
        asserted(page)
        page.evaluate(done)
        try:
            asserted(page)
        except AssertionError:
            continue
        raise AssertionError(f"{asserted.__name__} passes after {done}")


SCENARIOS = {scenario.__name__: scenario for scenario in [overview, filter, check, diff, live, run_now, readme, dark, no_script, phone, keyboard, hostile, watch]}
