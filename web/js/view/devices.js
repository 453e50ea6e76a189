// What a session's device is called: browser and system, as far as its User-Agent tells.

import { texts } from "../texts.js";

// Each names itself after those that it resembles: the more particular come first.
const BROWSERS = [
  [/\bEdgA?\//u, "Edge"],
  [/\bOPR\//u, "Opera"],
  [/\bFirefox\//u, "Firefox"],
  [/\b(?:Headless)?Chrom(?:e|ium)\//u, "Chrome"],
  [/\bVersion\/.*\bSafari\//u, "Safari"],
];
const SYSTEMS = [
  [/\bAndroid\b/u, "Android"],
  [/\biPhone\b|\biPad\b/u, "iOS"],
  [/\bWindows\b/u, "Windows"],
  [/\bMac OS X\b/u, "macOS"],
  [/\bLinux\b/u, "Linux"],
];

/** @param {string} agent a User-Agent, or whatever else a client calls itself */
export function deviceOf(agent) {
  const find = (all) => all.find(([pattern]) => pattern.test(agent))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser && system) return texts.browserOn(browser, system);
  return agent || texts.unknownDevice;
}
