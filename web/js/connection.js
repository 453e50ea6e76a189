// One WebSocket at a time, opened again for as long as it is wanted.
//
// A browser does not show the server's pings, so a heart beats in frames: silence for two
// beats means that the connection is dead, whatever the browser believes.

import { BASE } from "./api.js";
import { nonce } from "./store.js";

/**
 * A beat, milliseconds: after one of silence a ping goes out, and after another without any
 * word the connection ends. A hidden tab may look at its watch once a minute only, so what
 * counts is a ping that nothing followed, not how long ago something was heard.
 */
export const BEAT = 10_000;
/** How long an answer to a command may take. */
const PATIENCE = 10_000;
/** How long to wait before the next try: doubled each time, with chance in it. */
const SHORTEST = 300;
const LONGEST = 15_000;
/** What has lasted so long was a success; what ends sooner counts as another failure. */
const STEADY = 10_000;
/** Commands without an answer, most. */
const MOST_ASKED = 512;

/** The connection ended before the answer came. */
export class Disconnected extends Error {}

/** A command was refused, in the words of the server's `error` frame. */
export class Refusal extends Error {
  constructor(frame) {
    super(frame.Error);
    this.code = frame.Code;
    this.retryable = frame.Retryable;
  }
}

/**
 * Says `open` when commands may be sent, `closed` when they may not, and `frame` (with the
 * frame as `detail`) for whatever comes that answers nothing.
 */
export class Connection extends EventTarget {
  #account;
  #socket = null;
  #isOpen = false;
  #wanted = false;
  #failures = 0;
  #openedAt = 0;
  #retry = 0;
  #heart = 0;
  #heardAt = 0;
  /** When the ping went out that nothing has followed yet; 0: there is none. */
  #pingedAt = 0;
  #asked = new Map();
  #living = new AbortController();

  /** @param {import("./account.js").Account} account */
  constructor(account) {
    super();
    this.#account = account;
    const { signal } = this.#living;
    addEventListener("online", () => this.#hurry(), { signal });
    // A server on this machine is still there: then it is back in a moment.
    addEventListener("offline", () => this.#isOpen && this.#failed(), { signal });
    addEventListener("pageshow", () => this.#hurry(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry(), { signal });
  }

  /** Whether commands may be sent. Before `closed` is said the socket may be closing already. */
  get isOpen() {
    return this.#isOpen && this.#socket.readyState === WebSocket.OPEN;
  }

  /** How often it has failed since it last held. */
  get failures() {
    return this.#failures;
  }

  start() {
    this.#wanted = true;
    this.#connect();
  }

  /** Ends it for good. */
  stop() {
    this.#living.abort();
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#drop();
    this.dispatchEvent(new Event("closed"));
  }

  /** Gives the connection up and opens another at once. */
  restart() {
    this.#drop();
    this.dispatchEvent(new Event("closed"));
    if (this.#wanted) this.#connect();
  }

  /** Sends a frame that nobody answers. */
  tell(frame) {
    if (this.isOpen) this.#socket.send(JSON.stringify(frame));
  }

  /**
   * Sends a command and waits for its answer.
   * Throws a Refusal, or Disconnected: then nobody knows whether it was carried out.
   */
  ask(frame) {
    if (!this.isOpen || this.#asked.size >= MOST_ASKED) return Promise.reject(new Disconnected());
    const reference = nonce();
    return new Promise((answer, refuse) => {
      const late = setInterval(() => {
        // It may wait behind a long replay.
        if (Date.now() - this.#heardAt >= PATIENCE) this.#failed();
      }, PATIENCE);
      this.#asked.set(reference, { answer, refuse, late });
      this.#socket.send(JSON.stringify({ ...frame, Ref: reference }));
    });
  }

  async #connect() {
    clearTimeout(this.#retry);
    this.#drop();
    const attempt = {};
    this.#socket = attempt;
    try {
      const { Ticket: ticket } = await this.#account.call("POST", "/ws-ticket");
      // Somebody stopped or restarted it meanwhile.
      if (this.#socket !== attempt) return;
      this.#open(ticket);
    } catch (error) {
      if (this.#socket === attempt && error.status !== 401) this.#failed();
    }
  }

  #open(ticket) {
    const url = new URL(`ws?ticket=${encodeURIComponent(ticket)}`, BASE);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#heardAt = Date.now();
    this.#pingedAt = 0;
    this.#heart = setInterval(() => this.#beat(), BEAT / 4);
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      // 1001: the server goes away in good order, and another is there already.
      if (event.code === 1001) this.#failures = 0;
      this.#failed();
    };
  }

  #take(frame) {
    this.#heardAt = Date.now();
    this.#pingedAt = 0;
    const asked = this.#asked.get(frame.Ref);
    if (asked) {
      this.#asked.delete(frame.Ref);
      clearInterval(asked.late);
      if (frame.Type === "error") asked.refuse(new Refusal(frame));
      else asked.answer(frame);
    } else if (!this.#isOpen && frame.Type === "enter") {
      // The server's first word.
      this.#isOpen = true;
      this.#openedAt = Date.now();
      this.tell({ Type: "hello", Version: 2 });
      this.dispatchEvent(new Event("open"));
    } else if (frame.Type !== "pong") {
      this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    }
  }

  #beat() {
    const now = Date.now();
    if (this.#pingedAt) {
      if (now - this.#pingedAt >= BEAT) this.#failed();
    } else if (now - this.#heardAt >= BEAT) {
      this.#pingedAt = now;
      this.tell({ Type: "ping" });
    }
  }

  /** Something suggests that the network is back, or that time has passed unnoticed. */
  #hurry() {
    if (!this.#wanted) return;
    if (!this.#isOpen) {
      this.#connect();
    } else {
      this.ask({ Type: "ping" }).catch(() => {});
    }
  }

  #failed() {
    if (this.#isOpen && Date.now() - this.#openedAt >= STEADY) this.#failures = 0;
    this.#drop();
    if (!this.#wanted) return;
    const longest = Math.min(LONGEST, SHORTEST * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), longest / 2 + (Math.random() * longest) / 2);
    this.dispatchEvent(new Event("closed"));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    clearInterval(this.#heart);
    if (socket instanceof WebSocket) socket.close();
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { refuse, late } of asked) {
      clearInterval(late);
      refuse(new Disconnected());
    }
  }
}
