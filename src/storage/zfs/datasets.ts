import { runZfs, runZfsWhenFree } from "./programs.ts";

export interface Dataset {
  readonly name: string;
  /** The snapshot it is a clone of. */
  readonly origin: string | undefined;
  readonly mountPoint: string;
  readonly isMounted: boolean;
}

/** The datasets directly below one. */
export async function listDatasets(base: string): Promise<readonly Dataset[]> {
  const rows = await runZfs(
    "zfs",
    "list",
    "-H",
    "-r",
    "-t",
    "filesystem",
    "-o",
    "name,origin,mountpoint,mounted",
    base,
  );
  return rows.flatMap(([name = "", origin = "", mountPoint = "", mounted]) => {
    if (!name.startsWith(`${base}/`) || name.includes("/", base.length + 1)) return [];
    return [{ name, origin: origin === "-" ? undefined : origin, mountPoint, isMounted: mounted === "yes" }];
  });
}

/** A property that is a number (of bytes); 0 where it isn't set. */
export async function numberOf(dataset: string, property: string): Promise<number> {
  const [row] = await runZfs("zfs", "get", "-H", "-p", "-o", "value", property, dataset);
  const value = Number(row?.[0]);
  return Number.isFinite(value) ? value : 0;
}

/**
 * Deletes a dataset with its snapshots. What stands on one of them lives on: it is promoted, so that the snapshot becomes its own.
 *
 * @param isDoomed - datasets that are to be deleted as well: those go first, rather than taking over what nobody will need
 */
export async function destroyDataset(base: string, name: string, isDoomed: (name: string) => boolean): Promise<void> {
  for (;;) {
    const all = await listDatasets(base);
    if (!all.some((dataset) => dataset.name === name)) return;
    const clones = all.filter(({ origin }) => origin?.startsWith(`${name}@`));
    const doomed = clones.find((clone) => isDoomed(clone.name));
    const heir = clones[0];
    if (doomed !== undefined) await destroyDataset(base, doomed.name, isDoomed);
    else if (heir !== undefined) await runZfs("zfs", "promote", heir.name);
    else return runZfsWhenFree("zfs", "destroy", "-r", name);
  }
}
