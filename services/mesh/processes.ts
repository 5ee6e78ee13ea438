// The table of the mesh's processes: what runs, on which ports, and with which environment.
import { join, resolve } from "node:path";
import type { DatabaseName, RoleName } from "./provision.ts";

/** The checkout: entries are relative to it, and it is the working directory of every process. */
export const ROOT = resolve(import.meta.dirname, "../..");

export const POSTGRES_PORT = 54320;

/** One process, as its ports are before LAMPID_PORT_OFFSET. */
export type ProcessSpec = {
  name: string;
  /** The script, relative to {@link ROOT} or absolute. */
  entry: string;
  port: number;
  adminPort: number;
  /** auth only: the embedded OpenID issuer, for people's browsers and for everyone's JWKS. */
  issuerPort?: number;
  /** dukcapil only: its rows as REST, for comparison with what streams. */
  restPort?: number;
  /** Its own database, with the rights of that database's owner, and the bus with its own role. */
  database?: DatabaseName;
  /** Of one without a database: the role by which it publishes on the bus. */
  busRole?: RoleName;
  /** Listens on LAMPID_HOST; all others stay on loopback, which is this profile's mesh security. */
  isExposed?: boolean;
  /** Options of Node for this process, besides those that all get. */
  nodeOptions?: readonly string[];
};

/**
 * For all. V8 sizes its heap by the machine's memory and would let each of eight processes grow to gigabytes before it
 * collects in earnest. The young generation counts most at rest: measured with the seven services serving, PSS of the
 * whole mesh was 616 MiB with V8's default, 555 with 8, 510 with 4 (MiB per semi-space).
 */
const NODE_OPTIONS = [
  "--disable-warning=ExperimentalWarning",
  "--max-old-space-size=512",
  "--max-semi-space-size=4",
];

/**
 * V8 counts what lies outside its heap, a megabyte and more a batch, as if it were part of it, and collects when the sum has
 * grown by some tenths: every second batch, for a heap that had hardly changed. Here it may grow by so many percent,
 * as far as 256 MiB let it go in a run of a million rows after others (docs/decisions/0011).
 */
const growing = (percent: number) => `--heap-growing-percent=${percent}`;

/** Where every request and every batch passes through: fewer collections are worth 15 MiB more. The last option wins. */
const BUSY = ["--max-semi-space-size=32", growing(60)];

/** What only passes batches on has no use for so much: 16 MiB cost it nothing, and 32 took it to the limit of 256 MiB. */
const PASSING_ON = ["--max-semi-space-size=16", growing(100)];

/**
 * V8 keeps compiled code here, and Node the TypeScript with its types stripped: a second start takes 2.4 s rather than
 * 3.6 s, and each process 15 MiB less, since the type stripper is not even loaded. `npm ci` clears it.
 */
const COMPILE_CACHE = join(ROOT, "node_modules/.cache/lampid-compile");

export const PROCESSES: readonly ProcessSpec[] = [
  {
    name: "gateway",
    entry: "gateway/main.ts",
    port: 8080,
    adminPort: 9080,
    busRole: "gateway",
    isExposed: true,
    nodeOptions: BUSY,
  },
  { ...service("auth", 9001, "auth"), issuerPort: 8081, isExposed: true },
  { ...service("penduduk", 9002, "penduduk"), nodeOptions: BUSY },
  service("pelaporan", 9003, "pelaporan"),
  service("notifikasi", 9004, "notifikasi"),
  service("statistik", 9005, "statistik"),
  { ...service("integrasi", 9006, "integrasi"), nodeOptions: PASSING_ON },
  service("dokumen", 9007, "dokumen"),
  { ...service("dukcapil", 9010), restPort: 9011, nodeOptions: PASSING_ON },
];

function service(name: string, port: number, database?: DatabaseName): ProcessSpec {
  return { name, entry: `services/${name}/main.ts`, port, adminPort: port + 1000, database };
}

export function nodeArguments(spec: ProcessSpec): string[] {
  return [...NODE_OPTIONS, ...(spec.nodeOptions ?? []), resolve(ROOT, spec.entry)];
}

/** Every port that a mesh of these processes needs, for the check before anything starts. */
export function portsOf(
  processes: readonly ProcessSpec[],
  { host, portOffset }: { host: string; portOffset: number },
): { port: number; host: string; what: string }[] {
  return [
    { port: POSTGRES_PORT + portOffset, host: "127.0.0.1", what: "PostgreSQL" },
    ...processes.flatMap((spec) => {
      const on = spec.isExposed ? host : LOOPBACK;
      return [
        { port: spec.port + portOffset, host: on, what: spec.name },
        { port: spec.adminPort + portOffset, host: on, what: `the admin port of ${spec.name}` },
        ...(spec.issuerPort
          ? [{ port: spec.issuerPort + portOffset, host: on, what: `the issuer of ${spec.name}` }]
          : []),
        ...(spec.restPort
          ? [{ port: spec.restPort + portOffset, host: on, what: `the REST port of ${spec.name}` }]
          : []),
      ];
    }),
  ];
}

const LOOPBACK = "127.0.0.1";

/** Where a server that listens on `host` is reached from this machine. */
export function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "localhost") return LOOPBACK;
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

/** The URLs of the mesh by process name, and `issuer`; as seen from this machine. */
export function urlsOf(
  processes: readonly ProcessSpec[],
  { host, portOffset }: { host: string; portOffset: number },
): Record<string, string> {
  const urls: Record<string, string> = {};
  for (const spec of processes) {
    const base = `http://${reachableHost(spec.isExposed ? host : LOOPBACK)}`;
    urls[spec.name] = `${base}:${spec.port + portOffset}`;
    if (spec.issuerPort) urls.issuer = `${base}:${spec.issuerPort + portOffset}`;
  }
  return urls;
}

/** `<url>/readyz` of a process on its admin port. */
export function readyUrl(
  spec: ProcessSpec,
  { host, portOffset }: { host: string; portOffset: number },
): string {
  return `http://${reachableHost(spec.isExposed ? host : LOOPBACK)}:${spec.adminPort + portOffset}/readyz`;
}

/** embedded: everything on this machine. cluster: Kafka, MongoDB and Keycloak by their URLs. */
export type Profile = "embedded" | "cluster";

export type EnvironmentOptions = {
  /** Default: embedded. */
  profile?: Profile;
  processes: readonly ProcessSpec[];
  /** What the user has set, usually `process.env`. */
  env: Readonly<Record<string, string | undefined>>;
  host: string;
  portOffset: number;
  dataDir: string;
  databaseUrl: ((role: RoleName, database?: "bus") => string) | undefined;
  /** Embedded: of the processes that call others by themselves. In a cluster, the user says it. */
  serviceSecret?: string;
  /** For integrasi, unless the user has set LAMPID_QUARANTINE_KEY_FILE. */
  quarantineKeyFile?: string;
  /** For dokumen, unless the user has set LAMPID_DOKUMEN_KEY_FILE. */
  dokumenKeyFile?: string;
};

/** Passed on where set: what programs expect to find, and what the user set for the mesh or for its telemetry. */
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|NODE_\w+|LAMPID_\w+|OTEL_\w+|TWILIO_\w+)$/;

/** The supervisor's own; a process that reads one of them would read something else than it was started with. */
const NOT_PASSED_ON =
  /^(LAMPID_PORT_OFFSET|LAMPID_CACHE_DIR|LAMPID_DATABASE_URL|LAMPID_BUS_URL|LAMPID_POSTGRES_URL|NODE_CHANNEL_\w+|NODE_TEST_CONTEXT|NODE_V8_COVERAGE)$/;

/** The environment of one process. What is computed here wins over what the user set. */
export function environmentOf(spec: ProcessSpec, options: EnvironmentOptions): Record<string, string> {
  const { profile = "embedded", processes, env, host, portOffset, dataDir, databaseUrl } = options;
  const urls = urlsOf(processes, options);
  const child: Record<string, string> = {
    // glibc gives each thread an arena of its own and never takes it back: some 10 MiB per process.
    MALLOC_ARENA_MAX: "2",
    // scrypt takes 16 MiB a login: from mmap, they go back to the system (auth after 30 logins: 110 MiB, not 140).
    MALLOC_MMAP_THRESHOLD_: "1048576",
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
  for (const [key, value] of Object.entries(env)) {
    if (value !== undefined && PASSED_ON.test(key) && !NOT_PASSED_ON.test(key)) child[key] = value;
  }
  Object.assign(child, {
    LAMPID_PROFILE: profile,
    LAMPID_SUPERVISED: "1",
    LAMPID_HOST: spec.isExposed ? host : LOOPBACK,
    LAMPID_PORT: String(spec.port + portOffset),
    LAMPID_ADMIN_PORT: String(spec.adminPort + portOffset),
    LAMPID_DATA_DIR: dataDir,
  });
  if (spec.restPort) child.LAMPID_REST_PORT = String(spec.restPort + portOffset);
  if (profile === "embedded") {
    child.LAMPID_ISSUER_URL = urls.issuer ?? `http://${LOOPBACK}:${8081 + portOffset}`;
    if (spec.issuerPort) child.LAMPID_ISSUER_PORT = String(spec.issuerPort + portOffset);
    if (options.serviceSecret) child.LAMPID_SERVICE_CLIENT_SECRET = options.serviceSecret;
  }
  if (spec.name === "integrasi" && options.quarantineKeyFile) {
    child.LAMPID_QUARANTINE_KEY_FILE ||= options.quarantineKeyFile;
  }
  if (spec.name === "dokumen" && options.dokumenKeyFile) {
    child.LAMPID_DOKUMEN_KEY_FILE ||= options.dokumenKeyFile;
  }
  for (const { name } of processes) {
    if (name !== "gateway") child[`LAMPID_UPSTREAM_${name.toUpperCase()}`] = urls[name] as string;
  }
  if (spec.database && databaseUrl) child.LAMPID_DATABASE_URL = databaseUrl(spec.database);
  const busRole = spec.database ?? spec.busRole;
  if (busRole && databaseUrl && profile === "embedded") child.LAMPID_BUS_URL = databaseUrl(busRole, "bus");
  return child;
}

/** The folder with the migrations of a database: the service's own, or the chassis's for the bus. */
export function migrationsOf(database: DatabaseName): string {
  return join(
    ROOT,
    database === "bus" ? "services/chassis/bus/migrations" : `services/${database}/migrations`,
  );
}
