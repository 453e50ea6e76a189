// Where one comes in: log in, or make an account.

import { h } from "../dom.js";
import { texts } from "../texts.js";
import { field, form } from "./form.js";

/** `words`: why the guest is here, where he may not know. */
export function door(account, words = "") {
  const page = h("main", { class: "door" });
  const reason = h("p", { class: "hint", role: "status" }, words);
  const show = (makes) => page.replaceChildren(...(makes ? register(account, turn) : logIn(account, turn)));
  const turn = (makes) => {
    show(makes);
    page.querySelector("input").focus();
  };
  show(false);
  page.querySelector("h2").after(reason);
  return page;
}

function logIn(account, show) {
  const login = field(texts.nameOrEmail, {
    name: "login",
    autocomplete: "username",
    required: true,
    autocapitalize: "none",
    spellcheck: "false",
  });
  const password = field(texts.password, {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  return content(
    texts.logIn,
    form(
      {
        submit: texts.logIn,
        act: () => account.logIn(login.input.value.trim(), password.input.value),
        explain: (error) => (error.status === 401 ? texts.wrongLogin : undefined),
      },
      login.element,
      password.element,
    ),
    texts.noAccount,
    texts.makeAccount,
    () => show(true),
  );
}

function register(account, show) {
  const name = field(
    texts.username,
    {
      name: "username",
      autocomplete: "username",
      required: true,
      minlength: "3",
      autocapitalize: "none",
      spellcheck: "false",
    },
    texts.usernameRule,
  );
  const email = field(texts.email, { name: "email", type: "email", autocomplete: "email", required: true });
  const password = field(
    texts.password,
    {
      name: "password",
      type: "password",
      autocomplete: "new-password",
      required: true,
      minlength: "8",
    },
    texts.passwordRule,
  );
  return content(
    texts.makeAccount,
    form(
      {
        submit: texts.makeAccount,
        act: () => account.register(name.input.value.trim(), email.input.value.trim(), password.input.value),
        explain: (error) => (error.code === "conflict" ? texts.accountTaken : undefined),
      },
      name.element,
      email.element,
      password.element,
    ),
    texts.haveAccount,
    texts.logIn,
    () => show(false),
  );
}

function content(title, body, question, other, turn) {
  return [
    h("h1", {}, texts.parley),
    h("h2", {}, title),
    body,
    h("p", { class: "other" }, question, " ", h("button", { type: "button", class: "link", onclick: turn }, other)),
  ];
}
