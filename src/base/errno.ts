/** True for an error of Node's that carries one of these errno names. */
export function isErrno(error: unknown, ...names: readonly string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && names.includes(String(error.code));
}
