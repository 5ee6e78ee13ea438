// Codes that were retired when a region was split: good on a NIK that exists, never on a new one.

/**
 * Kabupaten/kota code before the split -> after. Kecamatan below it keep their last two digits in a NIK that was issued
 * before. Sources: UU 20/2012 (Kalimantan Utara), UU 14 to 16/2022 (Papua Selatan, Tengah, Pegunungan), UU 29/2022
 * (Papua Barat Daya).
 */
const RETIRED_KABUPATEN: ReadonlyMap<string, string> = new Map([
  ["64.04", "65.01"], // Bulungan
  ["64.05", "65.03"], // Nunukan
  ["64.06", "65.02"], // Malinau
  ["64.10", "65.04"], // Tana Tidung
  ["64.73", "65.71"], // Tarakan
  ["91.01", "93.01"], // Merauke
  ["91.02", "95.01"], // Jayawijaya
  ["91.04", "94.01"], // Nabire
  ["91.07", "94.02"], // Puncak Jaya
  ["91.08", "94.03"], // Paniai
  ["91.09", "94.04"], // Mimika
  ["91.12", "95.02"], // Pegunungan Bintang
  ["91.13", "95.03"], // Yahukimo
  ["91.14", "95.04"], // Tolikara
  ["91.16", "93.02"], // Boven Digoel
  ["91.17", "93.03"], // Mappi
  ["91.18", "93.04"], // Asmat
  ["91.21", "95.05"], // Mamberamo Tengah
  ["91.22", "95.06"], // Yalimo
  ["91.23", "95.07"], // Lanny Jaya
  ["91.24", "95.08"], // Nduga
  ["91.25", "94.05"], // Puncak
  ["91.26", "94.06"], // Dogiyai
  ["91.27", "94.07"], // Intan Jaya
  ["91.28", "94.08"], // Deiyai
  ["92.01", "96.01"], // Sorong
  ["92.04", "96.02"], // Sorong Selatan
  ["92.05", "96.03"], // Raja Ampat
  ["92.09", "96.04"], // Tambrauw
  ["92.10", "96.05"], // Maybrat
  ["92.71", "96.71"], // Kota Sorong
]);

/** Kabupaten/kota that took over from the retired one of this kecamatan code; undefined if it is not retired. */
export function successorOf(kodeKecamatan: string): string | undefined {
  return RETIRED_KABUPATEN.get(kodeKecamatan.slice(0, 5));
}
