import { CLONE_NEWNET } from "../program/kernel.ts";
import type { Steps } from "../program/op.ts";
import { encodeMessages, netlinkRoute } from "./netlink.ts";
import { setUp } from "./rtnetlink.ts";

export const loopbackIndex = 1;

/** Steps of a container with nothing but its loopback interface (`--network none`). */
export function loopbackSteps(): Steps {
  const slot = "net:inside";
  return {
    host: [],
    child: [
      { op: "unshare", flags: CLONE_NEWNET },
      { op: "netlinkSocket", slot, protocol: netlinkRoute },
      { op: "netlink", slot, ...encodeMessages([setUp(loopbackIndex)]), shell: ["ip link set lo up"] },
      { op: "closeSlot", slot },
    ],
    teardown: [],
  };
}
