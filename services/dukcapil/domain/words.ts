// Names, streets and occupations of residents who do not exist: ASCII, and within the rules of the registry's contract.

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const MALE_NAMES = words(`
  Abdul Achmad Adi Aditya Agung Agus Ahmad Aji Akbar Aldi Ali Amir Andi Andika Angga Anton Anwar Ardi Ari Arief Arman
  Arya Asep Bagas Bagus Bambang Bayu Benny Budi Burhan Cahyo Candra Dadang Danang Dani Darma Daud Dedi Deni Dian Didik
  Dimas Dodi Doni Dwi Edi Eka Eko Endra Fadli Faisal Fajar Farhan Ferdi Fikri Firman Galih Gede Gilang Gunawan Hadi
  Hafiz Hamzah Handoko Hari Hasan Hendra Heri Hidayat Ibnu Idris Ilham Iman Imam Indra Irfan Irwan Ismail Iwan Jamal
  Joko Jonathan Kadek Ketut Komang Krisna Kurnia Lukman Made Mahmud Marwan Mulyadi Nanang Nyoman Rahmat Reza Rizki
  Slamet Sugeng Taufik Teguh Usman Wahyu Wayan Yohanes Yusuf Zainal Zulfikar`);

export const FEMALE_NAMES = words(`
  Agustina Aisyah Alya Amalia Ana Anggun Ani Anisa Ariani Astuti Ayu Bunga Cahaya Cantika Citra Dahlia Desi Dewi Diah
  Dina Dinda Dwi Eka Elisa Elvira Endang Erna Esti Eva Fadilah Farida Fatimah Febri Fitri Gita Halimah Hana Hani Hartini
  Hasnah Ida Ika Indah Indri Intan Ira Isnaini Jamilah Julia Juwita Kartika Kartini Khadijah Kirana Komariah Lailatul
  Laras Lastri Lestari Lia Lilis Lina Lusi Maria Marlina Martha Maya Mega Melati Mira Mutiara Nadia Nani Nia Nining
  Novita Nur Nurhayati Puji Putri Rahayu Ratna Ratih Rina Rini Rosita Sari Sekar Sinta Siti Sri Suci Sulastri Sumiati
  Titin Tri Umi Vina Wati Wulan Yanti Yuliana Yuni Zahra`);

export const SECOND_NAMES = words(`
  Abdullah Adiputra Aditama Alamsyah Anggraini Anshori Ardiansyah Arifin Asmara Azhari Bachtiar Batubara Budiman
  Budiono Cahyadi Damanik Darmawan Dewantara Efendi Fadhilah Fauzi Febriani Firdaus Firmansyah Ginting Gultom Gunarto
  Habibi Hakim Halim Hamdani Handayani Harahap Hardiyanto Hartono Hasanah Hasibuan Haryanto Hasyim Herlambang Hermawan
  Hidayah Hutapea Ibrahim Indriani Irawan Iskandar Jatmiko Jayadi Kurniawan Kusnadi Kusuma Laksono Lubis Mahardika
  Maharani Malik Manurung Maulana Mardiana Marpaung Maryani Mulyana Mulyani Mustofa Nababan Nasution Natsir Ningsih
  Nugraha Nugroho Nuraini Nurdin Pane Pangestu Panjaitan Permana Permata Pertiwi Pradana Prakoso Pramono Prasetya
  Prasetyo Pratama Pratiwi Purba Purnama Purwanto Puspita Rachman Rahardjo Rahmawati Ramadhan Rangkuti Riyadi Rosadi
  Rumbiak Rusdi Safitri Sagala Salim Santoso Saputra Saragih Sembiring Setiawan Siahaan Sihombing Silalahi Simanjuntak
  Sinaga Siregar Sitorus Subagyo Sudirman Suharto Sukmawati Sulaiman Supriadi Suryadi Susanto Sutrisno Syahputra
  Tambunan Tanjung Utami Wardana Wibowo Wicaksono Widodo Wijaya Winata Yudhistira Yulianti Yusuf Zulkarnain`);

export const STREETS = words(`
  Melati Mawar Anggrek Kenanga Cempaka Dahlia Flamboyan Teratai Kamboja Bougenville Merdeka Sudirman Diponegoro Kartini
  Pahlawan Veteran Pemuda Gajah_Mada Hayam_Wuruk Imam_Bonjol Teuku_Umar Cut_Nyak_Dien Pattimura Hasanuddin Ahmad_Yani
  Gatot_Subroto Sisingamangaraja Raya_Desa Pasar_Lama Masjid_Raya Gereja Sekolah Lapangan Stasiun Pelabuhan Nelayan
  Sawah_Besar Kebun_Jeruk Bukit_Indah Sungai_Dalam Rambutan Mangga Nangka Durian Manggis Salak Cendana Jati Mahoni
  Beringin Garuda Merpati Kenari Rajawali Nuri Elang Kutilang Cendrawasih Mataram Majapahit Sriwijaya Siliwangi
  Pajajaran Kertanegara`).map((name) => `Jl. ${name.replaceAll("_", " ")} No. `);

/** Before school, at school, at home, in retirement; the rest is for adults of working age. */
export const JOBS = [
  "Belum/Tidak Bekerja",
  "Pelajar/Mahasiswa",
  "Mengurus Rumah Tangga",
  "Pensiunan",
  "Petani/Pekebun",
  "Nelayan/Perikanan",
  "Buruh Harian Lepas",
  "Buruh Tani/Perkebunan",
  "Karyawan Swasta",
  "Karyawan BUMN",
  "Pegawai Negeri Sipil",
  "Wiraswasta",
  "Pedagang",
  "Guru",
  "Dosen",
  "Bidan",
  "Perawat",
  "Dokter",
  "Sopir",
  "Tukang Kayu",
  "Tukang Batu",
  "Mekanik",
  "Penjahit",
  "Transportasi",
  "Konstruksi",
  "Industri",
  "Perangkat Desa",
  "Tentara Nasional Indonesia",
  "Kepolisian RI",
] as const;

export const JOB = { none: 0, school: 1, home: 2, retired: 3, firstOfAdults: 4 } as const;
