// `npm run start:cluster`: where the engines are unless the user says so.

type Environment = Readonly<Record<string, string | undefined>>;

/** For development, like compose.yaml, with which a test compares them. */
export const CLUSTER_DEFAULTS = {
  LAMPID_POSTGRES_URL: "postgres://postgres:rahasia@127.0.0.1:5432/postgres",
  LAMPID_KAFKA_BROKERS: "127.0.0.1:9092",
  LAMPID_MONGO_URL: "mongodb://lampid:rahasia@127.0.0.1:27017/statistik?authSource=admin",
  LAMPID_RATE_LIMIT_STORE: "redis://127.0.0.1:6379",
  LAMPID_ISSUER_URL: "http://127.0.0.1:8180/realms/lampid",
  LAMPID_ISSUER_CLIENT_SECRET: "rahasia",
  LAMPID_ISSUER_ADMIN_CLIENT_SECRET: "rahasia",
  LAMPID_SERVICE_CLIENT_SECRET: "rahasia",
} as const;

/** What the user has set, and the defaults for the rest. */
export function clusterEnvironment(env: Environment): Record<string, string> {
  const given = Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return { ...CLUSTER_DEFAULTS, ...Object.fromEntries(given) };
}
