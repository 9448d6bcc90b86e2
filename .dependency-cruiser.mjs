/**
 * Which folder of src/ may import which: this table is the architecture (ARCHITECTURE.md draws it).
 *
 * Imports point down, never up, and a part never imports its neighbour: what it needs of one, the engine hands in as
 * an interface or a function. Files directly under src/ wire things together and may import anything, and no folder
 * imports them. An entry with a slash and an ending is one file: the command line knows the API's words, not its code.
 */
const ground = ["base", "oci", "program", "executor"];
const parts = ["build", "image", "storage", "network", "runtime", "cgroup"];

const mayImport = {
  base: [],
  oci: ["base"],
  program: ["base"],
  executor: ["base", "program"],
  ...Object.fromEntries(parts.map((part) => [part, ground])),
  engine: [...ground, ...parts],
  api: ["engine", "oci", "base"],
  cri: ["engine", "oci", "base"],
  cli: ["api/wire.ts", "oci", "base"],
};

/** Folders that decide: of Node they may use what does no I/O. */
const deciding = "^src/(oci|program|runtime/compile)/";
const pureNodeModules = "^(node:)?(path|crypto)(/|$)";

const test = "[.]test[.]ts$";
const known = Object.keys(mayImport).join("|");
const pathOf = (entry) => (entry.endsWith(".ts") ? `${entry.replaceAll(".", "[.]")}$` : `${entry}/`);

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(mayImport).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `src/${folder}/ may import ${allowed.length === 0 ? "nothing of src/" : allowed.join(", ")}`,
      severity: "error",
      from: { path: `^src/${folder}/` },
      to: { path: "^src/", pathNot: `^src/(${[folder, ...allowed].map(pathOf).join("|")})` },
    })),
    {
      name: "every-folder-has-a-row",
      comment: "a new folder under src/ needs a row in the table above",
      severity: "error",
      from: { path: "^src/[^/]+/", pathNot: `^src/(${known})/` },
      to: {},
    },
    {
      name: "drivers-are-strangers",
      comment: "a driver knows its interface, never another driver",
      severity: "error",
      from: { path: "^src/(storage|network)/([^/]+)/" },
      to: { path: "^src/$1/[^/]+/", pathNot: "^src/$1/$2/" },
    },
    {
      name: "deciding-does-no-io",
      comment: "what decides is pure, so that it can be tested without root",
      severity: "error",
      from: { path: deciding, pathNot: test },
      to: { dependencyTypes: ["core"], pathNot: pureNodeModules },
    },
    {
      name: "compile-stays-clean",
      comment: "the compiler makes a program from data; it knows nothing of who runs it",
      severity: "error",
      from: { path: "^src/runtime/compile/" },
      to: { path: "^src/(executor/|runtime/(?!compile/))" },
    },
    {
      name: "tests-stay-out",
      severity: "error",
      from: { path: "^src/", pathNot: test },
      to: { path: `^test/|${test}` },
    },
    {
      name: "no-development-packages",
      comment: "what is shipped uses only what package.json lists under dependencies",
      severity: "error",
      from: { path: "^src/", pathNot: test },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], pathNot: "node_modules/@types/" },
    },
    { name: "everything-resolves", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
  ],
  options: {
    // TypeScript 7 has no compiler API; without another parser dependency-cruiser would look at nothing and be content.
    parser: "swc",
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
