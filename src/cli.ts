import { main } from "./cli/main.ts";
import { exit, processIo } from "./cli/process-io.ts";

// Not left to the event loop: reads of a terminal and kept connections would hold it.
await exit(await main(process.argv.slice(2), processIo));
