// Tells when a stream to an upstream is over, however it ends.

/**
 * Opens a stream; `onEnd` hears once of its end: the last message, a failure (with the error), or the abort by which a caller
 * leaves. Connect's streams have no return(): who leaves one early aborts it.
 */
export async function untilEnd<R extends { message: AsyncIterable<unknown> }>(
  open: () => Promise<R>,
  signal: AbortSignal | undefined,
  onEnd: (error?: unknown) => void,
): Promise<R> {
  let isOpen = true;
  const end = (error?: unknown) => {
    if (!isOpen) return;
    isOpen = false;
    signal?.removeEventListener("abort", onAbort);
    onEnd(error);
  };
  const onAbort = () => end();
  signal?.addEventListener("abort", onAbort);
  try {
    const response = await open();
    return { ...response, message: watch(response.message, end) };
  } catch (error) {
    end(error);
    throw error;
  }
}

/** The same messages; `end` hears of the last, and of a failure. */
function watch<T>(messages: AsyncIterable<T>, end: (error?: unknown) => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await iterator.next();
            if (result.done === true) end();
            return result;
          } catch (error) {
            end(error);
            throw error;
          }
        },
      };
    },
  };
}
