/** Debian's docker-registry on loopback, which asks for a login. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Why there is no registry here, or false. */
export const whyNoRegistry =
  spawnSync("docker-registry", ["--version"]).status === 0 ? false : ("needs docker-registry" as const);
export const login = { username: "me", password: "secret" };
/** `secret`, as bcrypt writes it: the only kind that this registry reads. */
const htpasswd = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/** Starts it on a free port, with its files in `scratch`; the caller kills it. */
export async function startRegistry(scratch: string): Promise<{ registry: ChildProcess; host: string }> {
  const port = await freePort();
  const config = join(scratch, "registry.yml");
  writeFileSync(join(scratch, "htpasswd"), htpasswd);
  writeFileSync(
    config,
    [
      "version: 0.1",
      "log: {level: error, accesslog: {disabled: true}}",
      `storage: {filesystem: {rootdirectory: ${join(scratch, "registry")}}}`,
      `http: {addr: "127.0.0.1:${port}"}`,
      `auth: {htpasswd: {realm: test, path: ${join(scratch, "htpasswd")}}}`,
    ].join("\n"),
  );
  const registry = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  process.on("exit", () => registry.kill("SIGKILL"));
  for (let attempt = 0; attempt < 200; attempt++) {
    const answer = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined);
    if (answer !== undefined) return { registry, host: `127.0.0.1:${port}` };
    await sleep(50);
  }
  registry.kill("SIGKILL");
  throw new Error("docker-registry doesn't answer");
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}
