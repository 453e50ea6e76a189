// That everybody can use the page: by keyboard alone, by ear, on any screen.

import { deepEqual, equal } from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { unique, until } from "./person.js";
import { scenario } from "./scenario.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Where the pictures are put, for a person to look at. */
const PICTURES = new URL("../../.dev/web/", import.meta.url).pathname;
const SCREENS = [
  { width: 320, height: 640 },
  { width: 768, height: 1_024 },
  { width: 1_440, height: 900 },
];

scenario("the keyboard alone reaches everything", async ({ arrive }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await bob.register(unique("bob"));
  const { keyboard } = ann.page;
  const name = unique("ann");
  await ann.tabTo("Create account");
  await keyboard.press("Enter");
  for (const [label, text] of [["Username", name], ["Email", `${name}@example.org`], ["Password", "some password"]]) {
    await ann.tabTo(label);
    await keyboard.type(text);
  }
  await keyboard.press("Enter");
  await ann.page.getByRole("button", { name, exact: true }).waitFor();
  await ann.tabTo("Find or create a room");
  await keyboard.press("Enter");
  await ann.tabTo("Room name");
  const room = unique("room");
  await keyboard.type(room);
  await keyboard.press("Enter");
  await ann.isIn(room);
  // One writes at once.
  await until(() => ann.hasFocus(`Message to ${room}`), () => equal("no focus", "in the composer"));
  await keyboard.type("Typed");
  await keyboard.press("Enter");
  await ann.sees("Typed");
  await ann.tabTo("Members", { back: true });
  await keyboard.press("Enter");
  await ann.tabTo("Invite somebody by username");
  await keyboard.type(bob.name);
  await keyboard.press("Enter");
  await ann.page.getByText(`${bob.name} is in now.`).waitFor();
  await keyboard.press("Escape");
  await until(() => ann.hasFocus("Members"), () => equal("no focus", "where it was before the dialog"));
  await ann.tabTo("Emoji");
  await keyboard.press("Enter");
  await until(() => ann.hasFocus("😀"), () => equal("no focus", "in the emoji"));
  await keyboard.press("ArrowRight");
  await keyboard.press("Enter");
  await keyboard.press("Enter");
  await ann.sees("😄");
  // The log scrolls by keys.
  await ann.tabTo(`Messages in ${room}`, { back: true });
  await ann.tabTo(room, { back: true });
  await ann.tabTo(name, { back: true });
  await keyboard.press("Enter");
  await ann.tabTo("Log out");
  await keyboard.press("Enter");
  await ann.page.getByRole("heading", { name: "Log in" }).waitFor();
});

scenario("a new message is said to those who do not see it", async ({ arrive }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  await ann.createRoom();
  await ann.invite(bob.name);
  await bob.follow(ann);
  await bob.say("Do you hear me?");
  await ann.page.locator("[aria-live]").getByText(`${bob.name}: Do you hear me?`).waitFor({ state: "attached" });
});

scenario("no audit finds anything, on no screen and in no light", async ({ arrive, world }) => {
  await mkdir(PICTURES, { recursive: true });
  const bob = await arrive();
  await bob.register(unique("bob"));
  for (const colorScheme of ["light", "dark"]) {
    const ann = await arrive({ colorScheme, reducedMotion: "reduce" });
    const look = async (what) => {
      for (const screen of SCREENS) {
        await ann.page.setViewportSize(screen);
        await ann.page.screenshot({ path: `${PICTURES}${world.name}-${what}-${screen.width}-${colorScheme}.png` });
        deepEqual(await audit(ann.page), [], `${what} at ${screen.width}, ${colorScheme}`);
        equal(await ann.page.evaluate(() => document.documentElement.scrollWidth), screen.width, `${what}: too wide`);
      }
    };
    await look("door");
    await ann.press("Create account");
    await look("account");
    await ann.press("Log in");
    await ann.register(unique("ann"));
    await look("welcome");
    await ann.press("Find or create a room");
    await look("newroom");
    await ann.press("Close");
    await ann.createRoom(unique("room"), { isPrivate: true });
    await look("alone");
    await ann.invite(bob.name);
    for (const text of ["Hello Bob!", "Have you seen https://example.org/parley?", "🎉"]) await ann.say(text);
    await bob.follow(ann);
    await bob.say("Hello. That is a long way to say what fits into a line on a wide screen, and into some on a phone.");
    await ann.sees("Hello. That is a long way to say what fits into a line on a wide screen, and into some on a phone.");
    await ann.composer.fill("x".repeat(2_001));
    await look("room");
    await ann.composer.fill("");
    await ann.press("Emoji");
    await look("emoji");
    await ann.page.keyboard.press("Escape");
    await ann.press("Members");
    await ann.page.getByRole("button", { name: /^Remove/u }).waitFor();
    await look("members");
    await ann.press("Close");
    await ann.page.setViewportSize(SCREENS.at(-1));
    await ann.press(ann.name);
    for (const part of await ann.page.locator("summary").all()) await part.click();
    await ann.page.getByText("this one").waitFor();
    await look("settings");
    await ann.press("Close");
    await ann.page.goto(`${new URL(ann.page.url()).origin}/#/`);
    await ann.page.getByText("Choose a room.").waitFor({ state: "attached" });
    await look("rooms");
  }
});

async function audit(page) {
  // By the debugger: the page's own policy lets nothing in.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), RULES);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
}
