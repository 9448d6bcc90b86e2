import type { ImageSummary } from "../api/wire.ts";
import { command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat, usesField } from "./format.ts";
import { ago, decimalSize, goTime, shortId } from "./humanize.ts";

export const images = command({
  name: "images",
  summary: "List images",
  args: "[REPOSITORY[:TAG]]",
  arity: [0, 1],
  flags: {
    all: flag.switch({ short: "a", help: "Show intermediate images too" }),
    digests: flag.switch({ help: "Show digests" }),
    filter: flag.list({
      short: "f",
      help: "Show only what fits (reference=…, dangling=…, label=…, before=…, since=…)",
    }),
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    noTrunc: flag.switch({ help: "Don't shorten output" }),
    quiet: flag.switch({ short: "q", help: "Only show IDs" }),
  },
  async run({ client, args: [reference], flags, print }) {
    const format = flags.format ?? "";
    const found = await client.json<readonly ImageSummary[]>({
      method: "GET",
      path: "/images/json",
      query: {
        all: flags.all || undefined,
        digests: flags.digests || undefined,
        filters: filterQuery(reference === undefined ? flags.filter : [...flags.filter, `reference=${reference}`]),
      },
    });
    const rows = found.flatMap((image) => namesOf(image, flags.digests || usesField(format, "Digest")));
    const list = imageList({ trunc: !flags.noTrunc, digests: flags.digests, nowMs: Date.now() });
    const lines = flags.quiet && format === "" ? formatList(rows, "{{.ID}}", list) : formatList(rows, format, list);
    for (const line of lines) print(line);
    return 0;
  },
});

const none = "<none>";

/** An image under one of its names: a row. */
export interface ImageRow {
  readonly image: ImageSummary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

/** A row for each name of an image; with digests, each tag stands beside each digest of its repository. */
export function namesOf(image: ImageSummary, digests: boolean): ImageRow[] {
  const tags = (image.RepoTags ?? [])
    .filter((name) => name !== "<none>:<none>")
    .map((name) => split(name, name.lastIndexOf(":")));
  const known = (image.RepoDigests ?? [])
    .filter((name) => name !== "<none>@<none>")
    .map((name) => split(name, name.indexOf("@")));
  const digestsOf = (repository: string) =>
    digests ? known.filter(([name]) => name === repository).map(([, digest]) => digest) : [];
  const rows = tags.flatMap(([repository, tag]) => {
    const found = digestsOf(repository);
    return (found.length > 0 ? found : [none]).map((digest) => ({ image, repository, tag, digest }));
  });
  const untagged = known
    .filter(([repository]) => digests && !tags.some(([name]) => name === repository))
    .map(([repository, digest]) => ({ image, repository, tag: none, digest }));
  const all = [...rows, ...untagged];
  return all.length > 0 ? all : [{ image, repository: known[0]?.[0] ?? none, tag: none, digest: none }];
}

function split(name: string, at: number): [string, string] {
  return [name.slice(0, at), name.slice(at + 1)];
}

/** The columns of a list of images. */
export function imageList({
  trunc,
  digests,
  nowMs,
}: {
  trunc: boolean;
  digests: boolean;
  nowMs: number;
}): ListFormat<ImageRow> {
  return {
    table: `{{.Repository}}\t{{.Tag}}\t${digests ? "{{.Digest}}\t" : ""}{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`,
    columns: {
      Containers: {
        header: "CONTAINERS",
        value: ({ image }) => (image.Containers < 0 ? "N/A" : String(image.Containers)),
      },
      CreatedAt: { header: "CREATED AT", value: ({ image }) => goTime(image.Created * 1000) },
      CreatedSince: {
        header: "CREATED",
        value: ({ image }) => (image.Created <= 0 ? "N/A" : ago(image.Created * 1000, nowMs)),
      },
      Digest: { header: "DIGEST", value: ({ digest }) => digest },
      ID: { header: "IMAGE ID", value: ({ image }) => (trunc ? shortId(image.Id) : image.Id) },
      Repository: { header: "REPOSITORY", value: ({ repository }) => repository },
      SharedSize: { header: "SHARED SIZE", value: () => "N/A" },
      Size: { header: "SIZE", value: ({ image }) => decimalSize(image.Size) },
      Tag: { header: "TAG", value: ({ tag }) => tag },
      UniqueSize: { header: "UNIQUE SIZE", value: () => "N/A" },
      VirtualSize: { header: "SIZE", value: ({ image }) => decimalSize(image.Size) },
    },
  };
}
