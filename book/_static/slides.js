// A notebook's page as slides: the cells that are tagged for it, one slide at a time, in a full
// window. Nothing is moved or copied, so the widgets stay alive; what is on no slide is hidden.
//
//   → Space PageDown  next step      Home  first slide      #slide-3 in the address: the third
//   ← Shift+Space PageUp  previous   End   last slide       Esc  back to the page
//
// In a widget the keys are its own; Esc leaves it, and PageDown and PageUp work there too.
(() => {
  const article = document.querySelector("article.bd-article");
  const page = document.documentElement;
  const slides = read();
  const bar = makeBar();
  const paper = document.createElement("style");
  paper.textContent = "@page { size: 1280px 720px; margin: 0 }";
  let at = null; // the slide that is shown, counted from 0, or null: the page
  let step = 0; // the last step of it that is shown

  // [slide][step] → the elements of one cell. A slide begins with the heading that it stands under.
  function read() {
    const found = [];
    let cell = null;
    for (const block of article.querySelectorAll(".slide-mark, section > :not(section)")) {
      const { classList, parentElement } = block;
      const mark = classList.contains("slide-mark");
      if (mark || classList.contains("cell")) {
        cell = null;
        if (classList.contains("tag_slide")) found.push([cell = []]);
        if (classList.contains("tag_slide-more")) found.at(-1).push(cell = []);
      }
      if (mark || !cell) continue;
      const heading = parentElement.querySelector(":scope > :is(h1, h2, h3)");
      if (found.at(-1)[0] === cell && !cell.length && heading !== block) cell.push(heading);
      cell.push(block);
      if (classList.contains("cell")) cell = null;
    }
    return found;
  }

  function makeBar() {
    const nav = document.createElement("nav");
    nav.className = "slide-bar";
    nav.setAttribute("aria-label", "Slides");
    nav.innerHTML = `<button aria-label="Previous slide">‹</button><output></output>
      <button aria-label="Next slide">›</button><button aria-label="Leave the slides">×</button>`;
    const [previous, next, leave] = nav.querySelectorAll("button");
    previous.addEventListener("click", () => go(at - 1, true));
    next.addEventListener("click", () => go(at + 1, true));
    leave.addEventListener("click", close);
    return nav;
  }

  // ---- showing

  function go(slide, whole = false) {
    if (!(slide in slides)) return;
    if (at === null) open();
    at = slide;
    step = whole ? slides[at].length - 1 : 0;
    only(slides[at]);
    fit(slides[at], innerWidth, innerHeight);
    reveal();
    bar.querySelector("output").textContent = `${at + 1} / ${slides.length}`;
    history.replaceState(history.state, "", `#slide-${at + 1}`);
    article.scrollTop = 0;
    article.focus({ preventScroll: true });
  }

  function open() {
    page.classList.add("presenting");
    document.body.append(bar);
    article.tabIndex = 0;
  }

  function close() {
    if (at === null) return;
    const place = slides[at][0].at(-1);
    only([]);
    at = null;
    page.classList.remove("presenting");
    bar.remove();
    article.removeAttribute("tabindex");
    history.replaceState(history.state, "", location.pathname + location.search);
    place.scrollIntoView({ block: "center" });
  }

  function only(slide) {
    for (const block of slides.flat(2)) {
      block.classList.remove("on-slide", "later");
      block.style.zoom = "";
    }
    for (const block of slide.flat()) block.classList.add("on-slide");
  }

  function reveal() {
    slides[at].forEach((cell, i) => {
      for (const block of cell) block.classList.toggle("later", i > step);
    });
    if (step) slides[at][step].at(-1).scrollIntoView({ block: "nearest" });
  }

  function move(by) {
    if (!slides[at][step + by]) return go(at + by, by < 0);
    step += by;
    reveal();
  }

  // As large as fits, within limits; what is too long even so is shown at a size that can be read,
  // and scrolls. A widget may become smaller than text.
  function fit(slide, width, height) {
    const scale = Math.max(Math.min(width / 1280, height / 720), 0.8);
    const blocks = slide.flat();
    const alive = blocks.filter((it) => it.querySelector("[data-config]"));
    const least = alive.length ? scale : 0; // of the text beside a widget
    const fits = (zoom) => {
      for (const it of blocks) {
        const text = it.matches("h1, h2, h3") ? 1.1 * scale : Math.max(zoom, least);
        it.style.zoom = alive.includes(it) ? zoom : text;
      }
      const high = article.scrollHeight > article.clientHeight;
      return !high && (width < 700 || !blocks.some(tooWide)); // on a phone, code scrolls sideways
    };
    let [low, high] = [(alive.length ? 0.65 : 0.8) * scale, 1.7 * scale];
    if (fits(high)) return;
    if (!fits(low)) return void fits(scale);
    while (high - low > 0.02) {
      const middle = (low + high) / 2;
      if (fits(middle)) low = middle; else high = middle;
    }
    fits(low);
  }

  function tooWide(block) {
    return [block, ...block.querySelectorAll("pre")].some((it) => it.scrollWidth > it.clientWidth + 1);
  }

  // ---- keys, address, size, paper

  const keys = {
    ArrowRight: () => move(1), PageDown: () => move(1),
    ArrowLeft: () => move(-1), PageUp: () => move(-1),
    " ": (event) => move(event.shiftKey ? -1 : 1),
    Home: () => go(0), End: () => go(slides.length - 1, true),
    Escape: close,
  };

  function press(event) {
    const { key, target } = event;
    if (at === null || !(key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    const taken = target.closest?.(".nin, input, select, textarea")
      || (key === " " && target.closest?.("a, button, summary"));
    if (taken && !key.startsWith("Page")) {
      if (key === "Escape") article.focus({ preventScroll: true });
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    keys[key](event);
  }

  function follow() {
    const number = Number(location.hash.match(/^#slide-(\d+)$/)?.[1]);
    if (number) go(Math.min(number, slides.length) - 1); else close();
  }

  // All slides, each on a sheet of its own.
  function toPaper() {
    if (at === null) return;
    article.style.cssText = "inset: 0 auto auto 0; width: 1280px; height: 680px";
    const zooms = slides.map((slide) => {
      only(slide);
      fit(slide, 1280, 720);
      return slide.flat().map((block) => block.style.zoom);
    });
    article.style.cssText = "";
    document.head.append(paper);
    const seen = new Set();
    slides.forEach((slide, i) => {
      if (i) slide.flat().find((block) => !seen.has(block)).classList.add("sheet");
      slide.flat().forEach((block, j) => {
        seen.add(block);
        block.classList.add("on-slide");
        block.style.zoom = zooms[i][j];
      });
    });
  }

  function fromPaper() {
    paper.remove();
    for (const it of article.querySelectorAll(".sheet")) it.classList.remove("sheet");
    if (at !== null) go(at, true);
  }

  document.addEventListener("keydown", press, { capture: true }); // before a widget keeps it
  addEventListener("hashchange", follow);
  addEventListener("resize", () => { if (at !== null) fit(slides[at], innerWidth, innerHeight); });
  addEventListener("beforeprint", toPaper);
  addEventListener("afterprint", fromPaper);
  if (document.readyState === "complete") follow(); else addEventListener("load", follow);
})();
