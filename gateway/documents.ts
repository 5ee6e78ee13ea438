// Serves the OpenAPI document of the REST routes, to anyone, as JSON and as YAML.
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { Code } from "@connectrpc/connect";
import { stringify } from "yaml";
import { matchesTag } from "./transcoder/etag.ts";
import { type Request, type Response, writeStatus } from "./transcoder/status.ts";

export interface Documents {
  /** Answers a request for one of the documents; returns false, and leaves the request alone, for any other path. */
  handle(request: Request, response: Response): boolean;
}

/**
 * Offers an OpenAPI document (its JSON text) at `/openapi.json` and `/openapi.yaml`: GET and HEAD, with an ETag of its
 * content, so that who has it is told 304.
 */
export function createDocuments(openApiJson: string): Documents {
  const json = documentOf("application/json", openApiJson);
  // Made when somebody first asks: it takes a moment, and most ask for JSON.
  let yaml: Document | undefined;
  const makers = new Map<string, () => Document>([
    ["/openapi.json", () => json],
    [
      "/openapi.yaml",
      () => {
        yaml ??= documentOf(
          "application/yaml",
          stringify(JSON.parse(openApiJson), { aliasDuplicateObjects: false }),
        );
        return yaml;
      },
    ],
  ]);

  return {
    handle(request, response) {
      const make = makers.get((request.url ?? "").split("?", 1)[0]!);
      if (make === undefined) {
        return false;
      }
      request.resume();
      if (request.method === "GET" || request.method === "HEAD") {
        answer(make(), request, response as ServerResponse);
      } else if (request.method === "OPTIONS") {
        (response as ServerResponse).writeHead(204, { allow }).end();
      } else {
        const status = { code: Code.Unimplemented, message: `this path allows ${allow}`, details: [] };
        writeStatus(response, status, 405, { allow });
      }
      return true;
    },
  };
}

const allow = "GET, HEAD, OPTIONS";

interface Document {
  readonly contentType: string;
  readonly bytes: Buffer;
  readonly etag: string;
}

function documentOf(contentType: string, text: string): Document {
  const bytes = Buffer.from(text);
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  return { contentType, bytes, etag };
}

function answer({ contentType, bytes, etag }: Document, request: Request, response: ServerResponse): void {
  const head = {
    etag,
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
  };
  const known = request.headers["if-none-match"];
  if (known !== undefined && matchesTag(known, etag)) {
    response.writeHead(304, head).end();
    return;
  }
  response.writeHead(200, { ...head, "content-type": contentType, "content-length": bytes.length });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
