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

scenario("what is written offline goes out on return, once", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
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

scenario("what a closed tab had not sent the next one sends", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
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

scenario("an acknowledgement that is lost makes no second message", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
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

scenario("silence for two heartbeats ends the connection, and the room resumes", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
  await bob.say("Before the silence");
  await ann.sees("Before the silence");
  const mark = await ann.page.evaluate(() => (window.isTheSamePage = true));
  wire.silence();
  await bob.say("Into the silence");
  wire.mend();
  await ann.reads(["Before the silence", "Into the silence"], 40_000);
  equal(await ann.page.evaluate(() => window.isTheSamePage), mark);
});

scenario("what the server refuses for good says why, and can be tried again", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
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

scenario("a gap that is longer than a replay is filled as one scrolls up", async ({ arrive, line }) => {
  const wire = await line();
  const [ann, bob] = [await arrive({ url: wire.url }), await arrive()];
  await together(ann, bob);
  await bob.say("0");
  await ann.sees("0");
  wire.cut();
  await bob.flood(1_500);
  wire.mend();
  await ann.sees("1500");
  const seen = await ann.scrollUpTo("0");
  deepEqual(seen, Array.from({ length: 1_501 }, (_, at) => String(at)));
});

async function together(ann, bob) {
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  const room = await ann.createRoom();
  await ann.invite(bob.name);
  await bob.follow(ann);
  return room;
}
