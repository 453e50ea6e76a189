// What the browser keeps for us: small JSON values under names of our own. A browser that
// refuses to keep anything (private modes, a full disk) costs what it would have kept, no more.

const PREFIX = "parley.";

export function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Keeps a value; `null` forgets it. Says whether it is kept. */
export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** How the names begin of what is one user's, and goes when he logs out. */
export const ofUser = (uid) => `user.${uid}.`;

/** The names that begin so, without what they begin with. */
export function namesUnder(prefix) {
  try {
    const all = PREFIX + prefix;
    return Object.keys(localStorage)
      .filter((name) => name.startsWith(all))
      .map((name) => name.slice(all.length));
  } catch {
    return [];
  }
}

/** Calls `changed` when another tab keeps something else under a name. */
export function watch(name, changed) {
  addEventListener("storage", (event) => {
    if (event.key === PREFIX + name || event.key === null) changed();
  });
}

/** Random characters that nobody else has: 128 bits. */
export function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
