// Entity tags (RFC 9110, 8.8.3) from and to the string field `etag` of messages (AIP-154).
import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type FieldPath, isSet, messageIn, ownerOf } from "./field.ts";
import { badRequest, Refusal } from "./status.ts";

/** Where the etag of a message is: its own field, else that of the message field that HTTP takes for the whole. */
export function findEtagPath(message: DescMessage, whole: DescField | undefined): FieldPath | undefined {
  const own = etagFieldOf(message);
  if (own !== undefined) {
    return { name: own.name, parents: [], field: own };
  }
  const nested = whole?.fieldKind === "message" ? etagFieldOf(whole.message) : undefined;
  return nested && { name: `${whole!.name}.${nested.name}`, parents: [whole!], field: nested };
}

/**
 * The ETag header of an answer: the value of its etag, quoted. Undefined when there is none, or when it has characters that
 * an entity tag cannot have: a header that cannot be sent back as it came would be worse than none.
 */
export function etagHeader(path: FieldPath, message: Message): string | undefined {
  const parent = path.parents[0];
  const owner = parent === undefined ? message : messageIn(message, parent);
  const value = (owner as Record<string, unknown> | undefined)?.[path.field.localName];
  return typeof value === "string" && tagText.test(value) ? `"${value}"` : undefined;
}

/** Whether an If-None-Match header has this (strong) entity tag: "*", or a list, compared weakly as RFC 9110, 13.1.2 says. */
export function matchesTag(ifNoneMatch: string, header: string): boolean {
  if (ifNoneMatch.trim() === "*") {
    return true;
  }
  for (const [, tag] of ifNoneMatch.matchAll(tags)) {
    if (tag === header) {
      return true;
    }
  }
  return false;
}

/**
 * Puts the entity tag of an If-Match header into an etag that the request left empty, so that the service checks it.
 * "*" asks for nothing that a service would not check itself. Throws 412 for a weak tag, which never matches here
 * (RFC 9110, 13.1.1), and 400 for several: a message has room for one, and a condition must not get lost.
 */
export function fillEtag(path: FieldPath, message: Message, ifMatch: string): void {
  const text = ifMatch.trim();
  if (text === "*" || isSet(message, path)) {
    return;
  }
  if (/^W\/"[^"]*"$/.test(text)) {
    throw new Refusal(412, Code.Aborted, "a weak entity tag in If-Match matches nothing");
  }
  // Without quotes it is no entity tag, but what it means is plain.
  const value =
    /^"([^"]+)"$/.exec(text)?.[1] ?? (tagText.test(text) && !text.includes(",") ? text : undefined);
  if (value === undefined) {
    throw badRequest("If-Match is not valid", [
      {
        field: "If-Match",
        description: 'must be "*" or one entity tag such as "5"',
        reason: "INVALID_VALUE",
      },
    ]);
  }
  (ownerOf(message, path) as unknown as Record<string, unknown>)[path.field.localName] = value;
}

/** What RFC 9110 lets stand between the quotes, of ASCII. */
const tagText = /^[\x21\x23-\x7e]+$/;

const tags = /(?:W\/)?("[^"]*")/g;

function etagFieldOf(message: DescMessage): DescField | undefined {
  const field = message.fields.find((each) => each.name === "etag");
  return field?.fieldKind === "scalar" && field.scalar === ScalarType.STRING && field.oneof === undefined
    ? field
    : undefined;
}
