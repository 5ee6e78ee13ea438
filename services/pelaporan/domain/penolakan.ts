// Why a command on a report is refused: one table.

export type Violation = { field: string; description: string; reason: string };

/** `kind` is that of a refusal, which has its gRPC code; `message` is for developers, and holds no personal data. */
export const penolakan = {
  FIELD_VIOLATION: { kind: "invalid", message: "a field is wrong" },
  LEVEL_DENIED: { kind: "forbidden", message: "this is decided at another level of approval" },
  WILAYAH_DENIED: { kind: "forbidden", message: "the report is of another wilayah" },
  DUTIES_NOT_SEPARATE: {
    kind: "forbidden",
    message: "who acted on this report at one level cannot act on it at another",
  },
  LAPORAN_STATE: { kind: "precondition", message: "the report does not stand where this begins" },
  DECISION_NUMBER_REQUIRED: {
    kind: "precondition",
    message: "a late birth is approved with the number of the head of office's decision",
  },
  KEMIRIPAN_OPEN: {
    kind: "precondition",
    message: "other reports may tell of the same: dismiss each with a reason, or return or reject the report",
  },
  KEMIRIPAN_DISMISSED: { kind: "precondition", message: "this similarity was dismissed before" },
  EFEK_STATE: {
    kind: "precondition",
    message: "the report's effect on the registry does not stand where this begins",
  },
  NOT_IN_TRANSIT: { kind: "precondition", message: "nobody is in transit by this report" },
  COURT_DECISION_REQUIRED: {
    kind: "precondition",
    message: "what is in effect is revoked with the number of a court's decision",
  },
} as const;

export type Sebab = keyof typeof penolakan;

export type Penolakan = { sebab: Sebab; violations: readonly Violation[] };
