// A prediction among a few answers, and nothing else.
//
//   config: { question: { ask, choices: [{ say, right, why }] } }
//   state:  { answer }, a place among the choices, or null

function mount(el, config, onChange) {
  if (!config.question?.choices?.length) throw new Error("there is no question");
  const frame = shell(el, "choices", config, onChange, () => ({}));
  frame.complain(null);
  const others = html("details", {}, frame.body);
  html("summary", {}, others, "Why not the rest?");
  const list = html("ul", {}, others);

  function update(next) {
    frame.update(next);
    const { answer, question: { choices } } = next;
    const done = Number.isInteger(answer) && answer in choices;
    const left = choices.filter(({ right }, i) => done && !right && i !== answer);
    ensureChildren(list, "li", left.length, html).forEach((item, i) => {
      write(item, `“${left[i].say}”: not so. ${left[i].why}`);
    });
    others.hidden = !left.length;
    others.open &&= done;
    frame.foot.hidden = !done;
  }

  update(config);
  return { update, destroy: () => frame.root.remove() };
}

export default widget("nin-choices", mount);
