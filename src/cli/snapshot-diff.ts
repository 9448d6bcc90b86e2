import type { TreeDifference } from "../api/wire.ts";
import { changeLetters } from "./change-letters.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";

export const snapshotDiff = command({
  name: "diff",
  summary: "Show which files differ between two containers, snapshots or images",
  args: "FROM TO",
  arity: [2, 2],
  flags: { patch: flag.switch({ short: "p", help: "Show what changed in texts, as diff -u does" }) },
  details: `
FROM and TO are containers as they are now, snapshots (CONTAINER@NAME), or images. A line a path: A is only in TO, D only in FROM,
C in both and different in content, owner, mode or attributes; a file that was only written again with the same content is not.

  onggi snapshot diff web@before web
  onggi snapshot diff --patch debian:12 web | less`,
  async run({ client, args: [from = "", to = ""], flags, io, print }) {
    const lines = client.lines<TreeDifference>({
      method: "GET",
      path: "/onggi/v1/diff",
      query: { from, to, patch: flags.patch },
    });
    for await (const { Kind, Path, Patch } of lines) {
      print(`${changeLetters[Kind]} ${Path}`);
      if (Patch !== undefined) io.stdout.write(Patch);
    }
    return 0;
  },
});
