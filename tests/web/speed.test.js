// That the page is quick, and stays so in rooms where much has been said or is.

import { deepEqual, ok } from "node:assert/strict";

import { unique } from "./person.js";
import { scenario } from "./scenario.js";

/** The first load in all, compressed, bytes. */
const FIRST_LOAD = 60 * 1024;
/** Until somebody can type, milliseconds. */
const INTERACTIVE = 300;
/** Elements drawn of a room, most, however much has been said in it. */
const ROWS = 200;
/** A page that does not answer for so long feels frozen, milliseconds. */
const FROZEN = 500;

scenario("the first load is small, and one can type at once", async ({ arrive, world }) => {
  const person = await arrive({ url: "about:blank" });
  const { page } = person;
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  let bytes = 0;
  network.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto(world.url, { waitUntil: "networkidle" });
  const total = bytes;
  // Whatever else the machine does: the best of some.
  const times = [];
  await network.send("Network.setCacheDisabled", { cacheDisabled: true });
  for (let at = 0; at < 10; at += 1) {
    await page.goto("about:blank");
    await page.goto(world.url, { waitUntil: "commit" });
    times.push(await page.evaluate(untilOneCanType));
  }
  const best = Math.round(Math.min(...times));
  console.log(`# ${world.name}: first load ${total} bytes, interactive after ${best} ms`);
  ok(total > 0 && total < FIRST_LOAD, `${total} bytes`);
  ok(best < INTERACTIVE, `${times} ms`);
});

scenario("a room of 10,000 messages scrolls without a jump, a hole, or a long page", async ({ arrive, world }) => {
  const ann = await arrive();
  await ann.register(unique("ann"));
  await ann.createRoom();
  await ann.flood(10_000);
  await ann.page.reload();
  await ann.sees("10000");
  const slowest = ann.slowestFrame();
  const seen = await ann.scrollUpTo("1");
  const { longest, rows } = await slowest;
  console.log(`# ${world.name}: 10,000 messages, longest frame ${Math.round(longest)} ms, ${rows} rows at most`);
  deepEqual(seen, Array.from({ length: 10_000 }, (_, at) => String(at + 1)));
  ok(rows <= ROWS, `${rows} rows`);
  ok(longest < FROZEN, `a frame took ${longest} ms`);
  await ann.press("To the newest");
  await ann.sees("10000");
});

scenario("a hundred messages a second do not freeze the page", async ({ arrive, world }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  await ann.createRoom();
  await ann.invite(bob.name);
  await ann.page.getByText(`added ${bob.name}`).waitFor();
  const flood = bob.flood(1_000, { room: await ann.roomId(), perSecond: 100 });
  const slowest = ann.slowestFrame();
  await ann.composer.pressSequentially("I type while it rains", { delay: 50 });
  await flood;
  await ann.sees("1000");
  const { longest, rows } = await slowest;
  console.log(`# ${world.name}: 100 messages a second, longest frame ${Math.round(longest)} ms`);
  ok(longest < FROZEN, `a frame took ${longest} ms`);
  ok(rows <= ROWS, `${rows} rows`);
  const texts = await ann.texts();
  deepEqual(texts, Array.from(texts, (_, at) => String(1_000 - texts.length + at + 1)));
});

function untilOneCanType() {
  return new Promise((done) => {
    const look = () => (document.querySelector("input") ? done(performance.now()) : requestAnimationFrame(look));
    look();
  });
}
