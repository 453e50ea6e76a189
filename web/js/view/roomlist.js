// The user's rooms: name, last message, what is unread.

import { arrange, h, oncePerFrame } from "../dom.js";
import { texts } from "../texts.js";
import { briefOf, everyDay } from "./times.js";

/** How long a press may take, milliseconds. */
const PRESS = 1_000;

export class RoomList {
  #account;
  #rooms;
  #people;
  #another;
  #current;
  #links = new Map();
  /** Until when what is in the list stays where it is: it is being pressed. */
  #stillUntil = 0;

  constructor({ account, rooms, people, another, signal }) {
    this.#account = account;
    this.#another = another;
    this.#rooms = rooms;
    this.#people = people;
    this.element = h("ul", { class: "rooms" });
    const draw = oncePerFrame(() => this.#draw());
    rooms.addEventListener("list", draw);
    rooms.addEventListener("room", draw);
    people.addEventListener("names", draw);
    everyDay(draw, signal);
    this.element.addEventListener("pointerdown", () => {
      this.#stillUntil = Date.now() + PRESS;
    });
    // The click comes before the next frame.
    const release = () => {
      this.#stillUntil = 0;
      draw();
    };
    for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, release, { signal });
    draw();
  }

  /** Marks the room that is open. */
  set current(room) {
    this.#current = room;
    this.#draw();
  }

  /** Puts the focus on a room. */
  focus(room) {
    const link = this.#links.get(room.id)?.item.firstChild;
    (link ?? this.element.querySelector("a, button"))?.focus();
  }

  #draw() {
    const list = this.#rooms.list;
    if (!this.#rooms.isLoaded) {
      this.element.replaceChildren(h("li", { class: "empty" }, texts.loading));
      return;
    }
    if (list.length === 0) {
      this.#links.clear();
      const button = this.#another({ class: "main" }, texts.newRoom);
      this.element.replaceChildren(h("li", { class: "empty" }, h("p", {}, texts.noRooms), button));
      return;
    }
    const links = new Map();
    for (const room of list) links.set(room.id, this.#links.get(room.id) ?? this.#link(room));
    this.#links = links;
    for (const room of list) links.get(room.id).draw(room);
    const items = list.map((room) => links.get(room.id).item);
    if (Date.now() < this.#stillUntil) return;
    const focused = document.activeElement;
    arrange(this.element, items);
    if (this.element.contains(focused)) focused.focus({ preventScroll: true });
  }

  #link(room) {
    const name = h("bdi", { class: "name" });
    const time = h("time", {});
    const last = h("span", { class: "last" });
    const unread = h("span", { class: "unread", hidden: true });
    const link = h("a", { href: `#/room/${room.id}` }, name, time, last, unread);
    const write = (element, text) => {
      if (element.textContent !== text) element.textContent = text;
    };
    const draw = (drawn) => {
      const { name: title, unread: count, lastMessage: message } = drawn;
      write(name, title || texts.unnamed);
      write(last, message ? this.#words(message) : texts.nothingSaid);
      write(time, message ? briefOf(new Date(message.Timestamp)) : "");
      write(unread, count > 99 ? "99+" : String(count));
      unread.hidden = count === 0;
      unread.setAttribute("aria-label", texts.unread(count));
      if (drawn === this.#current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    };
    return { item: h("li", {}, link), draw };
  }

  #words({ UID: uid, Text: text }) {
    const who = uid === this.#account.uid ? texts.you : this.#people.nameOf(uid) || texts.somebody;
    return texts.said(who, text);
  }
}
