// What a page does beside being read: it takes in news, follows a run's output, filters while one types. Without it everything is there all the same.
"use strict";

(() => {
  const script = document.currentScript;
  const events = script && script.dataset.events;
  const TICK = 1000, GATHER = 300, LINES = 5000, POLL = 15000, SILENT = 30000, AGES = 30000;

  // Makes of one part of the page what it is by now, and touches nothing that is the same: who reads keeps selection, focus and place. What was opened or
  // closed stays so, and what is being typed.
  const morph = (here, there) => {
    if (here.nodeName === "INPUT" || here.nodeName === "SELECT") return;
    for (const { name } of [...here.attributes]) if (!there.hasAttribute(name) && name !== "open" && name !== "data-wired") here.removeAttribute(name);
    for (const { name, value } of there.attributes) if (name !== "open" && here.getAttribute(name) !== value) here.setAttribute(name, value);
    const [old, fresh] = [[...here.childNodes], [...there.childNodes]];
    fresh.forEach((node, n) => {
      const was = old[n];
      if (!was) here.append(node);
      else if (was.nodeName !== node.nodeName || was.id !== node.id) was.replaceWith(node);
      else if (was.nodeType === Node.TEXT_NODE) { if (was.data !== node.data) was.data = node.data; }
      else if (was.nodeType === Node.ELEMENT_NODE) morph(was, node);
    });
    for (const node of old.slice(fresh.length)) node.remove();
  };
  const take = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const other = fresh.getElementById(part.id);
      if (other) morph(part, other);
    }
    const [here, there] = [document, fresh].map((page) => page.getElementById("live"));
    // What runs now says so; the lines of a run that is over stand in its output.
    if (here && there) {
      here.hidden = there.hidden;
      const [pre, other] = [here, there].map((live) => live.querySelector("pre.live"));
      if (pre && other && !there.hidden && other.dataset.run !== pre.dataset.run) {
        pre.replaceChildren(...other.childNodes);
        [pre.dataset.run, pre.dataset.next] = [other.dataset.run, other.dataset.next];
      }
    }
    wire();
  };

  // Of several answers the one that was asked for last counts.
  let asked = 0, taken = 0, pending = 0;
  const load = async () => {
    const number = ++asked;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      const text = await response.text();
      if (number < taken) return;
      taken = number;
      // A check that is gone has a page that says so.
      if (response.status === 404) { location.reload(); return; }
      if (response.ok) take(text);
      stale(!response.ok);
    } catch { stale(true); }
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

  let source = null, poll = 0, heard = Date.now();
  const listen = () => {
    if (!events || source || document.hidden) return;
    const next = pre && pre.dataset.next && pre.dataset.run ? "&from=" + encodeURIComponent(pre.dataset.run + "-" + pre.dataset.next) : "";
    source = new EventSource(events + next);
    heard = Date.now();
    // What has changed since the page was made, or while nobody listened, has no event of its own.
    source.onopen = () => { heard = Date.now(); soon(); };
    source.addEventListener("alive", () => { heard = Date.now(); });
    source.onerror = () => {
      // A stream ends now and then, and is there again in a moment.
      setTimeout(() => { if (source && source.readyState !== EventSource.OPEN) stale(true); }, 5000);
      if (source && source.readyState === EventSource.CLOSED) {
        stale(true);
        // Too many pages are open: this one asks now and then.
        source = null;
        clearInterval(poll);
        poll = setInterval(() => { if (!document.hidden) load(); }, POLL);
      }
    };
    source.addEventListener("checks", () => { heard = Date.now(); soon(); });
    source.addEventListener("begin", (event) => {
      if (live) live.hidden = false;
      if (pre) { pre.replaceChildren(); [pre.dataset.run, pre.dataset.next] = [JSON.parse(event.data).run, "0"]; }
      soon();
    });
    source.addEventListener("output", (event) => {
      heard = Date.now();
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
  window.addEventListener("pageshow", (event) => { if (event.persisted) load(); listen(); });

  // A list follows what is typed.
  let typed = 0;
  const filter = (form) => {
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) fields.append(name, value);
    const query = fields.toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash);
    load();
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
          if (response.status === 202) { button.textContent = "Run asked for"; return; }
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
    let id = location.hash.slice(1);
    try { id = decodeURIComponent(id); } catch {}
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
    // A connection that is silent for so long is none.
    if (source && Date.now() - heard > SILENT) { stale(true); rest(); listen(); }
  }, TICK);
  // "3 min ago" becomes "4 min ago".
  setInterval(() => { if (!document.hidden && events) load(); }, AGES);

  wire();
  if (pre) pre.scrollTop = pre.scrollHeight;
  listen();
  reveal();
})();
