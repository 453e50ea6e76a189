// What the browser keeps for us: small JSON values under names of our own. What it refuses to
// keep (private modes, a full disk) is there for as long as the tab is.

const PREFIX = "parley.";

/** What the browser did not take. */
const unkept = new Map();
// Another tab had more luck: what it keeps is newer.
addEventListener("storage", ({ key }) => unkept.delete(key));

export function read(name) {
  const key = PREFIX + name;
  try {
    return JSON.parse(unkept.get(key) ?? localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Keeps a value; `null` forgets it. Says whether the browser has it. */
export function write(name, value) {
  const key = PREFIX + name;
  unkept.delete(key);
  const text = JSON.stringify(value);
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
    return true;
  } catch {
    if (value !== null) unkept.set(key, text);
    return false;
  }
}

/** How the names begin of what is one user's, and goes when he logs out. */
export const ofUser = (uid) => `user.${uid}.`;

/** The names that begin so, without what they begin with. */
export function namesUnder(prefix) {
  const all = PREFIX + prefix;
  return [...new Set([...keptKeys(), ...unkept.keys()])]
    .filter((key) => key.startsWith(all))
    .map((key) => key.slice(all.length));
}

function keptKeys() {
  try {
    return Object.keys(localStorage);
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
