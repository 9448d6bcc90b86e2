import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerConfig, ContainerMount, VolumeMount } from "./model.ts";
import { resolveMounts } from "./volume-mounts.ts";

const data: VolumeMount = { kind: "volume", name: "data", target: "/data", readonly: false, copy: true };
const bind: ContainerMount = {
  kind: "bind",
  source: "/srv",
  target: "/srv",
  readonly: false,
  createSource: true,
  recursive: true,
};

function resolve(
  config: Partial<ContainerConfig>,
  { image = [], others = {} }: { image?: readonly string[]; others?: Record<string, readonly ContainerMount[]> } = {},
) {
  let serial = 0;
  const Volumes = Object.fromEntries(image.map((path) => [path, {}]));
  return resolveMounts(
    { image: "host", ...config },
    { Volumes },
    (key) => others[key] ?? assert.fail(`asked for ${key}`),
    () => `anonymous${serial++}`,
  );
}

describe("resolveMounts", () => {
  it("gives each path that image or request name an anonymous volume", () => {
    const { mounts, volumes } = resolve({ volumes: ["/own"] }, { image: ["/var/lib/db", "/own/"] });

    assert.deepEqual(volumes, ["/own", "/var/lib/db"]);
    assert.deepEqual(mounts, [
      { kind: "volume", name: "anonymous0", target: "/own", readonly: false, copy: true, anonymous: true },
      { kind: "volume", name: "anonymous1", target: "/var/lib/db", readonly: false, copy: true, anonymous: true },
    ]);
  });

  it("mounts what was asked for in the place of an image's volume", () => {
    const { mounts, volumes } = resolve({ mounts: [data] }, { image: ["/data"] });

    assert.deepEqual(mounts, [data]);
    assert.deepEqual(volumes, ["/data"]);
  });

  it("invents a name for a volume without one", () => {
    assert.deepEqual(resolve({ mounts: [{ ...data, name: "" }] }).mounts, [
      { ...data, name: "anonymous0", anonymous: true },
    ]);
  });

  it("takes another container's mounts, but not its tmpfs, and copies nothing into them", () => {
    const tmpfs: ContainerMount = { kind: "tmpfs", target: "/t", options: [] };
    const { mounts } = resolve({ volumesFrom: ["other"] }, { others: { other: [data, bind, tmpfs] } });

    assert.deepEqual(mounts, [{ ...data, copy: false }, bind]);
  });

  it("takes them read-only, and leaves read-only what is", () => {
    const others = { one: [data], two: [{ ...bind, readonly: true }] };
    const { mounts } = resolve({ volumesFrom: ["one:ro", "two:rw"] }, { others });

    assert.deepEqual(
      mounts.map((mount) => mount.kind !== "tmpfs" && mount.readonly),
      [true, true],
    );
  });

  it("lets the container's own mounts win over those of others", () => {
    const own = { ...data, name: "mine" };
    assert.deepEqual(resolve({ volumesFrom: ["other"], mounts: [own] }, { others: { other: [data] } }).mounts, [own]);
  });

  const refused: readonly (readonly [Partial<ContainerConfig>, RegExp])[] = [
    [{ mounts: [{ ...data, name: "a/b" }] }, /includes invalid characters for a local volume name/],
    [{ mounts: [{ ...data, name: "", subpath: "a" }] }, /an anonymous volume has no folder to mount/],
    [{ mounts: [{ ...data, subpath: "../a" }] }, /subpath must be a relative path within the volume/],
    [{ mounts: [{ ...data, subpath: "/a" }] }, /subpath must be a relative path within the volume/],
    [{ mounts: [{ ...data, subpath: "a/../../b" }] }, /subpath must be a relative path within the volume/],
    [{ mounts: [{ ...data, options: { colour: "red" } }] }, /invalid option: "colour"/],
    [{ volumes: ["data"] }, /invalid mount path: 'data' mount path must be absolute/],
    [{ volumes: ["/a/.."] }, /destination can't be '\/'/],
    [{ volumesFrom: ["other:wr"] }, /invalid volumes-from specification: 'other:wr'/],
    [{ volumesFrom: [":ro"] }, /invalid volumes-from specification/],
  ];
  for (const [config, message] of refused) {
    it(`refuses ${JSON.stringify(config)}`, () => {
      assert.throws(() => resolve(config, { others: { other: [] } }), { code: "invalid", message });
    });
  }
});
