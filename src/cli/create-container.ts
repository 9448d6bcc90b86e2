import type { CreateResponse } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { fs } from "./builtin.ts";
import { DaemonError } from "./client.ts";
import type { Context } from "./command.ts";
import type { CreateRequest } from "./create-request.ts";
import type { createFlags } from "./run-flags.ts";

type CreateContext = Context<typeof createFlags>;

/** Creates a container, getting its image first when it isn't there; resolves with its id. */
export async function createContainer(context: CreateContext, request: CreateRequest): Promise<string> {
  const { flags, client, warn } = context;
  const writeId = reserveCidFile(flags.cidfile);
  try {
    if (flags.pull === "always") await getImage(context, request.body.Image);
    const create = () =>
      client.json<CreateResponse>({
        method: "POST",
        path: "/containers/create",
        query: { name: request.name, platform: request.platform },
        body: request.body,
      });
    const { Id, Warnings } = await create().catch(async (error) => {
      if (!isImageMissing(error, flags.pull)) throw error;
      await getImage(context, request.body.Image);
      return await create();
    });
    for (const warning of Warnings ?? []) warn(`WARNING: ${warning}`);
    writeId(Id);
    return Id;
  } catch (error) {
    writeId(undefined);
    throw error;
  }
}

function isImageMissing(error: unknown, pull: string | undefined): boolean {
  return (
    error instanceof DaemonError && error.status === 404 && /no such image/i.test(error.message) && pull !== "never"
  );
}

async function getImage(context: CreateContext, image: string): Promise<void> {
  const { flags, io, client, warn } = context;
  if (/^host(:latest)?$/.test(image)) {
    if (!flags.quiet) warn("onggi: making the image 'host' of this machine's programs …");
    const { makeHostImage } = await import("./from-host.ts");
    await makeHostImage(context, { reference: "host:latest", programs: [] });
    return;
  }
  const { pullImage } = await import("./pull.ts");
  if (flags.pull !== "always" && !flags.quiet) warn(`Unable to find image '${withTag(image)}' locally`);
  await pullImage({ client, io }, image, { platform: flags.platform, quiet: flags.quiet, output: io.stderr });
}

function withTag(image: string): string {
  return /@|:[^/]*$/.test(image) ? image : `${image}:latest`;
}

/** Makes the file that will hold the id, which must not be there; called without an id, it takes the file away. */
function reserveCidFile(path: string | undefined): (id: string | undefined) => void {
  if (path === undefined) return () => {};
  if (fs.existsSync(path)) {
    throw new OnggiError(
      "conflict",
      `container ID file found, make sure the other container isn't running or delete ${path}`,
    );
  }
  try {
    fs.writeFileSync(path, "", { flag: "wx", mode: 0o644 });
  } catch (cause) {
    throw new OnggiError("denied", `failed to create the container ID file ${path}`, { cause });
  }
  return (id) => (id === undefined ? fs.rmSync(path, { force: true }) : fs.writeFileSync(path, id));
}
