// The civil date: registration follows the calendar of Asia/Jakarta, wherever the process runs.

const jakarta = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Jakarta", dateStyle: "short" });

/** ISO 8601 date in Asia/Jakarta. */
export function civilDate(now: Date): string {
  return jakarta.format(now);
}
