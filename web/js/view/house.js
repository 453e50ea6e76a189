// The page of one who is logged in: his rooms on the one side, the open one on the other. On
// a phone it is one or the other. What is open is in the address: #/room/7.

import { Connection } from "../connection.js";
import { h, icon } from "../dom.js";
import { Notices } from "../notices.js";
import { Outbox } from "../outbox.js";
import { People } from "../people.js";
import { Rooms } from "../rooms.js";
import { texts } from "../texts.js";
import { announcer } from "./announcer.js";
import { banner } from "./banner.js";
import { conversation } from "./conversation.js";
import { closeDialogs } from "./dialog.js";
import { wordsFor } from "./form.js";
import { openNewRoom } from "./newroom.js";
import { RoomList } from "./roomlist.js";
import { openSettings } from "./settings.js";

const PLUS = "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z";

/** How long to wait before the list of rooms is asked for again, milliseconds. */
const AGAIN = 2_000;

export class House {
  #account;
  #connection;
  #rooms;
  #outbox;
  #people;
  #list;
  /** Makes a button that leads to another room. */
  #another;
  #open = null;
  /** The room that was last open. */
  #left = null;
  #isReady = false;
  /** The address whose room the user is offered to join, if that is what he sees. */
  #offered = null;
  #place = h("section", { class: "room empty" });
  #living = new AbortController();

  constructor(account) {
    this.#account = account;
    this.#connection = new Connection(account);
    this.#rooms = new Rooms(account, this.#connection);
    this.#outbox = new Outbox(this.#connection, this.#rooms);
    this.#people = new People(account);
    const parts = { account, rooms: this.#rooms, people: this.#people, connection: this.#connection };
    const show = (room) => {
      location.hash = `#/room/${room.id}`;
    };
    this.#another = (attributes, content) =>
      h("button", { type: "button", onclick: () => openNewRoom({ ...parts, show }), ...attributes }, content);
    const { signal } = this.#living;
    this.#list = new RoomList({ ...parts, another: this.#another, signal });
    new Notices({ ...parts, show, signal });
    const openAccount = () => openSettings({ account, outbox: this.#outbox });
    const name = h("bdi", {}, account.name);
    account.addEventListener("renamed", () => name.replaceChildren(account.name), { signal });
    this.element = h(
      "main",
      { class: "house" },
      h(
        "nav",
        { class: "side", "aria-label": texts.rooms },
        h(
          "header",
          {},
          h("h1", { class: "hidden" }, texts.parley),
          h("button", { type: "button", class: "link me", onclick: openAccount, title: texts.settings }, name),
          this.#another({ class: "plain", "aria-label": texts.newRoom }, icon(PLUS)),
        ),
        this.#list.element,
      ),
      this.#place,
      banner(parts),
      announcer({ ...parts, isOpen: (room) => room === this.#open?.room }),
    );
    addEventListener("hashchange", () => this.#route(), { signal });
    this.#rooms.addEventListener("list", () => this.#route(), { signal });
    this.#route();
    this.#start();
  }

  /** Ends it: the user has logged out. */
  close() {
    this.#living.abort();
    this.#open?.view.close();
    this.#rooms.stop();
    this.#outbox.stop();
    this.#connection.stop();
  }

  async #start() {
    this.#connection.start();
    await this.#outbox.start(this.#account.uid);
    while (!this.#isReady && !this.#living.signal.aborted) {
      try {
        await this.#rooms.start();
        if (this.#living.signal.aborted) return;
        this.#isReady = true;
        this.#route();
      } catch (error) {
        if (error.status === 401) return;
        await new Promise((done) => setTimeout(done, AGAIN));
      }
    }
  }

  /** Shows what the address says. */
  #route() {
    const [, kind, what] = location.hash.split("/");
    const room = kind === "room" ? this.#rooms.get(Number(what)) : undefined;
    if (room ? room === this.#open?.room : this.#offered === location.hash) return;
    this.#offered = null;
    this.#open?.view.close();
    const before = this.#open?.room;
    if (before) {
      before.isOpen = false;
      before.shrink();
      this.#left = before;
      // They were about it.
      closeDialogs();
    }
    this.#open = null;
    this.#list.current = room;
    this.element.dataset.pane = kind ? "room" : "list";
    if (room) this.#show(room);
    else if (!this.#isReady) this.#put(h("p", {}, texts.loading));
    else if (kind === "room") this.#stranger(Number(what));
    else if (kind === "invite") this.#invited(what);
    else if (this.#rooms.list.length > 0) this.#put(h("p", {}, texts.chooseRoom));
    else this.#put(h("p", {}, texts.welcome), this.#another({ class: "main" }, texts.newRoom));
    // Who came back to the list is where he left it.
    if (!kind && this.#left) {
      this.#list.focus(this.#left);
      this.#left = null;
    }
  }

  #show(room) {
    room.isOpen = true;
    this.#rooms.follow(room);
    const view = conversation({
      account: this.#account,
      room,
      rooms: this.#rooms,
      outbox: this.#outbox,
      people: this.#people,
      left: () => {
        location.hash = "#/";
      },
    });
    this.#open = { room, view };
    this.#replace(view.element);
    // On a phone to write would bring up the keyboard.
    if (matchMedia("(hover: hover)").matches) view.focus();
    else view.focusTitle();
  }

  /** A room that the user is not in: he may come in, when it is public. */
  #stranger(id) {
    const join = () => this.#account.call("PUT", "/join", { RoomID: id });
    return this.#offer(`/room/${id}`, join, texts.noSuchRoom);
  }

  /** A link to a private room. */
  #invited(code) {
    const path = `/invites/${encodeURIComponent(code)}`;
    return this.#offer(path, () => this.#account.call("PUT", path), texts.noSuchInvite);
  }

  /** Offers to `join` the room that the API has at `path`; where it has none, `absent` is said. */
  async #offer(path, join, absent) {
    this.#offered = location.hash;
    const waiting = this.#put(h("p", {}, texts.loading));
    let id, name;
    try {
      ({ RoomID: id, Name: name } = await this.#account.call("GET", path));
      // He may be in it by now.
      await this.#rooms.look();
    } catch (error) {
      if (!waiting.isConnected) return;
      this.#offered = null;
      this.#put(h("p", {}, error.code === "not_found" ? absent : wordsFor(error)));
      return;
    }
    if (!waiting.isConnected) return;
    const show = () => {
      location.hash = `#/room/${id}`;
    };
    if (this.#rooms.get(id)) {
      show();
      return;
    }
    const problem = h("p", { class: "problem", role: "alert" });
    const enter = async () => {
      try {
        if (!this.#rooms.get(id)) await this.#rooms.enter(id, join);
        show();
      } catch (error) {
        problem.textContent = wordsFor(error);
      }
    };
    this.#put(h("p", {}, texts.joinRoom(name)), h("button", { type: "button", class: "main", onclick: enter }, texts.join), problem);
  }

  #put(...children) {
    const back = h("a", { class: "back", href: "#/" }, texts.backToRooms);
    this.#replace(h("section", { class: "room empty" }, ...children, back));
    return this.#place;
  }

  #replace(element) {
    this.#place.replaceWith(element);
    this.#place = element;
  }
}
