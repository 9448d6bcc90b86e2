import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DiskUsage, LayerTreeBody } from "../api/wire.ts";
import { summaryList, summaryRows } from "./disk-tables.ts";
import { formatList } from "./format.ts";
import { whyLines } from "./why-lines.ts";

/** Two images of 100 and 50 bytes that share 20, a running and a stopped container, and a volume of nobody. */
function aUsage(): DiskUsage {
  const image = (Size: number, Containers: number) => ({ Size, SharedSize: 20, Containers });
  const container = (State: string, SizeRw: number) => ({ State, SizeRw });
  const volume = (RefCount: number, Size: number) => ({ UsageData: { RefCount, Size } });
  const usage = {
    LayersSize: 130,
    Images: [image(100, 1), image(50, 0)],
    Containers: [container("running", 7), container("exited", 3)],
    Volumes: [volume(1, 10), volume(0, 5)],
    BuildCache: [],
  };
  return usage as unknown as DiskUsage;
}

describe("summaryRows", () => {
  it("counts shared layers once, and what nothing uses as reclaimable", () => {
    const [images, containers, volumes] = summaryRows(aUsage());
    assert.deepEqual(images, { type: "Images", total: 2, active: 1, bytes: 130, reclaimable: 50 });
    assert.deepEqual(containers, { type: "Containers", total: 2, active: 1, bytes: 10, reclaimable: 3 });
    assert.deepEqual(volumes, { type: "Local Volumes", total: 2, active: 1, bytes: 15, reclaimable: 5 });
  });

  it("looks as docker's", () => {
    assert.deepEqual(formatList(summaryRows(aUsage()), "", summaryList), [
      "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE",
      "Images          2         1         130B      50B (38%)",
      "Containers      2         1         10B       3B (30%)",
      "Local Volumes   2         1         15B       5B (33%)",
      "Build Cache     0         0         0B        0B",
    ]);
  });
});

describe("whyLines", () => {
  const node = (Kind: LayerTreeBody["Kind"], Name: string, change: Partial<LayerTreeBody> = {}): LayerTreeBody => ({
    Id: Name,
    Kind,
    Name,
    Bytes: 1000,
    Inodes: 1,
    Images: [],
    Children: [],
    ...change,
  });

  it("draws what stands on a layer, and names what keeps it", () => {
    const web = node("container", "web (running)");
    const top = node("layer", "sha256:bbbb", { Images: ["app:1"], Children: [web, node("snapshot", "web@one")] });
    assert.deepEqual(whyLines(node("layer", "sha256:aaaa", { Children: [top, node("layer", "sha256:cccc")] })), [
      "layer aaaa  1kB, 1 inode",
      "├─ layer bbbb  1kB, 1 inode  = app:1",
      "│  ├─ container web (running)  1kB, 1 inode",
      "│  └─ snapshot web@one  1kB, 1 inode",
      "└─ layer cccc  1kB, 1 inode",
      "",
      "Kept by image app:1; container web (running); snapshot web@one.",
    ]);
  });

  it("says when nothing keeps it", () => {
    assert.match(whyLines(node("layer", "sha256:aaaa")).at(-1) ?? "", /Nothing keeps it/);
  });
});
