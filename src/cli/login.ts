import { OnggiError } from "../base/error.ts";
import { readAll } from "./client.ts";
import { type Context, command } from "./command.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import type { Input } from "./io.ts";
import { registryKey, writeCredentials } from "./login-config.ts";

const flags = {
  password: flag.string({ short: "p", help: "Password or access token" }),
  passwordStdin: flag.switch({ help: "Read the password from STDIN" }),
  username: flag.string({ short: "u", help: "User name" }),
};

type LoginContext = Context<typeof flags>;

export const login = command({
  name: "login",
  summary: "Keep credentials for a registry",
  args: "[SERVER]",
  arity: [0, 1],
  flags,
  details: "They are kept in ~/.onggi/config.json, readable by its owner only, and checked when they are first used.",
  async run(context) {
    const { args, io, print, warn } = context;
    if (context.flags.password !== undefined)
      warn("WARNING! A password on the command line can be seen by others. Use --password-stdin.");
    const registry = registryKey(args[0]);
    const credentials = await readAnswers(context);
    const path = writeCredentials(registry, credentials, io.env);
    print(`Credentials for ${args[0] ?? "Docker Hub"} kept in ${path}`);
    return 0;
  },
});

async function readAnswers({ flags: { username, password, passwordStdin }, io }: LoginContext) {
  if (passwordStdin) {
    if (username === undefined) throw new Exit(1, "Must provide --username with --password-stdin");
    if (password !== undefined) throw new Exit(1, "--password and --password-stdin are mutually exclusive");
    return { username, password: (await readAll(io.stdin)).toString().replace(/\r?\n$/, "") };
  }
  if (username !== undefined && password !== undefined) return { username, password };
  if (io.stdin.isTTY !== true) {
    throw new OnggiError("invalid", "cannot ask for credentials: the input device is not a TTY", {
      hint: "Give --username and --password-stdin.",
    });
  }
  return await ask(io, username);
}

async function ask(io: LoginContext["io"], known: string | undefined) {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: io.stdin, output: io.stderr, terminal: true });
  try {
    const username = known ?? (await lines.question("Username: "));
    lines.close();
    io.stderr.write("Password: ");
    return { username, password: await askUnseen(io.stdin) };
  } finally {
    lines.close();
    io.stderr.write("\n");
  }
}

/** Reads a line of a terminal that doesn't show what is typed. */
async function askUnseen(input: Input): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const { Writable } = await import("node:stream");
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
  }
}
