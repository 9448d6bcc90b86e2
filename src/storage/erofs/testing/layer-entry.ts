import type { LayerEntry } from "../../layer-archive.ts";

/** A member of an archive, with defaults for what a test isn't about. */
export function aLayerEntry(entry: Partial<LayerEntry> & Pick<LayerEntry, "type" | "path">): LayerEntry {
  return {
    mode: entry.type === "directory" ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs: 0n,
    linkPath: "",
    major: 0,
    minor: 0,
    xattrs: new Map(),
    extents: [],
    ...entry,
  };
}
