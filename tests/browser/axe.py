"""axe-core on a page: what people who see, hear or move differently could not use."""

import importlib.util
from pathlib import Path

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
GRAVE = ("serious", "critical")


def axe(page, accepted=()):
    """Fails if axe-core finds anything serious or critical that isn't `accepted`, by its rule's name; tells of the rest."""
    findings = run(page)
    told = "\n".join(text for finding in findings for text in describe(finding))
    grave = [finding for finding in findings if finding["impact"] in GRAVE and finding["id"] not in accepted]
    assert not grave, f"axe: {len(grave)} serious or critical of {len(findings)} findings on {page.url}\n{told}"
    if findings:
        print(f"axe: {len(findings)} findings on {page.url} that are accepted, moderate or minor\n{told}")


def run(page):
    """The violations that axe-core finds.

    It runs beside the page in a world of its own, which the page's policy doesn't bind: the page is the one that people get.
    """
    session = page.context.new_cdp_session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]

    def evaluate(expression):
        arguments = {"expression": expression, "contextId": world, "awaitPromise": True, "returnByValue": True}
        answer = session.send("Runtime.evaluate", arguments)
        assert "exceptionDetails" not in answer, f"axe: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    evaluate(source() + "; undefined")
    result = evaluate(f"axe.run(document, {{ runOnly: {RULES}, resultTypes: ['violations'], preload: false }})")
    session.detach()
    assert result["passes"], f"axe: no rule applied to {page.url}"
    return result["violations"]


def source():
    """axe.min.js, from the package that holds it."""
    folder = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    return Path(folder, "axe.min.js").read_text(encoding="utf-8")


def describe(finding):
    """A finding in a few lines: what, where, why."""
    yield f"  {finding['impact']}: {finding['id']}: {finding['help']}"
    for node in finding["nodes"][:5]:
        yield f"    {' '.join(map(str, node['target']))}    {node['html'][:120]}"
        yield from (f"      {line.strip()}" for line in node["failureSummary"].splitlines()[1:])
    if len(finding["nodes"]) > 5:
        yield f"    and {len(finding['nodes']) - 5} more"
