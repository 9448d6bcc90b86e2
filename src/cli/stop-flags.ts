import { flag } from "./flag.ts";

/** How `stop` and `restart` end a container. */
export const stopFlags = {
  signal: flag.string({ short: "s", help: "Signal to send" }),
  timeout: flag.integer({ short: "t", help: "Seconds to wait before killing it", aliases: ["time"] }),
};
