// Starts the page: the door for a guest, the house for one who is logged in.

import { Account } from "./account.js";
import { closeDialogs } from "./view/dialog.js";
import { door } from "./view/door.js";
import { House } from "./view/house.js";

const account = new Account();
let house = null;

function show() {
  house?.close();
  closeDialogs();
  house = account.isOpen ? new House(account) : null;
  document.body.replaceChildren(house?.element ?? door(account));
}

account.addEventListener("begun", show);
account.addEventListener("ended", show);
show();
