/** Keeps the failure of a stream that nobody reads yet from ending the process. */

/**
 * Connect's client starts a stream at once but awaits it at the first read. A failure in between, such as a deadline
 * while the caller is still sending, would be an unhandled rejection; whoever reads the stream gets it all the same.
 */
export function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
