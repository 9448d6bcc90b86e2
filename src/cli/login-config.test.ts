import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { parseReference } from "../oci/reference.ts";
import { fakeIo } from "./fake-daemon.ts";
import { authHeader, dockerHub, readCredentials, registryKey } from "./login-config.ts";
import { main } from "./main.ts";

describe("credentials", () => {
  let home = "";
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "onggi-home-"));
  });
  afterEach(() => rmSync(home, { recursive: true }));

  const own = () => join(home, ".onggi/config.json");

  it("are kept by login, for the owner alone, sent with a pull, and forgotten by logout", async () => {
    const streams = fakeIo({ env: { HOME: home } });
    streams.stdin.end("secret\n");
    assert.equal(await main(["login", "-u", "ann", "--password-stdin", "localhost:5000"], streams.io), 0);
    assert.equal(statSync(own()).mode & 0o777, 0o600);

    const { "X-Registry-Auth": header = "" } = authHeader(parseReference("localhost:5000/x"), { HOME: home });
    assert.deepEqual(JSON.parse(Buffer.from(header, "base64url").toString()), {
      username: "ann",
      password: "secret",
      serveraddress: "localhost:5000",
    });

    assert.equal(await main(["logout", "localhost:5000"], streams.io), 0);
    assert.deepEqual(JSON.parse(readFileSync(own(), "utf8")).auths, {});
    assert.equal(readCredentials("localhost:5000", { HOME: home }), undefined);
  });

  it("are also read from Docker's file", () => {
    mkdirSync(join(home, ".docker"));
    const auth = Buffer.from("bob:pa:ss").toString("base64");
    writeFileSync(
      join(home, ".docker/config.json"),
      JSON.stringify({ auths: { [dockerHub]: { auth }, "https://reg.example": { auth } } }),
    );

    assert.deepEqual(readCredentials(dockerHub, { HOME: home }), { username: "bob", password: "pa:ss" });
    assert.deepEqual(readCredentials("reg.example", { HOME: home }), { username: "bob", password: "pa:ss" });
    assert.equal(readCredentials("other.example", { HOME: home }), undefined);
  });

  it("are empty in the header where there are none", () => {
    assert.deepEqual(authHeader(parseReference("debian"), { HOME: home }), { "X-Registry-Auth": "e30" });
  });

  it("can't be read from a broken file", () => {
    mkdirSync(join(home, ".onggi"));
    writeFileSync(own(), "{");
    assert.throws(() => readCredentials("x", { HOME: home }), { code: "corrupt" });
  });

  it("can't be asked for without a terminal", async () => {
    const { io, texts } = fakeIo({ env: { HOME: home } });
    assert.equal(await main(["login", "x"], io), 1);
    assert.match(texts.err, /not a TTY\n.*--password-stdin/);
  });

  it("are kept by the registry's host", () => {
    assert.equal(registryKey(undefined), dockerHub);
    assert.equal(registryKey("docker.io"), dockerHub);
    assert.equal(registryKey("https://reg.example/v2/"), "reg.example");
  });
});
