/** Whether a container's start asks how many layers its image has. */
import { table } from "./harness.ts";
import { startOwnDaemon } from "./own-daemon.ts";
import { makeScratchImage } from "./scratch-image.ts";

const counts = [1, 10, 100];

export default ["erofs", "overlay"].map((driver) =>
  table({
    title: `Starting from images of many layers: ${driver}`,
    async define({ row, missing }) {
      const own = await startOwnDaemon({ args: ["--storage-driver", driver] }).catch((error: unknown) => String(error));
      if (typeof own === "string") return missing(driver, own);
      const nameOf = (layers: number) =>
        `${layers === 1 ? "1 layer" : `${layers} layers`}: create, start, wait, remove`;
      for (const layers of counts) {
        const image = `layers-${layers}:latest`;
        const made = makeScratchImage(image, layers);
        const { code, stderr } = await own.daemon.onggi(["load", "-q", "-i", made.archive], { timeoutMs: 120_000 });
        made.remove();
        if (code !== 0) throw new Error(stderr);
        row(nameOf(layers), () => own.api.life({ Image: image, Cmd: ["/bin/true"] }), {
          warmUps: 10,
          ...(layers === 1 ? { n: 100 } : { pairedWith: nameOf(1) }),
        });
      }
      return () => own.stop();
    },
  }),
);
