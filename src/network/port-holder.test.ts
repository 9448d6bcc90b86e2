import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { findPortHolder, listeningInodes } from "./port-holder.ts";

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 22222 1 0 100 0 0 10 0
   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33333 1 0 100 0 0 10 0
`;

describe("listeningInodes", () => {
  it("finds who listens on a port, not who talks on it", () => {
    assert.deepEqual(listeningInodes(table, "tcp", 8080), ["11111"]);
    assert.deepEqual(listeningInodes(table, "tcp", 81), []);
  });
});

describe("findPortHolder", () => {
  it("names the process", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const holder = await findPortHolder("tcp", port);
    await new Promise((resolve) => server.close(resolve));

    assert.match(holder ?? "", new RegExp(`^\\S.* \\(process ${process.pid}\\)$`));
    assert.equal(await findPortHolder("tcp", port), undefined);
  });
});
