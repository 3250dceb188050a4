"""What is asked of a page, in words that say what was there instead."""

# Where the caret may go, in the page's order: what can be seen, and a closed `details` hides what is in it. The numbers of an output's lines are too many.
LINKS = "[...document.querySelectorAll('a[href]:not(.n)')].filter(link => link.checkVisibility())"

FOCUSED = f"""() => {{
    const focused = document.activeElement;
    const {{ outlineStyle, outlineWidth, boxShadow }} = getComputedStyle(focused);
    return {{
        link: {LINKS}.indexOf(focused),
        none: focused === document.body,
        text: focused.textContent.trim().slice(0, 60),
        shown: (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none',
        inside: (({{ top, bottom }}) => bottom > 0 && top < innerHeight)(focused.getBoundingClientRect()),
    }};
}}"""

# What sticks out is not the fault of what is around it, and what scrolls by itself may hold anything.
STICKING_OUT = """width => [...document.body.querySelectorAll('*')]
    .filter(element => element.getBoundingClientRect().right > width + 1)
    .filter(element => {
        for (let around = element.parentElement; around !== document.body; around = around.parentElement)
            if (getComputedStyle(around).overflowX !== 'visible') return false;
        return true;
    })
    .slice(-5).map(element => `${element.outerHTML.slice(0, 80)} ends at ${Math.round(element.getBoundingClientRect().right)}`)"""


def equal(what, found, expected):
    """The two are the same."""
    assert found == expected, f"{what}: {found!r}, not {expected!r}"


def becomes(page, what, found, expected):
    """It is so in a moment. Whoever waits longer hangs, and the time is up: what was there instead is printed then."""
    last = object()
    while (now := found()) != expected:
        if now != last:
            print(f"{what}: {now!r}, not yet {expected!r}", flush=True)
        last = now
        page.wait_for_timeout(20)


def shows(page, *texts):
    """Each text is on the page, for people to see."""
    for text in texts:
        assert page.get_by_text(text).locator("visible=true").count(), f"{page.url} doesn't show {text!r}"


def never_scrolls_sideways(page):
    """The page is no wider than its window, whatever the parts of it that scroll by themselves hold."""
    width = page.viewport_size["width"]
    wide = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert wide <= width, f"{page.url} is {wide} wide in a window of {width}: {page.evaluate(STICKING_OUT, width)}"


def tab_stops(page):
    """Presses the Tab key until the page has no more for it; each thing that has the focus then, seen to have it and in the window."""
    # More than there are links and scrolling parts: a page that doesn't let the focus out would go on for ever.
    for _ in range(200):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["none"]:
            return
        assert focused["shown"], f"{page.url}: nothing shows that {focused['text']!r} has the focus"
        assert focused["inside"], f"{page.url}: {focused['text']!r} has the focus outside the window"
        yield focused
    raise AssertionError(f"{page.url}: the Tab key goes on and on")


def tab_reaches_every_link(page):
    """The Tab key comes by every link of the page, in their order."""
    page.evaluate("document.activeElement.blur()")
    links = page.evaluate(f"{LINKS}.map(link => link.textContent.trim())")
    assert links, f"{page.url} has no links"
    reached = [links[stop["link"]] for stop in tab_stops(page) if stop["link"] >= 0]
    equal(f"{page.url}: links that Tab reached", reached, links)


def tab_to(page, locator):
    """Presses the Tab key until that element has the focus."""
    for _ in tab_stops(page):
        if locator.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{page.url}: Tab doesn't reach {locator}")


def nothing_moves(page):
    """No animation and no transition runs."""
    equal(f"{page.url}: animations", page.evaluate("document.getAnimations().map(one => one.animationName || one.transitionProperty)"), [])
