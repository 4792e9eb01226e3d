// Package jobs keeps the records of the commands that logplug has run, so that
// their logs can be found by id.
//
// A state directory holds
//
//	jobs/ID.json   the record of one job, mode 0600
//	logs/ID/       the files of drivers that keep some, see Job.Info.LogPath
//	logs/.removed-X  a log that is being removed, or was when its logplug was killed
//	dead-letters.jsonl, and files whose names begin so: messages that drivers
//	               will never take
//	lock           locked while a record is claimed, ended or removed
//
// Records are replaced atomically: a reader sees the old or the new one.
package jobs
