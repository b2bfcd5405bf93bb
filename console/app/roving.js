// One stop of the Tab key for a group, arrow keys within it (WAI-ARIA Authoring Practices, roving tabindex).

const STEP = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Makes the elements that match `selector` in `group` one stop. Call what it returns after the group changed. */
export function roving(group, selector) {
  const stops = () => [...group.querySelectorAll(selector)];
  const settle = (chosen) => {
    const all = stops();
    const current = chosen ?? all.find((element) => element.tabIndex === 0) ?? all[0];
    for (const element of all) element.tabIndex = element === current ? 0 : -1;
  };
  group.addEventListener('keydown', (event) => {
    const all = stops();
    const at = all.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const to = { Home: 0, End: all.length - 1 }[event.key] ?? at + STEP[event.key];
    if (Number.isNaN(to)) return;
    event.preventDefault();
    all.at(to % all.length).focus();
  });
  group.addEventListener('focusin', ({ target }) => { if (target.matches(selector)) settle(target); });
  settle();
  return () => settle();
}
