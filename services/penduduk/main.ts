// The registry of residents, as a process.
import { runProcess } from "#chassis/process.ts";
import { composePenduduk } from "./penduduk.ts";

/** A batch of the hub at its largest, 10,000 rows of 512 bytes and more. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

await runProcess({
  name: "penduduk",
  env: process.env,
  compose: composePenduduk,
  maxMessageBytes: MAX_MESSAGE_BYTES,
});
