import type { DriverTools } from "../snapshotter.ts";

/** For drivers that need nothing of the executor. */
export const noTools: DriverTools = {
  perform: async () => {
    throw new Error("this driver isn't expected to perform operations");
  },
};
