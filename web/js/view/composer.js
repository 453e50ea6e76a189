// Where a message is written: Enter sends it, Shift+Enter breaks the line.

import { draftOf, keepDraft } from "../drafts.js";
import { h, icon } from "../dom.js";
import { texts } from "../texts.js";
import { emojiButton } from "./emoji.js";

/** Characters of a message, most, as the server counts them: Unicode scalar values. */
const MOST = 2_000;
/** From here on it is said how many are left. */
const SHOWN_FROM = 1_800;

const SEND = "M3.4 20.4 21 12 3.4 3.6l-.01 6.53L15 12 3.39 13.87z";

/** `say` takes a text and sends it, or says that it cannot now. */
export function composer({ account, room, say }) {
  const input = h("textarea", {
    id: "composer",
    rows: "1",
    dir: "auto",
    autocomplete: "off",
    enterkeyhint: "send",
    placeholder: texts.writeTo(room.name),
    "aria-describedby": "composer-left",
  });
  const left = h("span", { id: "composer-left", class: "left", role: "status" });
  const send = h("button", { type: "submit", class: "send", "aria-label": texts.send }, icon(SEND));

  const measure = () => {
    const text = input.value.trim();
    const length = [...text].length;
    const isTooLong = length > MOST;
    left.textContent = length >= SHOWN_FROM ? texts.charactersLeft(MOST - length) : "";
    left.classList.toggle("over", isTooLong);
    input.setAttribute("aria-invalid", String(isTooLong));
    send.disabled = isTooLong || text === "";
    // As high as what is in it; the style sheet says how high at most.
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  };
  const changed = () => {
    keepDraft(account.uid, room, input.value);
    measure();
  };
  const submit = () => {
    if (send.disabled) return;
    if (!say(input.value.trim())) {
      left.textContent = texts.tooManyUnsent;
      return;
    }
    input.value = "";
    changed();
    input.focus();
  };

  input.addEventListener("input", changed);
  input.addEventListener("keydown", (event) => {
    // While letters are being composed, Enter chooses among them.
    // (229: Safari says so by the key's code alone.)
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  const insert = (emoji) => {
    input.setRangeText(emoji, input.selectionStart, input.selectionEnd, "end");
    changed();
    input.focus();
  };
  const form = h(
    "form",
    { class: "composer", onsubmit: (event) => (event.preventDefault(), submit()) },
    h("label", { class: "hidden", for: "composer" }, texts.writeTo(room.name)),
    emojiButton(insert),
    input,
    send,
    left,
  );
  input.value = draftOf(account.uid, room);
  requestAnimationFrame(measure);
  return { element: form, focus: () => input.focus() };
}
