// Tells a user who looks elsewhere: the count in the title, and a notification once he agreed.

import { ofUser, read, write } from "./store.js";
import { texts } from "./texts.js";

const agreed = (uid) => `${ofUser(uid)}notify`;
const SEEN = "seen";
/** A tab that is looked at says so, so often; one that said nothing for longer is not. */
const SAY = 2_000;
const STALE = 5_000;

const TITLE = document.title;

export class Notices {
  #account;
  #people;
  #show;

  /** `show` opens a room; `signal` ends it all. */
  constructor({ account, rooms, people, show, signal }) {
    this.#account = account;
    this.#people = people;
    this.#show = show;
    const count = () => {
      document.title = rooms.unread > 0 ? `(${rooms.unread}) ${TITLE}` : TITLE;
    };
    rooms.addEventListener("room", count);
    rooms.addEventListener("list", count);
    rooms.addEventListener("message", ({ detail }) => this.#notify(detail));
    const say = () => document.hidden || write(SEEN, Date.now());
    const saying = setInterval(say, SAY);
    document.addEventListener("visibilitychange", say, { signal });
    signal.addEventListener("abort", () => {
      clearInterval(saying);
      document.title = TITLE;
    });
    say();
  }

  /** Whether this browser can show notifications to this page at all. */
  static get arePossible() {
    return "Notification" in window && isSecureContext;
  }

  /** Whether a user has agreed to them in this browser. */
  static areOnFor(uid) {
    return Notices.arePossible && read(agreed(uid)) === true && Notification.permission === "granted";
  }

  /** Asks the user, where he has not said yet. Says whether they are on now. */
  static async turn(uid, on) {
    if (on && Notification.permission !== "granted") await Notification.requestPermission();
    write(agreed(uid), on);
    return Notices.areOnFor(uid);
  }

  #notify({ room, event }) {
    const { uid } = this.#account;
    if (!Notices.areOnFor(uid) || event.UID === uid) return;
    // Where one tab of some is looked at, the user is here.
    if (!document.hidden || Date.now() - (read(SEEN) ?? 0) < STALE) return;
    const author = this.#people.nameOf(event.UID) || texts.somebody;
    const notice = shown(room.name || author, {
      body: texts.said(author, event.Text),
      // The same from several tabs is shown once.
      tag: `parley-${room.id}-${event.Seq}`,
    });
    if (!notice) return;
    notice.onclick = () => {
      window.focus();
      this.#show(room);
      notice.close();
    };
  }
}

/** `null` where a browser has notifications, but not for pages (Chrome on Android). */
function shown(title, options) {
  try {
    return new Notification(title, options);
  } catch {
    return null;
  }
}
