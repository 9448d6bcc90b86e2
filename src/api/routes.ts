import { archiveRoutes } from "./archive.ts";
import { changesRoutes } from "./changes.ts";
import { commitRoutes } from "./commit.ts";
import { containerStreamRoutes } from "./container-streams.ts";
import { containerRoutes } from "./containers.ts";
import { eventRoutes } from "./events.ts";
import { execRoutes } from "./execs.ts";
import { explainRoutes } from "./explain.ts";
import { forkRoutes } from "./fork.ts";
import { imageTransferRoutes } from "./image-transfer.ts";
import { imageRoutes } from "./images.ts";
import { loginRoutes } from "./login.ts";
import { networkRoutes } from "./networks.ts";
import type { Route } from "./route.ts";
import { snapshotRoutes } from "./snapshots.ts";
import { statsRoutes } from "./stats.ts";
import { storageRoutes } from "./storage.ts";
import { storageBenchRoutes } from "./storage-bench.ts";
import { storageInitRoutes } from "./storage-init.ts";
import { systemRoutes } from "./system.ts";
import { unsupportedRoutes } from "./unsupported.ts";
import { volumeRoutes } from "./volumes.ts";

/** All that the API answers. */
export const routes: readonly Route[] = [
  ...systemRoutes,
  ...containerRoutes,
  ...containerStreamRoutes,
  ...archiveRoutes,
  ...changesRoutes,
  ...commitRoutes,
  ...statsRoutes,
  ...storageRoutes,
  ...storageBenchRoutes,
  ...execRoutes,
  ...imageTransferRoutes,
  ...imageRoutes,
  ...loginRoutes,
  ...networkRoutes,
  ...eventRoutes,
  ...explainRoutes,
  ...storageInitRoutes,
  ...snapshotRoutes,
  ...forkRoutes,
  ...volumeRoutes,
  ...unsupportedRoutes,
];
