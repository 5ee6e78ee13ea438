/** Connect's client, except that leaving a response stream early cancels the call. */

import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";

type StreamFn = (input: unknown, options?: CallOptions) => AsyncIterable<unknown>;

/**
 * Like `createClient`. Connect's own client leaves the call open when a `for await` ends by break, return or throw: its
 * iterators have no `return`. The server then keeps a handler, and with backpressure it keeps it for ever.
 */
export function createWireClient<Desc extends DescService>(
  service: Desc,
  transport: Transport,
): Client<Desc> {
  const client = createClient(service, transport) as Record<string, unknown>;
  for (const method of service.methods) {
    if (method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming") {
      client[method.localName] = cancelOnReturn(client[method.localName] as StreamFn);
    }
  }
  return client as Client<Desc>;
}

function cancelOnReturn(call: StreamFn): StreamFn {
  return (input, options) => {
    const controller = new AbortController();
    const { signal } = controller;
    const responses = call(input, {
      ...options,
      signal: options?.signal ? AbortSignal.any([options.signal, signal]) : signal,
    });
    return {
      [Symbol.asyncIterator]() {
        const iterator = responses[Symbol.asyncIterator]();
        return {
          next: () => iterator.next(),
          return: () => {
            controller.abort(new ConnectError("the response stream was left early", Code.Canceled));
            // Connect lets go of the call's deadline timer only when it is asked for one more message.
            return iterator.next().then(
              () => ({ done: true, value: undefined }),
              () => ({ done: true, value: undefined }),
            );
          },
        };
      },
    };
  };
}
