# The one policy of the mesh: who may call which method, and where. Deny by default.
#
# input:  {"method": "lampid.penduduk.v1.PendudukService/RegisterPenduduk", "role": "operator",
#          "wilayah": "32.01.01.1006", "scopes": ["..."], "resource": {"wilayah": "32.01.01.1006"}}
# result: {"admit":  the method may be called at all by this caller,
#          "scoped": the handler must ask again with the wilayah of the resource,
#          "allow":  the call is allowed as described}
package lampid.authz

officers := {"operator", "supervisor", "admin_kota", "admin_pusat"}

admins := {"admin_kota", "admin_pusat"}

# Who reads the population ledger.
ledger_readers := {"supervisor", "admin_kota", "admin_pusat", "mitra"}

# Each decides at its own level of a report; which, the report's domain says.
deciders := {"supervisor", "admin_kota"}

# Switches of the simulator, and upkeep: for people, too; what else is internal is for programs of the mesh alone.
maintainers := {"admin_pusat", "service"}

# Every method of the mesh. A method that is not here is denied, and a test compares this table with the contracts.
#   roles   roles that may call it ("*": any valid token)
#   scoped  bound to the caller's wilayah
#   scope   OAuth 2.0 scope that the role mitra needs besides
methods := {
	"lampid.auth.v1.AuthService/GetMe": {"roles": {"*"}, "scoped": false},
	"lampid.auth.v1.AccountService/CreateAccount": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/GetAccount": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/ListAccounts": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/UpdateAccount": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/SuspendAccount": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/ReactivateAccount": {"roles": admins, "scoped": true},
	"lampid.auth.v1.AccountService/ResetPassword": {"roles": admins, "scoped": true},
	"lampid.penduduk.v1.PendudukService/RegisterPenduduk": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/IssueNik": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/GetPenduduk": {"roles": officers | {"service"}, "scoped": true},
	"lampid.penduduk.v1.PendudukService/LookupPenduduk": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/SearchPenduduk": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/UpdateBiodata": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/CreateKartuKeluarga": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/GetKartuKeluarga": {"roles": officers, "scoped": true},
	"lampid.penduduk.v1.PendudukService/VerifyKtp": {
		"roles": officers | {"mitra"},
		"scoped": false, "scope": "penduduk.verify",
	},
	"lampid.penduduk.v1.PendudukService/ExportPenduduk": {
		"roles": admins | {"mitra"},
		"scoped": true, "scope": "penduduk.export",
	},
	"lampid.pelaporan.v1.PelaporanService/SubmitLaporan": {"roles": {"operator"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/VerifyLaporan": {"roles": {"supervisor"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/ApproveLaporan": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/ReturnLaporan": {"roles": deciders, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/ResubmitLaporan": {"roles": {"operator"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/RejectLaporan": {"roles": deciders, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/CancelLaporan": {"roles": {"operator"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/DismissKemiripan": {"roles": {"supervisor"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/CorrectLaporan": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/RevokeLaporan": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/CancelPerpindahan": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/ReapplyLaporan": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/GetLaporan": {"roles": officers, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/ListLaporan": {"roles": officers, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/GetKinerjaLaporan": {"roles": officers, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/WatchLaporan": {"roles": officers, "scoped": true},
	"lampid.pelaporan.v1.PelaporanService/GetLaporanHistory": {"roles": officers, "scoped": true},
	"lampid.pelaporan.v1.PemeliharaanService/RebuildLaporan": {"roles": maintainers, "scoped": false},
	"lampid.statistik.v1.StatistikService/GetStats": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.statistik.v1.StatistikService/GetKecamatanStats": {"roles": admins, "scoped": true},
	"lampid.statistik.v1.StatistikService/WatchStats": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.statistik.v1.StatistikService/GetLedger": {
		"roles": ledger_readers,
		"scoped": true, "scope": "statistik.read",
	},
	"lampid.statistik.v1.StatistikService/GetLedgerSeries": {
		"roles": ledger_readers,
		"scoped": true, "scope": "statistik.read",
	},
	"lampid.statistik.v1.StatistikService/GetLampidStats": {
		"roles": ledger_readers,
		"scoped": true, "scope": "statistik.read",
	},
	"lampid.notifikasi.v1.NotifikasiService/ListPesan": {
		"roles": {"supervisor", "admin_kota", "admin_pusat"},
		"scoped": true,
	},
	"lampid.notifikasi.v1.NotifikasiService/ResendPesan": {"roles": admins, "scoped": true},
	"lampid.notifikasi.v1.NotifikasiService/GetPreferensi": {"roles": officers, "scoped": true},
	"lampid.notifikasi.v1.NotifikasiService/UpdatePreferensi": {"roles": officers, "scoped": true},
	"lampid.integrasi.v1.SinkronisasiService/StartSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/GetSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/ListSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/WatchSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/PauseSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/ResumeSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/CancelSinkronisasi": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/ListKarantina": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/GetKarantina": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/RetryKarantina": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.SinkronisasiService/DismissKarantina": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.PengirimanService/ListPengiriman": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.PengirimanService/GetPengiriman": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.integrasi.v1.PengirimanService/RetryPengiriman": {"roles": {"admin_pusat"}, "scoped": false},
	"google.longrunning.Operations/GetOperation": {"roles": {"admin_pusat"}, "scoped": false},
	"google.longrunning.Operations/ListOperations": {"roles": {"admin_pusat"}, "scoped": false},
	"google.longrunning.Operations/CancelOperation": {"roles": {"admin_pusat"}, "scoped": false},
	"google.longrunning.Operations/WaitOperation": {"roles": {"admin_pusat"}, "scoped": false},
	"google.longrunning.Operations/DeleteOperation": {"roles": {"admin_pusat"}, "scoped": false},
	"lampid.penggabungan.v1.PenggabunganService/MergePenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.penggabungan.v1.PenggabunganService/HitungPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.penggabungan.v1.PenggabunganService/ReadPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.peristiwa.v1.PeristiwaService/ApplyPeristiwa": {"roles": {"service"}, "scoped": false},
	"lampid.pelaporan.v1.PelaporanInternalService/GetKontakPelapor": {"roles": {"service"}, "scoped": false},
	"lampid.pelaporan.v1.PelaporanInternalService/GetIsiLaporan": {"roles": {"service"}, "scoped": false},
	"lampid.dokumen.v1.DokumenService/GetDokumen": {"roles": officers, "scoped": true},
	"lampid.dokumen.v1.DokumenService/ListDokumen": {"roles": officers, "scoped": true},
	"lampid.dokumen.v1.DokumenService/DownloadDokumen": {"roles": officers, "scoped": true},
	"lampid.dokumen.v1.DokumenService/RevokeDokumen": {"roles": {"admin_kota"}, "scoped": true},
	"lampid.peristiwa.v1.PeristiwaService/CountPenduduk": {"roles": {"admin_pusat", "service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/GetHub": {"roles": maintainers, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/StreamPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/ListPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/LookupPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/HitungPenduduk": {"roles": {"service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/ReportPeristiwa": {"roles": {"service"}, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/ChangePenduduk": {"roles": maintainers, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/GetGangguan": {"roles": maintainers, "scoped": false},
	"lampid.dukcapil.v1.DukcapilHubService/SetGangguan": {"roles": maintainers, "scoped": false},
}

# Methods that need no token: how else would one get one, know which are revoked, that a process lives, or that a document one is
# shown is good.
public := {
	"lampid.auth.v1.AuthService/Login",
	"lampid.auth.v1.RevocationService/ListRevocations",
	"lampid.dokumen.v1.DokumenService/VerifyDokumen",
	"lampid.dokumen.v1.DokumenService/GetKunci",
	"grpc.health.v1.Health/Check",
	"grpc.health.v1.Health/List",
	"grpc.health.v1.Health/Watch",
	"grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

decision := {"admit": admit, "scoped": scoped, "allow": allow, "public": is_public}

default admit := false

default scoped := true

default allow := false

default is_public := false

is_public if input.method in public

admit if is_public

admit if {
	rule := methods[input.method]
	known_role
	role_allowed(rule)
	scope_allowed(rule)
	place_allowed(rule)
}

scoped := false if is_public

scoped := methods[input.method].scoped

allow if {
	admit
	not scoped
}

allow if {
	admit
	scoped
	contains_wilayah(input.wilayah, input.resource.wilayah)
}

# A token without a role is good for nothing, also where any role will do.
known_role if input.role in {"operator", "supervisor", "admin_kota", "admin_pusat", "auditor", "mitra", "service"}

role_allowed(rule) if "*" in rule.roles

role_allowed(rule) if input.role in rule.roles

# People's tokens carry no such scope; a machine client must have been given it.
scope_allowed(rule) if input.role != "mitra"

scope_allowed(rule) if not rule.scope

scope_allowed(rule) if rule.scope in input.scopes

place_allowed(rule) if not rule.scoped

place_allowed(rule) if {
	rule.scoped
	valid_wilayah(input.wilayah)
}

# "ID" is the nation. An empty or malformed code is nowhere: never a prefix of everything.
valid_wilayah("ID")

valid_wilayah(code) if regex.match(`^[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?$`, code)

contains_wilayah("ID", resource) if valid_wilayah(resource)

contains_wilayah(own, resource) if {
	valid_wilayah(own)
	own == resource
}

# The dot keeps "32.01" from containing "32.010".
contains_wilayah(own, resource) if {
	valid_wilayah(own)
	valid_wilayah(resource)
	startswith(resource, concat("", [own, "."]))
}

# An officer of a kelurahan may act where only their own kecamatan is known.
contains_wilayah(own, resource) if {
	valid_wilayah(own)
	valid_wilayah(resource)
	count(own) == 13
	count(resource) == 8
	startswith(own, concat("", [resource, "."]))
}
