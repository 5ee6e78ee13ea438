// What `npm start` prints when the mesh serves: where it is, who can log in, and commands that work as printed.
const ACCOUNTS: readonly [name: string, role: string][] = [
  ["operator", "operator of kelurahan 32.01.01.1006"],
  ["operator2", "operator of desa 32.01.02.2001"],
  ["operator3", "operator of desa 32.04.37.2001"],
  ["supervisor", "supervisor of kecamatan 32.01.01"],
  ["supervisor2", "supervisor of kecamatan 32.01.02"],
  ["supervisor3", "supervisor of kecamatan 32.04.37"],
  ["kota", "admin of kabupaten 32.01"],
  ["kota2", "admin of kabupaten 32.04"],
  ["pusat", "admin of the nation"],
  ["auditor", "reads the audit trail"],
  ["mitra", "a partner's machine (client_credentials)"],
];

export function welcome({
  urls,
  postgres,
  password,
  seconds,
  dataDir,
  random = Math.random,
}: {
  urls: Readonly<Record<string, string>>;
  /** host:port of the databases. */
  postgres: string;
  password: string;
  seconds: number;
  dataDir: string;
  random?: () => number;
}): string {
  const { gateway = "", penduduk = "" } = urls;
  const rows = [
    ...Object.entries(urls),
    ["portal", `${gateway}/docs`] as const,
    ["postgres", postgres] as const,
    ["data, logs", dataDir] as const,
  ];
  const address = penduduk.replace("http://", "");
  const json = "-H 'content-type: application/json'";
  const login = (username: string) =>
    `curl -s ${gateway}/login ${json} -d ${quoted(JSON.stringify({ username, password }))}`;
  // The token travels through a variable of the shell: the line can be pasted as it is, more than once.
  const token = (username: string) =>
    `TOKEN=$(${login(username)} | sed 's/.*"access_token" *: *"\\([^"]*\\)".*/\\1/')`;
  const bearer = '-H "authorization: Bearer $TOKEN"';
  const resident = {
    nik: sampleNik(random),
    nama: "Siti Aminah",
    alamat: "Jl. Tegar Beriman No. 1",
    provinsi: "Jawa Barat",
  };

  return [
    `ready in ${seconds.toFixed(1)} s`,
    "",
    ...rows.map(([name, url]) => `  ${name.padEnd(12)} ${url}`),
    "",
    `Accounts, password ${password}:`,
    ...ACCOUNTS.map(([name, role]) => `  ${name.padEnd(12)} ${role}`),
    "",
    "Try:",
    "",
    "# log in",
    login("operator"),
    "",
    "# register a resident",
    token("operator"),
    `curl -s ${gateway}/penduduk ${bearer} ${json} -d ${quoted(JSON.stringify(resident))}`,
    "",
    "# residents by province",
    token("pusat"),
    `curl -s ${gateway}/stats ${bearer}`,
    "",
    "# what a process offers over gRPC",
    `grpcurl -plaintext ${address} list`,
    "",
    "# is it well",
    `grpcurl -plaintext ${address} grpc.health.v1.Health/Check`,
    "",
    "Ctrl-C stops everything.",
  ].join("\n");
}

/**
 * A NIK of kecamatan 32.01.01 that is most likely new: printed again at the next start, the same one would be a duplicate.
 * A low serial, since IssueNik continues above the highest.
 */
export function sampleNik(random: () => number): string {
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const digits = (value: number, length: number) => String(value).padStart(length, "0");
  const [day, month, year] = [between(1, 28) + 40, between(1, 12), between(60, 99)];
  return `320101${digits(day, 2)}${digits(month, 2)}${digits(year, 2)}${digits(between(1, 20), 4)}`;
}

/** As one word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
