/** Work that was started for each of some items. */
export interface Started<T, R> {
  /** The outcome for one item. */
  get(item: T): Promise<R>;
  /** Resolves when all have ended, however. */
  settled(): Promise<void>;
}

/** Starts work for each item, in order, at most `limit` at a time; after a failure no further ones are started. */
export function eachWithin<T, R>(limit: number, items: readonly T[], work: (item: T) => Promise<R>): Started<T, R> {
  const outcomes = new Map<T, PromiseWithResolvers<R>>(items.map((item) => [item, Promise.withResolvers<R>()]));
  const queue = [...items];
  let failure: { readonly error: unknown } | undefined;

  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      const outcome = outcomes.get(item);
      try {
        if (failure !== undefined) throw failure.error;
        outcome?.resolve(await work(item));
      } catch (error) {
        failure ??= { error };
        outcome?.reject(error);
      }
    }
  };
  for (const { promise } of outcomes.values()) promise.catch(() => {}); // told by get, if anyone asks
  const lanes = Array.from({ length: Math.min(limit, items.length) }, lane);
  return {
    get: async (item) => {
      const outcome = outcomes.get(item);
      if (outcome === undefined) throw new RangeError("an item that nothing was started for");
      return await outcome.promise;
    },
    settled: async () => {
      await Promise.all(lanes);
    },
  };
}
