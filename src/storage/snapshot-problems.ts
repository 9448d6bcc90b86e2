/** Something about snapshots that isn't as it should be. */
export interface SnapshotProblem {
  /** The id of a tree, or the name of a snapshot. */
  readonly id: string;
  /** A sentence. */
  readonly problem: string;
  /** What mends it, a sentence. */
  readonly remedy: string;
  /** Does so; absent where only a person can. */
  readonly repair?: () => Promise<void>;
}

export interface SnapshotFacts<N extends SnapshotNode> {
  /** Ids of trees that are there. */
  readonly trees: readonly string[];
  /** Ids of records that are there. */
  readonly records: readonly string[];
  readonly nodes: readonly N[];
  /** Ids of trees that are being made or removed. */
  readonly underway: ReadonlySet<string>;
  isWhole(id: string): boolean;
}

export interface SnapshotNode {
  readonly record: { readonly id: string; readonly kind: "active" | "view" | "committed"; readonly name: string };
  readonly parent: SnapshotNode | undefined;
  /** How many snapshots are believed to stand on it. */
  children: number;
  readonly kept: "synced" | "written" | "remembered";
}

/** What can be done about problems. */
export interface SnapshotRemedies<N extends SnapshotNode> {
  discard(id: string): Promise<void>;
  /** Removes a record. */
  forget(id: string): Promise<void>;
  write(node: N): Promise<void>;
  create(node: N): Promise<void>;
}

/** Trees without record, records without tree, trees half made, and counts that are wrong. */
export function* snapshotProblems<N extends SnapshotNode>(
  { trees, records, nodes, underway, isWhole }: SnapshotFacts<N>,
  remedies: SnapshotRemedies<N>,
): Iterable<SnapshotProblem> {
  const known = new Set(nodes.map(({ record }) => record.id));
  const recorded = new Set(records);
  for (const id of trees) {
    if (known.has(id) || underway.has(id)) continue;
    if (recorded.has(id)) yield unusable(id);
    else yield orphan(id, remedies);
  }
  const there = new Set(trees);
  for (const id of records) {
    if (!known.has(id) && !there.has(id) && !underway.has(id)) yield emptyRecord(id, remedies);
  }
  for (const node of nodes) {
    if (underway.has(node.record.id)) continue;
    if (node.kept !== "remembered" && !recorded.has(node.record.id)) yield unrecorded(node, remedies);
    if (node.record.kind !== "view" && !(there.has(node.record.id) && isWhole(node.record.id)))
      yield torn(node, remedies);
  }
  // What is under way has counted itself already.
  if (underway.size === 0) yield* wrongCounts(nodes);
}

function orphan(id: string, { discard }: Pick<SnapshotRemedies<SnapshotNode>, "discard">): SnapshotProblem {
  return {
    id,
    problem: `the tree ${id} belongs to no snapshot`,
    remedy: "It is removed: nobody was ever told of it, or it was to be removed already.",
    repair: () => discard(id),
  };
}

/** What was written in it may be worth something. */
function unusable(id: string): SnapshotProblem {
  return {
    id,
    problem: `the snapshot ${id} can't be used: what it stands on is missing`,
    remedy: "Load or pull its image again and start the engine anew; it is kept until then.",
  };
}

function emptyRecord(id: string, { forget }: Pick<SnapshotRemedies<SnapshotNode>, "forget">): SnapshotProblem {
  return {
    id,
    problem: `the record of snapshot ${id} is there, and its tree is not`,
    remedy: "The record is removed.",
    repair: () => forget(id),
  };
}

function unrecorded<N extends SnapshotNode>(node: N, { write }: Pick<SnapshotRemedies<N>, "write">): SnapshotProblem {
  return {
    id: node.record.name,
    problem: `the record of snapshot "${node.record.name}" is missing`,
    remedy: "It is written again.",
    repair: () => write(node),
  };
}

function torn<N extends SnapshotNode>(node: N, { create }: Pick<SnapshotRemedies<N>, "create">): SnapshotProblem {
  const { name, id, kind } = node.record;
  if (kind === "active") {
    return {
      id: name,
      problem: `the writable tree of snapshot "${name}" (${id}) is missing or half made`,
      remedy: "It is made again; what was written in it is lost.",
      repair: () => create(node),
    };
  }
  return {
    id: name,
    problem: `the files of layer ${name} (${id}) are missing or half there`,
    remedy: "Start the engine anew, which forgets the layer, then load or pull its images again.",
  };
}

function* wrongCounts(nodes: readonly SnapshotNode[]): Iterable<SnapshotProblem> {
  const counts = new Map<SnapshotNode, number>();
  for (const { parent } of nodes) if (parent !== undefined) counts.set(parent, (counts.get(parent) ?? 0) + 1);
  for (const node of nodes) {
    const children = counts.get(node) ?? 0;
    if (node.children === children) continue;
    yield {
      id: node.record.name,
      problem: `snapshot "${node.record.name}" counts ${node.children} that stand on it, and there are ${children}`,
      remedy: "The count is put right.",
      repair: async () => {
        node.children = children;
      },
    };
  }
}
