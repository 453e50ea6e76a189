// Makes elements. Text becomes text nodes, always: nothing here, nor anywhere else in the
// page, reads a string as markup.

/**
 * An element with attributes, listeners (`onclick: …`) and children.
 * Attributes that are `undefined`, `null` or `false` are left out; `true` is an empty one.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null | undefined | false | Array)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child || child === ""));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing of 24 by 24 from its path; for eyes only, so whoever uses it names the button. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 24 24"], ["aria-hidden", "true"], ["class", "icon"]]) {
    svg.setAttribute(name, value);
  }
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/** Makes `children` those of an element. What need not move does not: the focus may be in it. */
export function arrange(element, children) {
  const left = new Set(children);
  for (const child of [...element.children]) if (!left.has(child)) child.remove();
  children.forEach((child, at) => {
    if (element.children[at] !== child) element.insertBefore(child, element.children[at] ?? null);
  });
}

/** Puts the focus on an element when what had it is gone. */
export function catchFocus(element) {
  if (document.activeElement && document.activeElement !== document.body) return;
  if (element.tabIndex < 0) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

/** Calls `act` at most once a frame, however often it is asked to. */
export function oncePerFrame(act) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      act();
    });
  };
}
