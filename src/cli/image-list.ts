import type { ImageSummary } from "../api/wire.ts";
import type { ListFormat } from "./format.ts";
import { ago, decimalSize, goTime, shortId } from "./humanize.ts";

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
