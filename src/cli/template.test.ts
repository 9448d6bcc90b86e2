import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileTemplate } from "./template.ts";

const container = {
  Id: "abc",
  Name: "/web",
  State: { Running: true, ExitCode: 0, Health: null },
  Args: ["-c", "echo"],
  Config: { Labels: { b: "2", a: "1" }, Env: [] },
  NetworkSettings: { Ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }], "81/tcp": null } },
};

const cases: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["{{.Id}} {{ .Name }}", "abc /web"],
  ["{{.ID}}", "abc"],
  ["{{.State.Running}}/{{.State.ExitCode}}/{{.State.Health}}", "true/0/<nil>"],
  ["{{json .Args}}", '["-c","echo"]'],
  ["{{.Args}} {{.Config.Labels}}", "[-c echo] map[a:1 b:2]"],
  ['{{.Config.Labels.missing}}|{{index .Config.Labels "missing"}}', "<no value>|"],
  ["{{range .Args}}<{{.}}>{{end}}", "<-c><echo>"],
  ["{{range $i, $a := .Args}}{{$i}}={{$a}} {{end}}", "0=-c 1=echo "],
  ["{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "a:1;b:2;"],
  ["{{range .Config.Env}}x{{else}}none{{end}}", "none"],
  ['{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"],
  [
    "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}{{if $b}}->{{(index $b 0).HostPort}}{{end}} {{end}}",
    "80/tcp->8080 81/tcp ",
  ],
  ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
  ["{{if not .State.Running}}a{{else if eq .State.ExitCode 1}}b{{else}}c{{end}}", "c"],
  ["{{with .State}}{{.ExitCode}}{{$.Id}}{{end}}", "0abc"],
  ["{{with .Config.Env}}x{{else}}y{{end}}", "y"],
  ['{{join .Args ","}} {{upper .Id}} {{title "ab cd"}} {{lower "X"}}', "-c,echo ABC Ab Cd x"],
  ['{{range split "a,b" ","}}[{{.}}]{{end}}', "[a][b]"],
  ['{{.Name | printf "%s-%d" "x" 3 | len}}', String("x-3%!(EXTRA string=/web)".length)],
  ['{{printf "%q %v %s %5d|%-5s|" .Id .Args .Name 42 "l"}}', '"abc" [-c echo] /web    42|l    |'],
  ['{{.Id}}{{"\\t"}}{{`raw`}}', "abc\traw"],
  ["a {{- .Id -}} b", "aabcb"],
  ["a{{/* comment */}}b", "ab"],
  ["{{$x := .Id}}{{$x}}{{$x = 1}}{{$x}}", "abc1"],
  ["{{len .Args}}{{len .Name}}", "24"],
  ["{{and .Id .Name}} {{or .Config.Env .Id}}", "/web abc"],
  ["{{and .Config.Env (index .Config.Env 5)}}", "[]"],
  ['{{ne .Id "x"}} {{eq .Id "x" "abc"}} {{gt 2 1}}', "true true true"],
  ['{{range .Args}}{{if eq . "echo"}}{{break}}{{end}}{{.}}{{end}}', "-c"],
  ['{{range .Args}}{{.}}{{if eq . "-c"}}{{continue}}{{end}}!{{end}}', "-cecho!"],
  ["{{println .Id}}", "abc\n"],
  ["{{slice .Id 1}}", "bc"],
];

describe("compileTemplate", () => {
  for (const [template, expected] of cases) {
    it(`fills ${JSON.stringify(template)}`, () => {
      assert.equal(compileTemplate(template)(container), expected);
    });
  }

  it("calls methods with their arguments", () => {
    assert.equal(compileTemplate('{{.Label "x"}}')({ Label: (name: string) => `<${name}>` }), "<x>");
  });

  for (const [template, message] of [
    ["{{.Id", "unclosed action"],
    ["{{if .Id}}x", "no {{end}}"],
    ["{{end}}", "unexpected {{end}}"],
    ["{{nope .Id}}", 'function "nope" not defined'],
    ["{{.Foo}}", 'map has no entry for key "Foo"'],
    ["{{.Id.Foo}}", "can't evaluate field Foo"],
    ["{{$y}}", 'undefined variable "$y"'],
    ["{{}}", "missing value for command"],
    ["{{index .Args 7}}", "out of range"],
    ["{{(.Id}}", "unclosed left paren"],
  ] as const) {
    it(`refuses ${template}`, () => {
      assert.throws(
        () => compileTemplate(template)(container),
        (error: Error) => error.message.includes(message),
      );
    });
  }
});
