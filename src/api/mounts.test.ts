import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatHostMounts, mountPoints, parseMounts } from "./mounts.ts";

const parse = parseMounts;

describe("parseMounts", () => {
  it("reads binds with their modes", () => {
    assert.deepEqual(parse({ Binds: ["/a/../b/:/in//side", "/c:/d:ro,Z,rshared"] }), [
      { kind: "bind", source: "/b", target: "/in/side", createSource: true, recursive: true, readonly: false },
      {
        kind: "bind",
        source: "/c",
        target: "/d",
        createSource: true,
        recursive: true,
        readonly: true,
        propagation: "rshared",
      },
    ]);
  });

  it("reads mounts of both types; their source must be there", () => {
    assert.deepEqual(
      parse({
        Mounts: [
          {
            Type: "bind",
            Source: "/a",
            Target: "/b",
            ReadOnly: true,
            BindOptions: { NonRecursive: true, Propagation: "slave" },
          },
          { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1024, Mode: 0o1777 } },
        ],
      }),
      [
        {
          kind: "bind",
          source: "/a",
          target: "/b",
          readonly: true,
          createSource: false,
          recursive: false,
          propagation: "slave",
        },
        { kind: "tmpfs", target: "/t", options: ["size=1024", "mode=1777"] },
      ],
    );
  });

  it("reads tmpfs options", () => {
    assert.deepEqual(parse({ Tmpfs: { "/run": "", "/tmp": "size=64m,noexec" } }), [
      { kind: "tmpfs", target: "/run", options: [] },
      { kind: "tmpfs", target: "/tmp", options: ["size=64m", "noexec"] },
    ]);
  });

  it("refuses in Docker's words what can't be", () => {
    assert.throws(
      () => parse({ Binds: ["/a:b"] }),
      /invalid volume specification: '\/a:b': invalid mount path: 'b' mount path must be absolute/,
    );
    assert.throws(() => parse({ Binds: ["/a:/"] }), /destination can't be '\/'/);
    assert.throws(() => parse({ Binds: ["/a:/b:wr"] }), /invalid volume specification: '\/a:\/b:wr': invalid mode: wr/);
    assert.throws(() => parse({ Binds: ["./a:/b"] }), /If you intended to pass a host directory, use absolute path/);
    assert.throws(() => parse({ Binds: ["/a:/b"], Tmpfs: { "/b/": "" } }), /Duplicate mount point: \/b/);
    assert.throws(
      () => parse({ Mounts: [{ Type: "bind", Target: "/b" }] }),
      /invalid mount config for type "bind": field Source must not be empty/,
    );
    assert.throws(() => parse({ Mounts: [{ Type: "tape", Target: "/b" }] }), /mount type unknown: "tape"/);
  });

  it("reads volumes, with a name and without", () => {
    assert.deepEqual(parse({ Binds: ["name:/b:ro,nocopy", "/c"] }), [
      { kind: "volume", name: "name", target: "/b", readonly: true, copy: false },
      { kind: "volume", name: "", target: "/c", readonly: false, copy: true },
    ]);
  });

  it("reads volumes of Mounts with their options", () => {
    const VolumeOptions = {
      NoCopy: true,
      Labels: { a: "b" },
      Subpath: "in/side",
      DriverConfig: { Name: "local", Options: { size: "1G" } },
    };
    assert.deepEqual(
      parse({ Mounts: [{ Type: "volume", Source: "name", Target: "/b", ReadOnly: true, VolumeOptions }] }),
      [
        {
          kind: "volume",
          name: "name",
          target: "/b",
          readonly: true,
          copy: false,
          strict: true,
          subpath: "in/side",
          labels: { a: "b" },
          options: { size: "1G" },
        },
      ],
    );
  });

  it("refuses what no volume can be", () => {
    assert.throws(() => parse({ Binds: ["a/b:/c"] }), /"a\/b" includes invalid characters for a local volume name/);
    assert.throws(() => parse({ Binds: ["name:/b:wr"] }), /invalid mode: wr/);
    assert.throws(() => parse({ Binds: ["/a:/b:nocopy"] }), /invalid mode: nocopy/);
    assert.throws(() => parse({ Binds: ["name:/"] }), /destination can't be '\/'/);
    assert.throws(() => parse({ Mounts: [{ Type: "volume", Target: "/b", BindOptions: {} }] }), /BindOptions must not/);
    const plugin = { Type: "volume", Source: "a", Target: "/b", VolumeOptions: { DriverConfig: { Name: "nfs" } } };
    assert.throws(() => parse({ Mounts: [plugin] }), /plugin "nfs" not found/);
  });
});

describe("what is shown of mounts", () => {
  const asked = {
    Binds: ["/c:/d:ro,rshared"],
    Tmpfs: { "/t": "size=1m" },
    Mounts: [{ Type: "bind", Source: "/a", Target: "/b", ReadOnly: true }],
  };
  const askedVolumes = {
    Binds: ["name:/v:ro,nocopy", "/anonymous"],
    Mounts: [
      {
        Type: "volume",
        Source: "other",
        Target: "/o",
        VolumeOptions: { NoCopy: true, Labels: { a: "b" }, DriverConfig: { Options: { size: "1G" } }, Subpath: "s" },
      },
    ],
  };

  it("is in HostConfig what was asked for", () => {
    assert.deepEqual(formatHostMounts(parse(asked)), asked);
    assert.deepEqual(formatHostMounts(parse(askedVolumes)), askedVolumes);
  });

  it("is in Mounts where a volume lies", () => {
    const [volume] = parse({ Binds: ["name:/v"] });
    assert.ok(volume?.kind === "volume");
    assert.deepEqual(mountPoints([{ ...volume, source: "/data/of/it" }]), [
      {
        Type: "volume",
        Name: "name",
        Source: "/data/of/it",
        Destination: "/v",
        Driver: "local",
        Mode: "z",
        RW: true,
        Propagation: "",
      },
    ]);
  });

  it("is in Mounts what is mounted", () => {
    assert.deepEqual(mountPoints(parse({ Binds: ["/c:/d:ro"] })), [
      { Type: "bind", Source: "/c", Destination: "/d", Mode: "ro", RW: false, Propagation: "rprivate" },
    ]);
  });
});
