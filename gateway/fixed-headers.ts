// Headers of every REST answer, whoever has made it.

/** Answers are about persons: no cache may keep them, and no browser guess that JSON is something else. */
export const fixedHeaders = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;
