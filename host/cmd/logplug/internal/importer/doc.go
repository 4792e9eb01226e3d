// Package importer reads log files that container engines have written, and logs
// what they hold to a driver: Docker's json-file and local drivers' files, and those of
// the container runtime interface, with what was rotated and compressed with gzip.
//
// An import can be interrupted at any moment and run again: a State tells up to where
// the driver acknowledged, and the driver, if it remembers how far it got, what it
// has beyond. Files are recognized by their content, so that they may be rotated and
// compressed in between.
package importer
