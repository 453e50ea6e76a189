// A room as this page knows it: a stretch of its log without a gap that reaches to the newest
// event, how far the user has read, who said the last word.
//
// Invariant: `events` holds Seq `start` to `end`, each once, in order. What does not continue
// them starts them anew.

/** Events asked for at once when somebody scrolls up. */
const PAGE = 100;
/** Events kept of a room that nobody looks at, after it has been closed or grown to `MOST`. */
const KEPT = 300;
const MOST = 1_000;

/** What of the log is shown: the rest is counted. */
const SHOWN = new Set(["message", "join", "leave"]);

export const isShown = (event) => SHOWN.has(event.Type);

/**
 * Says `events` when events came (`detail.older`: at the front; `detail.afresh`: all are
 * others), `details` when anything else changed.
 */
export class Room extends EventTarget {
  id;
  name = "";
  kind = "room";
  isPrivate = false;
  role = "member";
  unread = 0;
  lastRead = 0;
  lastMessage = null;

  /** The newest event that is known to exist. */
  head = 0;
  epoch;
  /** The oldest Seq that the server has. */
  first = 1;

  events = [];
  /** Whether it is open: what is looked at is not forgotten. */
  isOpen = false;
  /** `null`: wherever the next event is. */
  start = 1;

  #account;
  /** Up to which event `unread` counts. */
  #counted = 0;
  #loading = null;

  constructor(account, details) {
    super();
    this.#account = account;
    this.id = details.RoomID;
    this.describe(details);
    this.start = this.head + 1;
  }

  /** The newest event that is here; with none, the one before where they will begin. */
  get end() {
    return this.start === null ? -1 : this.start + this.events.length - 1;
  }

  get hasOlder() {
    return this.start !== null && this.start > this.first;
  }

  /** Whether events are known to exist that are not here yet. */
  get isBehind() {
    return this.end < this.head;
  }

  /** Takes over what the server says of the room now. */
  describe(details) {
    this.name = details.Name ?? "";
    this.kind = details.Kind;
    this.isPrivate = details.IsPrivate;
    this.role = details.Role;
    // An answer may be older than what has come since.
    if (details.Head >= this.#counted && details.LastRead >= this.lastRead) {
      this.#counted = details.Head;
      this.unread = details.Unread;
    }
    this.lastRead = Math.max(this.lastRead, details.LastRead);
    this.head = Math.max(this.head, details.Head);
    this.epoch ??= details.Epoch;
    const last = details.LastMessage;
    if (last && last.ID >= (this.lastMessage?.ID ?? 0)) this.lastMessage = last;
    this.#changed();
  }

  /** The answer to a subscription: where the log stands, and whether ours is of use. */
  stand({ Seq: seq, Epoch: epoch, First: first, Reset: reset, Truncated: truncated }) {
    this.epoch = epoch;
    this.first = first;
    if (reset) {
      this.lastRead = 0;
      this.unread = 0;
      this.lastMessage = null;
      this.head = 0;
      this.#counted = 0;
    }
    this.head = Math.max(this.head, seq);
    // What follows begins where it begins.
    if (reset || truncated) this.#restart(null);
    this.#changed();
  }

  /** Gives up what is here: the log has another end than we know. */
  renew() {
    this.epoch = undefined;
    this.head = 0;
    this.#restart(null);
  }

  /** Takes a live or replayed event. */
  take(event) {
    if (event.Seq <= this.end) return;
    if (event.Seq !== this.end + 1) this.#restart(event.Seq);
    this.events.push(event);
    this.head = Math.max(this.head, event.Seq);
    if (event.Type === "message") this.lastMessage = event;
    if (event.Seq > this.#counted) {
      this.#counted = event.Seq;
      if (this.#counts(event) && event.Seq > this.lastRead) this.unread += 1;
    }
    this.dispatchEvent(new CustomEvent("events", { detail: { event } }));
    if (this.events.length > MOST && !this.isOpen) this.shrink();
    this.#changed();
  }

  /** The user has read up to `id`, here or elsewhere. */
  markRead(id) {
    if (id <= this.lastRead) return;
    this.lastRead = id;
    // Of what is not here the server knows how much is left.
    if (id >= this.start - 1) {
      this.unread = this.events.filter((event) => event.Seq > id && this.#counts(event)).length;
    }
    this.#changed();
  }

  #counts(event) {
    return event.Type === "message" && event.UID !== this.#account.uid;
  }

  /** Fetches what comes before; at most one call is under way. */
  loadOlder() {
    if (!this.hasOlder) return Promise.resolve();
    if (!this.#loading) {
      const loading = this.#loadOlder().finally(() => {
        if (this.#loading === loading) this.#loading = null;
      });
      this.#loading = loading;
    }
    return this.#loading;
  }

  async #loadOlder() {
    const { epoch, start } = this;
    const older = [];
    let after = Math.max(this.first - 1, start - 1 - PAGE);
    // A page may be cut short where messages are long.
    while (after < start - 1) {
      const path = `/rooms/${this.id}/events?After=${after}&Limit=${start - 1 - after}`;
      const page = await this.#account.call("GET", path);
      if (page.Epoch !== epoch || page.Events.length === 0) return;
      this.first = page.First;
      older.push(...page.Events);
      after = page.Events.at(-1).Seq;
    }
    // The log was started anew meanwhile.
    if (this.start !== start) return;
    this.events.unshift(...older);
    this.start -= older.length;
    // Who hears of it may want more at once.
    this.#loading = null;
    this.dispatchEvent(new CustomEvent("events", { detail: { older: older.length } }));
  }

  /** Forgets old events, which nobody looks at. */
  shrink() {
    if (this.events.length <= KEPT) return;
    this.start += this.events.length - KEPT;
    this.events = this.events.slice(-KEPT);
    this.dispatchEvent(new CustomEvent("events", { detail: { afresh: true } }));
  }

  /** Empties the log, which begins at `start`, or wherever the next event is. */
  #restart(start) {
    this.events = [];
    this.start = start;
    this.dispatchEvent(new CustomEvent("events", { detail: { afresh: true } }));
  }

  #changed() {
    this.dispatchEvent(new Event("details"));
  }
}
