// Lists that change several times a second: elements are kept and updated in place, so that focus stays where it is.

const kept = new WeakMap();

/** Brings the children of `parent` in line with `items`; `make()` gives { element, update(item) } for a new `key(item)`. Returns those by key. */
export function keyed(parent, items, key, make) {
  const parts = kept.get(parent) ?? new Map();
  kept.set(parent, parts);
  const wanted = new Set(items.map(key));
  for (const [name, { element }] of parts) {
    if (wanted.has(name)) continue;
    element.remove();
    parts.delete(name);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const part = parts.get(key(item)) ?? make();
    parts.set(key(item), part);
    part.update(item);
    if (part.element === place) place = place.nextElementSibling;
    else parent.insertBefore(part.element, place);
  }
  return parts;
}
