import { evaluate } from "./template-evaluate.ts";
import { parseTemplate } from "./template-parse.ts";

/** A compiled `--format`: fills in one value. */
export type Template = (data: unknown) => string;

/**
 * Compiles the Go templates that `--format` takes: fields, pipes, `range`, `if`, `with`, variables, and Docker's functions.
 *
 * @throws OnggiError `invalid` when the text is no template; the template itself throws it for a field that isn't there
 * @see https://pkg.go.dev/text/template
 */
export function compileTemplate(text: string): Template {
  const nodes = parseTemplate(text);
  return (data) => evaluate(nodes, data);
}
