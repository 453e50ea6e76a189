// Says new messages to those who do not see them: a live region, fed a little at a time.

import { h } from "../dom.js";
import { texts } from "../texts.js";

/** What comes within so long is said together, milliseconds. */
const GATHER = 1_000;
/** More than this are counted, not read out. */
const READ = 3;

export function announcer({ account, rooms, people, isOpen }) {
  const region = h("div", { class: "hidden", "aria-live": "polite", role: "log" });
  let gathered = [];
  const say = () => {
    const all = gathered;
    gathered = [];
    const words =
      all.length > READ ? [texts.newMessagesCount(all.length)] : all.map(({ UID, Text }) => texts.said(people.nameOf(UID) || texts.somebody, Text));
    region.replaceChildren(...words.map((text) => h("p", {}, text)));
  };
  rooms.addEventListener("message", ({ detail: { room, event } }) => {
    if (event.UID === account.uid || !isOpen(room)) return;
    if (gathered.length === 0) setTimeout(say, GATHER);
    gathered.push(event);
  });
  return region;
}
