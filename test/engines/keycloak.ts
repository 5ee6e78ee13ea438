// Keycloak without Docker: the version, settings and realm of compose.yaml, on ports and data of its own.
//
//   node test/engines/keycloak.ts     starts one until Ctrl-C, and prints where it listens
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ROOT } from "../../services/mesh/processes.ts";
import { freePort } from "../harness/database.ts";
import { cacheDir } from "../harness/tools.ts";
import { composeEnvironment, composeService, composeVersion } from "./compose.ts";
import { launch, mavenArchive, missing, type Restartable, restartable, workFolder } from "./engine.ts";

export type KeycloakEngine = Restartable & {
  /** `http://127.0.0.1:<port>`. */
  url: string;
  /** For LAMPID_ISSUER_URL. */
  issuerUrl: string;
};

export type KeycloakOptions = {
  /** Default: a free one. */
  port?: number;
  /** Over compose.yaml's. */
  environment?: Record<string, string>;
};

const REALM = "lampid";
/** The first start on a machine compiles Keycloak for its options and makes the schema. */
const FIRST_START_MS = 240_000;
const START_MS = 90_000;

export const keycloakMissing = () => missing("java", "mvn");

/** What the processes must be given besides LAMPID_ISSUER_URL: the secrets in compose.yaml. */
export function keycloakSecrets(): { login: string; admin: string; service: string; demoPassword: string } {
  const environment = composeEnvironment("keycloak");
  return {
    login: environment.LAMPID_ISSUER_CLIENT_SECRET!,
    admin: environment.LAMPID_ISSUER_ADMIN_CLIENT_SECRET!,
    service: environment.LAMPID_INTEGRASI_CLIENT_SECRET!,
    demoPassword: environment.LAMPID_DEMO_PASSWORD!,
  };
}

/** Keycloak's own administrator, in the realm master. */
export function keycloakAdmin(): { username: string; password: string } {
  const environment = composeEnvironment("keycloak");
  return {
    username: environment.KC_BOOTSTRAP_ADMIN_USERNAME!,
    password: environment.KC_BOOTSTRAP_ADMIN_PASSWORD!,
  };
}

/** The environment of an auth process that uses it. */
export function clusterSettings(issuerUrl: string): Record<string, string> {
  const { login, admin } = keycloakSecrets();
  return {
    LAMPID_PROFILE: "cluster",
    LAMPID_ISSUER_URL: issuerUrl,
    LAMPID_ISSUER_CLIENT_SECRET: login,
    LAMPID_ISSUER_ADMIN_CLIENT_SECRET: admin,
  };
}

export async function startKeycloak(options: KeycloakOptions = {}): Promise<KeycloakEngine> {
  const prepared = await prepare();
  const port = options.port ?? (await freePort());
  const managementPort = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const issuerUrl = `${url}/realms/${REALM}`;
  const home = workFolder("keycloak");
  for (const name of ["conf", "providers", "themes", "data/import"]) {
    mkdirSync(join(home, name), { recursive: true });
  }
  symlinkSync(join(prepared, "lib"), join(home, "lib"));
  cpSync(join(prepared, "data/h2"), join(home, "data/h2"), { recursive: true });
  for (const [from, name] of importedFiles()) cpSync(from, join(home, "data/import", name));

  const start = () =>
    launch({
      name: "keycloak",
      // Not kc.sh: it would stand between us and the server, and a kill -9 would meet the shell alone.
      command: "java",
      args: [
        ...javaOptions(home),
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        ...composeService("keycloak").command!,
        "--http-host=127.0.0.1",
        `--http-port=${port}`,
        `--http-management-port=${managementPort}`,
      ],
      env: { ...composeEnvironment("keycloak"), KC_HOSTNAME: url, ...options.environment },
      folder: home,
      isReady: () => answers(`${issuerUrl}/.well-known/openid-configuration`),
      withinMs: START_MS,
    });
  return { url, issuerUrl, ...(await restartable(start, home)) };
}

/** The Keycloak of this run; a file that is run by hand starts one for itself. */
export async function useKeycloak(): Promise<
  Pick<KeycloakEngine, "url" | "issuerUrl"> & { stop: () => Promise<void> }
> {
  const shared = process.env.LAMPID_TEST_KEYCLOAK_URL;
  if (shared) return { url: shared, issuerUrl: `${shared}/realms/${REALM}`, stop: async () => {} };
  return await startKeycloak();
}

/**
 * A folder in the cache with Keycloak compiled for the options of compose.yaml and a database with its schema. Made once
 * by a first start, 30 s; every other start takes 7 s, as it has neither to do.
 */
async function prepare(): Promise<string> {
  const version = composeVersion("keycloak");
  const archive = mavenArchive(`org.keycloak:keycloak-quarkus-dist:${version}:tar.gz`);
  const environment = composeEnvironment("keycloak");
  const [command = "start-dev"] = composeService("keycloak").command ?? [];
  const key = createHash("sha256")
    .update(JSON.stringify([command, Object.entries(environment).filter(([name]) => name.startsWith("KC_"))]))
    .digest("hex")
    .slice(0, 12);
  const folder = join(cacheDir(), "keycloak", `${version}-${key}`);
  if (existsSync(folder)) return folder;
  console.log(`preparing Keycloak ${version}, once ...`);
  mkdirSync(dirname(folder), { recursive: true });
  // Whole or not at all: two runs at once, or one that is killed, leave nothing half-made.
  const stage = mkdtempSync(`${folder}.`);
  try {
    cpSync(archive, stage, { recursive: true });
    const port = await freePort();
    const engine = await launch({
      name: "keycloak",
      command: join(stage, "bin/kc.sh"),
      args: [
        command,
        "--http-host=127.0.0.1",
        `--http-port=${port}`,
        `--http-management-port=${await freePort()}`,
      ],
      env: { ...environment, KC_HOSTNAME: `http://127.0.0.1:${port}` },
      folder: stage,
      isReady: () => answers(`http://127.0.0.1:${port}/realms/master/.well-known/openid-configuration`),
      withinMs: FIRST_START_MS,
    });
    await engine.stop();
    if (!existsSync(folder)) renameSync(stage, folder);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return folder;
}

/** As bin/kc.sh has them, with the heap of compose.yaml and less of a compiler: a test's server never gets warm. */
function javaOptions(home: string): string[] {
  const open = ["java.util", "java.util.concurrent", "java.security", "java.lang"];
  return [
    ...composeEnvironment("keycloak").JAVA_OPTS_KC_HEAP!.split(" "),
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    ...open.map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Duser.language=en",
    "-Duser.country=US",
    `-Dkc.home.dir=${home}`,
    `-Djboss.server.config.dir=${join(home, "conf")}`,
    // Without it Keycloak would look whether it must be compiled again, and write into the cache.
    "-Dkc.config.built=true",
    "-cp",
    join(home, "lib/quarkus-run.jar"),
  ];
}

/** What compose.yaml mounts into the import folder: path here, name there. */
function importedFiles(): [from: string, name: string][] {
  return (composeService("keycloak").volumes ?? [])
    .map((volume) => volume.split(":"))
    .filter(([, to = ""]) => to.startsWith("/opt/keycloak/data/import/"))
    .map(([from = "", to = ""]) => [join(ROOT, from), basename(to)]);
}

async function answers(url: string): Promise<boolean> {
  return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
}

if (import.meta.main) {
  await prepare();
  const startedAt = performance.now();
  const keycloak = await startKeycloak();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const rssKib = Number(
    execFileSync("ps", ["-o", "rss=", "-p", String(keycloak.pid())], { encoding: "utf8" }),
  );
  const { username, password } = keycloakAdmin();
  console.log(
    `Keycloak ${composeVersion("keycloak")} ready after ${seconds} s with ${Math.round(rssKib / 1024)} MiB`,
  );
  console.log(`LAMPID_ISSUER_URL=${keycloak.issuerUrl}`);
  console.log(`Console ${keycloak.url}/admin, ${username} / ${password}; Ctrl-C stops it`);
  process.on("SIGINT", async () => {
    await keycloak.stop();
    process.exit(0);
  });
}
