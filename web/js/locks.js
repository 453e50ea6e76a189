// One tab at a time. navigator.locks does it; a page that came over plain HTTP from another
// machine has none, and does with leases that a tab renews while it lives.

import { nonce, read, write } from "./store.js";

/** How often a lease is renewed, and when one counts as given up, milliseconds. */
const RENEW = 2_000;
const STALE = 10_000;

const me = nonce();

/**
 * Runs `act` while no other tab runs something under the same name. Without locks it just
 * runs: what is done so must be safe to be done twice at once.
 */
export function exclusively(name, act) {
  if (!navigator.locks) return act();
  let begun = false;
  const begin = () => {
    begun = true;
    return act();
  };
  return navigator.locks.request(`parley.${name}`, begin).catch((error) => {
    // A browser that keeps nothing for us refuses locks, too.
    if (begun) throw error;
    return act();
  });
}

/** Claims a name until this tab is gone. Says whether it was free. */
export function claim(name) {
  return navigator.locks ? claimLock(name) : claimLease(name);
}

function claimLock(name) {
  return new Promise((decided) => {
    const held = navigator.locks.request(`parley.${name}`, { ifAvailable: true }, (lock) => {
      decided(lock !== null);
      // Held for as long as the tab lives.
      return lock && new Promise(() => {});
    });
    held.catch(() => decided(true));
  });
}

async function claimLease(name) {
  const key = `lease.${name}`;
  const lease = read(key);
  if (lease && lease.tab !== me && Date.now() - lease.at < STALE) return false;
  const renew = () => write(key, { tab: me, at: Date.now() });
  renew();
  setInterval(renew, RENEW);
  addEventListener("pagehide", () => write(key, null));
  return true;
}
