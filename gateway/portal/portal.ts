// The developer portal: Swagger UI from the project's own packages, reading /openapi.json of the same origin and nothing else.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deprecationPolicyPath } from "../deprecation.ts";
import { contentTag, type Document, keptForGood } from "../documents.ts";

/**
 * Nothing from elsewhere, no inline code, in no frame: whatever a description of an API may hold, the page that shows it
 * has tokens in its memory. Swagger UI draws with pictures that are in its style sheet as data.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page at `/docs`, and what it loads: at paths that change with their content, so that browsers keep them for good. */
export function portalDocuments(): Document[] {
  const own = ["portal.css", "portal.js"].map((name) => [name, readFileSync(here(name))] as const);
  const packageJson = readFileSync(swaggerUi("package.json"), "utf8");
  const assets = `/docs/${contentTag(packageJson, ...own.map(([, bytes]) => bytes))}`;
  const html = readFileSync(here("portal.html"), "utf8").replaceAll("{assets}", assets);
  const page = {
    contentType: "text/html; charset=utf-8",
    make: () => html,
    headers: { "content-security-policy": contentSecurityPolicy, "referrer-policy": "no-referrer" },
  };
  return [
    { path: "/docs", ...page },
    { path: "/docs/", ...page },
    {
      path: deprecationPolicyPath,
      contentType: "text/markdown; charset=utf-8",
      make: () => readFileSync(here("../../docs/deprecation.md")),
    },
    ...own.map(([name, bytes]) => asset(name, () => bytes)),
    // 1.7 MiB that most gateways are never asked for.
    ...["swagger-ui.css", "swagger-ui-bundle.js"].map((name) =>
      asset(name, () => readFileSync(swaggerUi(name))),
    ),
    asset("icon.png", () => readFileSync(swaggerUi("favicon-32x32.png"))),
  ];

  function asset(name: string, make: () => Uint8Array): Document {
    const type = contentTypes[name.slice(name.lastIndexOf(".") + 1)]!;
    return { path: `${assets}/${name}`, contentType: type, make, cacheControl: keptForGood };
  }
}

const contentTypes: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  png: "image/png",
};

function here(name: string): URL {
  return new URL(name, import.meta.url);
}

function swaggerUi(name: string): string {
  return fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`));
}
