// Starts the page: the door for a guest, the house for one who is logged in. The door waits
// for no more than it needs; the house is on its way meanwhile (index.html).

import { Account } from "./account.js";
import { texts } from "./texts.js";
import { closeDialogs } from "./view/dialog.js";
import { door } from "./view/door.js";

const account = new Account();
let house = null;
let shown = 0;

/** `words` are said at the door. */
async function show(words) {
  shown += 1;
  const mine = shown;
  house?.close();
  house = null;
  closeDialogs();
  if (!account.isOpen) {
    document.body.replaceChildren(door(account, words));
    return;
  }
  const { House } = await import("./view/house.js");
  // Somebody may have logged out, or in, meanwhile.
  if (mine !== shown) return;
  house = new House(account);
  document.body.replaceChildren(house.element);
}

account.addEventListener("begun", () => show());
account.addEventListener("ended", ({ detail }) => show(detail.isForced ? texts.sessionEnded : ""));
show();
