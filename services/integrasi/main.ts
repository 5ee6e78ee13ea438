// Synchronisation with Dukcapil and SIAK, as a process: health and reflection until its contract lands.
import { runProcess } from "#chassis/process.ts";

await runProcess({ name: "integrasi", env: process.env, compose: () => {} });
