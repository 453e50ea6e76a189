// What users are called. Names are asked for together, and again after a while: a user may
// take another.

/** Users asked for at once, most. */
const MOST = 100;
/** How long a name is believed, milliseconds. */
const FRESH = 60_000;
/** How long to wait before a question that failed is asked again. */
const LATER = 3_000;

/** Says `names` when some became known, or others. */
export class People extends EventTarget {
  #account;
  /** @type {Map<number, {name: string, at: number}>} */
  #known = new Map();
  #wanted = new Set();
  #asking = false;

  constructor(account) {
    super();
    this.#account = account;
    account.addEventListener("renamed", () => this.#learn(account.uid, account.name));
  }

  /** A user's name; "" until it is known. */
  nameOf(uid) {
    if (uid === this.#account.uid) return this.#account.name;
    const known = this.#known.get(uid);
    if (!known || Date.now() - known.at > FRESH) {
      this.#wanted.add(uid);
      this.#ask();
    }
    return known?.name ?? "";
  }

  /** The user of this name. */
  async find(name) {
    const path = `/users?Username=${encodeURIComponent(name)}`;
    const { Users: users } = await this.#account.call("GET", path);
    return users[0];
  }

  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    // Whoever draws a page of messages asks for many in one go.
    await Promise.resolve();
    while (this.#wanted.size > 0) {
      const uids = [...this.#wanted].slice(0, MOST);
      try {
        const { Users: users } = await this.#account.call("GET", `/users?UID=${uids}`);
        const at = Date.now();
        for (const uid of uids) this.#known.set(uid, { name: this.#known.get(uid)?.name ?? "", at });
        for (const user of users) this.#known.set(user.UID, { name: user.Username, at });
        for (const uid of uids) this.#wanted.delete(uid);
        this.dispatchEvent(new Event("names"));
      } catch (error) {
        if (error.status === 401) break;
        await new Promise((done) => setTimeout(done, LATER));
      }
    }
    this.#asking = false;
  }

  #learn(uid, name) {
    this.#known.set(uid, { name, at: Date.now() });
    this.dispatchEvent(new Event("names"));
  }
}
