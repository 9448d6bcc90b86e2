/** Copies of a container that runs: one and ten, their making and their removal, whatever the image holds. */
import { table } from "./harness.ts";
import { scratchImage, startOwnDaemon } from "./own-daemon.ts";

interface Forks {
  readonly forks: readonly { readonly id: string }[];
}

export default table({
  title: "Forking",
  async define({ row }) {
    const own = await startOwnDaemon();
    const small = await own.api.create({ Image: scratchImage, Cmd: ["/bin/pause"] });
    const large = await own.api.create({ Image: "host", Cmd: ["sh", "-c", "echo x > /content; exec sleep 100000"] });
    for (const id of [small, large]) await own.api.start(id);

    const path = (id: string, verb: string) => `/onggi/v1/containers/${id}/${verb}`;
    const fork = async (id: string, options: object) =>
      (await own.api.json<Forks>("POST", path(id, "fork"), options)).forks.map((one) => one.id);
    const timed = async (work: () => Promise<unknown>) => {
      const before = performance.now();
      await work();
      return performance.now() - before;
    };
    const removeAll = (ids: readonly string[]) => Promise.all(ids.map((id) => own.api.remove(id)));
    /** The making alone is measured. */
    const forked = async (id: string, options: object) => {
      let ids: readonly string[] = [];
      const ms = await timed(async () => {
        ids = await fork(id, options);
      });
      await removeAll(ids);
      return ms;
    };

    const ten = "fork to 10 running copies (goal: 100)";
    row(ten, () => forked(large, { count: 10 }), { n: 20 });
    row("the same of an image of two files", () => forked(small, { count: 10 }), { pairedWith: ten });
    row("fork to 1", () => forked(large, { count: 1 }), { pairedWith: ten });
    row("10 copies that aren't started: snapshot and clones alone", () => forked(large, { count: 10, start: false }), {
      pairedWith: ten,
    });
    row(
      "removing 10 copies that run",
      async () => {
        const ids = await fork(large, { count: 10 });
        return timed(() => removeAll(ids));
      },
      { pairedWith: ten },
    );
    row(
      "a snapshot",
      async () => {
        let id = "";
        const ms = await timed(async () => {
          const { snapshot } = await own.api.json<{ snapshot: { id: string } }>("POST", path(large, "snapshots"), {});
          id = snapshot.id;
        });
        await own.api.call("DELETE", `/onggi/v1/snapshots/${id}`);
        return ms;
      },
      { n: 20 },
    );
    row(
      "create of a container from the image: one clone",
      async () => {
        let id = "";
        const ms = await timed(async () => {
          id = await own.api.create({ Image: "host", Cmd: ["true"] });
        });
        await own.api.remove(id);
        return ms;
      },
      { n: 50 },
    );
    return () => own.stop();
  },
});
