// The simulated Dukcapil hub, as a process: health and reflection until its contract lands.
import { runProcess } from "#chassis/process.ts";

await runProcess({ name: "dukcapil", env: process.env, compose: () => {} });
