import swcVisitor from "@swc/core/Visitor.js";

interface SyntaxNode {
  readonly type: string;
  decls?: unknown;
}

/** The part of SWC's walker over syntax trees that is changed here; its own types know no `using`. */
interface Walker {
  visitStatement(this: Walker, node: SyntaxNode): SyntaxNode;
  visitPattern(this: Walker, node: SyntaxNode): SyntaxNode;
  visitVariableDeclarators(nodes: unknown): unknown;
}

/**
 * Teaches the walker that dependency-cruiser 18 uses the statement `using`, also in a `for`: it throws
 * "Unknown statement type: UsingDeclaration" otherwise, and would miss what is imported in it.
 */
export function teachUsing(): void {
  const walker = (swcVisitor as unknown as { Visitor: { prototype: Walker } }).Visitor.prototype;
  const { visitStatement, visitPattern } = walker;
  walker.visitStatement = function (node) {
    return node.type === "UsingDeclaration" ? visitUsing(this, node) : visitStatement.call(this, node);
  };
  walker.visitPattern = function (node) {
    return node.type === "UsingDeclaration" ? visitUsing(this, node) : visitPattern.call(this, node);
  };
}

function visitUsing(walker: Walker, node: SyntaxNode): SyntaxNode {
  node.decls = walker.visitVariableDeclarators(node.decls);
  return node;
}
