// A dialog over the page. The browser keeps the focus in it, closes it at Escape, and gives
// the focus back.

import { h, icon } from "../dom.js";
import { texts } from "../texts.js";

const CLOSE = "m6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6L17.6 19 12 13.4 6.4 19 5 17.6l5.6-5.6L5 6.4z";

let count = 0;

/** Opens one; returns what closes it. */
export function openDialog(title, ...children) {
  count += 1;
  const id = `dialog-${count}`;
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { "aria-labelledby": id, onclose: () => dialog.remove() },
    h(
      "header",
      {},
      h("h2", { id }, title),
      h("button", { type: "button", class: "plain", "aria-label": texts.close, onclick: close }, icon(CLOSE)),
    ),
    ...children,
  );
  // A click beside it, from the press to the release.
  let beside = false;
  dialog.addEventListener("pointerdown", (event) => {
    beside = isBeside(dialog, event);
  });
  dialog.addEventListener("click", (event) => beside && isBeside(dialog, event) && close());
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input")?.focus();
  return close;
}

function isBeside(dialog, { target, clientX: x, clientY: y }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return target === dialog && (x < left || x > right || y < top || y > bottom);
}

/** Closes whatever dialogs are open. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
