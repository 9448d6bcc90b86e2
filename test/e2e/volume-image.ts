/** The image `host` with one more layer, for tests of what volumes get of an image. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

interface SavedManifest {
  readonly Config: string;
  readonly RepoTags: readonly string[];
  readonly Layers: readonly string[];
}

/**
 * Adds to a saved image:
 *
 * ```
 * /seed        mode 2750, owner 1000:1001: file (4711:4712, mode 640, a time, an extended attribute, a second name), link, sub/deep
 * /out         a link to /seed by a path that climbs: ../../../seed
 * /escape      a link to a folder of the host that the image hasn't
 * ```
 *
 * and to its config a volume at /seed.
 *
 * @param saved - archive of `onggi save`
 * @returns an archive of the image `seeded`
 */
export function seededArchive(scratch: string, saved: string): string {
  const tree = join(scratch, "tree");
  const seed = join(tree, "seed");
  mkdirSync(join(seed, "sub"), { recursive: true });
  writeFileSync(join(seed, "file"), "seed\n");
  execFileSync("setfattr", ["-n", "user.colour", "-v", "red", join(seed, "file")]);
  chownSync(join(seed, "file"), 4711, 4712);
  chmodSync(join(seed, "file"), 0o640);
  linkSync(join(seed, "file"), join(seed, "second"));
  symlinkSync("sub/deep", join(seed, "link"));
  writeFileSync(join(seed, "sub/deep"), "deep\n");
  utimesSync(join(seed, "file"), 1_000_000_000, 1_000_000_000);
  chownSync(seed, 1000, 1001);
  chmodSync(seed, 0o2750);
  symlinkSync("../../../seed", join(tree, "out"));
  symlinkSync(scratch, join(tree, "escape"));

  const image = join(scratch, "saved");
  mkdirSync(image);
  execFileSync("tar", ["-C", image, "-xf", saved]);
  const layer = join(image, "extra.tar");
  execFileSync("tar", ["-C", tree, "--xattrs", "--numeric-owner", "-cf", layer, "."]);
  const [manifest] = readJson(join(image, "manifest.json")) as SavedManifest[];
  if (manifest === undefined) throw new Error("the saved archive has no manifest");
  const config = readJson(join(image, manifest.Config)) as {
    config: object;
    rootfs: { type: string; diff_ids: string[] };
    history?: object[];
  };
  const diffId = `sha256:${createHash("sha256").update(readFileSync(layer)).digest("hex")}`;
  const changed = {
    ...config,
    history: [],
    config: { ...config.config, Volumes: { "/seed": {} } },
    rootfs: { type: "layers", diff_ids: [...config.rootfs.diff_ids, diffId] },
  };
  const archive = join(scratch, "seeded.tar");
  writeFileSync(join(image, "extra.json"), JSON.stringify(changed));
  const made = [{ Config: "extra.json", RepoTags: ["seeded:latest"], Layers: [...manifest.Layers, "extra.tar"] }];
  writeFileSync(join(image, "manifest.json"), JSON.stringify(made));
  const files = ["manifest.json", "extra.json", "extra.tar", ...manifest.Layers];
  execFileSync("tar", ["-C", image, "-cf", archive, ...files]);
  return archive;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
