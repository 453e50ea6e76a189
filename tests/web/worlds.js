// The systems under test: standalone, which this process starts, and the distributed one
// that ./test.sh has running. A scenario sees no difference.

import { spawn } from "node:child_process";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How long a system may take until it is ready, milliseconds. */
const PATIENCE = 60_000;

/** One process on SQLite, on a port and a folder of its own. */
class Standalone {
  name = "standalone";
  #binary;
  #folder;
  #port;
  #process;

  constructor(binary) {
    this.#binary = binary;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  async start() {
    this.#folder = await mkdtemp(join(tmpdir(), "parley-web-"));
    this.#port = await freePort();
    await this.revive();
  }

  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  async revive() {
    const { PARLEY_TEST_LIMITS: _, ...env } = process.env;
    this.#process = spawn(
      this.#binary,
      ["--listen", `127.0.0.1:${this.#port}`, "--data", join(this.#folder, "data")],
      { stdio: ["ignore", "ignore", "inherit"], env: { ...env, PARLEY_GATEWAY__LIMITS__ENABLED: "false" } },
    );
    await ready(this.url);
  }

  async stop() {
    await this.kill();
    await rm(this.#folder, { recursive: true });
  }
}

/** Gateways and services on PostgreSQL, Redis and Kafka; people come in by the first gateway. */
class Distributed {
  name = "distributed";
  #folder;

  constructor(gateway, folder) {
    this.url = new URL(gateway).href;
    this.#folder = folder;
  }

  start() {
    return ready(this.url);
  }

  async kill() {
    const record = await readFile(join(this.#folder, "pid", "gateway-1"), "utf8");
    const pid = Number(record.trim().split(/\s/)[0]);
    process.kill(pid, "SIGKILL");
    while (isAlive(pid)) await pause(20);
  }

  async revive() {
    const up = new URL("../../deploy/dev/up", import.meta.url).pathname;
    await run(up, ["gateway-1"], { env: { ...process.env, PARLEY_DEV_DIR: this.#folder } });
    await ready(this.url);
  }

  stop() {}
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function ready(url) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = await fetch(new URL("health/ready", url)).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(`${url} is not ready in time`);
    await pause(50);
  }
}

/** Those that the environment names. */
export function worlds() {
  const { PARLEY_TEST_STANDALONE: standalone, PARLEY_TEST_GATEWAYS: gateways, PARLEY_TEST_DEV_DIR: folder } = process.env;
  const all = [];
  if (standalone) all.push(new Standalone(standalone));
  if (gateways) all.push(new Distributed(gateways.split(",")[0], folder));
  if (all.length === 0) throw new Error("PARLEY_TEST_STANDALONE or PARLEY_TEST_GATEWAYS names what is tested");
  return all;
}
