// Somebody at a browser: does what a person does, by what a person sees (labels, roles, keys).

import { deepEqual, equal, ok } from "node:assert/strict";
import { randomBytes } from "node:crypto";

import { chromium } from "playwright-core";

/** How long anything may take to be seen, milliseconds. Debug builds and busy machines are slow. */
const PATIENCE = 20_000;

/** What a browser says of a server that is away, or has refused, or came over plain HTTP. */
const EXPECTED = /^Failed to load resource|^WebSocket connection to|^The Cross-Origin-Opener-Policy header has been ignored/u;

export const PASSWORD = "correct horse battery";

export function launch() {
  return chromium.launch({
    executablePath: process.env.PARLEY_TEST_CHROMIUM ?? "/usr/bin/chromium",
    // A name of this machine that no browser trusts as one.
    args: [`--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`],
  });
}

/** A host whose pages get what pages over plain HTTP from another machine get. */
export const ELSEWHERE = "parley.test";

/** A name that nobody has had: what is tested may run for many scenarios. */
export const unique = (start) => `${start}_${randomBytes(5).toString("hex")}`;

export class Person {
  name;
  page;
  #context;
  #faults = [];

  /** A browser of one's own, before the page at `url`. `options` are the browser context's. */
  static async arrive(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(PATIENCE);
    const person = new Person();
    person.#context = context;
    person.page = await person.open(url);
    return person;
  }

  /** The browser hears that the network is gone, or back. */
  isOffline(isIt) {
    return this.#context.setOffline(isIt);
  }

  /**
   * From the next load on the server refuses commands of this type for now, when `isNow()`. It
   * is stood in for: it would have to be overloaded at that very moment.
   */
  async refuses(type, isNow) {
    await this.page.routeWebSocket(/\/ws\?/u, (client) => {
      const server = client.connectToServer();
      client.onMessage((frame) => {
        const { Type, Ref } = JSON.parse(frame);
        if (Type !== type || !isNow()) server.send(frame);
        else client.send(JSON.stringify({ Type: "error", Error: "busy", Code: "unavailable", Retryable: true, Ref }));
      });
    });
  }

  /** Another tab of the same browser. */
  async open(url) {
    const page = await this.#context.newPage();
    // Whatever the page should have caught, or was not allowed to do, is a fault of the page.
    page.on("pageerror", (error) => this.#faults.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" && !EXPECTED.test(text)) this.#faults.push(text);
    });
    await page.goto(url);
    return page;
  }

  /** The same person at another tab. */
  at(page) {
    const other = new Person();
    other.name = this.name;
    other.page = page;
    other.#context = this.#context;
    other.#faults = this.#faults;
    return other;
  }

  isWithoutFault() {
    deepEqual(this.#faults, []);
  }

  leave() {
    return this.#context.close();
  }

  async register(name = unique("ann")) {
    this.name = name;
    await this.press("Create account");
    await this.fill("Username", name);
    await this.fill("Email", `${name}@example.org`);
    await this.fill("Password", PASSWORD);
    await this.press("Create account");
    await this.page.getByRole("button", { name, exact: true }).waitFor();
  }

  async logIn(name, password = PASSWORD) {
    this.name = name;
    await this.fill("Username or email", name);
    await this.fill("Password", password);
    await this.press("Log in");
    await this.page.getByRole("button", { name, exact: true }).waitFor();
  }

  async logOut() {
    await this.press(this.name);
    await this.press("Log out");
    await this.page.getByRole("heading", { name: "Log in" }).waitFor();
  }

  async createRoom(name = unique("room"), { isPrivate = false } = {}) {
    await this.press("Find or create a room");
    await this.fill("Room name", name);
    if (isPrivate) await this.page.getByLabel("Private").check();
    await this.press("Create room");
    await this.isIn(name);
    return name;
  }

  /** Opens a room of one's own from the list. */
  async enter(name) {
    await this.entryOf(name).click();
    await this.isIn(name);
  }

  /** Opens the room that another has open, by its address. */
  async follow(other) {
    const { hash } = new URL(other.page.url());
    await this.page.goto(new URL(hash, this.page.url()).href);
    await this.isIn(await other.title());
  }

  async isIn(name) {
    await this.page.getByRole("main").getByRole("heading", { name, exact: true }).waitFor();
  }

  async invite(name) {
    await this.press("Members");
    await this.fill("Invite somebody by username", name);
    await this.press("Invite");
    await this.page.getByText(`${name} is in now.`).waitFor();
    await this.press("Close");
  }

  async press(name) {
    await this.page.getByRole("button", { name, exact: true }).first().click();
  }

  async fill(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  /** Presses Tab until what is called so has the focus. */
  async tabTo(name, { back = false } = {}) {
    for (let at = 0; at < 60; at += 1) {
      if (await this.hasFocus(name)) return;
      await this.page.keyboard.press(back ? "Shift+Tab" : "Tab");
    }
    ok(false, `no Tab leads to "${name}"`);
  }

  /** Whether what has the focus is called so, and is seen to have it. */
  hasFocus(name) {
    return this.page.evaluate((wanted) => {
      const element = document.activeElement;
      const labels = [...(element.labels ?? [])].map((label) => label.textContent);
      const names = [element.getAttribute("aria-label"), ...labels, element.querySelector(".name")?.textContent];
      const isNamed = [...names, element.textContent].includes(wanted);
      return isNamed && element.matches(":focus-visible") && getComputedStyle(element).outlineStyle !== "none";
    }, name);
  }

  /** What this browser keeps of who is logged in. */
  account() {
    return this.page.evaluate(() => JSON.parse(localStorage.getItem("parley.account")));
  }

  get composer() {
    return this.page.getByRole("textbox", { name: /^Message to/u });
  }

  async say(text) {
    await this.composer.fill(text);
    await this.composer.press("Enter");
  }

  /** The room's log, as it is drawn. */
  get log() {
    return this.page.getByRole("list", { name: "Messages", exact: true });
  }

  /** What has been said and not been acknowledged. */
  get pending() {
    return this.page.getByRole("list", { name: "Messages on their way" });
  }

  /** Waits until a message of this text is in the log. */
  async sees(text) {
    await this.log.locator(".text").filter({ hasText: exactly(text) }).first().waitFor();
  }

  /** The texts of all messages drawn, oldest first. */
  texts() {
    return this.log.locator(".text").allInnerTexts();
  }

  /** Waits until the messages drawn are these, in this order. */
  async reads(expected, patience) {
    const isSo = async () => {
      const texts = await this.texts();
      return texts.length === expected.length && texts.every((text, at) => text === expected[at]);
    };
    await until(isSo, async () => deepEqual(await this.texts(), expected), patience);
  }

  /** The name of the room that is open. */
  title() {
    return this.page.locator(".room").getByRole("heading").textContent();
  }

  /** The number of the room that is open. */
  async roomId() {
    return Number(new URL(this.page.url()).hash.split("/")[2]);
  }

  /** Says "1", "2", … as fast as they are acknowledged, past the page's own outbox. */
  async flood(count, { room, perSecond = Infinity } = {}) {
    const order = { count, perSecond, room: room ?? (await this.roomId()) };
    await this.page.evaluate(flood, order);
  }

  /** Scrolls up until this is the first message drawn; the texts of all that were, oldest first. */
  scrollUpTo(text) {
    return this.page.evaluate(scrollUpTo, text);
  }

  /** The longest time between two frames, milliseconds, and the most rows, of the next while. */
  slowestFrame() {
    return this.page.evaluate(slowestFrame);
  }

  /** Who said this, as it is drawn. */
  authorOf(text) {
    const message = this.log.locator(".message").filter({ has: this.page.getByText(text, { exact: true }) });
    return message.locator(".author").first().textContent();
  }

  /** The room's entry in the list. */
  entryOf(room) {
    return this.page.getByRole("navigation").getByRole("link", { name: room });
  }

  /** Waits until the room's entry counts so many unread messages. */
  async hasUnread(room, count) {
    const badge = this.entryOf(room).locator(".unread");
    await until(
      async () => Number((await badge.isVisible()) && (await badge.textContent())) === count,
      async () => equal(await badge.textContent(), String(count)),
    );
  }

  /** The tab is hidden now. A headless browser's never are: this is all that a page sees of it. */
  lookAway() {
    return this.#turn(true);
  }

  lookBack() {
    return this.#turn(false);
  }

  async #turn(isHidden) {
    await this.page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
      document.dispatchEvent(new Event("visibilitychange"));
      // It is a while since somebody looked.
      if (hidden) localStorage.setItem("parley.seen", "0");
    }, isHidden);
  }

  /** Waits until nothing is on its way. */
  async isDone() {
    await until(
      async () => (await this.pending.locator("li").count()) === 0,
      async () => ok(false, "something is still on its way"),
    );
  }
}

function exactly(text) {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&")}$`, "u");
}

/** Waits until `holds`; when it does not in time, `complain` says what is wrong. */
export async function until(holds, complain, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      await complain();
      return;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

// What follows runs in the page.

/** Messages without an acknowledgement, most. */
function flood({ count, perSecond, room }) {
  const { token } = JSON.parse(localStorage.getItem("parley.account"));
  const url = new URL(`ws?token=${token}`, location.origin);
  url.protocol = "ws:";
  const socket = new WebSocket(url);
  const window = 256;
  const begun = performance.now();
  let [said, sent] = [0, 0];
  const more = () => {
    const due = Math.min(count, (performance.now() - begun) * (perSecond / 1000));
    while (said < due && said - sent < window) {
      said += 1;
      socket.send(JSON.stringify({ Type: "message", RoomID: room, Text: String(said) }));
    }
  };
  return new Promise((done, fail) => {
    let timer = 0;
    socket.onclose = () => fail(new Error("closed"));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.Type === "error") fail(new Error(frame.Error));
      if (frame.Type === "enter" && frame.RoomID === 0) {
        socket.send(JSON.stringify({ Type: "enter", RoomID: room }));
        timer = setInterval(more, 10);
      }
      if (frame.Type !== "sent") return;
      sent += 1;
      more();
      if (sent < count) return;
      clearInterval(timer);
      socket.onclose = null;
      socket.close();
      done();
    };
  });
}

async function scrollUpTo(first) {
  const log = document.querySelector(".log");
  const texts = () => [...log.querySelectorAll(".rows .text")].map((element) => element.textContent);
  const frame = () => new Promise(requestAnimationFrame);
  let seen = texts();
  const deadline = performance.now() + 120_000;
  while (seen[0] !== first && performance.now() < deadline) {
    // A message that is in sight moves by what was scrolled, and by nothing else.
    const top = log.getBoundingClientRect().top;
    const mark = [...log.querySelectorAll(".text")].find((element) => element.getBoundingClientRect().bottom > top);
    const before = mark.getBoundingClientRect().top;
    const at = log.scrollTop;
    log.scrollTop -= 400;
    const moved = at - log.scrollTop;
    await frame();
    await frame();
    if (mark.isConnected && Math.abs(mark.getBoundingClientRect().top - before - moved) > 1) {
      throw new Error(`"${mark.textContent}" jumped by ${mark.getBoundingClientRect().top - before - moved}`);
    }
    const drawn = texts();
    const seam = drawn.indexOf(seen[0]);
    if (seam > 0) seen = [...drawn.slice(0, seam), ...seen];
    if (seam < 0) throw new Error(`nothing in common: ${drawn[0]} to ${drawn.at(-1)}, and ${seen[0]}`);
  }
  return seen;
}

async function slowestFrame() {
  const frame = () => new Promise(requestAnimationFrame);
  let [longest, rows, last] = [0, 0, await frame()];
  for (const end = last + 10_000; last < end; ) {
    const now = await frame();
    longest = Math.max(longest, now - last);
    rows = Math.max(rows, document.querySelectorAll(".log li").length);
    last = now;
  }
  return { longest, rows };
}
