// One row of a conversation, made of an event and the one before it.

import { h } from "../dom.js";
import { texts } from "../texts.js";
import { linked } from "./links.js";
import { dayOf, isSameDay, timeOf, wholeOf } from "./times.js";

/** What one author says within so long goes under one heading, milliseconds. */
const TOGETHER = 5 * 60_000;
/** Colours of avatars, in the style sheet. */
const HUES = 8;

/**
 * @param {object} event what happened
 * @param {object | undefined} before what is shown above it
 * @param {{people: import("../people.js").People, isOwn: (uid: number) => boolean,
 *   newAfter: number | null}} around `newAfter`: what the user has read up to
 */
export function row(event, before, around) {
  const date = new Date(event.Timestamp);
  const isNewDay = !before || !isSameDay(new Date(before.Timestamp), date);
  const isFirstNew = isNew(event, around) && !(before && isNew(before, around));
  const separators = [
    isNewDay && separator("day", dayOf(date)),
    isFirstNew && separator("new", texts.newMessages),
  ];
  if (event.Type !== "message") return h("li", { class: "note" }, separators, note(event, around));
  const goesOn =
    before?.Type === "message" &&
    before.UID === event.UID &&
    separators.every((separator) => !separator) &&
    date - new Date(before.Timestamp) < TOGETHER;
  const own = around.isOwn(event.UID) ? " own" : "";
  return h(
    "li",
    { class: `message${own}${goesOn ? " goes-on" : ""}`, "data-seq": event.Seq },
    separators,
    goesOn ? h("div", { class: "hidden" }, authorOf(event.UID, around)) : head(event, date, around),
    body(event.Text),
    goesOn && stamp(date),
  );
}

/** A message that the server has not acknowledged; `actions` stand beside one that failed. */
export function pendingRow(entry, around, actions) {
  const state =
    entry.state === "failed"
      ? h("div", { class: "state failed" }, h("span", { role: "alert" }, texts.notSent(entry.why)), actions)
      : h("div", { class: "state" }, entry.state === "sent" ? texts.sent : texts.sending);
  const date = new Date(entry.at);
  return h(
    "li",
    { class: `message own pending ${entry.state}` },
    head({ UID: around.ownUid }, date, around),
    body(entry.text),
    state,
  );
}

/** Writes names where users are shown that were not known, or have another one now. */
export function refreshNames(root, people) {
  for (const element of root.querySelectorAll("[data-uid]")) {
    const name = people.nameOf(Number(element.dataset.uid)) || texts.somebody;
    if (element.textContent !== name) element.textContent = name;
  }
  for (const element of root.querySelectorAll("[data-initial]")) {
    const initial = initialOf(people.nameOf(Number(element.dataset.initial)));
    if (element.textContent !== initial) element.textContent = initial;
  }
}

/** What is in a separator nobody hears, so it has its words as its name. */
function separator(kind, words) {
  return h("div", { class: kind, role: "separator", "aria-label": words }, h("span", {}, words));
}

function isNew(event, { newAfter, isOwn }) {
  return newAfter !== null && event.Seq > newAfter && !isOwn(event.UID);
}

function head(event, date, around) {
  return h(
    "div",
    { class: "head" },
    h(
      "span",
      { class: `avatar hue-${event.UID % HUES}`, "aria-hidden": "true", "data-initial": event.UID },
      initialOf(around.people.nameOf(event.UID)),
    ),
    authorOf(event.UID, around),
    stamp(date),
  );
}

function authorOf(uid, { people }) {
  return h("bdi", { class: "author", "data-uid": uid }, people.nameOf(uid) || texts.somebody);
}

function stamp(date) {
  return h("time", { datetime: date.toISOString(), title: wholeOf(date) }, timeOf(date));
}

function body(text) {
  const isEmoji = text.length <= 24 && /^(?:\p{Extended_Pictographic}|\p{Emoji_Component}|\s)+$/u.test(text);
  const isNumber = /^[\d\s#*]+$/u.test(text);
  return h("div", { class: isEmoji && !isNumber ? "text large" : "text", dir: "auto" }, linked(text));
}

function note(event, around) {
  const who = authorOf(event.UID, around);
  const isOther = event.By !== undefined && event.By !== event.UID;
  const by = isOther && authorOf(event.By, around);
  const isJoin = event.Type === "join";
  const words = isJoin ? (by ? texts.wasAdded : texts.joined) : by ? texts.wasRemoved : texts.left;
  const date = new Date(event.Timestamp);
  return h("div", { class: "words" }, words(who, by), " ", stamp(date));
}

function initialOf(name) {
  return [...name][0]?.toUpperCase() ?? "";
}
