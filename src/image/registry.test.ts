import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { digestOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import { parseReference } from "../oci/reference.ts";
import { FakeRegistry, refuse } from "./fake-registry.ts";
import type { Progress } from "./image-info.ts";
import { type Images, openImages } from "./images.ts";
import { isLoopback } from "./loopback.ts";
import { MemorySink } from "./memory-sink.ts";
import { parseChallenge } from "./registry-auth.ts";
import { Registry } from "./registry-client.ts";
import { tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

let root: string;
let sink: MemorySink;
let registry: FakeRegistry;
let images: Images;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "onggi-registry-"));
  sink = new MemorySink();
  registry = new FakeRegistry();
  await registry.open();
  images = await openImages({
    root,
    sink,
    usedBy: () => [],
    platform: { os: "linux", architecture: "amd64" },
    retryDelaysMs: [1, 1],
  });
});
afterEach(async () => {
  await registry.close();
  rmSync(root, { recursive: true, force: true });
});

describe("pull", () => {
  it("fetches what isn't there, in Docker's words, and keeps the digest as a name", async () => {
    const { manifest, layers } = publish();

    const said = await all(images.pull(`${registry.host}/team/app`));

    const short = (digest: string) => digest.slice(7, 19);
    assert.equal(said[0]?.status, "Pulling from team/app");
    for (const status of ["Pulling fs layer", "Download complete", "Extracting", "Pull complete"]) {
      for (const layer of layers)
        assert.ok(
          said.some((one) => one.id === short(layer.digest) && one.status === status),
          status,
        );
    }
    assert.deepEqual(
      said.slice(-2).map(({ status }) => status),
      [`Digest: ${manifest.digest}`, `Status: Downloaded newer image for ${registry.host}/team/app:latest`],
    );
    const info = await images.get(`${registry.host}/team/app@${manifest.digest}`);
    assert.deepEqual(info.references, [`${registry.host}/team/app:latest`]);
    assert.deepEqual(info.repoDigests, [`${registry.host}/team/app@${manifest.digest}`]);
    assert.equal(sink.layers.size, 2);

    const again = await all(images.pull(`${registry.host}/team/app`));
    assert.equal(again.at(-1)?.status, `Status: Image is up to date for ${registry.host}/team/app:latest`);
    assert.equal(registry.requests.filter((one) => one.includes("/blobs/")).length, 3);
  });

  it("goes by the digest where there is a tag too", async () => {
    const { manifest } = publish();
    const name = `${registry.host}/team/app:latest@${manifest.digest}`;
    await all(images.pull(name));
    const info = await images.get(name);
    assert.deepEqual([info.references, info.repoDigests], [[], [`${registry.host}/team/app@${manifest.digest}`]]);
    assert.deepEqual((await images.remove(name)).at(0), { untagged: `${registry.host}/team/app@${manifest.digest}` });
    assert.deepEqual(await images.list(), []);
  });

  it("chooses its platform from an index, and names those there are when its own is missing", async () => {
    const { manifest } = publish();
    const entry = (architecture: string) => ({
      mediaType: mediaTypes.manifest,
      ...manifest,
      platform: { os: "linux", architecture },
    });
    const index = (...architectures: string[]) => ({ schemaVersion: 2, manifests: architectures.map(entry) });
    registry.addManifest("team/app", "multi", index("arm64", "amd64"), mediaTypes.index);
    registry.addManifest("team/app", "foreign", index("arm64", "s390x"), mediaTypes.index);

    await all(images.pull(`${registry.host}/team/app:multi`));

    assert.equal((await images.get(`${registry.host}/team/app:multi`)).architecture, "amd64");
    await assert.rejects(all(images.pull(`${registry.host}/team/app:foreign`)), (error: Error & { hint?: string }) => {
      assert.match(error.message, /no matching manifest for linux\/amd64 in the manifest list entries/);
      assert.match(error.hint ?? "", /linux\/arm64, linux\/s390x/);
      return true;
    });
  });

  it("refuses an image for another processor unless it is asked for", async () => {
    publish({ architecture: "arm64" });
    await assert.rejects(all(images.pull(`${registry.host}/team/app`)), { code: "unsupported" });
    assertNothingKept();
    await all(images.pull(`${registry.host}/team/app`, { platform: "linux/arm64" }));
    assert.equal((await images.list()).length, 1);
  });

  for (const ignoreRanges of [false, true]) {
    it(`goes on after a broken connection${ignoreRanges ? ", from the start where the registry knows no ranges" : ""}`, async () => {
      const { layers } = publish({ size: 200_000 });
      registry.breakAfter = 70_000;
      registry.ignoreRanges = ignoreRanges;

      await all(images.pull(`${registry.host}/team/app`));

      const ranged = registry.requests.filter((one) => one.includes("bytes="));
      assert.equal(ranged.length, 1);
      assert.match(ranged[0] ?? "", new RegExp(layers[0]?.digest ?? "-"));
      assert.equal((await images.list()).length, 1);
    });
  }

  it("keeps nothing when a blob, a manifest or a layer isn't what its digest says", async () => {
    const { layers, config } = publish();
    const good = registry.blobs.get(layers[0]?.digest ?? "");
    registry.blobs.set(layers[0]?.digest ?? "", Buffer.alloc(layers[0]?.size ?? 0, 7));
    await assert.rejects(all(images.pull(`${registry.host}/team/app`)), { code: "corrupt", message: /has the digest/ });
    registry.blobs.set(layers[0]?.digest ?? "", Buffer.concat([good ?? Buffer.alloc(0), Buffer.alloc(9)]));
    await assert.rejects(all(images.pull(`${registry.host}/team/app`)), {
      code: "corrupt",
      message: /has more than its/,
    });

    const other = registry.addBlob(gzipSync(tar("other")));
    registry.addManifest("team/app", "swapped", manifestOf(config, [other, layers[1]]), mediaTypes.manifest);
    await assert.rejects(all(images.pull(`${registry.host}/team/app:swapped`)), {
      message: /layer sha256:\w+ is damaged: its tar has the digest/,
    });

    const wrong = digestOf("something else");
    registry.manifests.set(`team/app@${wrong}`, { bytes: Buffer.from("{}"), type: mediaTypes.manifest });
    await assert.rejects(all(images.pull(`${registry.host}/team/app@${wrong}`)), {
      message: /manifest verification failed for digest/,
    });
    assertNothingKept();
  });

  it("says in Docker's sentences what the registry refuses", async () => {
    publish();
    const pull = (name: string) => all(images.pull(`${registry.host}/${name}`));
    await assert.rejects(pull("team/app:none"), {
      code: "not_found",
      message: `manifest for ${registry.host}/team/app:none not found: manifest unknown: manifest unknown`,
    });
    registry.intercept = (_, response) => {
      refuse(response, 403, "DENIED");
      return true;
    };
    await assert.rejects(pull("team/app"), {
      code: "denied",
      message: `pull access denied for ${registry.host}/team/app, repository does not exist or may require 'docker login': denied: denied`,
    });
    registry.intercept = (_, response) => {
      refuse(response, 429, "TOOMANYREQUESTS");
      return true;
    };
    await assert.rejects(pull("team/app"), { code: "unavailable", message: /^toomanyrequests: / });
    const { host } = registry;
    await registry.close();
    await assert.rejects(all(images.pull(`${host}/team/app`)), {
      code: "unavailable",
      message: /connect: connection refused$/,
    });
  });

  it("waits when it is told to, and tries again after a server's error", async () => {
    publish();
    let refusals = 2;
    registry.intercept = (_, response) => {
      if (refusals-- <= 0) return false;
      refuse(response, refusals > 0 ? 429 : 503, "TOOMANYREQUESTS", { "retry-after": "0" });
      return true;
    };
    await all(images.pull(`${registry.host}/team/app`));
    assert.equal((await images.list()).length, 1);
  });

  it("gets itself a token, with the login where there is one", async () => {
    publish();
    const asked: string[] = [];
    registry.intercept = (request, response) => {
      const { authorization } = request.headers;
      if (request.url?.startsWith("/token")) {
        asked.push(`${request.url} ${Buffer.from(authorization?.split(" ")[1] ?? "", "base64")}`);
        response.end(JSON.stringify({ token: "secret" }));
        return true;
      }
      if (authorization === "Bearer secret") return false;
      const realm = `http://${registry.host}/token`;
      const challenge = `Bearer realm="${realm}",service="test",scope="repository:team/app:pull"`;
      refuse(response, 401, "UNAUTHORIZED", { "www-authenticate": challenge });
      return true;
    };

    await all(images.pull(`${registry.host}/team/app`, { login: { username: "me", password: "pw" } }));

    assert.deepEqual(asked, ["/token?service=test&scope=repository%3Ateam%2Fapp%3Apull me:pw"]);
  });

  it("hints at logging in where a login is wanted", async () => {
    publish();
    registry.intercept = (request, response) => {
      if (request.headers.authorization === `Basic ${Buffer.from("me:pw").toString("base64")}`) return false;
      refuse(response, 401, "UNAUTHORIZED", { "www-authenticate": 'Basic realm="x"' });
      return true;
    };
    await assert.rejects(all(images.pull(`${registry.host}/team/app`)), { code: "denied", hint: /log in/ });
    await all(images.pull(`${registry.host}/team/app`, { login: { username: "me", password: "pw" } }));
  });

  it("stops when it is told to, and keeps nothing", async () => {
    publish({ size: 300_000 });
    const stop = new AbortController();
    registry.intercept = (request) => {
      if (request.url?.includes("/blobs/")) stop.abort(new Error("enough"));
      return false;
    };
    await assert.rejects(all(images.pull(`${registry.host}/team/app`, { signal: stop.signal })), /enough|abort/i);
    assertNothingKept();
  });
});

describe("a registry behind TLS", {
  skip: spawnSync("openssl", ["version"]).status === 0 ? false : "needs openssl",
}, () => {
  it("is refused for a certificate that nobody vouches for, unless it is insecure", async () => {
    const secure = await FakeRegistry.openTls(certificate(root));
    try {
      secure.addManifest("a", "1", { config: {} }, "x");
      const reference = parseReference(`${secure.host}/a:1`);
      const strict = new Registry(reference, { insecure: false, retryDelaysMs: [] });
      await assert.rejects(strict.manifest("1"), {
        code: "unavailable",
        message: /^Get "https:.*tls: failed to verify certificate/,
        hint: /CA/,
      });
      const lenient = new Registry(reference, { insecure: true, retryDelaysMs: [] });
      assert.equal((await lenient.manifest("1")).mediaType, "x");
    } finally {
      await secure.close();
    }
  });
});

describe("push", () => {
  it("gives back what was pulled byte for byte, and takes over what the registry has elsewhere", async () => {
    const { manifest } = publish();
    await all(images.pull(`${registry.host}/team/app`));
    await images.tag(`${registry.host}/team/app`, `${registry.host}/other/app:2`);
    registry.intercept = (request, response) => {
      if (request.method !== "HEAD" || !request.url?.startsWith("/v2/other/app/blobs/")) return false;
      response.writeHead(404).end();
      return true;
    };

    const said = await all(images.push(`${registry.host}/other/app:2`));

    assert.equal(said[0]?.status, `The push refers to repository [${registry.host}/other/app]`);
    assert.equal(said.filter(({ status }) => status === "Mounted from team/app").length, 2);
    assert.deepEqual(said.at(-1)?.aux, { Tag: "2", Digest: manifest.digest, Size: manifest.size });
    assert.ok(registry.manifests.has(`other/app@${manifest.digest}`));
    const repeated = await all(images.push(`${registry.host}/other/app:2`)).then((lines) =>
      lines.map(({ status }) => status),
    );
    assert.ok(repeated.includes(`2: digest: ${manifest.digest} size: ${manifest.size}`));
  });

  it("packs plain layers once, and finds them there the next time", async () => {
    await all(images.fromHost({ reference: `${registry.host}/host`, programs: ["sh"] }));

    const first = await all(images.push(`${registry.host}/host`));
    const second = await all(images.push(`${registry.host}/host`));

    const { layers } = await images.get(`${registry.host}/host`);
    for (const status of ["Preparing", "Pushed"]) {
      const ids = first.filter((one) => one.status === status).map(({ id }) => id);
      assert.deepEqual(ids, [layers[0]?.slice("sha256:".length, 19)], status);
    }
    assert.ok(second.some(({ status }) => status === "Layer already exists"));
    assert.equal(first.at(-2)?.status, second.at(-2)?.status);
    const packed = [...registry.blobs.values()].find((blob) => blob[0] === 0x1f);
    assert.equal(digestOf(gunzipSync(packed ?? Buffer.alloc(0))), layers[0]);
    const before = await images.get(`${registry.host}/host`);
    await images.remove(`${registry.host}/host`);
    await all(images.pull(`${registry.host}/host`));
    assert.equal((await images.get(`${registry.host}/host`)).id, before.id);
  });

  it("says what isn't there and what is refused", async () => {
    await assert.rejects(all(images.push(`${registry.host}/nothing`)), {
      message: `An image does not exist locally with the tag: ${registry.host}/nothing`,
    });
    publish();
    await all(images.pull(`${registry.host}/team/app`));
    registry.intercept = (request, response) => {
      if (request.method !== "PUT") return false;
      request.resume();
      refuse(response, 403, "DENIED");
      return true;
    };
    await assert.rejects(all(images.push(`${registry.host}/team/app`)), { code: "denied", message: /^denied: / });
  });
});

describe("parseChallenge", () => {
  it("reads schemes and quoted parameters", () => {
    const challenge = parseChallenge(
      'Bearer realm="https://a/token?x=\\"1\\"",service=b,scope="repository:a:pull,push"',
    );
    assert.deepEqual(
      [challenge?.scheme, ...(challenge?.parameters ?? [])],
      ["bearer", ["realm", 'https://a/token?x="1"'], ["service", "b"], ["scope", "repository:a:pull,push"]],
    );
    assert.equal(parseChallenge('Basic realm="r"')?.scheme, "basic");
    assert.equal(parseChallenge("Negotiate"), undefined);
  });
});

describe("isLoopback", () => {
  it("is what only this host can reach", () => {
    assert.deepEqual(
      [
        "localhost",
        "localhost:5000",
        "127.8.0.1:1",
        "[::1]:5000",
        "localhost.example",
        "10.0.0.1",
        "127.0.0.1.example",
      ].map(isLoopback),
      [true, true, true, true, false, false, false],
    );
  });
});

function certificate(folder: string): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const { status, stderr } = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
  ]);
  assert.equal(status, 0, String(stderr));
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

function assertNothingKept(): void {
  assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
  assert.equal(sink.layers.size, 0);
}

function publish({ architecture = "amd64", size = 10 } = {}) {
  // Not compressible, so that what is sent is as long as what is in it.
  const noise = Buffer.from(Array.from({ length: size }, (_, index) => (index * index * 31) >>> 3));
  const plain = [tar(noise), tar("second")];
  const layers = plain.map((one) => registry.addBlob(gzipSync(one, { level: 0 })));
  const config = registry.addBlob(
    JSON.stringify({
      architecture,
      os: "linux",
      rootfs: { type: "layers", diff_ids: plain.map(digestOf) },
      config: {},
    }),
  );
  const manifest = registry.addManifest("team/app", "latest", manifestOf(config, layers), mediaTypes.manifest);
  return { layers, config, manifest };
}

function manifestOf(config: object, layers: readonly (object | undefined)[]): object {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, ...config },
    layers: layers.map((layer) => ({ mediaType: mediaTypes.layerGzip, ...layer })),
  };
}

function tar(content: string | Buffer): Buffer {
  const data = Buffer.from(content as Buffer);
  const header = encodeTarHeader(tarEntry({ type: "file", path: "file", size: data.length }));
  return Buffer.concat([header, data, tarPadding(data.length), tarEnd()]);
}

async function all(stream: AsyncIterable<Progress>): Promise<Progress[]> {
  return await Array.fromAsync(stream);
}
