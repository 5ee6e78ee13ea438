// The simulated Dukcapil hub, as a process.
import { runProcess } from "#chassis/process.ts";
import { readHubConfig, serveHub } from "./dukcapil.ts";

await runProcess({
  name: "dukcapil",
  env: process.env,
  // Before any port is open: a wrong variable is told at once.
  compose: ({ config }) => void readHubConfig(config),
  listen: serveHub,
});
