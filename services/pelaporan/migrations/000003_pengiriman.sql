-- How far the systems outside were told of what reports did; a copy of what integrasi says.
create table pengiriman (
  laporan   uuid not null,
  -- The event that is forwarded: the id of the command that took effect.
  peristiwa uuid not null,
  sistem    text not null,
  status    text not null,
  alasan    text not null,
  waktu     timestamptz not null,
  primary key (laporan, peristiwa, sistem)
);
