"""The scenarios, a function each. tests/browser.rs starts the server for each of them; what they expect is what it starts."""

import re

from assertions import equal, never_scrolls_sideways, nothing_moves, shows, tab_reaches_every_link, tab_to
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

# The overview is loaded again every 30 s: who leaves it open is not told old news, and there is nothing on it to lose.
RELOADS = ["meta-refresh"]

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
    axe(page, RELOADS)
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


def dark(browser):
    for path, name, accepted in [("/", "overview", RELOADS), (TERRADIFF, "check", [])]:
        page = browser.open(path, dark=True)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        parts = [int(part) for part in re.findall(r"\d+", colour)]
        assert len(parts) == 3 and max(parts) < 64, f"{page.url}: background {colour} for somebody who prefers dark colours"
        axe(page, accepted)
        browser.shot(page, f"dark-{name}")


def no_script(browser):
    page = browser.open("/", scripts=False)
    shows_the_demo(page)
    browser.shot(page, "no-script-overview")
    follows(page, lambda link: link.click())
    browser.shot(page, "no-script-check")


def phone(browser):
    for path, name, accepted in [("/", "overview", RELOADS), (TERRADIFF, "check", []), ("/checks/ansiblediff-prod", "partial", [])]:
        page = browser.open(path, phone=True)
        never_scrolls_sideways(page)
        axe(page, accepted)
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


SCENARIOS = {scenario.__name__: scenario for scenario in [overview, check, dark, no_script, phone, keyboard, hostile, watch]}
