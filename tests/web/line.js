// A wire between a browser and a server that can be cut, fall silent, or say goodbye.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A server that goes away: a Close frame with code 1001 (RFC 6455, 5.5.1). */
const GOODBYE = Uint8Array.of(0x88, 0x02, 0x03, 0xe9);

export class Line {
  #target;
  #server;
  #ends = new Set();
  /**
   * What becomes of bytes: "whole", "silent" (none passes), "deaf" (none comes back); or "cut":
   * no new connection is taken.
   */
  #state = "whole";

  constructor(target) {
    this.#target = new URL(target);
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  async start() {
    this.#server = createServer((end) => this.#join(end)).listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Ends what is connected, and refuses whatever comes. */
  cut() {
    this.#state = "cut";
    for (const end of this.#ends) end.destroy();
  }

  /** Nothing passes any more, and nobody is told. */
  silence() {
    this.#state = "silent";
  }

  /** What the browser says arrives, what the server says does not. */
  deafen() {
    this.#state = "deaf";
  }

  /**
   * The server goes away: every WebSocket hears it, and whatever comes is refused. But it does
   * not hang up, which the browser waits for a while.
   */
  sayGoodbye() {
    this.#state = "cut";
    for (const end of this.#ends) {
      if (end.isWebSocket) {
        end.isLost = true;
        end.other.isLost = true;
        end.write(GOODBYE);
      } else if (!end.other.isWebSocket) {
        end.destroy();
      }
    }
  }

  /** New connections are whole again; what was silent stays so. */
  mend() {
    for (const end of this.#ends) end.isLost ||= this.#state !== "whole";
    this.#state = "whole";
  }

  async stop() {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near) {
    if (this.#state === "cut") {
      near.destroy();
      return;
    }
    const far = connect(Number(this.#target.port), this.#target.hostname);
    near.once("data", (bytes) => (near.isWebSocket = bytes.includes("Upgrade: websocket")));
    for (const [from, to, isBack] of [[near, far, false], [far, near, true]]) {
      this.#ends.add(from);
      from.other = to;
      from.on("data", (bytes) => this.#passes(from, isBack) && to.write(bytes));
      from.on("close", () => {
        this.#ends.delete(from);
        to.destroy();
      });
      // Who is cut off in the middle may say so.
      from.on("error", () => {});
    }
  }

  #passes(from, isBack) {
    if (from.isLost || this.#state === "silent") return false;
    return !(isBack && this.#state === "deaf");
  }
}
