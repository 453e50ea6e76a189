// A message's text as nodes: text, and links where it names an address of the web.

import { h } from "../dom.js";

/**
 * An address ends where it is quoted, at the punctuation of scripts that set no spaces, and at
 * what turns the direction of writing.
 */
const ADDRESS =
  /\b(?:https?:\/\/|www\.)[^\s<>"'`{}|\\^“”„‘’‚«»‹›…，。、；：！？（）「」『』【】《》〈〉\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;

/** What belongs to the sentence around an address, not to it. */
const TRAILING = /[.,:;!?…*_~]+$/u;

/** @returns {Array<string | HTMLAnchorElement>} */
export function linked(text) {
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    const href = target(address);
    if (!href) continue;
    nodes.push(text.slice(done, index));
    nodes.push(h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, address));
    done = index + address.length;
  }
  nodes.push(text.slice(done));
  return nodes.filter((node) => node !== "");
}

function trimmed(found) {
  let address = found;
  for (;;) {
    const before = address;
    address = address.replace(TRAILING, "");
    // A closing bracket that was opened before the address.
    for (const [open, close] of ["()", "[]"]) {
      if (address.endsWith(close) && address.split(close).length > address.split(open).length) {
        address = address.slice(0, -1);
      }
    }
    if (address === before) return address;
  }
}

/**
 * Where an address leads; `null` when it is none of the web's, or names a user: what looks like
 * a host there is none.
 */
function target(address) {
  try {
    const url = new URL(/^www\./iu.test(address) ? `https://${address}` : address);
    const isWeb = url.protocol === "https:" || url.protocol === "http:";
    const isPlain = url.username === "" && url.password === "";
    return isWeb && isPlain && url.hostname.length > 0 ? url.href : null;
  } catch {
    return null;
  }
}
