// Says how things stand with the server, when they do not stand well.

import { h } from "../dom.js";
import { texts } from "../texts.js";

/** What passes sooner is not worth a word, milliseconds. */
const SOON = 1_000;
/** After so many tries in vain nobody is there. */
const IN_VAIN = 2;

export function banner({ connection, rooms }) {
  const element = h("p", { class: "banner", role: "status" });
  let since = Date.now();
  let later = 0;
  const state = () => {
    if (!connection.isOpen) {
      const isOffline = connection.failures >= IN_VAIN || !navigator.onLine;
      return isOffline ? texts.offline : texts.connecting;
    }
    return rooms.isCatchingUp ? texts.catchingUp : "";
  };
  const draw = () => {
    clearTimeout(later);
    const text = state();
    if (text === "") since = 0;
    else since ||= Date.now();
    const wait = text ? since + SOON - Date.now() : 0;
    if (wait > 0) {
      later = setTimeout(draw, wait);
      return;
    }
    if (element.textContent !== text) element.textContent = text;
  };
  for (const kind of ["open", "closed"]) connection.addEventListener(kind, draw);
  rooms.addEventListener("room", draw);
  draw();
  return element;
}
