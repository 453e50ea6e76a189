// The user's rooms, kept up with over one connection: it is subscribed to them, resumes each
// by its Seq when it was broken, and asks now and then whether the list is still the same.

import { Disconnected, Refusal } from "./connection.js";
import { Room } from "./room.js";

/** How often the list is compared with the server's, milliseconds. */
const LOOK = 5_000;
/** And in a tab that is not looked at. */
const HIDDEN_LOOK = 30_000;
/** Rooms that one connection may be subscribed to. */
const SUBSCRIBED = 200;
/** How long to wait before what was refused for now is asked for again. */
const LATER = 2_000;
/** Read markers go out at most so often for a room. */
const MARK = 500;
/** After the connection is back, everything is asked for again within so long. */
const RETURN = 3_000;
/** Who has more rooms than can be followed sees what is unread in the others so late. */
const DESCRIBE = 60_000;

/**
 * Says `list` when rooms came or went, `room` (with the room as `detail`) when something of
 * one changed, and `message` (`detail.room`, `detail.event`) for each message that is new to the user: of
 * those that came while he was away for the last.
 */
export class Rooms extends EventTarget {
  #account;
  #connection;
  #rooms = new Map();
  /** Subscribed on the connection as it is now. */
  #subscribed = new Set();
  #looking = 0;
  #lookedAt = 0;
  /** Rooms whose marker went out a moment ago. */
  #marks = new Map();
  /** Rooms whose read marker could not be told yet. */
  #owed = new Set();
  #describedAt = 0;
  #reloading = Promise.resolve();
  #living = new AbortController();

  /** Whether the list has come. */
  isLoaded = false;

  constructor(account, connection) {
    super();
    this.#account = account;
    this.#connection = connection;
    connection.addEventListener("open", () => this.#return());
    connection.addEventListener("closed", () => this.#subscribed.clear());
    connection.addEventListener("frame", ({ detail }) => this.#take(detail));
    const { signal } = this.#living;
    document.addEventListener("visibilitychange", () => document.hidden || this.look(), { signal });
  }

  get(id) {
    return this.#rooms.get(id);
  }

  /** All rooms, those with the newest messages first. */
  get list() {
    const age = (room) => room.lastMessage?.Timestamp ?? "";
    return [...this.#rooms.values()].sort((a, b) => age(b).localeCompare(age(a)) || b.id - a.id);
  }

  get unread() {
    return this.list.reduce((sum, room) => sum + room.unread, 0);
  }

  isSubscribed(id) {
    return this.#subscribed.has(id);
  }

  /** Whether any room is not caught up yet. */
  get isCatchingUp() {
    return [...this.#rooms.values()].some((room) => this.isSubscribed(room.id) && room.isBehind);
  }

  /** Fetches the list, and looks at it again for as long as the tab lives. */
  async start() {
    await this.reload();
    if (this.#living.signal.aborted) return;
    this.#looking = setInterval(() => {
      if (!document.hidden || Date.now() - this.#lookedAt >= HIDDEN_LOOK) this.look();
    }, LOOK);
  }

  stop() {
    this.#living.abort();
    clearInterval(this.#looking);
  }

  /** Has the list changed? To ask costs the server little. */
  async look() {
    if (!this.#connection.isOpen) return;
    this.#lookedAt = Date.now();
    try {
      const { IDs: ids } = await this.#account.call("GET", "/rooms");
      const isSame = ids.length === this.#rooms.size && ids.every((id) => this.#rooms.has(id));
      const isOld = ids.length > SUBSCRIBED && Date.now() - this.#describedAt > DESCRIBE;
      if (!isSame || isOld) await this.reload();
    } catch {
      // The next look may find out.
    }
  }

  /** Fetches the list and all that is told of each room: one answer after the other. */
  reload() {
    this.#reloading = this.#reloading.catch(() => {}).then(() => this.#reload());
    return this.#reloading;
  }

  async #reload() {
    const { Rooms: all } = await this.#account.call("GET", "/rooms?Details=1");
    this.#describedAt = Date.now();
    const ids = new Set(all.map((details) => details.RoomID));
    for (const id of this.#rooms.keys()) {
      if (!ids.has(id)) this.#forget(id);
    }
    for (const details of all) {
      const known = this.#rooms.get(details.RoomID);
      if (known) known.describe(details);
      else this.#add(new Room(this.#account, details));
      if (known?.lastRead > details.LastRead) this.#tellMark(known);
    }
    this.isLoaded = true;
    this.dispatchEvent(new Event("list"));
    this.#resume();
  }

  /** Comes into a room of this id by `act`, a call of the API. */
  async enter(id, act) {
    await act().catch((error) => {
      // He is in: another tab, or a try whose answer was lost, let him in.
      if (error.code !== "conflict") throw error;
    });
    await this.reload();
    return this.#rooms.get(id);
  }

  async leave(id) {
    await this.#account.call("PUT", "/leave", { RoomID: id });
    this.#forget(id);
    this.dispatchEvent(new Event("list"));
  }

  /** The user has seen all that is in a room. */
  markRead(room) {
    const id = room.end;
    if (id <= room.lastRead) return;
    room.markRead(id);
    this.#tellMark(room);
  }

  #tellMark(room) {
    const resting = this.#marks.get(room.id);
    if (resting) {
      resting.again = true;
      return;
    }
    const rest = { again: false };
    rest.timer = setTimeout(() => {
      this.#marks.delete(room.id);
      if (rest.again) this.#tellMark(room);
    }, MARK);
    this.#marks.set(room.id, rest);
    this.#sendMark(room);
  }

  async #sendMark(room) {
    try {
      if (!this.isSubscribed(room.id)) throw new Disconnected();
      await this.#connection.ask({ Type: "read", RoomID: room.id, ID: room.lastRead });
    } catch (error) {
      if (error instanceof Disconnected) this.#owed.add(room.id);
      else if (error.retryable) setTimeout(() => this.#rooms.get(room.id) === room && this.#tellMark(room), LATER);
    }
  }

  /** Makes sure that a room's events come, though there be more rooms than can be followed. */
  follow(room) {
    if (!this.isSubscribed(room.id) && this.#subscribed.size >= SUBSCRIBED) {
      const least = this.list.findLast(({ id }) => this.isSubscribed(id));
      this.#subscribed.delete(least.id);
      this.#connection.tell({ Type: "unsubscribe", RoomID: least.id });
    }
    this.#subscribe(room);
  }

  #add(room) {
    this.#rooms.set(room.id, room);
    room.addEventListener("details", () => {
      this.dispatchEvent(new CustomEvent("room", { detail: room }));
    });
  }

  #forget(id) {
    this.#rooms.delete(id);
    this.#subscribed.delete(id);
    clearTimeout(this.#marks.get(id)?.timer);
    this.#marks.delete(id);
    this.#owed.delete(id);
  }

  /** The connection is there again. */
  #return() {
    this.#resume();
    // What was read elsewhere meanwhile nobody repeats. Others come back too: not all at once.
    if (this.isLoaded) setTimeout(() => this.reload().catch(() => {}), Math.random() * RETURN);
  }

  #resume() {
    if (!this.#connection.isOpen) return;
    for (const room of this.list.sort((a, b) => b.isOpen - a.isOpen)) {
      if (this.#subscribed.size < SUBSCRIBED) this.#subscribe(room);
    }
  }

  async #subscribe(room) {
    if (!this.#connection.isOpen || this.isSubscribed(room.id)) return;
    this.#subscribed.add(room.id);
    const command = { Type: "subscribe", RoomID: room.id, After: Math.max(0, room.end), Epoch: room.epoch };
    try {
      const answer = await this.#connection.ask(command);
      room.stand(answer);
      if (this.#owed.delete(room.id)) this.#tellMark(room);
      // What was passed over is counted by the server alone.
      if (answer.Truncated || answer.Reset) this.reload().catch(() => {});
    } catch (error) {
      if (!(error instanceof Refusal)) return;
      this.#subscribed.delete(room.id);
      // Beyond the log's end: it is another log than ours.
      if (error.code === "invalid_argument") room.renew();
      setTimeout(() => {
        if (this.#rooms.get(room.id) !== room) return;
        if (error.retryable) this.#subscribe(room);
        else this.reload().catch(() => {});
      }, LATER);
    }
  }

  #take(frame) {
    const room = this.#rooms.get(frame.RoomID);
    if (!room) return;
    if (frame.Type === "read") {
      if (frame.UID === this.#account.uid) room.markRead(frame.ID);
    } else if (Number.isInteger(frame.Seq) && frame.Type !== "enter") {
      const isNew = frame.Seq > room.end;
      room.take(frame);
      if (frame.Type === "leave" && frame.UID === this.#account.uid) {
        this.#forget(room.id);
        this.dispatchEvent(new Event("list"));
      } else if (isNew && frame.Type === "message" && !room.isBehind && frame.Seq > room.lastRead) {
        this.dispatchEvent(new CustomEvent("message", { detail: { room, event: frame } }));
      }
    }
  }
}
