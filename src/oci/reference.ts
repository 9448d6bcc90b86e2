import { OnggiError } from "../base/error.ts";
import { type Digest, parseDigest } from "./digest.ts";

/** What a person types to name an image, in full: `debian` is `docker.io/library/debian`. */
export interface Reference {
  /** Registry, with its port: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** Repository on that registry: `library/debian`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const defaultDomain = "docker.io";
const legacyDefaultDomain = "index.docker.io";
const officialPrefix = "library/";
const maxNameLength = 255;

const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainPattern = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const pathPattern = `${component}(?:/${component})*`;
const tagPattern = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digestPattern = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const whole = new RegExp(`^(${domainPattern})/(${pathPattern})(?::(${tagPattern}))?(?:@(${digestPattern}))?$`);
const tagOnly = new RegExp(`^${tagPattern}$`);

/**
 * Reads a reference as Docker does, with its defaults for registry and `library/`; neither tag nor digest is added.
 *
 * @throws OnggiError `invalid` in Docker's sentences
 * @see https://github.com/distribution/reference
 */
export function parseReference(text: string): Reference {
  if (/^[0-9a-f]{64}$/.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const [domain, rest] = splitDomain(text);
  const name = rest.slice(0, indexOrEnd(rest, ":"));
  if (name !== name.toLowerCase()) {
    throw invalid(`invalid reference format: repository name (${name}) must be lowercase`);
  }

  const match = whole.exec(`${domain}/${rest}`);
  if (match === null) throw invalid("invalid reference format", text);
  const [, host = "", path = "", tag, digest] = match;
  if (path.length > maxNameLength) {
    throw invalid(`repository name must not be more than ${maxNameLength} characters`);
  }
  return {
    domain: host,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
  };
}

/** The reference with tag `latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}

/** The reference without its tag where it has a digest, which alone counts then. */
export function withoutIdleTag({ tag, ...reference }: Reference): Reference {
  return tag === undefined || reference.digest !== undefined ? reference : { ...reference, tag };
}

/** `docker.io/library/debian`: registry and repository. */
export function fullName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `docker.io/library/debian:12`: what references are kept under. */
export function fullReference(reference: Reference): string {
  return fullName(reference) + suffix(reference);
}

/** `debian`: the name as Docker shows it. */
export function familiarName({ domain, path }: Reference): string {
  if (domain !== defaultDomain) return `${domain}/${path}`;
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  return short.includes("/") ? path : short;
}

/** `debian:12`: the reference as Docker shows it. */
export function familiarReference(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/** A tag by itself, as in an OCI layout's annotation. */
export function isTag(text: string): boolean {
  return tagOnly.test(text);
}

function suffix({ tag, digest }: Reference): string {
  return (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}

/** What comes before the first slash is a registry if it looks like a host: a dot, a port, an upper-case letter, `localhost`. */
function splitDomain(text: string): [domain: string, rest: string] {
  const slash = text.indexOf("/");
  const first = slash === -1 ? "" : text.slice(0, slash);
  const isHost = first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
  const domain = !isHost || first === legacyDefaultDomain ? defaultDomain : first;
  const rest = isHost ? text.slice(slash + 1) : text;
  return [domain, domain === defaultDomain && !rest.includes("/") ? officialPrefix + rest : rest];
}

function indexOrEnd(text: string, sought: string): number {
  const index = text.indexOf(sought);
  return index === -1 ? text.length : index;
}

function invalid(message: string, text?: string): OnggiError {
  return new OnggiError("invalid", message, {
    ...(text === undefined ? {} : { hint: `"${text}" should look like NAME[:TAG] or HOST[:PORT]/NAME[:TAG|@DIGEST].` }),
  });
}
