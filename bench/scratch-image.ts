import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const usualLayers = 5;

/**
 * A docker archive of an image like the one the yardstick runs: five layers unless told, a static `true` and a static `pause` in the lowest.
 *
 * @returns the archive's path and what removes it
 */
export function makeScratchImage(
  name: string,
  layerCount = usualLayers,
): { readonly archive: string; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), "onggi-scratch-"));
  const tar = (file: string, from: string) =>
    execFileSync("tar", ["-cf", file, "--sort=name", "--owner=0", "--group=0", "-C", from, "."]);
  const layers = Array.from({ length: layerCount }, (_, index) => {
    const tree = join(directory, `tree${index}`);
    mkdirSync(join(tree, "bin"), { recursive: true });
    if (index === 0) {
      compile(join(tree, "bin/true"), "int main(void) { return 0; }");
      compile(join(tree, "bin/pause"), "#include <unistd.h>\nint main(void) { for (;;) pause(); }");
    } else {
      writeFileSync(join(tree, `layer${index}`), "");
    }
    const file = `layer${index}.tar`;
    tar(join(directory, file), tree);
    return file;
  });
  const diffIds = layers.map(
    (file) =>
      `sha256:${createHash("sha256")
        .update(readFileSync(join(directory, file)))
        .digest("hex")}`,
  );
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const config = {
    architecture,
    os: "linux",
    config: { Cmd: ["/bin/true"] },
    rootfs: { type: "layers", diff_ids: diffIds },
  };
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  writeFileSync(
    join(directory, "manifest.json"),
    JSON.stringify([{ Config: "config.json", RepoTags: [name], Layers: layers }]),
  );
  const archive = join(directory, "image.tar");
  execFileSync("tar", ["-cf", archive, "-C", directory, "manifest.json", "config.json", ...layers]);
  return { archive, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

function compile(binary: string, source: string): void {
  execFileSync("cc", ["-O2", "-static", "-o", binary, "-x", "c", "-"], { input: source });
}
