import { familiarName, parseReference } from "../oci/reference.ts";
import { command } from "./command.ts";
import { imagePath } from "./engine-call.ts";

export const tag = command({
  name: "tag",
  summary: "Give an image a further name",
  args: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  arity: [2, 2],
  flags: {},
  async run({ client, args: [source = "", target = ""] }) {
    const reference = parseReference(target);
    await client.status({
      method: "POST",
      path: imagePath(source, "tag"),
      query: { repo: familiarName(reference), tag: reference.tag ?? "latest" },
    });
    return 0;
  },
});
