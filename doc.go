// Package drover is the vocabulary of drover, a data-frame ETL engine: jobs, frames, steps, schemas and
// errors. It is plain data. It does no I/O and imports nothing else of this module.
//
// A Job reads a Source, applies Steps and writes a Sink. Job files (package jobfile) and Go programs build the
// same Job; everything that follows (binding, planning, running) starts from it.
package drover
