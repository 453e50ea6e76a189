// What the user has said and the server has not acknowledged.
//
// Invariants: what is written here is sent until it is acknowledged or refused for good,
// always with the same Nonce, so it is never there twice; in a room one message at a time is
// under way, so what was said first comes first. It is kept in localStorage: a tab that is
// reloaded goes on, and what a closed tab left is taken over by another one.

import { Disconnected, Refusal } from "./connection.js";
import { claim } from "./locks.js";
import { namesUnder, nonce, ofUser, read, write } from "./store.js";
import { texts } from "./texts.js";

/** Messages that wait, most. */
const MOST = 500;
/** How long to wait before what was refused for now is tried again, milliseconds. */
const SHORTEST = 1_000;
const LONGEST = 15_000;
/** How often it is looked whether a tab that is gone has left something. */
const ADOPT = 30_000;

/** Under which name this tab keeps its own, whoever is logged in. */
const OWN = nonce();
let claimed;

/**
 * A message on its way.
 * @typedef {{nonce: string, room: number, text: string, at: number, after: number,
 *   state: "waiting" | "failed" | "sent", why?: string, id?: number}} Entry
 * `after`: the newest event when it was written. `id`: its own, once it was acknowledged.
 */

/** Says `entries` when there are others or one changed. */
export class Outbox extends EventTarget {
  #connection;
  #rooms;
  #prefix = "";
  /** @type {Entry[]} */
  #entries = [];
  /** Rooms that something is under way in, or waits for its next try. */
  #busy = new Set();
  #adopting = 0;
  /** Whether the browser keeps what is unsent. */
  #isKept = true;
  #living = new AbortController();

  constructor(connection, rooms) {
    super();
    this.#connection = connection;
    this.#rooms = rooms;
    connection.addEventListener("open", () => {
      this.#sendAll();
      this.#adopt();
    });
    rooms.addEventListener("list", () => this.#giveUpStrangers());
    rooms.addEventListener("room", ({ detail }) => {
      this.#settle(detail);
      this.#sendAll();
    });
    // Who closes the tab all the same knows what he does.
    const warn = (event) => !this.#isKept && event.preventDefault();
    addEventListener("beforeunload", warn, { signal: this.#living.signal });
  }

  /** Takes over what this tab has left, and whatever one that is gone has, now and later. */
  async start(uid) {
    claimed ??= claim(`outbox.${OWN}`);
    await claimed;
    if (this.#living.signal.aborted) return;
    this.#prefix = `${ofUser(uid)}outbox.`;
    this.#entries.unshift(...(read(this.#prefix + OWN) ?? []));
    this.#changed();
    await this.#adopt();
    this.#sendAll();
    if (!this.#living.signal.aborted) this.#adopting = setInterval(() => this.#adopt(), ADOPT);
  }

  stop() {
    this.#living.abort();
    clearInterval(this.#adopting);
  }

  async #adopt() {
    if (!this.#prefix) return;
    for (const left of namesUnder(this.#prefix)) {
      if (left === OWN || !(await claim(`outbox.${left}`))) continue;
      // The user may have logged out meanwhile.
      const entries = this.#living.signal.aborted ? null : read(this.#prefix + left);
      if (!entries) continue;
      this.#entries.push(...entries);
      this.#entries.sort((a, b) => a.at - b.at);
      // First here, then no more there.
      this.#changed();
      write(this.#prefix + left, null);
      this.#sendAll();
    }
  }

  of(room) {
    return this.#entries.filter((entry) => entry.room === room.id);
  }

  /** How many messages the server has not acknowledged, those of other tabs with them. */
  get unsent() {
    const tabs = this.#prefix ? namesUnder(this.#prefix).filter((name) => name !== OWN) : [];
    const others = tabs.flatMap((name) => read(this.#prefix + name) ?? []);
    return this.#unsent.length + others.length;
  }

  get #unsent() {
    return this.#entries.filter((entry) => entry.state !== "sent");
  }

  /** Takes a message in; says whether there was a place for it. */
  add(room, text) {
    if (this.#entries.length >= MOST) return false;
    this.#entries.push({
      nonce: nonce(),
      room: room.id,
      text,
      at: Date.now(),
      after: Math.max(room.end, room.head),
      state: "waiting",
    });
    this.#changed();
    this.#send(room.id);
    return true;
  }

  retry(entry) {
    entry.state = "waiting";
    this.#changed();
    this.#send(entry.room);
  }

  discard(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#changed();
  }

  #sendAll() {
    for (const room of new Set(this.#entries.map((entry) => entry.room))) this.#send(room);
  }

  async #send(id) {
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    let pause = SHORTEST;
    for (let entry = this.#next(id); entry; entry = this.#next(id)) {
      try {
        const sent = await this.#connection.ask({
          Type: "message",
          RoomID: id,
          Text: entry.text,
          Nonce: entry.nonce,
        });
        // It stays until its event is here, so that it is to be seen all the time.
        Object.assign(entry, { state: "sent", id: sent.MessageID });
        this.#changed();
        this.#settle(this.#rooms.get(id));
        pause = SHORTEST;
      } catch (error) {
        if (error instanceof Disconnected) break;
        if (!(error instanceof Refusal)) throw error;
        // It was not for the text that it was refused: the room is not followed yet again.
        if (!this.#rooms.isSubscribed(id)) break;
        if (error.retryable) {
          await new Promise((done) => setTimeout(done, pause));
          pause = Math.min(2 * pause, LONGEST);
        } else {
          entry.state = "failed";
          entry.why = error.message;
          this.#changed();
        }
      }
    }
    this.#busy.delete(id);
  }

  /** What is to be sent next in a room, if it can be now. */
  #next(id) {
    if (!this.#connection.isOpen || !this.#rooms.isSubscribed(id)) return undefined;
    return this.#entries.find((entry) => entry.room === id && entry.state === "waiting");
  }

  /** What is for rooms that the user is not in any more does not go out when he is again. */
  #giveUpStrangers() {
    if (!this.#rooms.isLoaded) return;
    const isStray = (entry) => entry.state === "waiting" && !this.#rooms.get(entry.room);
    const strays = this.#entries.filter(isStray);
    if (strays.length === 0) return;
    for (const entry of strays) Object.assign(entry, { state: "failed", why: texts.notInRoom });
    this.#changed();
  }

  /** Drops what is in the room's log here. */
  #settle(room) {
    const isThere = (entry) => entry.state === "sent" && entry.id <= (room?.end ?? Infinity);
    const left = this.#entries.filter((entry) => entry.room !== room?.id || !isThere(entry));
    if (left.length === this.#entries.length) return;
    this.#entries = left;
    this.#changed();
  }

  #changed() {
    const unsent = this.#unsent;
    const isWritten = this.#prefix && write(this.#prefix + OWN, unsent.length > 0 ? unsent : null);
    this.#isKept = unsent.length === 0 || isWritten;
    this.dispatchEvent(new Event("entries"));
  }
}
