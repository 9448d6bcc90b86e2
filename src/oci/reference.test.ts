import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { familiarName, familiarReference, fullReference, parseReference, withDefaultTag } from "./reference.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("parseReference", () => {
  for (const [text, full, familiar] of [
    ["debian", "docker.io/library/debian:latest", "debian:latest"],
    ["debian:12", "docker.io/library/debian:12", "debian:12"],
    ["docker.io/debian", "docker.io/library/debian:latest", "debian:latest"],
    ["docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"],
    ["index.docker.io/me/app", "docker.io/me/app:latest", "me/app:latest"],
    ["me/app", "docker.io/me/app:latest", "me/app:latest"],
    ["library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"],
    ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
    ["localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"],
    ["app:5000", "docker.io/library/app:5000", "app:5000"],
    ["registry:5000/a/b_c.d-e__f", "registry:5000/a/b_c.d-e__f:latest", "registry:5000/a/b_c.d-e__f:latest"],
    ["Registry/app", "Registry/app:latest", "Registry/app:latest"],
    ["[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"],
    ["127.0.0.1/app", "127.0.0.1/app:latest", "127.0.0.1/app:latest"],
    [`debian@${digest}`, `docker.io/library/debian@${digest}`, `debian@${digest}`],
    [`gcr.io/a/b:1@${digest}`, `gcr.io/a/b:1@${digest}`, `gcr.io/a/b:1@${digest}`],
  ] as const) {
    it(`takes ${text} as ${full}`, () => {
      const reference = withDefaultTag(parseReference(text));
      assert.equal(fullReference(reference), full);
      assert.equal(familiarReference(reference), familiar);
      assert.deepEqual(withDefaultTag(parseReference(full)), reference);
    });
  }

  for (const [text, message] of [
    ["", "invalid reference format"],
    ["Debian", "invalid reference format: repository name (library/Debian) must be lowercase"],
    ["me/App:1", "invalid reference format: repository name (me/App) must be lowercase"],
    ["a b", "invalid reference format"],
    ["-app", "invalid reference format"],
    ["a//b", "invalid reference format"],
    ["a/", "invalid reference format"],
    ["a:", "invalid reference format"],
    ["a:-x", "invalid reference format"],
    [`a:${"x".repeat(129)}`, "invalid reference format"],
    ["a___b", "invalid reference format"],
    ["http://a/b", "invalid reference format"],
    ["a@sha256:abc", "invalid reference format"],
    [`a@sha256:${"a".repeat(40)}`, `invalid checksum digest length: "sha256:${"a".repeat(40)}"`],
    [`a@md5:${"a".repeat(32)}`, `unsupported digest algorithm: "md5:${"a".repeat(32)}"`],
    ["a".repeat(64), `invalid repository name (${"a".repeat(64)}), cannot specify 64-byte hexadecimal strings`],
    [`x.io/${"b".repeat(256)}`, "repository name must not be more than 255 characters"],
    ["../../etc", "invalid reference format"],
  ] as const) {
    it(`refuses ${JSON.stringify(text.slice(0, 50))}`, () => {
      assert.throws(() => parseReference(text), { code: "invalid", message });
    });
  }
});

describe("familiarName", () => {
  it("is the name without what Docker leaves out", () => {
    assert.equal(familiarName(parseReference("docker.io/library/debian:12")), "debian");
    assert.equal(familiarName(parseReference("quay.io/library/debian:12")), "quay.io/library/debian");
  });
});
