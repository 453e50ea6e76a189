// What was begun to be written in each room, kept until it is sent.

import { ofUser, read, write } from "./store.js";

const name = (uid) => `${ofUser(uid)}drafts`;

export function draftOf(uid, room) {
  return read(name(uid))?.[room.id] ?? "";
}

export function keepDraft(uid, room, text) {
  const drafts = read(name(uid)) ?? {};
  if (text) drafts[room.id] = text;
  else delete drafts[room.id];
  write(name(uid), drafts);
}
