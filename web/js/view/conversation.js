// A room that is open: its name, its messages, the place to write.

import { h, icon } from "../dom.js";
import { texts } from "../texts.js";
import { composer } from "./composer.js";
import { openMembers } from "./members.js";
import { MessageList } from "./messages.js";

const BACK = "M20 11H7.8l5.6-5.6L12 4l-8 8 8 8 1.4-1.4L7.8 13H20z";
const PEOPLE =
  "M9 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8m0 2c-2.7 0-8 1.300-8 4v2h16v-2c0-2.7-5.300-4-8-4m7.5-2a3.5 3.5 0 0 0 0-7c-.5 0-1 .1-1.4.3a6 6 0 0 1 0 6.400c.4.2.9.3 1.4.3m1.900 2.300c1 .9 1.600 2.100 1.600 3.700v2h3v-2c0-1.900-2.600-3.200-4.600-3.700";

/** @returns {{element: HTMLElement, focus: () => void, focusTitle: () => void, close: () => void}} */
export function conversation(parts) {
  const { room, outbox, left } = parts;
  const openOthers = () => openMembers({ ...parts, left });
  const list = new MessageList({ ...parts, openOthers });
  const say = (text) => {
    const isIn = outbox.add(room, text);
    if (isIn) list.jump();
    return isIn;
  };
  const writing = composer({ ...parts, say });
  const title = h("h1", { tabindex: "-1" }, h("bdi", {}, room.name || texts.unnamed));
  const element = h(
    "section",
    { class: "room" },
    h(
      "header",
      {},
      h("a", { class: "plain back", href: "#/", "aria-label": texts.backToRooms }, icon(BACK)),
      title,
      room.isPrivate && h("span", { class: "tag" }, texts.private),
      h(
        "button",
        { type: "button", class: "plain wide", "aria-label": texts.members, onclick: openOthers },
        icon(PEOPLE),
        h("span", {}, texts.members),
      ),
    ),
    list.element,
    writing.element,
  );
  return { element, focus: writing.focus, focusTitle: () => title.focus(), close: () => list.close() };
}
