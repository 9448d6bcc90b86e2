/** What a function lends to another for its time, kept for as long as somebody wants. */
export interface Opened<T> {
  readonly value: T;
  /** Gives it back. */
  close(): Promise<void>;
}

/** Borrows what `lend` hands to its argument: for streams, which outlive the call that makes them. */
export async function opened<T>(lend: (use: (value: T) => Promise<void>) => Promise<void>): Promise<Opened<T>> {
  const begun = Promise.withResolvers<T>();
  const over = Promise.withResolvers<void>();
  const lent = lend((value) => {
    begun.resolve(value);
    return over.promise;
  });
  lent.catch(begun.reject);
  return {
    value: await begun.promise,
    close: async () => {
      over.resolve();
      await lent;
    },
  };
}
