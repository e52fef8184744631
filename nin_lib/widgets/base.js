// What all widgets share. It is put in front of each one's file, so that what is delivered is
// one module that imports nothing.
//
// A widget is a function mount(el, config, onChange) that draws into `el` and returns
// { update(config), destroy() }. `config` is plain data; what the reader changes is told by
// onChange({ name: value }), and comes back through update. Text from outside is only ever set as
// text. The last line of each file hands `mount` to all hosts: export default widget(tag, mount).

const BASE_STYLE = `
.nin { --text: #1f2328; --back: #fff; --blue: #0067a8; --red: #b84a00; --green: #00704f;
  --soft: #eef1f4; --edge: #8a929b; --on-blue: #fff; --quiet: #555d66; }
@media (prefers-color-scheme: dark) {
  .nin { --text: #e6e6e6; --back: #16181c; --blue: #62bbf0; --red: #f28c4e; --green: #4cc79d;
    --soft: #262a30; --edge: #7d858e; --on-blue: #10151a; --quiet: #b4bbc3; } }
[data-jp-theme-light="true"] .nin, [data-theme="light"] .nin, .vscode-light .nin {
  --text: #1f2328; --back: #fff; --blue: #0067a8; --red: #b84a00; --green: #00704f;
  --soft: #eef1f4; --edge: #8a929b; --on-blue: #fff; --quiet: #555d66; }
[data-jp-theme-light="false"] .nin, [data-theme="dark"] .nin, .vscode-dark .nin {
  --text: #e6e6e6; --back: #16181c; --blue: #62bbf0; --red: #f28c4e; --green: #4cc79d;
  --soft: #262a30; --edge: #7d858e; --on-blue: #10151a; --quiet: #b4bbc3; }
.nin { color: var(--text); background: var(--back); max-width: 860px; box-sizing: border-box;
  font: 14px/1.45 var(--jp-ui-font-family, system-ui, sans-serif); padding: 8px 10px;
  border: 1px solid var(--edge); border-radius: 6px; overflow-wrap: anywhere; }
.nin *, .nin *::before { box-sizing: border-box; }
.nin :is(p, ul, ol, fieldset, table, h3, h4) { margin: 0 0 6px; }
.nin :is(h3, h4) { font-size: 15px; font-weight: 600; line-height: 1.3; color: inherit; padding: 0; }
.nin .controls { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; margin: 0 0 6px; }
.nin [hidden] { display: none !important; }
.nin .quiet { color: var(--quiet); }
.nin .error { color: var(--red); font-weight: 600; }
.nin :is(button, select, input[type="number"]) { font: inherit; color: var(--text);
  background: var(--back); border: 1px solid var(--edge); border-radius: 4px; padding: 3px 9px;
  min-height: 28px; max-width: 100%; }
.nin button { cursor: pointer; }
.nin button:disabled { opacity: 1; color: var(--quiet); border-style: dashed; cursor: default; }
.nin button[aria-pressed="true"] { background: var(--blue); border-color: var(--blue);
  color: var(--on-blue); }
.nin input[type="range"] { accent-color: var(--blue); min-height: 24px; min-width: 0; margin: 0; }
.nin input:is([type="radio"], [type="checkbox"]) { accent-color: var(--blue); margin: 0 6px 0 0; }
.nin :focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
.nin .question { border: 0; border-left: 3px solid var(--blue); margin: 0 0 8px; padding: 2px 0 2px 10px; }
.nin .question legend { font-weight: 600; font-size: inherit; padding: 0; float: left; width: 100%; }
.nin .question label { display: flex; align-items: baseline; clear: both; padding: 3px 0;
  min-height: 24px; }
.nin .question input { flex: none; }
.nin .question label:has(:checked:disabled) { font-weight: 600; }
.nin .scroll { overflow-x: auto; }
.nin table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: auto; }
.nin :is(th, td) { padding: 1px 8px 1px 0; text-align: right; font-weight: 400; border: 0;
  background: none; color: inherit; }
.nin :is(th, td):first-child { text-align: left; }
.nin figure { margin: 0; padding: 0; }
.nin figcaption { color: inherit; font: inherit; text-align: left; letter-spacing: normal; padding: 0; }
.nin svg, .nin canvas { display: block; max-width: 100%; }
.nin svg text { fill: currentColor; font-size: 12px; }
`;

// For `for`, `aria-labelledby` and radio groups. Each module counts on where another one stopped.
const uid = (word) => `nin-${word}-${globalThis.ninIds = (globalThis.ninIds ?? 0) + 1}`;

// ---- elements

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
  return element;
}

const html = (tag, attributes, parent, text) => {
  const element = set(document.createElement(tag), attributes);
  if (text !== undefined) element.textContent = text;
  return parent ? parent.appendChild(element) : element;
};
const node = (tag, attributes, parent) =>
  parent.appendChild(set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes));

function write(element, text) { // leaves the page alone where nothing changes
  if (element.textContent !== String(text)) element.textContent = text;
}

function ensureChildren(parent, tag, count, make = node) { // exactly `count` children, used again
  while (parent.childElementCount < count) make(tag, {}, parent);
  while (parent.childElementCount > count) parent.lastChild.remove();
  return [...parent.children];
}

const commas = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ","); // of an integer, or a BigInt

function bytes(base64) { // what Python packed as bytes, as signed 8-bit integers
  return Int8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

// ---- the frame around a widget: its title, its question, its task, a reset

function shell(el, name, config, onChange, resetTo) {
  const root = html("div", { class: `nin nin-${name}` }, el);
  html("style", {}, root, BASE_STYLE);
  const heading = html("h3", { id: uid("title") }, root);
  const asked = html("div", {}, root);
  const task = html("p", { class: "task" }, root);
  const error = html("p", { class: "error", role: "alert" }, root);
  const body = html("div", { class: "inside" }, root);
  const foot = html("div", { class: "controls" }, root);
  const reset = html("button", { type: "button" }, foot, "Reset");
  reset.addEventListener("click", () => onChange({ answer: null, ...resetTo() }));
  root.addEventListener("keydown", keepFromNotebook);
  let poll = null;
  return {
    root, body, foot,
    complain: (problem) => {
      write(error, problem ? `This cannot be drawn: ${problem.message ?? problem}` : "");
      error.hidden = !problem;
      body.hidden = Boolean(problem);
    },
    update: (next) => {
      write(heading, next.title ?? "");
      heading.hidden = !next.title;
      if (next.title) set(root, { role: "group", "aria-labelledby": heading.id });
      write(task, next.task ? `Try: ${next.task}` : "");
      task.hidden = !next.task;
      poll ??= next.question && prediction(asked, next.question, onChange);
      poll?.update(next.answer);
    },
  };
}

// A prediction: the choice is committed before the answers show. Also used alone.
function prediction(parent, question, onChange) {
  const box = html("fieldset", { class: "question" }, parent);
  html("legend", {}, box, `Predict: ${question.ask}`);
  const group = uid("choice");
  const choices = question.choices.map((choice, i) => {
    const label = html("label", {}, box);
    const input = html("input", { type: "radio", name: group, value: i }, label);
    html("span", {}, label, choice.say);
    input.addEventListener("change", () => { commit.disabled = false; });
    return { input, choice };
  });
  const commit = html("button", { type: "button", disabled: "" }, box, "Commit");
  const verdict = html("p", { role: "status" }, box);
  commit.addEventListener("click", () => {
    onChange({ answer: choices.findIndex(({ input }) => input.checked) });
  });
  return {
    update(answer) {
      const done = Number.isInteger(answer) && answer in choices;
      choices.forEach(({ input }, i) => {
        if (done) input.checked = i === answer;
        else if (box.dataset.done) input.checked = false;
        input.disabled = done;
      });
      box.dataset.done = done ? "yes" : "";
      commit.hidden = done;
      if (!choices.some(({ input }) => input.checked)) commit.disabled = true;
      if (!done) write(verdict, "");
      else write(verdict, words(choices[answer].choice, question.choices));
    },
  };
}

function words(chosen, choices) {
  if (chosen.right) return `Right. ${chosen.why}`;
  const best = choices.filter(({ right }) => right);
  const told = best.map(({ say, why }) => `Right is: “${say.replace(/\.$/, "")}”. ${why}`);
  return ["Not so.", chosen.why, ...told].join(" ");
}

// Keys that a control uses itself; a notebook would run the cell, or leave it, or scroll.
const OWN_KEYS = new Set(["Enter", " ", "Escape", "Home", "End", "PageUp", "PageDown",
  "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
function keepFromNotebook(event) {
  const key = plainKey(event);
  const typing = event.target.matches?.("input, select, textarea") && key.length === 1;
  if (typing || OWN_KEYS.has(key)) event.stopPropagation();
}

// The key, or "" if it is a shortcut of the browser or the notebook, such as Ctrl+S or Shift+Enter.
function plainKey({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  return ctrlKey || metaKey || altKey || (shiftKey && key === "Enter") ? "" : key;
}

// However often something changes, the page draws once a frame.
function painter(draw, complain) {
  let frame = 0;
  const paint = () => {
    frame = 0;
    try {
      draw();
      complain?.(null);
    } catch (problem) {
      if (!complain) throw problem;
      complain(problem);
    }
  };
  const redraw = () => { frame ||= requestAnimationFrame(paint); };
  redraw.stop = () => cancelAnimationFrame(frame);
  return redraw;
}

// ---- the hosts: anywidget (JupyterLab, VS Code, Colab), and a custom element in a plain page

function widget(tag, mount) {
  if (globalThis.customElements && !customElements.get(tag)) {
    customElements.define(tag, plainElement(mount));
  }
  return {
    render({ model, el }) {
      const read = () => ({ ...model.get("config"), ...model.get("state") });
      const view = mountSafely(mount, el, read(), (change) => {
        model.set("state", { ...model.get("state"), ...change });
        model.save_changes();
      });
      const refresh = () => view.update(read());
      model.on("change:config", refresh);
      model.on("change:state", refresh);
      return () => {
        model.off("change:config", refresh);
        model.off("change:state", refresh);
        view.destroy();
      };
    },
  };
}

// <tag data-config='JSON'>what is shown without JavaScript</tag>
const plainElement = (mount) => class extends HTMLElement {
  connectedCallback() {
    const ready = document.readyState !== "loading"; // else what stands inside is still to come
    if (ready) this.comeAlive();
    else document.addEventListener("DOMContentLoaded", () => this.comeAlive(), { once: true });
  }

  comeAlive() {
    if (this.view || !this.isConnected) return;
    this.still = [...this.childNodes];
    let config;
    try {
      config = JSON.parse(this.dataset.config);
    } catch (problem) {
      html("p", {}, this, `This cannot come alive: ${problem.message}`);
      return;
    }
    this.replaceChildren();
    this.view = mountSafely(mount, this, config, (change) => {
      config = { ...config, ...change };
      this.view.update(config);
    });
  }

  disconnectedCallback() {
    this.view?.destroy();
    if (this.view) this.replaceChildren(...this.still);
    this.view = null;
  }
};

function mountSafely(mount, el, config, onChange) { // junk gets a message in place, not a blank
  let view = null;
  let said = null;
  const attempt = (act) => {
    try {
      said?.remove();
      act();
    } catch (problem) {
      said = html("p", { role: "alert" }, el, `This cannot be drawn: ${problem.message}`);
    }
  };
  attempt(() => { view = mount(el, config, onChange); });
  return {
    update: (next) => attempt(() => {
      if (view) view.update(next);
      else view = mount(el, next, onChange);
    }),
    destroy: () => {
      view?.destroy();
      said?.remove();
    },
  };
}
