// A scenario is a test of the page on every system there is (worlds.js).

import { after, before, test } from "node:test";

import { Line } from "./line.js";
import { launch, Person } from "./person.js";
import { worlds } from "./worlds.js";

/** How long a scenario may take, milliseconds. */
const PATIENCE = 180_000;

const all = worlds();
let browser;

before(async () => {
  browser = await launch();
  for (const world of all) await world.start();
});

after(async () => {
  await browser?.close();
  for (const world of all) await world.stop();
});

/**
 * @typedef {object} Stage
 * @property {import("./worlds.js").World} world the system
 * @property {(options?: object) => Promise<Person>} arrive another person opens the page, in a
 *   browser of his own; `options` are the browser context's, and `url` where he opens it
 * @property {() => Promise<Line>} line a wire to the system that can be cut
 */

/**
 * @param {string} sentence what is true of the page
 * @param {(stage: Stage) => Promise<void>} act
 */
export function scenario(sentence, act) {
  for (const world of all) {
    test(`${sentence} (${world.name})`, { timeout: PATIENCE }, async () => {
      const [people, lines] = [[], []];
      const arrive = async ({ url = world.url, ...options } = {}) => {
        const person = await Person.arrive(browser, url, options);
        people.push(person);
        return person;
      };
      const line = async () => {
        const line = new Line(world.url);
        await line.start();
        lines.push(line);
        return line;
      };
      try {
        await act({ world, arrive, line });
        for (const person of people) person.isWithoutFault();
      } finally {
        for (const person of people) await person.leave();
        for (const line of lines) await line.stop();
      }
    });
  }
}
