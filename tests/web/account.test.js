// Accounts and sessions, as people handle them.

import { equal } from "node:assert/strict";

import { ELSEWHERE, PASSWORD, unique } from "./person.js";
import { scenario } from "./scenario.js";

scenario("one logs out and in again, by name or by e-mail, and stays logged in", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  const room = await ann.createRoom();
  await ann.logOut();
  await ann.fill("Username or email", ann.name);
  await ann.fill("Password", "not the password");
  await ann.press("Log in");
  await ann.page.getByText("That username and password do not go together.").waitFor();
  await ann.logIn(ann.name);
  await ann.isIn(room);
  await ann.logOut();
  await ann.fill("Username or email", `${ann.name}@example.org`);
  await ann.fill("Password", PASSWORD);
  await ann.press("Log in");
  await ann.isIn(room);
  await ann.page.reload();
  await ann.isIn(room);
});

scenario("a name that is taken is refused in words", async ({ arrive }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await ann.register();
  await bob.press("Create account");
  await bob.fill("Username", ann.name);
  await bob.fill("Email", `other_${ann.name}@example.org`);
  await bob.fill("Password", "another password");
  await bob.press("Create account");
  await bob.page.getByText("This username or email is taken.").waitFor();
});

scenario("tabs that find their token old at once stay logged in, all of them", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  const room = await ann.createRoom();
  const tabs = [ann, ann.at(await ann.open(ann.page.url())), ann.at(await ann.open(ann.page.url()))];
  for (const tab of tabs) await tab.isIn(room);
  const before = await ann.account();
  await ann.page.evaluate(() => {
    const account = JSON.parse(localStorage.getItem("parley.account"));
    localStorage.setItem("parley.account", JSON.stringify({ ...account, token: "old", until: 0 }));
  });
  await Promise.all(tabs.map(({ page }) => page.reload()));
  for (const tab of tabs) {
    await tab.isIn(room);
    await tab.say("Still here");
    await tab.isDone();
  }
  const after = await ann.account();
  equal(after.session, before.session);
});

scenario("over plain HTTP from another machine it works too, in several tabs", async ({ arrive, world }) => {
  const url = new URL(world.url);
  url.hostname = ELSEWHERE;
  const ann = await arrive({ url: url.href });
  equal(await ann.page.evaluate(() => window.isSecureContext), false);
  await ann.register();
  const room = await ann.createRoom();
  const tab = ann.at(await ann.open(ann.page.url()));
  await tab.isIn(room);
  await ann.say("One tab");
  await tab.reads(["One tab"]);
  await tab.say("Another");
  await ann.reads(["One tab", "Another"]);
  await tab.isDone();
  await ann.press("Members");
  await ann.press("Copy a link that lets others in");
  const link = ann.page.getByLabel("Link to the room");
  await link.waitFor();
  equal(await link.inputValue(), ann.page.url());
});

scenario("a new name is seen by others, a new password ends other sessions", async ({ arrive }) => {
  const [ann, bob] = [await arrive(), await arrive()];
  await ann.register(unique("ann"));
  await bob.register(unique("bob"));
  await ann.createRoom();
  await ann.invite(bob.name);
  await ann.say("Who am I?");
  const phone = await arrive();
  await phone.logIn(ann.name);
  const name = unique("anne");
  await ann.press(ann.name);
  await ann.page.locator("summary", { hasText: "Change username" }).click();
  await ann.fill("New username", name);
  await ann.press("Change username");
  await ann.page.getByText("Changed.", { exact: true }).waitFor();
  await ann.page.locator("summary", { hasText: "Change password" }).click();
  await ann.fill("Old password", PASSWORD);
  await ann.fill("New password", "a better password");
  await ann.press("Change password");
  await ann.page.getByText("All your other sessions are ended.").waitFor();
  await phone.page.getByText("Your session has ended. Please log in again.").waitFor();
  await phone.logIn(name, "a better password");
  // Names are asked for again after a minute, and by a page that comes afresh.
  await bob.follow(ann);
  await bob.page.reload();
  await bob.sees("Who am I?");
  await bob.log.getByText(name).first().waitFor();
});

scenario("one sees where one is logged in, and ends what one does not want", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  const phone = await arrive();
  await phone.logIn(ann.name);
  await ann.press(ann.name);
  await ann.page.locator("summary", { hasText: "Where you are logged in" }).click();
  await ann.page.getByText("this one").waitFor();
  await ann.page.getByRole("button", { name: /^End the session on/u }).click();
  await phone.page.getByRole("heading", { name: "Log in" }).waitFor();
  await ann.page.getByRole("button", { name: /^End the session on/u }).waitFor({ state: "detached" });
});

scenario("who logs out in one tab is logged out in all, and leaves nothing behind", async ({ arrive }) => {
  const ann = await arrive();
  await ann.register();
  await ann.createRoom();
  await ann.composer.fill("A secret that nobody else at this computer reads");
  const tab = ann.at(await ann.open(ann.page.url()));
  await tab.composer.waitFor();
  await ann.logOut();
  await tab.page.getByRole("heading", { name: "Log in" }).waitFor();
  const kept = await ann.page.evaluate(() => JSON.stringify(localStorage));
  equal(kept.includes("secret"), false);
  equal(kept.includes("refreshToken"), false);
});
