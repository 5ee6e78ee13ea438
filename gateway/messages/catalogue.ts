// Every refusal in words for a person, in English and Indonesian. The `message` of a status stays as it is, for developers.
import { Code } from "@connectrpc/connect";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";

export type Texts = { readonly en: string; readonly id: string };

/** By domain and reason of google.rpc.ErrorInfo. A test finds every reason of the code that is not here. */
export const textsByReason: Readonly<Record<string, Readonly<Record<string, Texts>>>> = {
  [ERROR_DOMAIN]: {
    ABROAD: {
      en: "This resident has moved abroad.",
      id: "Penduduk ini telah pindah ke luar negeri.",
    },
    ALREADY_IN_KK: {
      en: "One of these persons is already on a family card.",
      id: "Salah satu anggota sudah tercatat dalam kartu keluarga lain.",
    },
    BATCH_CORRUPT: {
      en: "The data arrived damaged. Please send it again.",
      id: "Data rusak saat diterima. Silakan kirim ulang.",
    },
    CONTENTION: {
      en: "The family is being changed by someone else. Please try again.",
      id: "Data keluarga sedang diubah oleh pihak lain. Silakan coba lagi.",
    },
    COURT_DECISION_REQUIRED: {
      en: "A report that is in effect is revoked with the number of a court's decision.",
      id: "Pencabutan laporan yang sudah berlaku memerlukan nomor putusan pengadilan.",
    },
    CREDENTIALS_INVALID: {
      en: "The username or the password is wrong.",
      id: "Nama pengguna atau kata sandi salah.",
    },
    DECISION_NUMBER_REQUIRED: {
      en: "This birth was reported late. Enter the number of the head of office's decision.",
      id: "Kelahiran ini terlambat dilaporkan. Isi nomor keputusan kepala dinas.",
    },
    DOKUMEN_REVOKED: {
      en: "This document has been revoked.",
      id: "Dokumen ini telah dicabut.",
    },
    DUTIES_NOT_SEPARATE: {
      en: "You have already acted on this report at another level. Someone else must decide.",
      id: "Anda sudah menangani laporan ini pada tingkat lain. Pejabat lain yang harus memutuskan.",
    },
    EFEK_STATE: {
      en: "What this report does to the registry is not at the step where this can be done.",
      id: "Pemberlakuan laporan ini pada data penduduk tidak berada pada tahap yang memungkinkan tindakan ini.",
    },
    ETAG_MISMATCH: {
      en: "Someone else has changed this in the meantime. Look at it again, then repeat your change.",
      id: "Data ini telah diubah oleh pihak lain. Muat ulang, lalu ulangi perubahan Anda.",
    },
    EXPORT_FIELDS_DENIED: {
      en: "You may not export some of these fields.",
      id: "Anda tidak berwenang mengekspor sebagian kolom tersebut.",
    },
    FIELD_VIOLATION: {
      en: "Some of what was entered is not valid. Please correct it.",
      id: "Sebagian isian tidak sah. Silakan perbaiki.",
    },
    IN_TRANSIT: {
      en: "This resident is moving between two areas.",
      id: "Penduduk ini sedang dalam perpindahan antarwilayah.",
    },
    ISSUER_UNAVAILABLE: {
      en: "Signing in is not possible at the moment. Please try again shortly.",
      id: "Layanan masuk sedang tidak tersedia. Silakan coba beberapa saat lagi.",
    },
    KARANTINA_DECIDED: {
      en: "This row has already been decided.",
      id: "Baris ini sudah diputuskan.",
    },
    KARANTINA_UNREADABLE: {
      en: "This row can no longer be opened.",
      id: "Baris ini tidak dapat dibuka lagi.",
    },
    KEDALUWARSA: {
      en: "The registry has a newer state of this row.",
      id: "Data pada sistem lebih baru daripada baris ini.",
    },
    KEMIRIPAN_DISMISSED: {
      en: "This likeness has already been dismissed.",
      id: "Kemiripan ini sudah disisihkan.",
    },
    KEMIRIPAN_OPEN: {
      en: "Another report may be about the same. Look at each likeness and dismiss it with a reason, or return the report.",
      id: "Ada laporan lain yang mungkin sama. Periksa dan sisihkan setiap kemiripan beserta alasannya, atau kembalikan laporan.",
    },
    LAPORAN_STATE: {
      en: "The report is not at the step where this can be done.",
      id: "Laporan tidak berada pada tahap yang memungkinkan tindakan ini.",
    },
    LEVEL_DENIED: {
      en: "This is decided at another level of approval.",
      id: "Tindakan ini diputuskan pada tingkat persetujuan lain.",
    },
    LOGIN_THROTTLED: {
      en: "There were too many failed attempts. Please wait a minute.",
      id: "Terlalu banyak percobaan gagal. Silakan tunggu satu menit.",
    },
    METHOD_DENIED: {
      en: "Your role does not allow this.",
      id: "Peran Anda tidak diizinkan melakukan tindakan ini.",
    },
    NIK_REGISTERED: {
      en: "This NIK is already registered.",
      id: "NIK ini sudah terdaftar.",
    },
    NIK_UNKNOWN: {
      en: "This NIK is not registered.",
      id: "NIK ini tidak terdaftar.",
    },
    NOT_ALIVE: {
      en: "This resident is recorded as deceased or withdrawn.",
      id: "Penduduk ini tercatat meninggal atau datanya telah ditutup.",
    },
    NOT_DEAD_LETTERED: {
      en: "Only a message that could not be delivered can be sent again.",
      id: "Hanya pesan yang gagal terkirim yang dapat dikirim ulang.",
    },
    NOT_FOUND: {
      en: "There is no such record.",
      id: "Data tidak ditemukan.",
    },
    NOT_IN_TRANSIT: {
      en: "Nobody is in transit by this report.",
      id: "Tidak ada penduduk dalam perpindahan menurut laporan ini.",
    },
    NOT_RUNNING: {
      en: "Only a synchronisation that is running can be paused.",
      id: "Hanya sinkronisasi yang sedang berjalan yang dapat dijeda.",
    },
    NO_POLICY: {
      en: "This is not allowed to anyone yet.",
      id: "Tindakan ini belum diizinkan bagi siapa pun.",
    },
    OVERLOADED: {
      en: "The service is busy. Please try again shortly.",
      id: "Layanan sedang sibuk. Silakan coba beberapa saat lagi.",
    },
    OWN_ACCOUNT: {
      en: "Nobody administers their own account.",
      id: "Anda tidak dapat mengelola akun Anda sendiri.",
    },
    PASSWORD_EXPIRED: {
      en: "This is an initial password. Choose your own on the sign-in page first.",
      id: "Ini kata sandi awal. Tentukan kata sandi Anda sendiri di halaman masuk terlebih dahulu.",
    },
    PENDUDUK_UNAVAILABLE: {
      en: "The population registry cannot be reached. Please try again shortly.",
      id: "Layanan data penduduk sedang tidak tersedia. Silakan coba beberapa saat lagi.",
    },
    PENGIRIMAN_ACCEPTED: {
      en: "This was accepted already and is not sent again.",
      id: "Data ini sudah diterima dan tidak dikirim ulang.",
    },
    REQUEST_ID_REUSED: {
      en: "This was already sent with other content.",
      id: "Permintaan dengan nomor yang sama sudah dikirim dengan isi berbeda.",
    },
    ROLE_DENIED: {
      en: "You may not administer accounts of this role.",
      id: "Anda tidak berwenang mengelola akun dengan peran tersebut.",
    },
    RUN_HAS_CHANGED: {
      en: "The synchronisation has just changed. Please look again.",
      id: "Status sinkronisasi baru saja berubah. Silakan lihat kembali.",
    },
    RUN_IS_KEPT: {
      en: "Synchronisations are kept as records and cannot be deleted.",
      id: "Riwayat sinkronisasi disimpan sebagai arsip dan tidak dapat dihapus.",
    },
    RUN_IS_NOT_OVER: {
      en: "The synchronisation is not over. Cancel it first.",
      id: "Sinkronisasi belum selesai. Batalkan terlebih dahulu.",
    },
    RUN_IS_OVER: {
      en: "The synchronisation is over.",
      id: "Sinkronisasi sudah berakhir.",
    },
    SERIALS_EXHAUSTED: {
      en: "Every serial number for this area and day is used up.",
      id: "Nomor urut untuk wilayah dan tanggal ini sudah habis.",
    },
    SINKRONISASI_BERJALAN: {
      en: "Another synchronisation of this area is under way.",
      id: "Sinkronisasi lain untuk wilayah ini sedang berjalan.",
    },
    STORE_UNAVAILABLE: {
      en: "The data cannot be reached at the moment. Please try again shortly.",
      id: "Penyimpanan data sedang tidak tersedia. Silakan coba beberapa saat lagi.",
    },
    TOKEN_INVALID: {
      en: "You are not signed in, or no longer. Please sign in again.",
      id: "Anda belum masuk atau sesi Anda telah berakhir. Silakan masuk kembali.",
    },
    TOKEN_REVOKED: {
      en: "Your account has been changed or suspended. Please sign in again.",
      id: "Akun Anda telah diubah atau ditangguhkan. Silakan masuk kembali.",
    },
    USERNAME_TAKEN: {
      en: "This username is taken.",
      id: "Nama pengguna ini sudah dipakai.",
    },
    WILAYAH_DENIED: {
      en: "This lies outside your area.",
      id: "Data ini berada di luar wilayah kewenangan Anda.",
    },
    WILAYAH_UNKNOWN: {
      en: "There is no area with this code.",
      id: "Tidak ada wilayah dengan kode ini.",
    },
    WILAYAH_RETIRED: {
      en: "This administrative area is no longer in use.",
      id: "Wilayah administrasi ini sudah tidak berlaku.",
    },
  },
};

/** For what has no reason, or one of a newer service: by the code alone. */
export const textsByCode: Readonly<Record<number, Texts>> = {
  [Code.Canceled]: { en: "The request was cancelled.", id: "Permintaan dibatalkan." },
  [Code.InvalidArgument]: {
    en: "Some of what was sent is not valid.",
    id: "Sebagian data yang dikirim tidak sah.",
  },
  [Code.DeadlineExceeded]: {
    en: "This took too long. Please try again.",
    id: "Permintaan memakan waktu terlalu lama. Silakan coba lagi.",
  },
  [Code.NotFound]: { en: "There is no such thing here.", id: "Yang Anda cari tidak ditemukan." },
  [Code.AlreadyExists]: { en: "This exists already.", id: "Data ini sudah ada." },
  [Code.PermissionDenied]: { en: "This is not allowed to you.", id: "Anda tidak berwenang melakukan ini." },
  [Code.ResourceExhausted]: {
    en: "There were too many requests. Please wait a moment.",
    id: "Terlalu banyak permintaan. Silakan tunggu sejenak.",
  },
  [Code.FailedPrecondition]: {
    en: "This is not possible in the present state.",
    id: "Tindakan ini tidak dapat dilakukan pada keadaan saat ini.",
  },
  [Code.Aborted]: {
    en: "This has changed in the meantime. Please try again.",
    id: "Data telah berubah. Silakan coba lagi.",
  },
  [Code.OutOfRange]: { en: "This is out of range.", id: "Nilai di luar jangkauan." },
  [Code.Unimplemented]: { en: "This is not offered.", id: "Layanan ini tidak tersedia." },
  [Code.Unavailable]: {
    en: "The service is not available at the moment. Please try again shortly.",
    id: "Layanan sedang tidak tersedia. Silakan coba beberapa saat lagi.",
  },
  [Code.Unauthenticated]: { en: "Please sign in.", id: "Silakan masuk terlebih dahulu." },
  [Code.Internal]: {
    en: "Something went wrong on our side.",
    id: "Terjadi kesalahan pada sistem kami.",
  },
};
