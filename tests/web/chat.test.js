// What people do with the page when all is well.

import { equal, ok } from "node:assert/strict";

import { unique, until } from "./person.js";
import { scenario } from "./scenario.js";

scenario("two people register, make a room, and chat both ways", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const room = await ann.createRoom(unique("room"), { isPrivate: true });
  await ann.invite(bob.name);
  await ann.say("Hello Bob");
  await bob.enter(room);
  await bob.sees("Hello Bob");
  await bob.say("Hello Ann");
  await ann.reads(["Hello Bob", "Hello Ann"]);
  await bob.reads(["Hello Bob", "Hello Ann"]);
  await ann.isDone();
  equal(await ann.authorOf("Hello Ann"), bob.name);
});

scenario("a public room is found by how its name begins, and by its link", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const eve = await arrive();
  const room = await ann.createRoom();
  await ann.say("Come in");
  await bob.press("Find or create a room");
  await bob.fill("Find a public room", room.slice(0, -2).toUpperCase());
  await bob.press(`Join ${room}`);
  await bob.isIn(room);
  await bob.sees("Come in");
  // A guest who follows the link makes an account on his way.
  await eve.page.goto(ann.page.url());
  await eve.register(unique("eve"));
  await eve.press("Join");
  await eve.isIn(room);
  await eve.say("Here I am");
  await ann.sees("Here I am");
});

scenario("a link to a private room lets others in", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const room = await ann.createRoom(unique("room"), { isPrivate: true });
  await bob.page.goto(ann.page.url());
  await bob.page.getByText("There is no such room, or it is private").waitFor();
  await ann.press("Members");
  await ann.press("Copy a link that lets others in");
  const link = ann.page.getByLabel("Link to the room");
  await link.waitFor();
  await bob.page.goto(await link.inputValue());
  await bob.press("Join");
  await bob.isIn(room);
  await bob.page.goto(new URL("#/invite/AAAAAAAAAAAAAAAAAAAAAA", bob.page.url()).href);
  await bob.page.getByText("This invitation is not good any more.").waitFor();
});

scenario("who switches rooms sees each one's messages and what is unread in others", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const one = await ann.createRoom();
  await ann.invite(bob.name);
  const other = await ann.createRoom();
  await ann.invite(bob.name);
  await bob.enter(one);
  await ann.say("In the other, first");
  await ann.say("In the other, second");
  await bob.hasUnread(other, 2);
  equal(await bob.page.title(), "(2) Parley");
  await bob.enter(other);
  await bob.reads(["In the other, first", "In the other, second"]);
  await bob.page.getByText("New", { exact: true }).waitFor();
  await bob.hasUnread(other, 0);
  await bob.enter(one);
  await bob.reads([]);
  equal(await bob.page.title(), "Parley");
});

scenario("what has come and has not been seen stays unread, also after a reload", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const room = await ann.createRoom();
  await ann.invite(bob.name);
  await ann.flood(80);
  await bob.enter(room);
  // He begins where he has not been yet.
  await bob.sees("1");
  const line = bob.page.getByText("New", { exact: true });
  await line.waitFor();
  ok(await isInSight(line));
  await bob.hasUnread(room, 80);
  await bob.page.reload();
  await bob.hasUnread(room, 80);
  await bob.page.getByRole("button", { name: /^To the newest/u }).click();
  await bob.hasUnread(room, 0);
  await bob.page.reload();
  await bob.sees("80");
  await bob.hasUnread(room, 0);
});

scenario("on a phone one sees the list or a room, and comes back", async ({ arrive }) => {
  const ann = await arrive({ viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
  await ann.register();
  const room = await ann.createRoom();
  await ann.say("From my phone");
  await ann.sees("From my phone");
  ok(!(await ann.entryOf(room).isVisible()));
  await ann.page.getByRole("link", { name: "Back to the rooms" }).tap();
  await ann.entryOf(room).tap();
  await ann.isIn(room);
  await ann.page.goBack();
  await ann.entryOf(room).waitFor();
  ok(!(await ann.composer.isVisible()));
  await ann.page.goto(new URL(".", ann.page.url()).href);
  await ann.entryOf(room).tap();
  await ann.sees("From my phone");
});

scenario("tabs and devices agree on what has been read and said", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const room = await ann.createRoom();
  await ann.invite(bob.name);
  const phone = await arrive();
  await phone.logIn(bob.name);
  const tab = bob.at(await bob.open(phone.page.url()));
  for (const at of [bob, tab, phone]) await at.entryOf(room).waitFor();
  await ann.say("For all of you");
  for (const at of [bob, tab, phone]) await at.hasUnread(room, 1);
  await phone.enter(room);
  for (const at of [bob, tab, phone]) await at.hasUnread(room, 0);
  await phone.say("Said on the phone");
  await tab.enter(room);
  await tab.reads(["For all of you", "Said on the phone"]);
  await bob.hasUnread(room, 0);
});

scenario("a reload keeps the room, and what was begun to be written in each", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  const one = await ann.createRoom();
  await ann.say("It stays");
  await ann.isDone();
  await ann.composer.fill("half a sentence");
  const other = await ann.createRoom();
  await ann.composer.fill("another half");
  await ann.page.reload();
  await ann.isIn(other);
  equal(await ann.composer.inputValue(), "another half");
  await ann.enter(one);
  await ann.reads(["It stays"]);
  equal(await ann.composer.inputValue(), "half a sentence");
});

scenario("a browser that keeps nothing more loses nothing while the tab is there", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  const [one, other] = [await ann.createRoom(), await ann.createRoom()];
  await ann.page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await ann.composer.fill("Begun in the other");
  await ann.enter(one);
  await ann.say("Said all the same");
  await ann.sees("Said all the same");
  await ann.isDone();
  await ann.enter(other);
  equal(await ann.composer.inputValue(), "Begun in the other");
});

scenario("whatever a message looks like, it stays text", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  await ann.createRoom();
  await ann.invite(bob.name);
  await bob.follow(ann);
  const said = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<b>bold</b> &amp; &lt;",
    "<svg/onload=alert(1)>",
    "\"><iframe srcdoc='<script>parent.alert(1)</script>'>",
    "javascript:alert(1) data:text/html,<script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)}",
    "https://example.org/<img/src=x/onerror=alert(1)>",
  ];
  let hasAlert = false;
  for (const { page } of [ann, bob]) page.on("dialog", () => (hasAlert = true));
  for (const text of said) await ann.say(text);
  await ann.reads(said);
  await bob.reads(said);
  equal(await bob.log.locator("img, script, b, svg, iframe").count(), 0);
  const links = await bob.log.getByRole("link").evaluateAll((all) => all.map((link) => link.href));
  equal(links.join(), "https://example.org/");
  ok(!hasAlert);
});

scenario("an address of the web becomes a link that gives nothing away", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  await ann.createRoom();
  const said = [
    "See https://example.org/a_(b)?q=1#x, or (www.example.org).",
    "“https://example.org/quoted” and 见https://example.org/中，谢谢",
    "https://example.com@example.org/ looks as if it led elsewhere",
  ];
  for (const text of said) await ann.say(text);
  await ann.reads(said);
  const links = await ann.log.getByRole("link").evaluateAll((all) =>
    all.map(({ href, rel, target }) => `${href} ${rel} ${target}`),
  );
  const around = "noopener noreferrer nofollow _blank";
  equal(links[0], `https://example.org/a_(b)?q=1#x ${around}`);
  equal(links[1], `https://www.example.org/ ${around}`);
  equal(links[2], `https://example.org/quoted ${around}`);
  equal(links[3], `https://example.org/%E4%B8%AD ${around}`);
  equal(links.length, 4);
});

scenario("Enter sends, Shift+Enter breaks the line, and too much is counted", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  await ann.createRoom();
  await ann.composer.pressSequentially("one");
  await ann.composer.press("Shift+Enter");
  await ann.composer.pressSequentially("two");
  await ann.composer.press("Enter");
  await ann.sees("one\ntwo");
  // Characters, not UTF-16 units.
  await ann.composer.fill("😀".repeat(1_999));
  await ann.page.getByText("1 left").waitFor();
  await ann.composer.fill("😀".repeat(2_001));
  await ann.page.getByText("1 too many").waitFor();
  ok(await ann.page.getByRole("button", { name: "Send" }).isDisabled());
  await ann.composer.press("Enter");
  // What is around them is not sent.
  await ann.composer.fill(`${"😀".repeat(2_000)}\n`);
  await ann.composer.press("Enter");
  await ann.reads(["one\ntwo", "😀".repeat(2_000)]);
});

scenario("who leaves a room or is removed has it no more", async ({ arrive }) => {
  const [ann, bob] = await pair(arrive);
  const [one, other] = [await ann.createRoom(), await ann.createRoom()];
  for (const room of [one, other]) {
    await ann.enter(room);
    await ann.invite(bob.name);
  }
  await bob.enter(one);
  await bob.press("Members");
  await bob.press("Leave room");
  await bob.page.getByText("Choose a room.").waitFor();
  const focused = () => bob.page.evaluate(() => document.activeElement.querySelector(".name")?.textContent);
  equal(await focused(), other);
  await bob.enter(other);
  await ann.press("Members");
  await ann.press(`Remove ${bob.name}`);
  await ann.page.getByText(`${bob.name} is out.`).waitFor();
  await until(
    async () => (await bob.page.getByRole("navigation").getByRole("link").count()) === 0,
    () => ok(false, "the room is still there"),
  );
  await ann.press("Close");
  await ann.page.getByText(`removed ${bob.name}`).waitFor();
});

scenario("a message while one looks elsewhere is notified, once one agreed", async ({ arrive }) => {
  const ann = await arrive();
  const bob = await arrive({ permissions: ["notifications"] });
  // A headless browser shows none: what it is asked to show is noted.
  await bob.page.evaluate(() => {
    window.shown = [];
    window.Notification = class {
      static permission = "granted";
      static requestPermission = async () => "granted";
      constructor(title, { body }) {
        window.shown.push(`${title} | ${body}`);
      }
    };
  });
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  const room = await ann.createRoom();
  await ann.invite(bob.name);
  await bob.follow(ann);
  await bob.lookAway();
  await ann.say("Nobody has agreed yet");
  await bob.sees("Nobody has agreed yet");
  await bob.lookBack();
  await bob.press(bob.name);
  await bob.page.getByLabel("Notify me of messages").check();
  await bob.press("Close");
  await ann.say("He looks");
  await bob.sees("He looks");
  await bob.lookAway();
  await ann.say("Where are you?");
  await until(
    async () => (await bob.page.title()) === "(1) Parley",
    () => ok(false, "the title has no badge"),
  );
  await bob.lookBack();
  await bob.hasUnread(room, 0);
  const shown = await bob.page.evaluate(() => window.shown);
  equal(shown.join(), `${room} | ${ann.name}: Where are you?`);
  // Who comes next at this computer has not agreed.
  await bob.logOut();
  await bob.register(unique("eve"));
  await bob.press(bob.name);
  equal(await bob.page.getByLabel("Notify me of messages").isChecked(), false);
});

async function pair(arrive) {
  const [ann, bob] = [await arrive(), await arrive()];
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  return [ann, bob];
}

function isInSight(locator) {
  return locator.evaluate((element) => {
    const { top, bottom } = element.getBoundingClientRect();
    const log = element.closest(".log").getBoundingClientRect();
    return top >= log.top && bottom <= log.bottom;
  });
}
