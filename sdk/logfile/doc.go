// Package logfile keeps the messages of a logger in a local file with rotation,
// compression, crash recovery and readers that follow, whatever the format of
// its records is.
//
// # Files
//
// For a log at PATH there are:
//
//	PATH             the records that are being written
//	PATH.1, PATH.2   older generations, the newest first; with compression PATH.1.gz
//	PATH.idx         a sparse index of PATH, and PATH.1.idx and so on; see Index below
//	PATH.lock        locked by the process that writes
//	PATH.new, PATH.gz.tmp, PATH.idx.tmp   files in the making; a crash may leave them, Open removes them
//
// With Config.Numbered older generations are called PATH.00000001 and up, the oldest first,
// and keep their names; with Zstd compressed ones end with ".zst".
//
// A generation is one file of the sequence. Generations are numbered upwards
// for as long as indexes are present, so that a reader can tell a generation
// that was removed before it was read from one that it may go on with.
//
// # Index
//
// An index has an entry for about every 128 KiB of records: the offset, how many
// records and which highest timestamp precede it, and which sequence number
// the next message has. It makes reading from a time or from the end fast, and
// it tells after a crash exactly which messages are held. It may be missing,
// stale or damaged: reading then takes longer, and no claim is made about sequences. Records
// after damage that no entry follows are not claimed either. What another program appends
// while no process writes the log counts as messages of the last stream: do not append to a
// log whose writer was killed before it is written again.
package logfile
