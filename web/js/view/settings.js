// The dialog of the user's own account: name, password, sessions, notifications, the way out.

import { catchFocus, h } from "../dom.js";
import { Notices } from "../notices.js";
import { texts } from "../texts.js";
import { deviceOf } from "./devices.js";
import { openDialog } from "./dialog.js";
import { field, form, wordsFor } from "./form.js";
import { wholeOf } from "./times.js";

export function openSettings({ account, outbox }) {
  const close = openDialog(
    texts.settings,
    notices(account),
    section(texts.changeName, naming(account)),
    section(texts.changePassword, password(account)),
    section(texts.sessions, sessions(account)),
    h(
      "div",
      { class: "danger" },
      form(
        { submit: texts.logOut, act: async () => (await account.logOut(), close()) },
        outbox.unsent > 0 && h("p", {}, texts.unsentAtLogOut(outbox.unsent)),
      ),
    ),
  );
}

const section = (title, ...children) => h("details", {}, h("summary", {}, title), ...children);

function notices({ uid }) {
  if (!Notices.arePossible) return h("p", { class: "hint" }, texts.noNotices);
  const choice = field(texts.notices, { type: "checkbox", checked: Notices.areOnFor(uid) });
  choice.input.onchange = async () => {
    choice.input.checked = await Notices.turn(uid, choice.input.checked);
  };
  return choice.element;
}

function naming(account) {
  const name = field(
    texts.newName,
    { name: "username", autocomplete: "username", required: true, minlength: "3", value: account.name },
    texts.usernameRule,
  );
  const done = h("p", { class: "hint", role: "status" });
  const act = async () => {
    done.textContent = "";
    await account.changeName(name.input.value.trim());
    done.textContent = texts.nameChanged;
  };
  return form({ submit: texts.changeName, act }, name.element, done);
}

function password(account) {
  const old = field(texts.oldPassword, { type: "password", autocomplete: "current-password", required: true });
  const rules = { type: "password", autocomplete: "new-password", required: true, minlength: "8" };
  const fresh = field(texts.newPassword, rules, texts.passwordRule);
  const done = h("p", { class: "hint", role: "status" });
  const act = async () => {
    done.textContent = "";
    await account.call("PUT", "/change-password", {
      OldPassword: old.input.value,
      NewPassword: fresh.input.value,
    });
    old.input.value = "";
    fresh.input.value = "";
    done.textContent = texts.passwordChanged;
  };
  return form({ submit: texts.changePassword, act }, old.element, fresh.element, done);
}

function sessions(account) {
  const list = h("ul", { class: "people" });
  const status = h("p", { class: "hint", role: "status" });
  const load = async () => {
    try {
      const { Sessions: all } = await account.call("GET", "/sessions");
      list.replaceChildren(...all.map(entry));
      catchFocus(list);
    } catch (error) {
      status.textContent = wordsFor(error);
    }
  };
  const end = async (path) => {
    try {
      await account.call("DELETE", path);
      status.textContent = texts.ended;
      await load();
    } catch (error) {
      status.textContent = wordsFor(error);
    }
  };
  const entry = (session) => {
    const device = deviceOf(session.Device);
    const about = texts.sessionOf(session.Address, wholeOf(new Date(session.LastUsed)));
    const button = h(
      "button",
      { type: "button", class: "small", onclick: () => end(`/sessions/${session.SessionID}`), "aria-label": texts.endSession(device) },
      texts.end,
    );
    return h(
      "li",
      {},
      h("span", {}, h("bdi", {}, device), h("small", {}, about)),
      session.Current ? h("em", {}, texts.thisSession) : button,
    );
  };
  load();
  const others = h("button", { type: "button", class: "small", onclick: () => end("/sessions") }, texts.endOthers);
  return h("div", {}, list, others, status);
}
