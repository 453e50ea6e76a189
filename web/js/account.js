// Who is logged in on this browser, and the tokens that show it.
//
// All tabs share one session, kept in localStorage (docs/decisions says why there). A refresh
// token is good once, so one tab at a time refreshes, and looks first whether another has.
// The Idempotency-Key is kept beside the token it is for: should two tabs send the same token
// all the same, or a tab be closed before it had the answer, both get the same pair.

import { ApiError, request } from "./api.js";
import { exclusively } from "./locks.js";
import { namesUnder, nonce, ofUser, read, watch, write } from "./store.js";

const KEPT = "account";
/** A token is renewed so long before it ends, milliseconds. */
const EARLY = 60_000;

/**
 * Says `begun` when somebody logged in, `ended` when the session is over: here, in another
 * tab, or by somebody's word elsewhere (`detail.isForced`); `renamed` when the name changed.
 */
export class Account extends EventTarget {
  #kept = read(KEPT);

  constructor() {
    super();
    watch(KEPT, () => this.#follow(read(KEPT)));
  }

  get isOpen() {
    return this.#kept !== null;
  }

  get uid() {
    return this.#kept?.uid;
  }

  get name() {
    return this.#kept?.name;
  }

  async register(name, email, password) {
    try {
      await request("POST", "/register", { body: { Username: name, Email: email, Password: password } });
    } catch (error) {
      if (error.code !== "conflict") throw error;
      // It may be our own first try that took the name, whose answer was lost.
      await this.logIn(name, password).catch(() => {
        throw error;
      });
      return;
    }
    await this.logIn(name, password);
  }

  /** `login` is a name or an address: an address has an @, which no name has. */
  async logIn(login, password) {
    const field = login.includes("@") ? "Email" : "Username";
    const answer = await request("POST", "/login", { body: { [field]: login, Password: password } });
    const tokens = tokensOf(answer);
    const { body: profile } = await request("GET", "/profile", { token: tokens.token });
    this.#keep({ ...tokens, uid: profile.UID, name: profile.Username });
    this.dispatchEvent(new Event("begun"));
  }

  async logOut() {
    const { uid } = this;
    // A session that cannot be ended now ends by itself when it is not used.
    await this.call("POST", "/logout").catch(() => {});
    this.#end(false);
    // Whoever comes next at this computer finds nothing.
    const own = ofUser(uid);
    for (const name of namesUnder(own)) write(own + name, null);
  }

  async changeName(name) {
    const { session } = this.#kept;
    await this.call("PUT", "/change-name", { NewName: name });
    this.#follow(read(KEPT) ?? this.#kept);
    this.#mustBe(session);
    this.#keep({ ...this.#kept, name });
    this.dispatchEvent(new Event("renamed"));
  }

  /** Calls the API as the user; what comes back is the body. */
  async call(method, path, body, key) {
    const session = this.#kept?.session;
    const token = await this.#token();
    try {
      return (await request(method, path, { body, key, token })).body;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      const fresh = await this.#refresh(token, session);
      return (await request(method, path, { body, key, token: fresh })).body;
    }
  }

  async #token() {
    this.#mustBe(this.#kept?.session);
    if (Date.now() < this.#kept.until - EARLY) return this.#kept.token;
    return this.#refresh(this.#kept.token, this.#kept.session);
  }

  /** Another user may have logged in meanwhile: nothing is done in his name. */
  #mustBe(session) {
    if (session === undefined || this.#kept?.session !== session) {
      throw new ApiError("unauthenticated", "not logged in any more", { status: 401 });
    }
  }

  /** A token of the session that is not `old`. */
  #refresh(old, session) {
    return exclusively("refresh", async () => {
      this.#follow(read(KEPT) ?? this.#kept);
      this.#mustBe(session);
      const { token, refreshToken, refreshKey } = this.#kept;
      if (token !== old) return token;
      try {
        const answer = await request("POST", "/refresh", {
          body: { RefreshToken: refreshToken },
          key: refreshKey,
        });
        this.#mustBe(session);
        this.#keep({ ...this.#kept, ...tokensOf(answer) });
      } catch (error) {
        if (error.status === 401 && this.#kept?.session === session) this.#end(true);
        throw error;
      }
      return this.#kept.token;
    });
  }

  /** Takes over what another tab keeps. */
  #follow(kept) {
    const before = this.#kept;
    this.#kept = kept;
    if (before?.session === kept?.session) {
      if (before?.name !== kept?.name) this.dispatchEvent(new Event("renamed"));
      return;
    }
    if (before) this.dispatchEvent(new CustomEvent("ended", { detail: { isForced: false } }));
    if (kept) this.dispatchEvent(new Event("begun"));
  }

  #keep(kept) {
    this.#kept = kept;
    write(KEPT, kept);
  }

  #end(isForced) {
    if (!this.#kept) return;
    this.#keep(null);
    this.dispatchEvent(new CustomEvent("ended", { detail: { isForced } }));
  }
}

function tokensOf({ body, date }) {
  return {
    token: body.token,
    refreshToken: body.RefreshToken,
    refreshKey: nonce(),
    session: body.SessionID,
    // By our own clock, whatever it shows.
    until: Date.now() + (Date.parse(body.ExpiresAt) - date),
  };
}
