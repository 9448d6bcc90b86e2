import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { anImage, FakeEngine } from "./testing/fake-engine.ts";
import { linesOf } from "./testing/lines.ts";
import { serveFake } from "./testing/serve.ts";
import type { ErrorBody, ImageInspect, ImageSummary, ProgressLine } from "./wire.ts";

describe("images", () => {
  it("are listed and inspected in Docker's shape", async () => {
    await using api = await serveFake();
    const [listed] = (await api.call("GET /images/json")).json<ImageSummary[]>();
    assert.deepEqual([listed?.RepoTags, listed?.Size, listed?.Created], [["host:latest"], 12_345_678, 1_704_164_645]);
    const one = (await api.call("GET /images/host/json")).json<ImageInspect>();
    assert.deepEqual(
      [one.Os, one.Architecture, one.Created, one.Config.Cmd],
      ["linux", "amd64", "2024-01-02T03:04:05Z", ["true"]],
    );
    assert.equal(one.RootFS.Layers.length, 1);
  });

  it("are filtered by reference, label and what hangs", async () => {
    const engine = new FakeEngine([
      anImage({ id: `sha256:${"1".repeat(64)}`, references: ["docker.io/library/debian:12"], labels: { a: "b" } }),
      anImage({ id: `sha256:${"2".repeat(64)}`, references: ["localhost:5000/team/app:v1"] }),
      anImage({ id: `sha256:${"3".repeat(64)}`, references: [] }),
    ]);
    await using api = await serveFake(engine);
    const tags = async (filters: object) =>
      (await api.call(`GET /images/json?filters=${encodeURIComponent(JSON.stringify(filters))}`))
        .json<ImageSummary[]>()
        .map(({ RepoTags }) => RepoTags[0]);
    assert.deepEqual(await tags({ reference: ["debian"] }), ["debian:12"]);
    assert.deepEqual(await tags({ reference: ["deb*:1?"] }), ["debian:12"]);
    assert.deepEqual(await tags({ reference: ["localhost:5000/*/app"] }), ["localhost:5000/team/app:v1"]);
    assert.deepEqual(await tags({ label: ["a=b"] }), ["debian:12"]);
    assert.deepEqual(await tags({ dangling: ["true"] }), [undefined]);
  });

  it("have a history, the newest first", async () => {
    await using api = await serveFake();
    const items = (await api.call("GET /images/host/history")).json<
      { Id: string; CreatedBy: string; Tags: unknown }[]
    >();
    assert.deepEqual(
      items.map(({ Id, CreatedBy, Tags }) => [Id.slice(0, 9), CreatedBy, Tags]),
      [
        ["sha256:1a", 'CMD ["true"]', ["host:latest"]],
        ["<missing>", "COPY /", null],
      ],
    );
  });

  it("are tagged and deleted", async () => {
    await using api = await serveFake();
    assert.equal((await api.call("POST /images/host/tag?repo=localhost:5000/a/b&tag=v2")).status, 201);
    assert.equal((await api.call("GET /images/localhost:5000/a/b:v2/json")).status, 200);
    assert.match((await api.call("POST /images/host/tag?repo=UPPER&tag=v2")).text, /must be lowercase/);
    const deleted = (await api.call("DELETE /images/localhost:5000/a/b:v2")).json<object[]>();
    assert.deepEqual(deleted.slice(0, 2), [{ Untagged: "host:latest" }, { Untagged: "localhost:5000/a/b:v2" }]);
  });

  it("are pulled with progress, login and platform", async () => {
    await using api = await serveFake();
    const auth = Buffer.from(JSON.stringify({ username: "me", password: "secret" })).toString("base64url");
    const { status, text } = await api.call(
      "POST /images/create?fromImage=registry.test/a&tag=1&platform=linux/arm64",
      undefined,
      { "X-Registry-Auth": auth },
    );
    assert.equal(status, 200);
    const lines = linesOf<ProgressLine>(text);
    assert.deepEqual(lines[1], {
      status: "Downloading",
      id: "2b2b2b2b2b2b",
      progressDetail: { current: 10, total: 20 },
    });
    assert.deepEqual(api.engine.images.pulled?.reference, "registry.test/a:1");
    assert.deepEqual(api.engine.images.pulled?.login, { username: "me", password: "secret" });
    assert.deepEqual(api.engine.images.pulled?.platform, "linux/arm64");
  });

  it("that can't be pulled fail at once where nothing was said yet, else in the last line", async () => {
    await using api = await serveFake();
    const absent = await api.call("POST /images/create?fromImage=absent&tag=latest");
    assert.equal(absent.status, 404);
    assert.match(absent.json<ErrorBody>().message, /pull access denied for absent/);
    const broken = await api.call("POST /images/create?fromImage=broken&tag=latest");
    assert.equal(broken.status, 200);
    const message = "blob sha256:00 has the digest sha256:11\nTry again.";
    assert.deepEqual(linesOf(broken.text).at(-1), { errorDetail: { message }, error: message });
  });

  it("are pushed, loaded, saved and pruned", async () => {
    await using api = await serveFake();
    assert.equal(
      linesOf<ProgressLine>((await api.call("POST /images/localhost:5000/a/push?tag=1")).text)[0]?.status,
      "The push refers to repository [localhost:5000/a:1]",
    );
    const archive = Buffer.alloc(3_000_000, "tar");
    const loaded = await api.call("POST /images/load?quiet=1", archive, { "Content-Type": "application/x-tar" });
    assert.deepEqual(linesOf(loaded.text), [{ status: "", stream: "Loaded image: host:latest\n" }]);
    assert.ok(api.engine.images.loaded.equals(archive));
    const one = await api.call("GET /images/host:latest/get");
    assert.deepEqual([one.text, one.headers["content-type"]], ["archive of host:latest", "application/x-tar"]);
    assert.equal((await api.call("GET /images/get?names=host&names=host:latest")).text, "archive of host host:latest");
    const pruned = (await api.call(`POST /images/prune?filters=${encodeURIComponent('{"dangling":["false"]}')}`)).json<{
      ImagesDeleted: object[];
    }>();
    assert.deepEqual(pruned.ImagesDeleted, [{ Deleted: anImage().id }]);
  });

  it("are loaded from a file that is named instead of sent", async () => {
    await using api = await serveFake();
    const file = { path: "/tmp/a.tar", device: "66", inode: "18446744073709551615" };
    const { text } = await api.call("POST /onggi/v1/images/load", file);
    assert.deepEqual(linesOf(text), [{ status: "", stream: "Loaded image: host:latest\n" }]);
    assert.equal(api.engine.images.loadedFile, "/tmp/a.tar");
    const refused = await api.call("POST /onggi/v1/images/load", { ...file, inode: "-1" });
    assert.equal(refused.status, 400);
  });

  it("are made of the host's own programs", async () => {
    await using api = await serveFake();
    const { text } = await api.call("POST /onggi/v1/images/from-host", { reference: "mine", programs: ["sh", "ls"] });
    assert.deepEqual(
      linesOf<ProgressLine>(text).map(({ status, stream }) => stream ?? status),
      ["Adding sh", "Adding ls", "Made mine:latest\n"],
    );
  });
});
