// A document as PDF, with its statement in a QR code: a function of the record, to the byte.
import { createRequire } from "node:module";
import { encodeQR } from "qr";
import { civilDate } from "#chassis/civil-date.ts";
import { type Baris, JUDUL, tanggalPanjang } from "./domain/fakta.ts";
import type { DokumenRecord } from "./store.ts";

export type Printed = Pick<
  DokumenRecord,
  "id" | "jenis" | "nomor" | "nomorLaporan" | "fakta" | "pernyataan" | "createdAt"
>;

/** Points, 1/72 inch. */
const MARGIN = 56;
const LABEL_WIDTH = 150;
const QR_SIZE = 142;
/** Modules of white around the code (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** Names have letters beyond Latin-1, so the font comes with the document (its glyphs that are used). */
const FONTS = { biasa: "DejaVuSans.ttf", tebal: "DejaVuSans-Bold.ttf" } as const;

export async function renderPdf(dokumen: Printed): Promise<Buffer> {
  const { id, jenis, nomor, nomorLaporan, fakta, pernyataan, createdAt } = dokumen;
  // Loaded on demand: it takes some 30 MiB that a process which renders nothing need not have.
  const { default: PDFDocument } = await import("pdfkit");
  const { resolve } = createRequire(import.meta.url);
  const doc = new PDFDocument({
    size: "A4",
    margin: MARGIN,
    // What zlib makes may change with the version of Node; a document must not.
    compress: false,
    lang: "id-ID",
    info: {
      Title: `${JUDUL[jenis]} ${nomor}`,
      Author: fakta.instansi,
      // A verifier finds the statement here without a camera.
      Keywords: pernyataan,
      CreationDate: createdAt,
    },
  });
  const chunks: Buffer[] = [];
  const whole = new Promise<Buffer>((resolvePdf, reject) => {
    doc.on("data", (chunk: Buffer) => chunks.push(chunk));
    doc.on("end", () => resolvePdf(Buffer.concat(chunks)));
    doc.on("error", reject);
  });
  for (const [name, file] of Object.entries(FONTS)) {
    doc.registerFont(name, resolve(`dejavu-fonts-ttf/ttf/${file}`));
  }

  doc.font("tebal").fontSize(12).text(`Pemerintah ${fakta.instansi}`, { align: "center" });
  doc.font("biasa").fontSize(10).text("Dinas Kependudukan dan Pencatatan Sipil", { align: "center" });
  doc.moveDown(2);
  doc.font("tebal").fontSize(15).text(JUDUL[jenis].toUpperCase(), { align: "center" });
  doc.font("biasa").fontSize(11).text(`Nomor ${nomor}`, { align: "center" });
  doc.moveDown(2);
  const terbit = tanggalPanjang(civilDate(createdAt));
  for (const baris of [...fakta.baris, ["Nomor laporan", nomorLaporan], ["Diterbitkan", terbit]] as Baris[]) {
    writeLine(doc, baris);
  }

  const bottom = doc.page.height - MARGIN - QR_SIZE;
  if (doc.y > bottom - 20) doc.addPage();
  drawQr(doc, pernyataan, MARGIN, bottom);
  const besideQr = { width: doc.page.width - 2 * MARGIN - QR_SIZE - 16 };
  doc.fillColor("black").font("biasa").fontSize(9);
  doc.text(
    "Dokumen ini ditandatangani secara elektronik. Kode QR memuat pernyataan yang dapat diperiksa keasliannya: " +
      "jenis, nomor dan nomor laporan yang dinyatakannya harus sama dengan yang tercetak di sini.",
    MARGIN + QR_SIZE + 16,
    bottom + 16,
    besideQr,
  );
  doc.moveDown();
  doc.text(`dokumen/${id}`, besideQr);
  doc.end();
  return whole;
}

function writeLine(doc: PDFKit.PDFDocument, [label, nilai]: Baris): void {
  const width = doc.page.width - 2 * MARGIN - LABEL_WIDTH;
  doc.font("biasa").fontSize(11);
  if (doc.y + doc.heightOfString(nilai, { width }) > doc.page.height - MARGIN) doc.addPage();
  const { y } = doc;
  doc.text(label, MARGIN, y, { width: LABEL_WIDTH });
  doc.text(nilai, MARGIN + LABEL_WIDTH, y, { width });
  doc.moveDown(0.4);
  doc.x = MARGIN;
}

function drawQr(doc: PDFKit.PDFDocument, text: string, left: number, top: number): void {
  const modules = encodeQR(text, "raw", { ecc: "medium", border: QUIET_ZONE });
  const size = QR_SIZE / modules.length;
  modules.forEach((row, y) => {
    // One rectangle a run: neighbours drawn one by one show hairlines between them.
    for (let x = 0; x < row.length; ) {
      let end = x + 1;
      while (end < row.length && row[end] === row[x]) end++;
      if (row[x]) doc.rect(left + x * size, top + y * size, (end - x) * size, size);
      x = end;
    }
  });
  doc.fill("black");
}
