// google.rpc.LocalizedMessage for refusals, in the language that the caller's Accept-Language asks for.
import { Code, type ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, LocalizedMessageSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { LocalizedText, Status } from "../transcoder/status.ts";
import { type Texts, textsByCode, textsByReason } from "./catalogue.ts";

const locales = { en: "en", id: "id-ID" } as const;

/** The words for a status as REST has it: by its ErrorInfo, else by its code. */
export function localizeStatus(status: Status, acceptLanguage: string | undefined): LocalizedText {
  const info = status.details.find(isErrorInfo);
  return textFor(status.code, info, acceptLanguage);
}

/** Adds the words to an error as RPC has it, unless its service has said them. */
export function localizeError(error: ConnectError, acceptLanguage: string | null): void {
  if (error.findDetails(LocalizedMessageSchema).length === 0) {
    const info = error.findDetails(ErrorInfoSchema)[0];
    const value = textFor(error.code, info, acceptLanguage ?? undefined);
    error.details.push({ desc: LocalizedMessageSchema, value: { ...value } });
  }
}

/**
 * The language by RFC 9110, 12.5.4: the higher quality wins, then the order of the header, then English. `in` is what old
 * programs call Indonesian.
 */
export function languageOf(acceptLanguage: string | undefined): keyof Texts {
  let language: keyof Texts = "en";
  let best = 0;
  for (const range of (acceptLanguage ?? "").toLowerCase().split(",", 32)) {
    const [, primary, weight] =
      /^\s*([a-z]{1,8}|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?$/.exec(range) ?? [];
    const quality = Math.min(1, Number(weight ?? 1));
    if (primary !== undefined && quality > best) {
      const named = { en: "en", "*": "en", id: "id", in: "id" } as const;
      if (primary in named) {
        language = named[primary as keyof typeof named];
        best = quality;
      }
    }
  }
  return language;
}

function textFor(
  code: number,
  info: { readonly reason?: string; readonly domain?: string } | undefined,
  acceptLanguage: string | undefined,
): LocalizedText {
  const language = languageOf(acceptLanguage);
  const known = textsByReason[info?.domain ?? ""]?.[info?.reason ?? ""];
  const texts = known ?? textsByCode[code] ?? textsByCode[Code.Internal]!;
  return { locale: locales[language], message: texts[language] };
}

function isErrorInfo(detail: unknown): detail is { reason?: string; domain?: string } {
  return (detail as { "@type"?: string })["@type"] === `type.googleapis.com/${ErrorInfoSchema.typeName}`;
}
