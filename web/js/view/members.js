// The dialog of a room's members: who is in it, who may be let in and how, and the way out.

import { BASE } from "../api.js";
import { catchFocus, h } from "../dom.js";
import { texts } from "../texts.js";
import { openDialog } from "./dialog.js";
import { field, form, wordsFor } from "./form.js";

/** `left` is called when the user has left the room. */
export function openMembers({ account, room, rooms, people, left }) {
  const list = h("ul", { class: "people" });
  const status = h("p", { class: "hint", role: "status" });
  const more = h("button", { type: "button", class: "small", hidden: true }, texts.more);
  const isOwner = room.role === "owner";
  const parts = { account, room, people, list, status, more, isOwner };
  const close = openDialog(
    texts.membersOf(room.name),
    isOwner && inviting(parts),
    linking({ account, room, isOwner }),
    list,
    more,
    status,
    leaving({ room, rooms, left: () => (close(), left()) }),
  );
  let isLoading = false;
  more.onclick = async () => {
    if (isLoading) return;
    isLoading = true;
    await page(parts, Number(list.lastElementChild?.dataset.uid ?? 0));
    isLoading = false;
    if (!more.hidden) return;
    more.blur();
    catchFocus(list);
  };
  page(parts, 0);
}

async function page(parts, after) {
  const { account, room, list, status, more } = parts;
  try {
    const path = `/rooms/${room.id}/members?After=${after}`;
    const { Members: members, More: hasMore } = await account.call("GET", path);
    if (after === 0) list.replaceChildren();
    list.append(...members.map((member) => entry(parts, member)));
    more.hidden = !hasMore;
  } catch (error) {
    status.textContent = wordsFor(error);
  }
}

function entry({ account, room, list, status, isOwner }, { UID: uid, Username: name, Role: role }) {
  const item = h(
    "li",
    { "data-uid": uid },
    h("span", {}, h("bdi", {}, name), role !== "member" && h("small", {}, texts.roles[role] ?? role)),
  );
  if (isOwner && uid !== account.uid) {
    const remove = async () => {
      try {
        await account.call("PUT", "/kick", { RoomID: room.id, UID: uid });
        item.remove();
        catchFocus(list);
        status.textContent = texts.removed(name);
      } catch (error) {
        status.textContent = wordsFor(error);
      }
    };
    const label = texts.removeSomebody(name);
    item.append(h("button", { type: "button", class: "small", "aria-label": label, onclick: remove }, texts.remove));
  }
  return item;
}

function inviting(parts) {
  const { account, room, people, status } = parts;
  const name = field(texts.inviteByName, { autocomplete: "off", required: true, autocapitalize: "none", spellcheck: "false" });
  const act = async () => {
    status.textContent = "";
    const user = await people.find(name.input.value.trim());
    if (!user) {
      status.textContent = texts.noSuchUser(name.input.value.trim());
      return;
    }
    await account.call("PUT", "/invite", { RoomID: room.id, UID: user.UID });
    name.input.value = "";
    status.textContent = texts.invited(user.Username);
    await page(parts, 0);
  };
  const explain = (error) => (error.code === "conflict" ? texts.alreadyIn : undefined);
  return form({ submit: texts.invite, act, explain }, name.element);
}

/** A link that leads in: of a public room for everybody, of a private one by an invitation. */
function linking({ account, room, isOwner }) {
  if (room.isPrivate && !isOwner) return null;
  const shown = h("input", { type: "text", readonly: true, "aria-label": texts.link, hidden: true });
  const place = async () => {
    if (!room.isPrivate) return `#/room/${room.id}`;
    const { Code: code } = await account.call("POST", `/rooms/${room.id}/invites`, {});
    return `#/invite/${code}`;
  };
  const make = async () => {
    // One is enough for all who are shown it.
    shown.value ||= new URL(await place(), BASE).href;
    shown.hidden = false;
    shown.select();
    // A page that came over plain HTTP has no clipboard.
    await navigator.clipboard?.writeText(shown.value).catch(() => {});
  };
  return form({ submit: texts.copyLink, act: make }, shown);
}

function leaving({ room, rooms, left }) {
  const act = async () => {
    await rooms.leave(room.id);
    left();
  };
  const explain = (error) => (error.code === "conflict" ? texts.ownerStays : undefined);
  return h("div", { class: "danger" }, form({ submit: texts.leaveRoom, act, explain }));
}
