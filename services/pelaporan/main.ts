// LAMPID reports, as a process: health and reflection until its contract lands.
import { runProcess } from "#chassis/process.ts";

await runProcess({ name: "pelaporan", env: process.env, compose: () => {} });
