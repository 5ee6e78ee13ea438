-- Whom a document is of, [{nama, nikTersamar}], as printed: the registry does not name them again when the report is corrected.
-- null of those issued before; their correction asks the registry.
alter table dokumen add column orang json;
