// Package journal reads the files of systemd's journal while journald writes
// them: entries that contain a given field, forwards, from the end, or from a time
// on, found by the files' own indexes.
//
// The format is systemd's "Journal File Format"
// (https://systemd.io/JOURNAL_FILE_FORMAT). Both layouts, compact and regular,
// both hash functions, and data compressed with zstd or LZ4 are understood.
// Numbers are little-endian, times in microseconds, objects aligned to 8 bytes.
package journal
