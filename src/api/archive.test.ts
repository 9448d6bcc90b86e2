import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveFake } from "./testing/serve.ts";
import type { ContainerPathStat, ErrorBody } from "./wire.ts";

function statOf(header: string | string[] | undefined): ContainerPathStat {
  return JSON.parse(Buffer.from(String(header), "base64").toString()) as ContainerPathStat;
}

describe("archives of containers", () => {
  it("are told of in a header, in Go's words", async () => {
    await using api = await serveFake();
    const head = await api.call("HEAD /containers/jar/archive?path=/bin/link");
    assert.equal(head.status, 200);
    assert.deepEqual(statOf(head.headers["x-docker-container-path-stat"]), {
      name: "link",
      size: 4,
      mode: 0x8000000 + 0o777,
      mtime: "1970-01-01T00:00:01.5Z",
      linkTarget: "/bin/tool",
    });
  });

  it("come with the header, and go", async () => {
    await using api = await serveFake();
    const answer = await api.call("GET /containers/jar/archive?path=/bin/link");
    assert.deepEqual([answer.status, answer.headers["content-type"], answer.text], [200, "application/x-tar", "atar"]);
    assert.equal(statOf(answer.headers["x-docker-container-path-stat"]).name, "link");

    const put = "PUT /containers/jar/archive?path=/to&noOverwriteDirNonDir=true&copyUIDGID=1";
    assert.equal((await api.call(put, Buffer.from("sent"))).status, 200);
    assert.deepEqual(api.engine.files.written, [
      { path: "/to", archive: "sent", options: { keepsTypes: true, asContainerUser: true } },
    ]);
    assert.equal((await api.call("GET /containers/jar/export")).text, "thetree");
  });

  it("that aren't there are 404 in Docker's words, and a path is needed", async () => {
    await using api = await serveFake();
    const missing = await api.call("GET /containers/jar/archive?path=/no");
    assert.equal(missing.status, 404);
    assert.equal(missing.json<ErrorBody>().message, "Could not find the file /no in container jar");
    assert.equal((await api.call("GET /containers/jar/archive")).status, 400);
  });
});

describe("changes", () => {
  it("have Docker's numbers", async () => {
    await using api = await serveFake();
    assert.deepEqual((await api.call("GET /containers/jar/changes")).json(), [
      { Path: "/etc", Kind: 0 },
      { Path: "/etc/new", Kind: 1 },
      { Path: "/etc/old", Kind: 2 },
    ]);
  });

  it("between any two trees are lines of JSON", async () => {
    await using api = await serveFake();
    const answer = await api.call("GET /onggi/v1/diff?from=a&to=b&patch=1");
    assert.deepEqual(answer.json(), { Path: "/a-b", Kind: 0, Patch: "--- a\n" });
    assert.equal(api.engine.files.patched, true);
    assert.equal((await api.call("GET /onggi/v1/diff?from=a")).status, 400);
  });
});

describe("images of containers", () => {
  it("are made of what the query and a config say", async () => {
    await using api = await serveFake();
    const query = "container=jar&repo=me/app&tag=2&comment=why&author=who&pause=0&changes=USER+x&changes=CMD+ls";
    const answer = await api.call(`POST /commit?${query}`, { Env: ["A=$b c", "PATH"], Cmd: null, WorkingDir: "/w" });
    assert.equal(answer.status, 201);
    assert.deepEqual(answer.json(), { Id: `sha256:${"3c".repeat(32)}` });
    assert.deepEqual(api.engine.files.committed, [
      {
        reference: "me/app:2",
        author: "who",
        comment: "why",
        pause: false,
        changes: ['ENV A="\\$b c"', 'WORKDIR "/w"', "USER x", "CMD ls"],
      },
    ]);
  });

  it("take null for no config, and pause unless told", async () => {
    await using api = await serveFake();
    assert.equal((await api.call("POST /commit?container=jar", Buffer.from("null\n"))).status, 201);
    assert.deepEqual(
      [api.engine.files.committed[0]?.pause, api.engine.files.committed[0]?.reference],
      [true, undefined],
    );
  });

  it("are made of a tree's archive, too", async () => {
    await using api = await serveFake();
    const query = "fromSrc=-&repo=tree&tag=1&message=why&changes=CMD+sh&platform=linux/arm64";
    const answer = await api.call(`POST /images/create?${query}`, Buffer.from("a tree"));
    assert.deepEqual(answer.json(), { status: `sha256:${"4d".repeat(32)}` });
    assert.deepEqual(api.engine.files.imported, [
      {
        archive: "a tree",
        request: { reference: "tree:1", platform: "linux/arm64", comment: "why", changes: ["CMD sh"] },
      },
    ]);
    assert.match((await api.call("POST /images/create?fromSrc=http://x/y.tar")).text, /URL is not supported/);
  });
});
