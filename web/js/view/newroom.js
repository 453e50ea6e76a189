// The dialog for another room: one that exists, found by its name, or a new one.

import { h } from "../dom.js";
import { texts } from "../texts.js";
import { openDialog } from "./dialog.js";
import { field, form, wordsFor } from "./form.js";

/** After the last key, before it is asked for names; milliseconds. */
const PAUSE = 200;

/** `show` opens a room. */
export function openNewRoom({ account, rooms, show }) {
  const close = openDialog(
    texts.newRoom,
    finding({ account, rooms, open: (room) => (close(), show(room)) }),
    h("h3", {}, texts.createRoom),
    creating({ account, rooms, open: (room) => (close(), show(room)) }),
  );
}

function finding({ account, rooms, open }) {
  const search = field(
    texts.findRoom,
    { type: "search", autocomplete: "off" },
    texts.findRoomHint,
  );
  const found = h("ul", { class: "found" });
  const status = h("p", { class: "hint", role: "status" });

  const enter = async (id) => {
    try {
      const join = () => account.call("PUT", "/join", { RoomID: id });
      open(rooms.get(id) ?? (await rooms.enter(id, join)));
    } catch (error) {
      status.textContent = wordsFor(error);
    }
  };
  let asked = 0;
  const look = async () => {
    const name = search.input.value.trim();
    asked += 1;
    const mine = asked;
    try {
      const { Rooms: all } = await account.call("GET", `/directory?Q=${encodeURIComponent(name)}`);
      if (mine !== asked) return;
      found.replaceChildren(
        ...all.map(({ RoomID: id, Name: room, Members: members }) =>
          h(
            "li",
            {},
            h("span", {}, h("bdi", {}, room), h("small", {}, texts.memberCount(members))),
            h(
              "button",
              { type: "button", class: "small", onclick: () => enter(id), "aria-label": rooms.get(id) ? texts.openRoom(room) : texts.joinNamed(room) },
              rooms.get(id) ? texts.open : texts.join,
            ),
          ),
        ),
      );
      status.textContent = all.length === 0 ? texts.noRoomFound : "";
    } catch (error) {
      if (mine === asked) status.textContent = wordsFor(error);
    }
  };
  let pause = 0;
  search.input.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(look, PAUSE);
  });
  look();
  return h("div", { class: "form", role: "search" }, search.element, found, status);
}

function creating({ account, rooms, open }) {
  const name = field(texts.roomName, { name: "room", autocomplete: "off", required: true, minlength: "3" });
  const isPrivate = field(texts.privateRoom, { type: "checkbox" }, texts.privateRoomHint);
  const act = async () => {
    const body = { Name: name.input.value.trim(), IsPrivate: isPrivate.input.checked };
    const { RoomID: id } = await account.call("POST", "/create-room", body);
    await rooms.reload();
    open(rooms.get(id));
  };
  return form({ submit: texts.create, act }, name.element, isPrivate.element);
}
