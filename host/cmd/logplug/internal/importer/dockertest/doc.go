// Package dockertest checks with Docker's own drivers that package importer reads the
// files that they write.
package dockertest
