import { readFileSync } from "node:fs";

/** Traffic of a container's interface since it was made, from the container's point of view. */
export interface InterfaceStats {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/**
 * Reads them at the host's end of the cable, where what the container receives is sent, and the other way round.
 *
 * @returns `undefined` when the link is gone
 */
export function readInterfaceStats(hostLink: string): InterfaceStats | undefined {
  const read = (counter: string) => Number(readFileSync(`/sys/class/net/${hostLink}/statistics/${counter}`, "latin1"));
  try {
    return {
      rxBytes: read("tx_bytes"),
      rxPackets: read("tx_packets"),
      rxErrors: read("tx_errors"),
      rxDropped: read("tx_dropped"),
      txBytes: read("rx_bytes"),
      txPackets: read("rx_packets"),
      txErrors: read("rx_errors"),
      txDropped: read("rx_dropped"),
    };
  } catch {
    return undefined;
  }
}
