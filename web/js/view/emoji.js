// A small choice of emoji. Everything else comes from the keyboard of the system.

import { h, icon } from "../dom.js";
import { texts } from "../texts.js";

const CHOICE = [
  ..."😀😄😂🙂😉😊😍😘😎🤔😅😇🙃😴😭😢",
  ..."😡😱🤗🙄🤝👍👎👏🙏💪👋👌🤞🎉🎂🎁",
  ..."🔥⭐✨💡✅❌❓❗💯🚀☕🍕🍺🌞🌧🌍",
];
const ACROSS = 8;

const FACE =
  "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20m0 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16M8.5 11A1.5 1.5 0 1 0 8.5 8a1.5 1.5 0 0 0 0 3m7 0a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M12 17.5c2.3 0 4.3-1.4 5.1-3.5H6.9c.8 2.1 2.8 3.5 5.1 3.5";

/** A button that opens the choice; `insert` takes what was chosen. */
export function emojiButton(insert) {
  const choose = (emoji) => {
    choice.hidePopover();
    insert(emoji);
  };
  const buttons = CHOICE.map((emoji) =>
    h("button", { type: "button", tabindex: "-1", onclick: () => choose(emoji) }, emoji),
  );
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: ACROSS, ArrowUp: -ACROSS }[event.key];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
  };
  const choice = h(
    "div",
    { id: "emoji", class: "emoji", popover: "auto", role: "dialog", "aria-label": texts.emoji, onkeydown: move },
    buttons,
  );
  choice.addEventListener("toggle", (event) => event.newState === "open" && buttons[0].focus());
  buttons[0].tabIndex = 0;
  const button = h(
    "button",
    { type: "button", class: "plain", popovertarget: "emoji", "aria-label": texts.emoji },
    icon(FACE),
  );
  return [button, choice];
}
