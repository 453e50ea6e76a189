// What becomes of messages when the server or the network is gone: none lost, none twice.

import { deepEqual, equal, ok } from "node:assert/strict";

import { unique, until } from "./person.js";
import { scenario } from "./scenario.js";

scenario("the server is killed in the middle of typing: nothing lost, nothing twice", async ({ world, arrive }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await together(ann, bob);
  const said = [];
  const say = async (count) => {
    for (let at = 0; at < count; at += 1) {
      said.push(`This is number ${said.length + 1}`);
      await ann.say(said.at(-1));
    }
  };
  await say(10);
  const killed = world.kill();
  await say(10);
  await killed;
  await say(5);
  await ann.page.getByText(/^(?:Connecting…|Offline\.)/u).waitFor();
  await ann.composer.pressSequentially("This is half of");
  await world.revive();
  await ann.composer.pressSequentially(" number 26");
  await ann.composer.press("Enter");
  said.push("This is half of number 26");
  await ann.reads(said);
  await bob.reads(said);
  await ann.isDone();
  await ann.page.getByText(/^(?:Connecting…|Offline\.)/u).waitFor({ state: "hidden" });
});

scenario("what is written offline goes out on return, once", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  wire.cut();
  await ann.page.getByText("Offline. What you write is sent when the server is back.").waitFor();
  const said = ["Written offline", "And this too", "Written offline"];
  for (const text of said) await ann.say(text);
  await ann.pending.getByText("Sending…").nth(2).waitFor();
  await bob.say("Where is Ann?");
  wire.mend();
  await bob.reads(["Where is Ann?", ...said]);
  await ann.reads(["Where is Ann?", ...said]);
  await ann.isDone();
});

scenario("what a closed tab had not sent the next one sends", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  wire.cut();
  await ann.page.getByText("Offline. What you write is sent when the server is back.").waitFor();
  await ann.say("Before the tab was closed");
  await ann.pending.getByText("Sending…").waitFor();
  await ann.page.close();
  wire.mend();
  ann.page = await ann.open(wire.url);
  await bob.reads(["Before the tab was closed"]);
  await ann.enter(await bob.title());
  await ann.reads(["Before the tab was closed"]);
  await ann.isDone();
});

scenario("what a closed tab had not sent one that is open sends", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  const tab = ann.at(await ann.open(ann.page.url()));
  await tab.isIn(await bob.title());
  wire.cut();
  for (const { page } of [ann, tab]) await page.getByText(/^Offline\./u).waitFor();
  await ann.say("Before the tab was closed");
  await ann.pending.getByText("Sending…").waitFor();
  await tab.press(ann.name);
  await tab.page.getByText("1 message could not be sent yet").waitFor();
  await tab.press("Close");
  await ann.page.close();
  wire.mend();
  await bob.reads(["Before the tab was closed"]);
  await tab.reads(["Before the tab was closed"]);
  await tab.isDone();
});

scenario("a browser that hears that the network is gone says so, and hides nothing by it", async ({ arrive }) => {
  const [ann, bob] = [await arrive({ viewport: { width: 320, height: 640 } }), await arrive()];
  const room = await together(ann, bob);
  await ann.isOffline(true);
  await ann.page.getByText(/^Offline\./u).waitFor();
  await ann.page.getByRole("link", { name: "Back to the rooms" }).click();
  await ann.enter(room);
  await ann.say("Written in the tunnel");
  await ann.pending.getByText("Sending…").waitFor();
  await ann.isOffline(false);
  await bob.reads(["Written in the tunnel"]);
  await ann.reads(["Written in the tunnel"]);
  await ann.isDone();
  await ann.page.getByText(/^Offline\./u).waitFor({ state: "hidden" });
});

scenario("what was for a room that one is out of does not go out by itself", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive(), await arrive({ url: wire.url })];
  const room = await together(ann, bob);
  wire.cut();
  await bob.page.getByText(/^Offline\./u).waitFor();
  await bob.say("About yesterday");
  await ann.press("Members");
  await ann.press(`Remove ${bob.name}`);
  await ann.page.getByText(`${bob.name} is out.`).waitFor();
  await ann.press("Close");
  wire.mend();
  await until(
    async () => (await bob.entryOf(room).count()) === 0,
    () => ok(false, "the room is still there"),
  );
  await ann.invite(bob.name);
  await bob.enter(room);
  await bob.page.getByText("Not sent: You were no member of the room any more.").waitFor();
  await bob.press("Retry");
  await ann.reads(["About yesterday"]);
  await bob.isDone();
});

scenario("an acknowledgement that is lost makes no second message", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  wire.deafen();
  await ann.say("Did you hear me?");
  await bob.reads(["Did you hear me?"]);
  await ann.pending.getByText("Sending…").waitFor();
  wire.cut();
  wire.mend();
  await ann.isDone();
  await ann.reads(["Did you hear me?"]);
  await bob.say("I did, once");
  await bob.reads(["Did you hear me?", "I did, once"]);
  await ann.reads(["Did you hear me?", "I did, once"]);
});

scenario("what is said to a server that goes away is heard by the next", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  await bob.say("Is anybody there?");
  await ann.sees("Is anybody there?");
  wire.sayGoodbye();
  // The browser has heard it, and waits for the server to hang up: for two seconds.
  await ann.say("I am");
  await ann.pending.getByText("Sending…").waitFor();
  wire.mend();
  await bob.reads(["Is anybody there?", "I am"]);
  await ann.reads(["Is anybody there?", "I am"]);
  await ann.isDone();
});

scenario("silence for two heartbeats ends the connection, and the room resumes", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  await bob.say("Before the silence");
  await ann.sees("Before the silence");
  const mark = await ann.page.evaluate(() => (window.isTheSamePage = true));
  wire.silence();
  await bob.say("Into the silence");
  wire.mend();
  await ann.reads(["Before the silence", "Into the silence"], 40_000);
  equal(await ann.page.evaluate(() => window.isTheSamePage), mark);
});

scenario("what the server refuses for good says why, and can be tried again", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  wire.cut();
  await ann.page.getByText("Offline. What you write is sent when the server is back.").waitFor();
  await ann.say("Too late");
  // What is kept of it is broken by a stranger: no server takes it.
  await ann.page.evaluate(() => {
    for (const name of Object.keys(localStorage)) {
      if (!name.includes(".outbox.")) continue;
      const entries = JSON.parse(localStorage.getItem(name));
      entries[0].text = "x".repeat(2_001);
      localStorage.setItem(name, JSON.stringify(entries));
    }
  });
  wire.mend();
  await ann.page.reload();
  await ann.page.getByText(/^Not sent: /u).waitFor();
  await ann.press("Retry");
  await ann.page.getByText(/^Not sent: /u).waitFor();
  await ann.press("Discard");
  await ann.isDone();
  deepEqual(await bob.texts(), []);
});

scenario("what waits behind a room that is not followed again yet is not refused", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  let refusals = 0;
  await ann.refuses("subscribe", () => refusals > 0 && refusals--);
  await ann.page.reload();
  await ann.say("Before");
  await bob.reads(["Before"]);
  wire.cut();
  await ann.page.getByText(/^Offline\./u).waitFor();
  const said = ["One", "Two", "Three"];
  for (const text of said) await ann.say(text);
  refusals = 2;
  wire.mend();
  await bob.reads(["Before", ...said]);
  await ann.reads(["Before", ...said]);
  await ann.isDone();
  equal(refusals, 0);
});

scenario("a gap that is longer than a replay is filled as one scrolls up", async (stage) => {
  const { wire, ann, bob } = await apart(stage);
  await bob.say("0");
  await ann.sees("0");
  wire.cut();
  await bob.flood(1_500);
  wire.mend();
  await ann.sees("1500");
  const seen = await ann.scrollUpTo("0");
  deepEqual(seen, Array.from({ length: 1_501 }, (_, at) => String(at)));
});

/** The two in a room; what is between her and the server can be cut. */
async function apart({ arrive, line }) {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
  return { wire, ann, bob };
}

async function together(ann, bob) {
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  const room = await ann.createRoom();
  await ann.invite(bob.name);
  await bob.follow(ann);
  return room;
}
