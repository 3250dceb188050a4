// What a page does beside being read: it takes in news, follows a run's output, filters while one types. Without it everything is there all the same.
"use strict";

(() => {
  const script = document.currentScript;
  const events = script && script.dataset.events;
  const TICK = 1000, GATHER = 300, LINES = 5000, POLL = 15000;

  // The parts of the page that tell news, put in place of those that are there. What is open stays open, and who reads keeps the place.
  const take = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const open = new Map([...document.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    const focused = document.activeElement && document.activeElement.id;
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = part.id && fresh.getElementById(part.id);
      if (!other || other.innerHTML === part.innerHTML) continue;
      const reads = [...part.querySelectorAll("input, select")].includes(document.activeElement);
      if (reads) continue;
      part.replaceChildren(...other.childNodes);
    }
    for (const details of document.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = open.get(details.id);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const [asof, other] = [document, fresh].map((page) => page.querySelector(".asof time"));
    if (asof && other) asof.replaceWith(document.adoptNode(other));
    wire();
  };

  let loading = false, again = false, pending = 0;
  const load = async () => {
    if (loading) { again = true; return; }
    loading = true;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (response.ok) take(await response.text());
      stale(!response.ok);
    } catch { stale(true); }
    loading = false;
    if (again) { again = false; soon(); }
  };
  const soon = () => { clearTimeout(pending); pending = setTimeout(load, GATHER); };
  const stale = (is) => { const mark = document.getElementById("stale"); if (mark) mark.hidden = !is; };

  // The output of the run under way.
  const live = document.getElementById("live");
  const pre = live && live.querySelector("pre.live");
  const show = (text, kind) => {
    if (!pre) return;
    const follows = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 30;
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    pre.append(span);
    while (pre.childNodes.length > LINES) pre.firstChild.remove();
    if (follows) pre.scrollTop = pre.scrollHeight;
  };

  let source = null, poll = 0;
  const listen = () => {
    if (!events || source || document.hidden) return;
    const next = pre && pre.dataset.next && pre.dataset.run ? "&from=" + encodeURIComponent(pre.dataset.run + "-" + pre.dataset.next) : "";
    source = new EventSource(events + next);
    let opened = false;
    source.onopen = () => { if (opened) soon(); opened = true; stale(false); };
    source.onerror = () => {
      stale(true);
      if (source && source.readyState === EventSource.CLOSED) {
        // Too many pages are open: this one asks now and then.
        source = null;
        clearInterval(poll);
        poll = setInterval(() => { if (!document.hidden) load(); }, POLL);
      }
    };
    source.addEventListener("checks", soon);
    source.addEventListener("begin", () => { if (live) { live.hidden = false; pre?.replaceChildren(); } soon(); });
    source.addEventListener("output", (event) => {
      const { stream, text } = JSON.parse(event.data);
      if (live) live.hidden = false;
      if (pre) [pre.dataset.run, pre.dataset.next] = event.lastEventId.split("-");
      show(text, stream === "stderr" ? "err" : "out");
    });
    source.addEventListener("missed", () => show("… lines came too fast, and are not here; all that is kept stands below when the run has ended\n", "missed"));
    source.addEventListener("end", () => { if (live) live.hidden = true; soon(); });
  };
  const rest = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => { if (document.hidden) rest(); else { load(); listen(); } });
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", listen);

  // A list follows what is typed.
  let typed = 0;
  const filter = (form) => {
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) fields.append(name, value);
    const query = fields.toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash);
    const list = form.parentNode;
    fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" }).then((response) => response.text()).then((text) => {
      const fresh = new DOMParser().parseFromString(text, "text/html");
      if (form.closest("[data-live]")) {
        // The form stands within its part: everything behind it is the list.
        const other = fresh.querySelector("form[data-filter]");
        if (!other) return;
        while (form.nextSibling) form.nextSibling.remove();
        while (other.nextSibling) list.append(document.adoptNode(other.nextSibling));
      } else take(text);
    }).catch(() => form.submit());
  };

  const wire = () => {
    for (const form of document.querySelectorAll("form[data-filter]:not([data-wired])")) {
      form.dataset.wired = "";
      form.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => filter(form), GATHER); });
      form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typed); filter(form); });
    }
    for (const form of document.querySelectorAll("form[data-run]:not([data-wired])")) {
      form.dataset.wired = "";
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const button = form.querySelector("button");
        button.disabled = true;
        try {
          const response = await fetch(form.action, { method: "POST" });
          if (response.status === 202 || response.status === 409) { button.textContent = "Run is asked for"; return; }
          const answer = await response.text();
          let why = answer.trim();
          try { why = JSON.parse(answer).error || why; } catch {}
          button.textContent = "Not run: " + (why || response.status);
        } catch { button.textContent = "Not run: no answer"; }
        button.disabled = false;
      });
    }
  };

  // An address of a line in what is not shown leads to nothing: then to the whole.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const diff = id.startsWith("r-") && document.getElementById("d-" + id.slice(2));
    if (diff) diff.open = true;
  };
  window.addEventListener("hashchange", reveal);

  setInterval(() => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, (Date.now() - Date.parse(part.dataset.since)) / 1000);
      const shown = part.querySelector(".elapsed"), bar = part.querySelector("progress");
      if (shown && seconds < 3600) shown.textContent = seconds < 60 ? Math.floor(seconds) + " s" : Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
      if (bar) bar.value = Math.min(seconds, bar.max);
    }
  }, TICK);

  wire();
  reveal();
  if (pre) pre.scrollTop = pre.scrollHeight;
  listen();
})();
