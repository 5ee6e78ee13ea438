// Ids by which the hub acknowledges what one event did to several residents.
import { v5 as uuidv5 } from "uuid";

/**
 * The hub keys its answers by the id of the event alone, and an event may change a whole family: each resident gets an id of
 * their own, a UUID of version 5 (RFC 9562) in the namespace of the event. The registry marks the resident with it until a row
 * of the hub brings it back; who tells the hub derives the same one, without being told.
 *
 * @param peristiwa the event's id, a UUID. @param penduduk the resident's id, the UUID in "penduduk/{uuid}".
 */
export function pendudukEventId(peristiwa: string, penduduk: string): string {
  // As bytes: a namespace is any UUID, of whatever version, and in either case the same.
  return uuidv5(penduduk.toLowerCase(), Buffer.from(peristiwa.replaceAll("-", ""), "hex"));
}
