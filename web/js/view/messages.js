// A room's messages: a window of rows over the room's log that moves with the reader, so that
// the page costs the same in a room of ten messages and of ten thousand.
//
// Invariants: the rows are those of `#shown[#from..#to]`, in order; whatever is put in or taken
// out above what the reader sees, that stays where it is; who is at the newest message stays
// there.

import { arrange, catchFocus, h, icon, oncePerFrame } from "../dom.js";
import { isShown } from "../room.js";
import { texts } from "../texts.js";
import { pendingRow, refreshNames, row } from "./rows.js";
import { everyDay } from "./times.js";

/** Rows put in at once, and kept, most. */
const STEP = 60;
const MOST = 180;
/** Rows put in before the first that is new, when it is far above the end. */
const BEFORE = 10;
/** Events of the room in memory while its end is looked at, most. */
const EVENTS = 5_000;
/** So near to the end the reader is at the newest message, pixels. */
const NEAR = 48;

const DOWN = "M12 16.5 5.5 10 7 8.5l5 5 5-5 1.5 1.5z";

export class MessageList {
  #room;
  #rooms;
  #outbox;
  #openOthers;
  #around;
  #shown = [];
  #from = 0;
  #to = 0;
  #isFollowing = true;
  #isPlaced = false;
  #arrived = 0;
  /** Whether what is above could not be loaded. */
  #isStuck = false;
  /** Rows of what is on its way, by Nonce: one stays the same while its entry does. */
  #waiting = new Map();
  #watching = new AbortController();
  #resizing = new ResizeObserver(() => this.#isFollowing && this.#toEnd());

  constructor({ account, room, rooms, outbox, people, openOthers }) {
    this.#openOthers = openOthers;
    this.#room = room;
    this.#rooms = rooms;
    this.#outbox = outbox;
    this.#around = {
      people,
      ownUid: account.uid,
      isOwn: (uid) => uid === account.uid,
      newAfter: room.unread > 0 ? room.lastRead : null,
    };
    this.above = h("p", { class: "above" });
    this.rows = h("ol", { class: "rows", "aria-label": texts.messages });
    this.pending = h("ol", { class: "rows", "aria-label": texts.unsent });
    this.log = h(
      "div",
      { class: "log", tabindex: "0", role: "region", "aria-label": texts.messagesOf(room.name) },
      this.above,
      this.rows,
      this.pending,
    );
    this.down = h("button", { type: "button", class: "down", hidden: true, onclick: () => this.jump() }, icon(DOWN));
    this.element = h("div", { class: "messages" }, this.log, this.down);

    const { signal } = this.#watching;
    this.drawNew = oncePerFrame(() => this.#drawNew());
    this.drawPending = oncePerFrame(() => this.#drawPending());
    room.addEventListener("events", ({ detail }) => this.#take(detail), { signal });
    outbox.addEventListener("entries", this.drawPending, { signal });
    people.addEventListener("names", oncePerFrame(() => refreshNames(this.element, people)), { signal });
    this.log.addEventListener("scroll", oncePerFrame(() => this.#scrolled()), { signal, passive: true });
    document.addEventListener("visibilitychange", () => this.#read(), { signal });
    addEventListener("focus", () => this.#read(), { signal });
    everyDay(() => this.#redraw(), signal);
    this.#resizing.observe(this.log);
    this.#restart();
  }

  close() {
    this.#watching.abort();
    this.#resizing.disconnect();
  }

  /** Goes to the newest message. */
  jump() {
    this.#isFollowing = true;
    this.#around.newAfter = null;
    this.#show(Math.max(0, this.#shown.length - STEP), this.#shown.length);
    this.#drawPending();
    // The button is hidden then.
    if (document.activeElement === this.down) this.log.focus({ preventScroll: true });
    this.#toEnd();
  }

  #restart() {
    this.#shown = this.#room.events.filter(isShown);
    this.#isPlaced = false;
    this.#show(Math.max(0, this.#shown.length - STEP), this.#shown.length);
    this.#drawPending();
    this.#place();
    this.#fill();
  }

  #take({ event, older, afresh }) {
    if (afresh) {
      this.#restart();
    } else if (older) {
      const shown = this.#room.events.slice(0, older).filter(isShown);
      this.#shown.unshift(...shown);
      this.#from += shown.length;
      this.#to += shown.length;
      this.#extendUp();
      this.#place();
      this.#fill();
    } else if (isShown(event)) {
      this.#shown.push(event);
      this.#arrived += 1;
      this.drawNew();
    }
  }

  /** Draws what came since the last frame. */
  #drawNew() {
    if (this.#from === 0) this.#drawAbove();
    if (this.#isFollowing) {
      if (this.#room.events.length > EVENTS) {
        this.#around.newAfter = null;
        this.#room.shrink();
        return;
      }
      // A flood is not drawn row by row.
      if (this.#shown.length - this.#to > STEP) {
        this.#show(this.#shown.length - STEP, this.#shown.length);
      } else {
        this.#extendDown(this.#shown.length);
        this.#trimTop();
      }
      this.#drawPending();
      this.#toEnd();
    } else {
      this.#drawPending();
      this.#mark();
    }
  }

  #row(index) {
    return row(this.#shown[index], this.#shown[index - 1], this.#around);
  }

  #show(from, to) {
    this.#from = from;
    this.#to = to;
    const rows = [];
    for (let index = from; index < to; index += 1) rows.push(this.#row(index));
    this.rows.replaceChildren(...rows);
    this.#drawAbove();
  }

  #extendUp() {
    const from = Math.max(0, this.#from - STEP);
    if (from === this.#from) return;
    this.#keeping(() => {
      const rows = [];
      for (let index = from; index < this.#from; index += 1) rows.push(this.#row(index));
      // What was the first row may stand under another's heading now.
      this.rows.firstChild?.replaceWith(this.#row(this.#from));
      this.rows.prepend(...rows);
      this.#from = from;
      this.#drawAbove();
      while (this.#to - this.#from > MOST) {
        this.rows.lastChild.remove();
        this.#to -= 1;
      }
    });
  }

  #extendDown(to) {
    for (; this.#to < to; this.#to += 1) this.rows.append(this.#row(this.#to));
  }

  #trimTop() {
    while (this.#to - this.#from > MOST) {
      this.rows.firstChild.remove();
      this.#from += 1;
    }
  }

  /** Changes rows while the last one that stays keeps its place on the screen. */
  #keeping(change) {
    const anchor = this.#anchor();
    const before = anchor?.getBoundingClientRect().bottom;
    change();
    if (anchor?.isConnected) this.log.scrollTop += anchor.getBoundingClientRect().bottom - before;
  }

  /** Draws the same rows anew: what they say of the day is so no more. */
  #redraw() {
    const { scrollTop } = this.log;
    this.#show(this.#from, this.#to);
    this.log.scrollTop = scrollTop;
  }

  /** A row that is seen, but not the first: that may be made anew. */
  #anchor() {
    const top = this.log.getBoundingClientRect().top;
    const rows = [...this.rows.children].slice(1);
    return rows.find((element) => element.getBoundingClientRect().bottom > top) ?? rows.at(-1);
  }

  #drawPending() {
    const { events, start, end } = this.#room;
    const taken = new Set();
    // Its event may be here before the word that it was sent.
    const isHere = ({ state, id, text, after }) => {
      if (state === "sent") return id <= end;
      if (state === "failed") return false;
      const since = events.slice(Math.max(0, after + 1 - start));
      const found = since.find((event) => event.Text === text && this.#isOwnNew(event, taken));
      if (found) taken.add(found.Seq);
      return found;
    };
    const entries = this.#outbox.of(this.#room).filter((entry) => !isHere(entry));
    const waiting = new Map();
    for (const entry of entries) {
      const known = this.#waiting.get(entry.nonce);
      const isSame = known?.state === entry.state && known.why === entry.why;
      const { state, why } = entry;
      const row = isSame ? known.row : pendingRow(entry, this.#around, this.#actions(entry));
      waiting.set(entry.nonce, { state, why, row });
    }
    this.#waiting = waiting;
    const rows = [...waiting.values()].map(({ row }) => row);
    const hadFocus = this.pending.contains(document.activeElement);
    arrange(this.pending, rows);
    if (hadFocus) catchFocus(this.log);
    this.pending.hidden = rows.length === 0;
    if (this.#isFollowing) this.#toEnd();
  }

  #isOwnNew(event, taken) {
    return event.Type === "message" && this.#around.isOwn(event.UID) && !taken.has(event.Seq);
  }

  #actions(entry) {
    const button = (text, act) => h("button", { type: "button", class: "small", onclick: act }, text);
    return [
      button(texts.retry, () => this.#outbox.retry(entry)),
      button(texts.discard, () => this.#outbox.discard(entry)),
    ];
  }

  /** Whether nobody else has ever been in the room. */
  #isAlone() {
    return this.#shown.length > 0 && this.#shown.every(({ UID: uid }) => this.#around.isOwn(uid));
  }

  #drawAbove() {
    if (this.#isStuck) {
      const again = h("button", { type: "button", class: "small", onclick: () => this.#fill() }, texts.loadAgain);
      this.above.replaceChildren(again);
      return;
    }
    const { start, hasOlder, name } = this.#room;
    const isStart = this.#from === 0 && start !== null && !hasOlder;
    this.above.textContent = isStart ? texts.beginning(name) : texts.loading;
    if (isStart && this.#isAlone()) {
      const invite = h("button", { type: "button", class: "main", onclick: this.#openOthers }, texts.inviteOthers);
      this.above.append(" ", texts.nobodyElse, invite);
    }
  }

  #scrolled() {
    const { scrollTop, clientHeight } = this.log;
    const below = this.#below();
    if (scrollTop < clientHeight) this.#older();
    if (below < clientHeight && this.#to < this.#shown.length) this.#newer();
    this.#isFollowing = this.#below() < NEAR && this.#to === this.#shown.length;
    this.#mark();
  }

  /** Pixels between what is seen and the end of the rows. */
  #below() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    return scrollHeight - scrollTop - clientHeight;
  }

  #older() {
    if (this.#from > 0) this.#extendUp();
    else this.#fill();
  }

  #newer() {
    this.#keeping(() => {
      this.#extendDown(Math.min(this.#shown.length, this.#to + STEP));
      this.#trimTop();
    });
  }

  /** Has the room load what is above, when the reader is near to it. */
  #fill(again = true) {
    if (this.#watching.signal.aborted) return;
    if (this.#from > 0 || this.log.scrollTop > this.log.clientHeight) return;
    const stuck = (isStuck) => {
      if (this.#isStuck === isStuck) return;
      this.#isStuck = isStuck;
      this.#drawAbove();
    };
    // What was under way may have been of a log that has begun anew since: once more, then.
    const more = () => {
      stuck(false);
      if (again) this.#fill(false);
    };
    this.#room.loadOlder().then(more, () => stuck(true));
  }

  /** Where a reader begins: at what is new to him, else at the end. */
  #place() {
    if (this.#isPlaced || this.#shown.length === 0) return;
    const isNew = (event) => event.Seq > newAfter && !isOwn(event.UID);
    const { newAfter, isOwn } = this.#around;
    const at = newAfter === null ? -1 : this.#shown.findIndex(isNew);
    if (at >= 0 && at < this.#from) {
      const from = Math.max(0, at - BEFORE);
      this.#show(from, Math.min(this.#shown.length, from + MOST));
    }
    this.log.scrollTop = this.log.scrollHeight;
    const first = this.rows.querySelector(".new");
    const above = first ? first.getBoundingClientRect().top - this.log.getBoundingClientRect().top : 0;
    if (above < 0) {
      this.#isFollowing = false;
      this.log.scrollTop += above - this.log.clientHeight / 4;
    }
    // Only now the reader sees what he sees.
    this.#isPlaced = true;
    this.#mark();
  }

  #toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.#mark();
  }

  /** Shows whether there is something below, and what has been read. */
  #mark() {
    if (this.#isFollowing) this.#arrived = 0;
    this.down.hidden = this.#isFollowing;
    this.down.setAttribute("aria-label", texts.toNewest(this.#arrived));
    this.down.dataset.count = this.#arrived || "";
    this.#read();
  }

  #read() {
    if (!this.#isPlaced || !this.#isFollowing || document.hidden) return;
    if (!this.#room.isBehind) this.#rooms.markRead(this.#room);
  }
}
