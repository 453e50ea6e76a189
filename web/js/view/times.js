// Days and times, in the reader's own way of writing the page's language.

import { locale } from "../texts.js";

const time = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const shortDay = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

const DAY = 86_400_000;
/** How often it is looked whether the day is another, milliseconds. */
const LOOK = 30_000;

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** Days from one date to another, in the reader's time zone. */
const daysBetween = (from, to) => Math.round((midnight(to) - midnight(from)) / DAY);

export const isSameDay = (a, b) => midnight(a) === midnight(b);

export const timeOf = (date) => time.format(date);

export const wholeOf = (date) => whole.format(date);

/** "today", "yesterday", or the day itself. */
export function dayOf(date) {
  const ago = daysBetween(date, new Date());
  return ago >= 0 && ago < 2 ? relative.format(-ago, "day") : day.format(date);
}

/** The time of what happened today, else the day. */
export function briefOf(date) {
  return daysBetween(date, new Date()) === 0 ? time.format(date) : shortDay.format(date);
}

/** Calls `act` when a day has begun: what was today is no more. */
export function everyDay(act, signal) {
  let today = midnight(new Date());
  const looking = setInterval(() => {
    const day = midnight(new Date());
    if (day === today) return;
    today = day;
    act();
  }, LOOK);
  signal.addEventListener("abort", () => clearInterval(looking));
}
